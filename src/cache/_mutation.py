"""Mutating: the context manager around a write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias

from cache._arguments import DEFAULT, check_seconds
from cache._domain import Names
from cache._share import have_tiers
from cache._step import step
from cache._telling import TierWindow, Told
from cache._window import Window, mutation
from cache.errors import CacheError

logger = logging.getLogger("cache")

#: Seconds for which the targets stay uncached after the mutation, or a function from its error (None: it succeeded).
Linger: TypeAlias = float | Callable[[BaseException | None], float]

#: Errors after which nobody knows whether the write has been made, or will be.
AMBIGUOUS = (asyncio.CancelledError, TimeoutError, OSError)
AMBIGUOUS_LINGER = 1.0


def default_linger(error: BaseException | None) -> float:
    """1 s if the error of a mutation, or anything it came from, leaves open whether the write was made; else 0."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, AMBIGUOUS):
            return AMBIGUOUS_LINGER
        todo += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
    return 0.0


def check_linger(linger: object) -> Callable[[BaseException | None], float]:
    """The function from the end of a mutation to its linger."""
    if linger is DEFAULT:
        return default_linger
    given: Any = linger
    if callable(linger):
        of_error: Callable[[BaseException | None], float] = given
        return of_error
    seconds = check_seconds(linger, "linger")
    return lambda _: seconds


#: What the log says of a tier that has heard of the beginning of a mutation and not of its end.
UNTOLD = "A tier was told that a mutation began, and could not be told that it has ended"


async def _wait_for(told: Told) -> asyncio.CancelledError | None:
    """Wait to the end, also if the caller is cancelled meanwhile; that is then returned, to be raised later."""
    cancelled = None
    futures = [asyncio.ensure_future(each) for each in told]
    while not all(future.done() for future in futures):
        try:
            await asyncio.wait(futures)
        except asyncio.CancelledError as error:
            cancelled = error
    for future in futures:
        if not future.cancelled() and (failed := future.exception()) is not None:
            logger.error(UNTOLD, exc_info=failed)
    return cancelled


class Mutating:
    """A mutation of some keys or tags: ``with`` or ``async with`` it around the write and its commit.

    From entry to exit, however the body ends, nothing that it covers is stored, and no reader outside is given the
    result of a load that began before they asked. Reads made by the body itself are private: loaded anew and not
    shared. Used once; enter and exit may happen in different contexts and threads.

    Where there is a tier behind one of the caches, it is told before the body begins and again after it has ended, and
    in between no process stores there what the mutation covers. The body does not run if the tier cannot be told: with
    `FileBusy`, say. In an event loop that takes ``async with``.
    """

    __slots__ = ("_behind", "_clock", "_linger", "_targets", "_window")

    def __init__(
        self,
        targets: Names,
        clock: Callable[[], float],
        linger: Callable[[BaseException | None], float],
    ) -> None:
        self._targets = targets
        self._clock = clock
        self._linger = linger
        self._window: Window | None = None
        self._behind = TierWindow(targets)

    def __enter__(self) -> None:
        if have_tiers(self._targets) and asyncio._get_running_loop() is not None:
            raise TypeError(
                "a tier behind the cache has to be told of this mutation, for which an event loop must not wait: use "
                "`async with` in place of `with`"
            )
        self._open()
        try:
            self._behind.begin()
        except BaseException:  # a tier cannot be told: the body never runs
            self._close_unused()
            raise

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        window, linger = self._entered(), default_linger(error)
        try:
            linger = self._linger_after(error)
        finally:  # whatever a linger function raises, nothing must stay covered
            try:
                self._behind.end(linger)
            except CacheError:
                logger.exception(UNTOLD)
            finally:
                self._close(window, linger, error)

    async def __aenter__(self) -> None:
        self._open()
        try:
            for told in self._behind.begin():
                await told
        except BaseException:  # the caller is cancelled, or a tier cannot be told: the body never runs
            self._close_unused()
            raise

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        window, linger, cancelled = self._entered(), default_linger(error), None
        try:
            linger = self._linger_after(error)
        finally:  # whatever a linger function raises, nothing must stay covered
            try:
                if isinstance(error, GeneratorExit):  # of a coroutine that is thrown away, which cannot wait
                    with step:  # in which nobody does
                        self._behind.end(linger)
                else:
                    cancelled = await _wait_for(self._behind.end(linger))
            except CacheError:
                logger.exception(UNTOLD)
            finally:
                self._close(window, linger, error)
        if cancelled is not None:
            raise cancelled

    def _open(self) -> None:
        if self._window is not None:
            raise RuntimeError("this mutation has been entered before: call mutating(...) again for each `with`")
        window = self._window = Window(self._targets, self._clock)
        step.run(window.begin)
        mutation.set(window)

    def _close_unused(self) -> None:
        window = self._entered()
        try:
            with step:  # in which nobody waits: of a coroutine that is thrown away the loop may have ended
                self._behind.cancel()
        except CacheError:
            logger.exception(UNTOLD)
        finally:
            mutation.set(window.outer)
            step.run(partial(window.end, 0.0, succeeded=False))

    def _entered(self) -> Window:
        if self._window is None:
            raise RuntimeError("this mutation was never entered: use it as `with` or `async with`")
        return self._window

    def _close(self, window: Window, linger: float, error: BaseException | None) -> None:
        if mutation.get() is window:
            mutation.set(window.outer)
        step.run(partial(window.end, linger, succeeded=error is None))

    def _linger_after(self, error: BaseException | None) -> float:
        try:
            return check_seconds(self._linger(error), f"the result of linger={self._linger!r}")
        except Exception:  # the mutation has ended as it has: its window must close, its outcome must not change
            logger.exception("linger=%r failed; the default is used", self._linger)
            return default_linger(error)

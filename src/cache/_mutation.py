"""Mutating: the context manager around a write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias

from cache._arguments import DEFAULT, check_seconds
from cache._step import step
from cache._tags import Names
from cache._window import Window, mutation

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


class Mutating:
    """A mutation of some keys or tags: ``with`` or ``async with`` it around the write and its commit.

    From entry to exit, however the body ends, nothing that it covers is stored, and no reader outside is given the
    result of a load that began before they asked. Reads made by the body itself are private: loaded anew and not
    shared. Used once; enter and exit may happen in different contexts and threads.
    """

    __slots__ = ("_clock", "_linger", "_targets", "_window")

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

    def __enter__(self) -> None:
        if self._window is not None:
            raise RuntimeError("this mutation has been entered before: call mutating(...) again for each `with`")
        window = self._window = Window(self._targets, self._clock)
        step.run(window.begin)
        mutation.set(window)

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        window = self._window
        if window is None:
            raise RuntimeError("this mutation was never entered: use it as `with` or `async with`")
        if mutation.get() is window:
            mutation.set(window.outer)
        linger = default_linger(error)
        try:
            linger = self._linger_after(error)
        finally:  # whatever a linger function raises, its window must not stay open
            step.run(partial(window.end, linger, succeeded=error is None))

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _linger_after(self, error: BaseException | None) -> float:
        try:
            return check_seconds(self._linger(error), f"the result of linger={self._linger!r}")
        except Exception:  # the mutation has ended as it has: its window must close, its outcome must not change
            logger.exception("linger=%r failed; the default is used", self._linger)
            return default_linger(error)

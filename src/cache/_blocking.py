"""Blocking: shared loads for threads that have no event loop to wait on.

The same flight with the same lease: only who runs it differs. A thread cannot be cancelled, so a load here runs in the
thread of the first of those who wait for it. If that one is interrupted, the load is for the next.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Hashable
from functools import lru_cache
from inspect import isawaitable
from queue import SimpleQueue
from typing import Any, cast

from cache._arguments import shown
from cache._entry import Entry, Failure
from cache._flight import Flight
from cache._key import Sentinel
from cache._lease import DONE, QUEUED, RUNNING, current_frame, frame
from cache._loads import Loads, switch
from cache._recipe import NO_ARGUMENTS, Recipe
from cache._step import step
from cache._store import Store
from cache._window import enclosing
from cache.errors import LoadCancelled

#: What one who waits is given before the result: it is the one to load.
FLY = Sentinel("yours to load")


class Seat:
    """Where one thread waits: what a flight asks of a future.

    A real one has a lock that is held while Python code runs, and so while a finalizer may; if that asks for a step,
    and a step for the future, neither ends. A simple queue takes what it is given at one go.
    """

    __slots__ = ("_done", "_given", "told")

    def __init__(self) -> None:
        self._given: SimpleQueue[Any] = SimpleQueue()
        self._done = False
        #: Whether it is for this one to load.
        self.told = False

    def tell(self) -> None:
        self.told = True
        self._given.put(FLY)

    def done(self) -> bool:
        return self._done

    def set_result(self, value: object) -> None:
        self._done = True
        self._given.put(value)

    def set_exception(self, error: BaseException) -> None:
        self.set_result(Failure(error))

    def exception(self) -> None:
        """Nobody complains of an error that no thread has looked at."""

    def result(self) -> Any:
        """Wait for what is given next."""
        given = self._given.get()
        try:
            if type(given) is Failure:
                raise given.again()
            return given
        finally:
            del given  # an exception's traceback would keep it, and it the exception


class Threads:
    """What a flight asks of an event loop, for threads of one process that share their loads."""

    def __init__(self, process: int) -> None:
        self.process = process

    def create_future(self) -> Seat:
        return Seat()

    def call_soon_threadsafe(self, call: Callable[..., object], *args: object) -> None:
        call(*args)

    def is_closed(self) -> bool:
        """Whether this is another process, forked from theirs: here they do not run."""
        return self.process != os.getpid()


#: All threads of a process that have no event loop running.
_threads_of = lru_cache(maxsize=1)(Threads)


def company() -> asyncio.AbstractEventLoop:
    """Those with whom this thread shares its loads: nobody if it has a loop running, for which others may wait."""
    process = os.getpid()
    threads = _threads_of(process) if asyncio._get_running_loop() is None else Threads(process)
    return cast("asyncio.AbstractEventLoop", threads)


class ThreadFlight(Flight):
    """A flight that the first of those who wait runs, in its own thread."""

    __slots__ = ()

    def launch(self) -> None:
        """Tell the first who waits to load, if it has not been told."""
        with step.lock:
            if self.state == DONE:
                return
            self.has_begun = True
            self.loads.flying.add(self)
            first: Any = next(iter(self.waiters))
            if not first.told:
                first.tell()

    def leave(self, future: Any) -> None:
        """As `Flight.leave`; if it was for this thread to load, now it is for the next."""
        super().leave(future)
        if self.state == RUNNING or (self.state == QUEUED and self.has_begun):
            step.launches.append(self)

    def _conclude(self) -> dict[asyncio.Future[Any], None]:
        self.loads.flying.discard(self)
        return super()._conclude()

    def fly(self) -> None:
        """Load, in this thread and for all who wait; its own seat is given the outcome as well."""
        with step.lock:
            if self.state == DONE:
                return
            recipe, context = self.recipe, self.context
        try:
            backing = self.loads.backing
            if backing is not None:
                if not backing.can_hear():
                    backing.tier.moment_blocking()
                self.set_out()
                if self.moment is None and self.state != DONE:  # else who began it has asked, and was interrupted
                    backing.fetch_blocking((self,))
                if self.state == DONE:
                    return
            self.land(*context.run(self._load, recipe))
        except KeyboardInterrupt:  # meant for this thread and no other
            raise
        except BaseException as error:  # noqa: BLE001 - the loader's own: it belongs to those who wait
            self.fail(error)

    def _load(self, recipe: Recipe) -> tuple[Any, float | None, tuple[str, ...]]:
        frame.set(self)
        value = load_plainly(recipe.load)
        return value, *recipe.judge(value)


class ThreadRecipe(Recipe):
    """How a key is loaded in the thread of whoever waits first."""

    kind = ThreadFlight

    __slots__ = ()


def load_plainly(load: Callable[[], Any]) -> Any:
    """The result of a plain loader."""
    try:
        value = load()
    except StopIteration as stop:
        raise RuntimeError(f"the loader {load!r} raised StopIteration") from stop
    if isawaitable(value):
        if asyncio.iscoroutine(value):
            value.close()
        raise TypeError(f"the loader {load!r} returned {shown(value)}, which must be awaited: use get()")
    return value


def fetch_blocking(loads: Loads, key: Hashable, recipe: ThreadRecipe) -> Any:
    """The value of ``key``, from its entry, from a load that may be joined, or from one in this thread."""
    loads.store.code(key)  # refused before anybody else is concerned
    if step.is_mine():  # a finalizer asks: until the end of the step no load begins
        step.run(_count, loads.store)
        return _load_alone(loads.store, key, recipe.load)
    reader = current_frame()
    private = bool(switch.off) or next(enclosing(), None) is not None
    entry: Entry | None = None
    seat: tuple[Any, Any] | None = None
    try:
        with step:  # its end begins loads, and may raise what beginning one raises
            entry = loads.look(key, reader)
            if entry is None:
                if reader is not None:
                    loads._refuse_cycle(key, reader)
                if not private:
                    seat = loads._board(key, lambda *_: recipe, NO_ARGUMENTS, company(), reader, anew=False)
        if entry is not None:
            return entry.result()
        if seat is None:
            with loads.private(key, reader):
                return _load_alone(loads.store, key, recipe.load)
        value = seat[1].result()
        if value is FLY:
            seat[0].fly()
            value = seat[1].result()
        return value
    finally:
        if seat is not None:
            step.run(seat[0].leave, seat[1])
        del entry, seat  # an exception's traceback would keep them, and they the exception


def _load_alone(store: Store, key: Hashable, load: Callable[[], Any]) -> Any:
    try:
        return load_plainly(load)
    except asyncio.CancelledError as cause:  # no task is cancelled here: it would pass for a cancellation of the caller
        raise LoadCancelled(f"the load of {store.name}[{shown(key)}] was cancelled from inside") from cause


def _count(store: Store) -> None:
    store.misses += 1
    store.loads += 1

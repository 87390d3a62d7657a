"""Waiting: who waits for an answer of the engine, in an event loop or in a thread without one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

logger = logging.getLogger("cache")


class Failed:
    """In place of a result: what is to be raised."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Waiter(Protocol):
    """Who waits for a result, and is given it in the thread of the engine."""

    def give(self, result: Any, /) -> None:
        """Take a result, or a `Failed`; must not raise, and not wait for anything."""
        ...

    @property
    def is_there(self) -> bool:
        """Whether anybody still waits; it need not be known at once that nobody does."""
        ...


class Seat:
    """Where a thread that has no event loop waits, for one result; ``unheard`` gets it if that was interrupted."""

    def __init__(self, unheard: Callable[[Any], object] | None = None) -> None:
        self._given: SimpleQueue[Any] = SimpleQueue()
        self._unheard = unheard
        self.is_there = True

    def give(self, result: Any) -> None:
        self._given.put(result)
        if not self.is_there:
            self.leave()

    def leave(self) -> None:
        """Wait no longer. Of this and the result, the one that comes second knows of the other."""
        self.is_there = False
        with suppress(Empty):
            result = self._given.get_nowait()
            if self._unheard is not None:
                self._unheard(result)

    def take(self) -> Any:
        """The result, or what was raised."""
        result = self._given.get()
        if isinstance(result, Failed):
            raise result.error
        return result


class Then:
    """What is done with a result, in the thread of the engine."""

    is_there = True

    def __init__(self, function: Callable[[Any], None]) -> None:
        self.give = function


class Told(asyncio.Future[Any]):
    """Of a change: an error of which nobody asks is logged, once, in place of asyncio's way."""

    def __del__(self) -> None:
        if self._log_traceback:  # as asyncio keeps it: the error was not retrieved
            log(self._exception)


class Post:
    """Brings results to event loops: all of one turn of the engine with one call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._results: dict[asyncio.AbstractEventLoop, list[tuple[Away, Any]]] = {}

    def bring(self, away: Away, result: Any) -> None:
        """Settle this with the others of this turn."""
        if not self._results and not self._loop.is_closed():
            self._loop.call_soon(self.send)
        results = self._results.get(away.loop)
        if results is None:
            results = self._results[away.loop] = []
        results.append((away, result))

    def send(self) -> None:
        """Settle all that are waiting for it."""
        results, self._results = self._results, {}
        for loop, settled in results.items():
            try:
                loop.call_soon_threadsafe(_settle, settled)
            except RuntimeError:  # it is closed
                for away, result in settled:
                    away.miss(result)


class Away:
    """Gives a result to a future of an event loop; ``unheard`` gets what nobody waits for any more."""

    __slots__ = ("_future", "_post", "_unheard", "loop")

    def __init__(
        self,
        future: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
        post: Callable[[], Post],
        unheard: Callable[[Any], object] | None = None,
    ) -> None:
        self._future = future
        self.loop = loop
        self._post = post
        self._unheard = unheard

    @property
    def is_there(self) -> bool:
        """Whether the future is waited for."""
        return not self._future.cancelled()

    def give(self, result: Any) -> None:
        """Have it brought there."""
        self._post().bring(self, result)

    def settle(self, result: Any) -> None:
        """In its loop: be done."""
        future = self._future
        if future.done():
            self.miss(result)
        elif isinstance(result, Failed):
            future.set_exception(result.error)
        else:
            future.set_result(result)

    def miss(self, result: Any) -> None:
        """Nobody is there to be given the result."""
        if isinstance(result, Failed):
            log(result.error)
        elif self._unheard is not None:
            self._unheard(result)


def log(error: BaseException | None) -> None:
    """Tell of an error of which nobody else is told."""
    logger.error("an invalidation may not be known to other processes", exc_info=error)


def _settle(results: list[tuple[Away, Any]]) -> None:
    for away, result in results:
        away.settle(result)

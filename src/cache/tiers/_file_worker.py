"""The worker of a file: what its one thread does, in order, and how the results get to whoever waits for them.

What the thread shares with those who ask is changed under the lock of the step, for moments: a finalizer may run under
it and ask for a change of any cache, and another in a step and ask for something of a file.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol

from cache._step import step
from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._sqlite_file import Call, Failed, SqliteFile

logger = logging.getLogger("cache")


class Waiter(Protocol):
    """Who waits for a result, and is given it in the thread of the file, before anything else is done there."""

    def give(self, result: Any, /) -> None:
        """Take what an operation has returned, or a `Failed`; must not raise, and not wait for anything."""
        ...


class Seat:
    """Where a thread that has no event loop waits: once, for one result."""

    def __init__(self) -> None:
        self._given: SimpleQueue[Any] = SimpleQueue()

    def give(self, result: Any) -> None:
        self._given.put(result)

    def take(self, timeout: float | None = None) -> Any:
        """The result, or what was raised; ``queue.Empty`` if it takes longer than ``timeout`` seconds."""
        result = self._given.get(timeout=timeout)
        if isinstance(result, Failed):
            raise result.error
        return result


class Then:
    """What is done with a result, in the thread of the file."""

    def __init__(self, function: Callable[[Any], None]) -> None:
        self.give = function


class Asked(NamedTuple):
    """An operation, and who waits for its result. No call: the end."""

    call: Call | None
    waiter: asyncio.Future[Any] | Waiter


class Worker:
    """What the thread works on. It outlives the `FileThread`, whose end it is told of."""

    def __init__(self, file: SqliteFile) -> None:
        self.file = file
        #: Whether no operation is taken on any more, and whether the thread is at its end.
        self.ending = self.ended = False
        #: Why there was no thread when one was last to begin.
        self.lacking = "it has no thread"
        #: What else is to be forgotten in a forked process.
        self.forked: list[weakref.WeakMethod[Callable[[], None]]] = []
        #: Who has to hear that alarms do not go off any more.
        self.when_ended: list[weakref.WeakMethod[Callable[[], None]]] = []
        self.reset()

    def reset(self) -> None:
        """Have no thread, and nothing to do."""
        self.thread: threading.Thread | None = None
        #: Held for as long as the thread uses the file.
        self.gate = threading.Lock()
        self._asked: deque[Asked] = deque()
        #: The loops whose turn has something in it, which they send at its end.
        self._turns: set[asyncio.AbstractEventLoop] = set()
        self._wake: SimpleQueue[None] = SimpleQueue()
        #: What the thread is to call, and when, by the monotonic clock.
        self._alarms: dict[Callable[[], object], float] = {}

    def begin(self) -> None:
        """Have a thread, unless it is at its end or none is to be had; in a step it starts when that is over.

        To be called outside of the lock, which the thread may need before it is under way.
        """
        if self.thread is not None or self.ending:
            return
        # A daemon: what an operation has answered for is in the file, so the interpreter need not wait.
        thread = threading.Thread(target=self._work, name=f"cache {self.file.path}", daemon=True)
        with step.lock:
            if self.thread is not None or self.ending:  # a finalizer was quicker, or another thread
                return
            self.thread = thread
        if not step.after(self):
            self.launch()

    def launch(self) -> None:
        """Start the thread."""
        thread = self.thread
        if thread is None or thread.ident is not None:
            return
        try:
            thread.start()
        except RuntimeError as error:  # as if another had the file: the next who asks tries again
            self.thread = None
            self.lacking = str(error)
            asked = self._taken()  # by others, meanwhile
            self._answer(asked, [Failed(FileBusy(self.file.path, 0.0, self.lacking))] * len(asked))
        except BaseException:  # an interrupt, say: the next who asks tries again
            self.thread = None
            raise

    def ask(self, asked: Asked, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Take an operation on, at once or at the end of this turn of the loop; False if nobody will do it."""
        self.begin()
        with step.lock:
            if self.ending or self.thread is None:
                return False
            self._asked.append(asked)
            if loop in self._turns:
                return True
            if loop is not None:
                self._turns.add(loop)
        if loop is None:
            self._wake.put(None)
        else:
            loop.call_soon(self._send, loop)
        return True

    def set_alarm(self, delay: float, function: Callable[[], object]) -> bool:
        """Have the thread call this when so many seconds are over, or sooner; False if nobody will."""
        due = time.monotonic() + delay
        if self._alarms.get(function, math.inf) <= due and not self.ending:
            return True
        self.begin()
        with step.lock:
            if self.ending or self.thread is None:
                return False
            self._alarms[function] = due
        self._wake.put(None)
        return True

    def end(self, waiter: asyncio.Future[Any] | Waiter) -> bool:
        """Do what was asked for, and end, and tell this one; False if there is no thread that could."""
        with step.lock:
            self.ending = True
            has_thread = self.thread is not None and not self.ended
            if has_thread:
                self._asked.append(Asked(None, waiter))
        if has_thread:
            self._wake.put(None)
        else:
            self.file.close()
        return has_thread

    def stop(self) -> None:
        """As `end`, with nobody to tell. A finalizer may call it, in the middle of anything: it takes no lock."""
        self.ending = True
        self._asked.append(Asked(None, Seat()))
        self._wake.put(None)

    def abandon(self) -> None:
        """Answer at once those whose operations have not begun; the thread ends when it comes back."""
        asked = [each for each in self._taken() if each.call is not None]
        self._answer(asked, [Failed(FileClosed(self.file.path, "it was closed before it got to that"))] * len(asked))
        self._tell_end()
        self.stop()

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        with step.lock:
            self._turns.discard(loop)
        self._wake.put(None)

    def _taken(self) -> list[Asked]:
        with step.lock:
            self._turns.clear()  # of a loop that was closed in the middle of its turn, nothing else is heard
            return [self._asked.popleft() for _ in range(len(self._asked))]

    def _work(self) -> None:
        wake = self._wake
        while not self.ended:
            self._wait(wake)
            asked = self._taken()
            with self.gate:
                results = self._results(asked)
                if any(each.call is None for each in asked):
                    self.file.close()
                    with step.lock:
                        self.ended = True
            self._answer(asked, results)
            del asked, results  # while it waits, the thread keeps nothing alive
        late = self._taken()
        self._answer(late, [None] * len(late))  # they, too, have asked for the end
        self._tell_end()

    def _tell_end(self) -> None:
        for reference in self.when_ended:
            method = reference()
            if method is not None:
                method()

    def _wait(self, wake: SimpleQueue[None]) -> None:
        """Until something was asked for, or an alarm goes off."""
        with step.lock:
            due = min(self._alarms.values(), default=None)
        with suppress(Empty):
            wake.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        if due is None or due > (now := time.monotonic()):
            return
        with step.lock:
            functions = [function for function, its_due in self._alarms.copy().items() if its_due <= now]
            for function in functions:
                del self._alarms[function]
        for function in functions:
            function()

    def _results(self, asked: Sequence[Asked]) -> list[Any]:
        calls = [each.call for each in asked if each.call is not None]
        try:
            results = iter(self.file.run(calls) if calls else ())
        except BaseException as error:  # noqa: BLE001 - a defect of the file's own code: for those who wait
            return [Failed(error)] * len(asked)
        return [None if each.call is None else next(results) for each in asked]

    def _answer(self, asked: Sequence[Asked], results: Sequence[Any]) -> None:
        """Give everybody the result; those of one loop all at once."""
        loops: defaultdict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = defaultdict(list)
        for each, result in zip(asked, results, strict=True):
            if isinstance(each.waiter, asyncio.Future):
                loops[each.waiter.get_loop()].append((each.waiter, result))
            else:
                each.waiter.give(result)
        for loop, given in loops.items():
            try:
                loop.call_soon_threadsafe(_settle, given)
            except RuntimeError:  # the loop was closed: nobody waits
                for _, result in given:
                    _tell_nobody(result)


def _settle(given: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in given:
        if future.done():  # cancelled: whoever waited is gone
            _tell_nobody(result)
        elif isinstance(result, Failed):
            future.set_exception(result.error)
        else:
            future.set_result(result)


def _tell_nobody(result: Any) -> None:
    if isinstance(result, Failed):
        logger.error("An operation on a file has failed, and nobody waits for it any more", exc_info=result.error)

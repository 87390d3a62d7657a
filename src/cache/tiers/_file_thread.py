"""FileThread: the one thread that uses a file, for event loops and for threads that have none.

What is asked for in one turn of an event loop travels together at its end: one hop to the thread, one transaction
there, and one call back into the loop with all the results. Operations are done in the order in which they were asked
for, whoever asked.

A fork must not find a connection: SQLite keeps what it knows of its locks in memory, and a child would take the locks
of its parent for its own, even with a connection of its own. So the thread is held up and its connection closed
before the process is forked, and parent and child each open one when they next need it.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import threading
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Call, Failed, FileClosed, SqliteFile

logger = logging.getLogger("cache")

P = ParamSpec("P")
T = TypeVar("T")

#: For how many seconds a fork waits for the operations that are under way.
FORK_PATIENCE = 1.0


class Waiter(Protocol):
    """Who waits for a result, and is given it in the thread of the file, before anything else is done there."""

    def give(self, result: Any) -> None:
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
        #: What else is to be forgotten in a forked process.
        self.forked: list[weakref.WeakMethod[Callable[[], None]]] = []
        self.reset()

    def reset(self) -> None:
        """Have no thread, and nothing to do."""
        self.thread: threading.Thread | None = None
        #: Held for as long as the thread uses the file.
        self.gate = threading.Lock()
        self._lock = threading.Lock()
        self._asked: deque[Asked] = deque()
        #: The loops whose turn has something in it, which they send at its end.
        self._turns: set[asyncio.AbstractEventLoop] = set()
        self._wake: SimpleQueue[None] = SimpleQueue()
        #: What the thread is to call, and when, by the monotonic clock.
        self._alarms: dict[Callable[[], None], float] = {}

    def ask(self, asked: Asked, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Take an operation on, at once or at the end of this turn of the loop; False if there will be no more."""
        with self._lock:
            if self.ending:
                return False
            self._begin()
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

    def set_alarm(self, delay: float, function: Callable[[], None]) -> bool:
        """Have the thread call this when so many seconds are over, or sooner; False if there will be no more."""
        if function in self._alarms and not self.ending:
            return True
        with self._lock:
            if self.ending:
                return False
            self._begin()
            self._alarms[function] = time.monotonic() + delay
        self._wake.put(None)
        return True

    def end(self, waiter: asyncio.Future[Any] | Waiter) -> bool:
        """Do what was asked for, and end, and tell this one; False if there is no thread that could."""
        with self._lock:
            self.ending = True
            if self.thread is None or self.ended:
                self.file.close()
                return False
            self._asked.append(Asked(None, waiter))
        self._wake.put(None)
        return True

    def stop(self) -> None:
        """As `end`, with nobody to tell. A finalizer may call it, in the middle of anything: it takes no lock."""
        self.ending = True
        self._asked.append(Asked(None, Seat()))
        self._wake.put(None)

    def abandon(self) -> None:
        """Answer at once those whose operations have not begun; the thread ends when it comes back."""
        asked = [each for each in self._taken() if each.call is not None]
        self._answer(asked, [Failed(FileClosed(self.file.path, "it was closed before it got to that"))] * len(asked))
        self.stop()

    def _begin(self) -> None:
        if self.thread is None:
            # A daemon: what an operation has answered for is in the file, so the interpreter need not wait.
            thread = threading.Thread(target=self._work, name=f"cache {self.file.path}", daemon=True)
            thread.start()
            self.thread = thread

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._turns.discard(loop)
        self._wake.put(None)

    def _taken(self) -> list[Asked]:
        with self._lock:
            self._turns.clear()  # of a loop that was closed in the middle of its turn, nothing else is heard
            return [self._asked.popleft() for _ in range(len(self._asked))]

    def _work(self) -> None:
        while not self.ended:
            self._wait()
            asked = self._taken()
            with self.gate:
                results = self._results(asked)
                if any(each.call is None for each in asked):
                    self.file.close()
                    with self._lock:
                        self.ended = True
            self._answer(asked, results)
            del asked, results  # while it waits, the thread keeps nothing alive
        late = self._taken()
        self._answer(late, [None] * len(late))  # they, too, have asked for the end

    def _wait(self) -> None:
        """Until something was asked for, or an alarm goes off."""
        with self._lock:
            due = min(self._alarms.values(), default=None)
        with suppress(Empty):
            self._wake.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        if due is None or due > (now := time.monotonic()):
            return
        with self._lock:
            functions = [function for function, its_due in self._alarms.items() if its_due <= now]
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


class FileThread:
    """The thread that owns a file, begun when first needed; to be used from any thread and any event loop.

    It never keeps the interpreter alive, and ends when it is closed or dropped. In a forked process it is another
    thread with another connection, and what its parent has asked for is not its business.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._worker = worker = Worker(file)
        with _forking:
            workers.add(worker)
        weakref.finalize(self, worker.stop).atexit = False

    @property
    def closed(self) -> str | None:
        """Why operations fail with `FileClosed`, None as long as they do not."""
        return "it was closed by its user" if self._worker.ending else self._worker.file.closed

    def error(self) -> FileClosed:
        """What operations fail with once the thread was closed."""
        file = self._worker.file
        return FileClosed(file.path, self.closed or "it was closed by its user", given_up=file.given_up)

    def submit(
        self, operation: Callable[Concatenate[Entries, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Ask for an operation from the running event loop; it travels at the end of this turn.

        Raises `FileClosed` at once if the thread was closed. A future that is cancelled does not keep the operation
        from being done; its error is then logged.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._ask(Asked((operation, args, kwargs), future), loop)
        return future

    def call(self, operation: Callable[Concatenate[Entries, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do an operation from a thread that has no event loop: it travels now, and this waits for its result."""
        seat = Seat()
        self._ask(Asked((operation, args, kwargs), seat))
        result: T = seat.take()
        return result

    def post(self, call: Call, waiter: Waiter) -> bool:
        """Ask for an operation from anywhere: it travels now, and what it returns is given to the waiter.

        False if the thread was closed, and nothing will be done.
        """
        return self._worker.ask(Asked(call, waiter))

    def set_alarm(self, delay: float, function: Callable[[], None]) -> bool:
        """Call this in the thread when so many seconds are over, or sooner if it is to be called already.

        False if the thread was closed, and it will not be called.
        """
        return self._worker.set_alarm(delay, function)

    def when_forked(self, method: Callable[[], None]) -> None:
        """Call this method in every forked process, as long as its object is there."""
        self._worker.forked.append(weakref.WeakMethod(method))

    def close(self, timeout: float = 5.0) -> bool:
        """Do what was asked for, close the file and end the thread; False if that takes longer than ``timeout`` s.

        What has not begun by then fails with `FileClosed`. May be repeated.
        """
        seat = Seat()
        if not self._worker.end(seat):
            return True
        try:
            seat.take(timeout)
        except Empty:
            self._worker.abandon()
            return False
        return True

    async def aclose(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - the same as for close()
        """As `close`, for whom an event loop is running."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._worker.end(future):
            return True
        done, _ = await asyncio.wait([future], timeout=timeout)
        if not done:
            self._worker.abandon()
        return bool(done)

    def _ask(self, asked: Asked, loop: asyncio.AbstractEventLoop | None = None) -> None:
        if not self._worker.ask(asked, loop):
            raise self.error()


#: All of this process, for when it is forked.
workers: weakref.WeakSet[Worker] = weakref.WeakSet()
#: Of the process: one fork at a time, and no new worker meanwhile.
_forking = threading.Lock()
#: The workers whose thread the fork holds up.
_held: list[Worker] = []


def _before_fork() -> None:
    _forking.acquire()
    for worker in workers:
        if worker.gate.acquire(timeout=FORK_PATIENCE):
            _held.append(worker)
            worker.file.release()


def _in_parent() -> None:
    while _held:
        _held.pop().gate.release()
    _forking.release()


def _in_child() -> None:
    for worker in workers:
        if worker not in _held:  # the parent's thread is in the middle of something
            _leave_alone(worker.file)
        worker.reset()
        for reference in worker.forked:
            method = reference()
            if method is not None:
                method()
    _held.clear()
    _forking.release()


def _leave_alone(file: SqliteFile) -> None:
    """Give up a file whose connection was inherited: to use it, to close it or to open another breaks its locks."""
    reason = "this process was forked in the middle of a long operation of its parent"
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(file._opened))  # nor may it be closed as the interpreter ends
    file._opened = file._entries = None
    file.close(reason)
    logger.warning("%s: %s. The cache goes on without it here.", file.path, reason)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)

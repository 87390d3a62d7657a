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
import weakref
from collections.abc import Callable
from queue import Empty
from typing import Concatenate, ParamSpec, TypeVar

from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._file_worker import Asked, Seat, Waiter, Worker
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Call, SqliteFile
from cache.tiers._sqlite_place import may_be_served

logger = logging.getLogger("cache")

P = ParamSpec("P")
T = TypeVar("T")

#: For how many seconds a fork waits for the operations that are under way.
FORK_PATIENCE = 1.0


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

    def begin(self) -> bool:
        """Have it run already when something is asked for; False if no thread is to be had."""
        self._worker.begin()
        return self._worker.thread is not None

    def is_current(self) -> bool:
        """Whether it is this very thread that asks."""
        worker = self._worker
        # By its number, which it has before it is the current one: a finalizer may ask as it begins. When it has ended
        # another may have the number.
        return worker.thread is not None and not worker.ended and worker.thread.ident == threading.get_ident()

    def error(self) -> FileBusy | FileClosed:
        """What operations fail with that nobody does: the thread was closed, or none is to be had."""
        file = self._worker.file
        if self.closed is None:
            return FileBusy(file.path, 0.0, self._worker.lacking)
        reason = self.closed or "it was closed by its user"
        return FileClosed(file.path, reason, given_up=file.given_up, stays=file.given_up and may_be_served(file.path))

    def submit(
        self, operation: Callable[Concatenate[Entries, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Ask for an operation from the running event loop; it travels at the end of this turn.

        Raises `FileClosed` at once if the thread was closed, and `FileBusy` if none is to be had. A future that is
        cancelled does not keep the operation from being done; its error is then logged.
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

        False if nothing will be done, and then `error` is why.
        """
        return self._worker.ask(Asked(call, waiter))

    def set_alarm(self, delay: float, function: Callable[[], object]) -> bool:
        """Call this in the thread when so many seconds are over, or sooner if it is to be called already.

        False if it will not be called.
        """
        return self._worker.set_alarm(delay, function)

    def when_ended(self, method: Callable[[], None]) -> None:
        """Call this method, maybe more than once, when the thread takes nothing on any more."""
        self._worker.when_ended.append(weakref.WeakMethod(method))

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

"""Engine: the one thread that talks to the server, for all threads and event loops of the process.

What is asked for in one turn of an event loop travels together at its end, with one hop, and all that is answered in
one turn here goes back with one. Heartbeats and renewals go on, however busy the loops of the application are.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import threading
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from cache.errors import BusError
from cache.tiers._redis._change import Change
from cache.tiers._redis._layout import BUCKETS, SLOTS, Layout
from cache.tiers._redis._ledger import Ledger
from cache.tiers._redis._line import PATIENCE
from cache.tiers._redis._options import Options
from cache.tiers._redis._read import Read
from cache.tiers._redis._tally import Tally
from cache.tiers._redis._waiting import Post
from cache.tiers._redis._work import Asked, Call, Work

logger = logging.getLogger("cache")


class Engine:
    """The thread, begun when first needed, and what is done in it. It never keeps the interpreter alive."""

    def __init__(self, options: Options, tally: Tally) -> None:
        self._options = options
        self._tally = tally
        #: By what others tell this process from themselves.
        self.me = os.urandom(8)
        #: And what it has seen from what others have.
        self.file = secrets.randbits(63)
        buckets = BUCKETS if options.servers.is_cluster else 1
        self.layout = Layout(buckets, SLOTS // buckets)
        self.ledger = Ledger(self.layout)
        self.is_closed = False
        #: Reentrant, for a finalizer may ask for something while it is held.
        self._lock = threading.RLock()
        self._asked: deque[Asked] = deque()
        #: Whether the thread was woken, and has not looked since.
        self._is_awake = False
        #: The loops whose turn has something in it.
        self._turns: set[asyncio.AbstractEventLoop] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        #: For how many seconds it goes on with what was asked for when it is to end.
        self._patience = PATIENCE
        self._stopping: asyncio.Event | None = None
        self._post: Post | None = None
        self._work: Work | None = None
        #: What nobody has expected, and has ended the thread.
        self._failure: BaseException | None = None

    def post(self) -> Post:
        """What brings answers to event loops; in the thread of the engine."""
        assert self._post is not None  # noqa: S101 - there is one as long as the thread lives
        return self._post

    def is_current(self) -> bool:
        """Whether it is this very thread that asks, or one that is about to begin it: to wait would never end."""
        lock: Any = self._lock
        return threading.current_thread() is self._thread or bool(lock._is_owned())

    def begin(self) -> bool:
        """See to it that the thread is there; False if it was closed, or is stopped with the whole interpreter.

        Raises:
            RuntimeError: the system has no thread left.

        """
        if sys.is_finalizing():
            return False
        if self._thread is None and not self.is_closed:
            # One of asyncio's own, whatever the application runs on: a fork leaves it alone.
            loop = asyncio.SelectorEventLoop()
            stopping = asyncio.Event()
            thread = threading.Thread(
                target=self._main, args=(loop,), name=f"cache {self._options.servers.name}", daemon=True
            )
            with self._lock:
                if self._thread is None and not self.is_closed:
                    self._loop, self._stopping, self._thread = loop, stopping, thread
                    try:
                        thread.start()
                    except BaseException:  # whatever it is, it is raised again; the next who asks tries once more
                        self._loop = self._stopping = self._thread = None
                        loop.close()
                        raise
            if self._thread is not thread:
                loop.close()
        return not self.is_closed

    def ask(self, asked: Asked, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Ask for something, at once or at the end of this turn of the loop; False if there will be no answer.

        It is done in the order in which it was asked for, whoever asked.
        """
        if not self.begin():
            return False
        with self._lock:
            if self.is_closed:
                return False
            self._asked.append(asked)
        if loop is None:
            self._wake()
        elif loop not in self._turns:
            for other in [*self._turns]:
                if other.is_closed():  # in that very turn, which never ends
                    self._turns.discard(other)
            self._turns.add(loop)
            loop.call_soon(self._end_turn, loop)
        return True

    def stop(self, patience: float) -> bool:
        """Take on nothing more, do what was asked for if that is possible in so many seconds, and end the thread.

        False if it took longer.
        """
        with self._lock:
            self.is_closed = True
        self._patience = patience
        self.leave()
        thread = self._thread
        if thread is None or self.is_current():
            return True
        thread.join(patience)
        return not thread.is_alive()

    def leave(self) -> None:
        """End the thread, and do what was asked for up to now, if that is possible in a few seconds."""
        self.is_closed = True
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(stopping.set)

    def separate(self) -> None:
        """In a forked process: what there is belongs to the parent."""
        self.ledger.stamps.until = float("-inf")
        self.is_closed = True
        if self._work is not None and self._work.link.lines is not None:
            self._work.link.lines.separate()

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns.discard(loop)
        self._wake()

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            loop = self._loop
            if loop is not None:
                with suppress(RuntimeError):  # it has just ended, and has answered all who had asked
                    loop.call_soon_threadsafe(self._drain)

    # -- in the thread -----------------------------------------------------------------------------------------

    def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._run(loop))
        except Exception:  # nobody else would be told, and whoever waits is answered
            logger.exception("%s: the thread that talks to the server has failed", self._options.servers.name)
        finally:
            with self._lock:  # who asks after this is refused at once
                self.is_closed = True
            self.ledger.stamps.until = float("-inf")
            self._refuse_all()
            if self._post is not None:
                self._post.send()

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._post = Post(loop)
        self._work = work = Work(self._options, self.ledger, self._tally, me=self.me, file=self.file)
        running = loop.create_task(work.link.run())
        self._drain()
        stopping = self._stopping
        assert stopping is not None  # noqa: S101 - it is made with the thread
        try:
            waiting = loop.create_task(stopping.wait())
            await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if running.done():  # it never ends by itself
                self._failure = running.exception()
            else:
                self._drain()
            if self._failure is not None:
                raise self._failure
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await work.finish()
        finally:
            running.cancel()
            work.close(self.error())
            self._refuse_all()
            for _ in range(5):
                await asyncio.sleep(0)  # connections are closed in the next turns, with TLS in several
            self._post.send()

    def flush(self) -> Coroutine[Any, Any, int]:
        """As `Work.flush`."""
        return self.work().flush()

    def hear_all(self) -> Coroutine[Any, Any, None]:
        """As `Work.hear_all`."""
        return self.work().hear_all()

    def moment(self) -> Coroutine[Any, Any, Any]:
        """As `Reads.moment`."""
        return self.work().reads.moment()

    def scan(self, space: str, after: int | None) -> Coroutine[Any, Any, Any]:
        """As `Reads.scan`."""
        return self.work().reads.scan(space, after)

    def error(self) -> BusError:
        """What changes fail with once it was closed."""
        name = self._options.servers.name
        if sys.is_finalizing():
            what = f"the thread that talks to {name} was stopped with the interpreter"
            then = "Change nothing in finalizers that run so late"
        elif self._failure is not None:
            what = f"the thread that talks to {name} has failed, as the log says"
            then = "Make another backend, and pass it to the caches"
        else:
            what = f"{name} was closed by its user"
            then = "Close the backend when nothing is changed any more"
        return BusError(
            f"other processes were not told of a change: {what}, and they may go on to serve what is old. {then}"
        )

    def work(self) -> Work:
        """What is done there; in the thread of the engine."""
        assert self._work is not None  # noqa: S101 - there is one as long as the thread lives
        return self._work

    def _drain(self) -> None:
        """Go on with all that was asked for since."""
        if self._work is None:  # it has not begun, and will look by itself
            return
        self._is_awake = False  # before it is looked at: who comes later wakes it once more
        try:
            self._work.take(self._asked)
        except Exception as error:  # noqa: BLE001 - nobody is above it: whoever waits is answered, and the thread ends
            self._failure = error
            if self._stopping is not None:
                self._stopping.set()

    def _refuse_all(self) -> None:
        while self._asked:
            each = self._asked.popleft()
            if isinstance(each, Read):
                each.give_up()
            elif isinstance(each, Change):
                each.refuse(self.error())
            elif isinstance(each, Call):
                each.waiter.give(each.otherwise)

"""Engine: the one thread that talks to the server, for all threads and event loops of the process.

What is asked for in one turn of an event loop travels together at its end, with one hop, and all that is answered in
one turn here goes back with one. Heartbeats and renewals go on, however busy the loops of the application are.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from cache._tier import Address
from cache.errors import BusError
from cache.tiers._redis._change import Change
from cache.tiers._redis._changes import Changes
from cache.tiers._redis._fills import Fills, Write
from cache.tiers._redis._layout import Layout
from cache.tiers._redis._ledger import Ledger
from cache.tiers._redis._link import Link
from cache.tiers._redis._options import Options
from cache.tiers._redis._read import Read
from cache.tiers._redis._reads import Reads
from cache.tiers._redis._tally import Tally
from cache.tiers._redis._waiting import Post, Waiter

logger = logging.getLogger("cache")


class Release(NamedTuple):
    """Nothing will be written to these."""

    addresses: tuple[Address, ...]


class Call(NamedTuple):
    """Something to be done there, and who waits for what it returns."""

    function: Callable[[], Coroutine[Any, Any, Any]]
    waiter: Waiter
    #: What is returned if there will be no answer.
    otherwise: object


Asked: TypeAlias = Read | Write | Change | Release | Call


class Engine:
    """The thread, begun when first needed, and what is done in it. It never keeps the interpreter alive."""

    def __init__(self, options: Options, tally: Tally) -> None:
        self._options = options
        self._tally = tally
        #: By what others tell this process from themselves.
        self.me = os.urandom(8)
        #: And what it has seen from what others have.
        self.file = secrets.randbits(63)
        self.layout = Layout()
        self.ledger = Ledger(self.layout)
        self.is_closed = False
        self._lock = threading.Lock()
        self._asked: deque[Asked] = deque()
        #: Whether the thread was woken, and has not looked since.
        self._is_awake = False
        #: The loops whose turn has something in it.
        self._turns: set[asyncio.AbstractEventLoop] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._patience = 0.0
        self._stopping: asyncio.Event | None = None
        self._post: Post | None = None
        #: What nobody has expected.
        self._failure: Exception | None = None

    def post(self) -> Post:
        """What brings answers to event loops; in the thread of the engine."""
        assert self._post is not None  # noqa: S101 - there is one as long as the thread lives
        return self._post

    def is_current(self) -> bool:
        """Whether it is this very thread that asks."""
        return threading.current_thread() is self._thread

    def begin(self) -> bool:
        """See to it that the thread is there; False if it was closed."""
        if self._thread is None and not self.is_closed:
            with self._lock:
                if self._thread is None and not self.is_closed:
                    # One of asyncio's own, whatever the application runs on: a fork leaves it alone.
                    self._loop = asyncio.SelectorEventLoop()
                    self._stopping = asyncio.Event()
                    self._thread = threading.Thread(
                        target=self._main, args=(self._loop,), name=f"cache {self._options.server}", daemon=True
                    )
                    self._thread.start()
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
        """End the thread, and do what was asked for up to now."""
        self.is_closed = True
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(stopping.set)

    def separate(self) -> None:
        """In a forked process: what there is belongs to the parent."""
        self.ledger.stamps.until = float("-inf")
        self.is_closed = True
        link = getattr(self, "_link", None)
        if link is not None and link.line is not None:
            link.line.separate()

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
            logger.exception("%s: the thread that talks to the server has failed", self._options.server)
        finally:
            with self._lock:  # who asks after this is refused at once
                self.is_closed = True
            self.ledger.stamps.until = float("-inf")
            self._refuse_all()
            if self._post is not None:
                self._post.send()

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        options, ledger, tally = self._options, self.ledger, self._tally
        self._post = Post(loop)
        self._link = link = Link(
            ledger,
            options.connect,
            server=options.server,
            prefix=options.prefix,
            me=self.me,
            max_staleness=options.max_staleness,
            keep=options.max_ttl,
            tally=tally,
        )
        self._changes = Changes(link, ledger, tally, lease=options.lease, proceeds=options.on_bus_error == "proceed")
        self._fills = Fills(
            link,
            ledger,
            self._changes,
            tally,
            file=self.file,
            clock=options.clock,
            max_ttl=options.max_ttl,
            max_bytes=options.max_value_bytes,
            fill_lease=options.fill_lease,
        )
        self._reads = Reads(
            link,
            ledger,
            self._fills,
            tally,
            file=self.file,
            clock=options.clock,
            max_bytes=options.max_value_bytes,
            max_staleness=options.max_staleness,
            fill_lease=options.fill_lease,
        )
        running = loop.create_task(link.run())
        self._drain()
        stopping = self._stopping
        assert stopping is not None  # noqa: S101 - it is made with the thread
        try:
            waiting = loop.create_task(stopping.wait())
            await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if running.done():
                running.result()  # it never ends by itself: whatever it was, it is raised
            self._drain()
            if self._failure is not None:
                raise self._failure
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._finish()
        finally:
            running.cancel()
            link.close()
            self._changes.close(self.error())
            self._reads.close()
            self._refuse_all()
            await asyncio.sleep(0)  # the connections are closed in the next turn
            self._post.send()

    async def flush(self) -> int:
        """Wait until the server has all that it was sent; how many values those were since this was last asked."""
        await self._finish()
        return self._tally.since_last_flush()

    async def hear_all(self) -> None:
        """Wait until all is heard that the server has told up to now."""
        if await self._link.wait(self._options.max_staleness):
            await self._link.beat()

    def moment(self) -> Coroutine[Any, Any, Any]:
        """As `Reads.moment`."""
        return self._reads.moment()

    def scan(self, space: str, after: int | None) -> Coroutine[Any, Any, Any]:
        """As `Reads.scan`."""
        return self._reads.scan(space, after)

    def error(self) -> BusError:
        """What changes fail with once it was closed."""
        return BusError(
            f"other processes were not told of a change: {self._options.server} was closed by its user, and they may "
            f"go on to serve what is old. Close the backend when nothing is changed any more"
        )

    async def _finish(self) -> None:
        while True:
            await self._fills.flush()
            if not self._changes:
                return
            await asyncio.sleep(0.001)

    def _drain(self) -> None:
        """Go on with all that was asked for since."""
        if self._post is None:  # it has not begun, and will look by itself
            return
        reads: list[Read] = []
        try:
            self._take_all(reads)
        except Exception as error:  # noqa: BLE001 - nobody is above it: whoever waits is answered, and the thread ends
            for read in reads:
                read.give_up()
            self._failure = error
            if self._stopping is not None:
                self._stopping.set()

    def _take_all(self, reads: list[Read]) -> None:
        self._is_awake = False  # before it is looked at: who comes later wakes it once more
        asked = self._asked
        wrote = False
        while asked:
            each = asked.popleft()
            if isinstance(each, Read):
                reads.append(each)
            elif isinstance(each, Write):
                self._fills.take(each)
                wrote = True
            elif isinstance(each, Change):
                if wrote:  # what was written before it is before it at the server, too
                    self._fills.send()
                    wrote = False
                self._changes.take(each)
            elif isinstance(each, Release):
                self._fills.release(each.addresses)
                wrote = True
            else:
                self._start(each)
        if wrote:
            self._fills.send()
        if reads:
            self._reads.take(reads)

    def _start(self, call: Call) -> None:
        task = asyncio.get_running_loop().create_task(call.function())
        task.add_done_callback(partial(_ended, call))

    def _refuse_all(self) -> None:
        while self._asked:
            each = self._asked.popleft()
            if isinstance(each, Read):
                each.give_up()
            elif isinstance(each, Change):
                each.refuse(self.error())
            elif isinstance(each, Call):
                each.waiter.give(each.otherwise)


def _ended(call: Call, task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        call.waiter.give(call.otherwise)
    elif (error := task.exception()) is not None:
        logger.debug("%r", error)
        call.waiter.give(call.otherwise)
    else:
        call.waiter.give(task.result())

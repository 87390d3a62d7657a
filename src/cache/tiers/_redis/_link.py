"""Link: keeps a line to the server up, and proves that nothing which was told has been missed.

connecting -> both connections -> subscribed -> the incarnation is known -> what is owed is sent -> all stamps
           -> a heartbeat came back -> up
up -> a heartbeat every quarter of the time for which a proof holds -> lost -> connecting -> away, if that fails

A heartbeat is sent through the one connection and comes back through the other, behind all that the server has told
before. So whatever had happened when it was sent was heard of when it comes: what rests on it may be served for as
long as the bound says, from the moment at which it was sent, and no longer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import secrets
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from time import monotonic
from typing import Any, Final

from cache.tiers._redis._layout import Names
from cache.tiers._redis._ledger import INCARNATED, RESET, Ledger
from cache.tiers._redis._line import PATIENCE, Line, LineLost, Part
from cache.tiers._redis._scripts import HEARTBEAT, INCARNATION, SYNC
from cache.tiers._redis._tally import Tally

logger = logging.getLogger("cache")

#: The longest pause before the server is tried again, in seconds.
LONGEST: Final = 1.0
#: Heartbeats that may be on their way.
MOST_BEATS: Final = 4
#: A heartbeat as it comes back: its number, and the base.
BEAT: Final = struct.Struct("<QQ")


class Link:
    """The way to one server, in the thread of the engine."""

    def __init__(
        self,
        ledger: Ledger,
        connect: Callable[[], Any],
        *,
        server: str,
        prefix: str,
        me: bytes,
        max_staleness: float,
        keep: float,
        tally: Tally,
    ) -> None:
        self._ledger = ledger
        self._connect = connect
        self.server = server
        self._prefix = prefix
        self.me = me
        self._max_staleness = max_staleness
        #: For how many milliseconds the server keeps stamps that nobody needs.
        self._lives = int(keep * 1000)
        self._tally = tally
        self.line: Line | None = None
        self.names = Names(prefix, 0)
        self.is_up = False
        #: Why it is not; None while it is, or while it is being seen to for the first time.
        self.error: Exception | None = None
        #: Set unless a connection is being made that may well be there in a moment.
        self.settled = asyncio.Event()
        self._is_lost = asyncio.Event()
        self._has_warned = False
        #: What is told before all stamps are known; None when they are.
        self._early: list[tuple[bytes, bytes]] | None = None
        self._beats: dict[int, tuple[float, asyncio.Future[None]]] = {}
        self._numbers = count(1)
        #: What is to be done over a new line, when the stamps are known as well, both before anything is served, and
        #: then; when a change of this process was heard; when the server has dropped its stamps; when the line was
        #: lost; when the server is away; and now and then.
        self.when_connected: list[Callable[[], Awaitable[None]]] = []
        self.when_synced: list[Callable[[], None]] = []
        self.when_up: list[Callable[[], None]] = []
        self.when_heard: list[Callable[[int], None]] = []
        self.when_reset: list[Callable[[], None]] = []
        self.when_lost: list[Callable[[Exception], None]] = []
        self.when_away: list[Callable[[Exception], None]] = []
        self.when_ticking: list[Callable[[], None]] = []

    @property
    def is_proven(self) -> bool:
        """Whether it is known now that nothing was missed."""
        return self.is_up and self._ledger.stamps.are_proven

    def prepared(self) -> list[Part]:
        """What every script is given that may have to make new stamps."""
        names = self.names
        return [os.urandom(8), self._ledger.layout.width, self._lives, names.channel, names.incarnation]

    def state_keys(self) -> list[bytes]:
        """And which keys it is given first."""
        return [self.names.stamps, self.names.windows, self.names.marker]

    async def run(self) -> None:
        """Keep a line up, as well as that can be done."""
        pause = 0.0
        while True:
            self._is_lost.clear()
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._come_up()
            except Exception as error:  # noqa: BLE001 - whatever it is, there is no server to talk to, and it is told of
                self._fail(error)
                pause = min(LONGEST, max(0.05, pause * 2))
                await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - so that not all come at once
                continue
            pause = 0.0
            ticking = asyncio.get_running_loop().create_task(self._tick())
            ticking.add_done_callback(partial(self._beaten, self.line))
            try:
                await self._is_lost.wait()
            finally:
                ticking.cancel()

    async def wait(self, seconds: float) -> bool:
        """Whether it is proven, or becomes so by a connection that is being made, in so many seconds."""
        if not self.is_up and not self.settled.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self.settled.wait()
            except TimeoutError:
                return False
        return self.is_proven

    def beat(self) -> asyncio.Future[None]:
        """Send a heartbeat; the future is done when all that had happened before was heard of."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        line, number, now = self.line, next(self._numbers), monotonic()
        if line is None:
            future.set_exception(LineLost("there is no connection"))
            return future
        self._beats[number] = (now, future)
        arguments = [*self.prepared(), self.names.heartbeats(self.me), struct.pack("<Q", number)]
        task = loop.create_task(line.call(HEARTBEAT, self.state_keys(), arguments))
        task.add_done_callback(partial(self._beaten, line))
        return future

    def hurry(self) -> None:
        """Send a heartbeat if the last proof is over and none is on its way: this process may have been stopped."""
        if self.is_up and not self._beats:
            self.beat()

    def close(self) -> None:
        """End the line."""
        self._ledger.stamps.until = -math.inf
        if self.line is not None:
            self.line.give_up(LineLost("it was closed by its user"))

    async def _come_up(self) -> None:
        self._early = []
        line = self.line = Line(self._connect, self._hear, self._lost, self._tally)
        try:
            await line.open()
            names = Names(self._prefix, 0)
            # First to be told, and then what is there: in the other order a change in between would be missed.
            await line.subscribe(names.channel, names.heartbeats(self.me))
            another: list[Part] = [secrets.token_hex(8), self._lives, names.channel]
            self.names = Names(self._prefix, 0, await line.call(INCARNATION, [names.marker], another))
            # What this process owes comes before what it is told of, so that it is in there.
            for connected in self.when_connected:
                await connected()
            await self._sync(line)
            for synced in self.when_synced:
                synced()
            await self.beat()
        except BaseException as error:  # an end in the middle of it, too: it is raised again
            line.give_up(error if isinstance(error, Exception) else LineLost("it was given up"))
            raise
        self.is_up = True
        self.error = None
        self.settled.set()
        self._tally.add(connections=1)
        for up in self.when_up:
            up()
        if self._has_warned:
            self._has_warned = False
            logger.info("%s can be used again.", self.server)

    async def _sync(self, line: Line) -> None:
        stamps, windows, now = await line.call(SYNC, self.state_keys(), self.prepared())
        found = []
        for member, score in _pairs(windows):
            slots = struct.unpack(f"<{(len(member) - 8) // 4}I", member[8:])
            found.append((member[:8], slots, float(score) - float(now)))
        self._ledger.take(0, stamps, found)
        # What was told meanwhile may be older than the answer, or newer, though it came before it by another way. So it
        # counts now, in its order; and when the heartbeat that follows has come, all of it has been told.
        early, self._early = self._early or [], None
        for told in early:
            self._hear(*told)

    def _hear(self, channel: bytes, message: bytes) -> None:
        if self._early is not None:
            self._early.append((channel, message))
        elif message[:1] == INCARNATED:
            if message[1:] != self.names.incarnation and self.line is not None:
                self.line.give_up(LineLost("the server has lost what it had, and begins anew"))
        elif channel == self.names.channel:
            self._heard_change(message)
        elif len(message) == BEAT.size:
            self._heard_beat(*BEAT.unpack(message))

    def _heard_change(self, message: bytes) -> None:
        try:
            own = self._ledger.hear(message, self.me)
        except (struct.error, IndexError, ValueError):
            self._tally.add(foreign=1)
            return
        if own is not None:
            for heard in self.when_heard:
                heard(own)
        elif message[:1] == RESET:
            for reset in self.when_reset:
                reset()

    def _heard_beat(self, number: int, base: int) -> None:
        if base != self._ledger.server[0]:
            if self.line is not None:
                self.line.give_up(LineLost("the server has other stamps, of which nothing was told"))
            return
        sent, future = self._beats.pop(number, (-math.inf, None))
        stamps = self._ledger.stamps
        stamps.until = max(stamps.until, sent + self._max_staleness)
        if future is not None and not future.done():
            future.set_result(None)

    def _beaten(self, line: Line | None, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and line is not None:
            line.give_up(error if isinstance(error, Exception) else LineLost(str(error)))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._max_staleness / 4)
            line = self.line
            if line is None:
                return
            if line.is_stuck(max(PATIENCE, self._max_staleness)):
                line.give_up(LineLost("the server does not answer"))
                return
            if len(self._beats) < MOST_BEATS:
                self.beat()
            self._ledger.sweep()
            for ticking in self.when_ticking:
                ticking()

    def _lost(self, line: Line, error: Exception) -> None:
        if line is not self.line:
            return
        was_up, self.is_up = self.is_up, False
        # At once: from here on it is not known what the server tells others.
        self._ledger.lose()
        self.line = None
        if was_up:
            self.settled.clear()
            logger.debug("%s: %s", self.server, error)
        beats, self._beats = self._beats, {}
        for _, future in beats.values():
            if not future.done():
                future.set_exception(LineLost(f"{error}"))
                future.exception()  # most of them nobody waits for
        for lost in self.when_lost:
            lost(error)
        self._is_lost.set()

    def _fail(self, error: Exception) -> None:
        self.error = error
        self.line = None
        if not self._has_warned:
            self._has_warned = True
            self._tally.add(warnings=1)
            reason = str(error).rstrip(".") or "it did not answer in time"
            logger.warning(
                "%s: %s. Nothing is served or stored that other processes could change until it can be reached.",
                self.server,
                reason,
            )
        self._ledger.sweep()
        for away in self.when_away:
            away(error)
        self.settled.set()


def _pairs(windows: Any) -> list[tuple[bytes, Any]]:
    """Members and scores, in whichever of its two forms the protocol gives them."""
    if windows and isinstance(windows[0], list):
        return [(member, score) for member, score in windows]
    return list(zip(windows[::2], windows[1::2], strict=True))

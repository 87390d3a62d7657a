"""Link: keeps the lines to the servers up, and proves that nothing which was told has been missed.

connecting -> all connections -> subscribed -> the incarnation is known -> what is owed is sent -> all stamps
           -> a heartbeat came back -> up
up -> a heartbeat every quarter of the time for which a proof holds -> lost -> connecting -> away, if that fails
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import struct
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from cache.tiers._redis._buckets import Buckets
from cache.tiers._redis._layout import Names
from cache.tiers._redis._ledger import INCARNATED, RESET, Ledger
from cache.tiers._redis._line import PATIENCE, Line, LineLost
from cache.tiers._redis._lines import Lines, Servers
from cache.tiers._redis._proof import Proof
from cache.tiers._redis._scripts import HEARTBEAT, SYNC
from cache.tiers._redis._tally import Tally

logger = logging.getLogger("cache")

#: The longest pause before the server is tried again, in seconds.
LONGEST: Final = 1.0
#: Heartbeats that may be on their way.
MOST_BEATS: Final = 4


class Link:
    """The way to the servers, in the thread of the engine."""

    def __init__(
        self,
        ledger: Ledger,
        servers: Servers,
        *,
        prefix: str,
        me: bytes,
        max_staleness: float,
        keep: float,
        tally: Tally,
    ) -> None:
        self._ledger = ledger
        self._servers = servers
        self.server = servers.name
        self.me = me
        self._max_staleness = max_staleness
        self._tally = tally
        layout = ledger.layout
        # Each bucket is looked after once in a while, the only one with each heartbeat.
        keep = max(keep, layout.buckets * max_staleness)
        self.buckets = Buckets(layout, prefix, keep=keep, is_cluster=servers.is_cluster)
        self.lines: Lines | None = None
        #: How many ticks there were.
        self._ticks = 0
        self.is_up = False
        #: Why it is not; None while it is, or while it is being seen to for the first time.
        self.error: Exception | None = None
        #: Set unless a connection is being made that may well be there in a moment.
        self.settled = asyncio.Event()
        self._is_lost = asyncio.Event()
        self._has_warned = False
        #: What is told before all stamps are known; None when they are.
        self._early: list[tuple[bytes, bytes]] | None = None
        self._proof = Proof(ledger, max_staleness)
        #: What is to be done over new lines, when the stamps are known as well, both before anything is served, and
        #: then; when a change of this process was heard; when a server has dropped its stamps; when the lines were
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

    def way(self, bucket: int) -> tuple[Line, Names]:
        """The line to the server of a bucket, and what all is called there.

        Raises:
            LineLost: there is none.

        """
        if self.lines is None:
            raise LineLost("there is no connection")
        return self.lines.of(bucket), self.buckets.names[bucket]

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
            ticking.add_done_callback(partial(self._beaten, self.lines))
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
        if self.lines is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.set_exception(LineLost("there is no connection"))
            return future
        # The first bucket of each server stands for all that it has.
        firsts = [self.lines.buckets(line)[0] for line in self.lines]
        number, future = self._proof.begin({self.buckets.names[first].heartbeats(self.me): first for first in firsts})
        for first, line in zip(firsts, self.lines, strict=True):
            arguments = [*self.buckets.given(first), self.buckets.names[first].heartbeats(self.me), number]
            self._watch(line.call(HEARTBEAT, self.buckets.keys(first), arguments))
        return future

    def hurry(self) -> None:
        """Send a heartbeat if the last proof is over and none is on its way: this process may have been stopped."""
        if self.is_up and not self._proof:
            self.beat()

    def close(self) -> None:
        """End the lines."""
        self._ledger.stamps.until = -math.inf
        self.give_up("it was closed by its user")

    def give_up(self, reason: str) -> None:
        """End the lines that there are, and make new ones."""
        if self.lines is not None:
            self.lines.give_up(LineLost(reason))

    async def _come_up(self) -> None:
        self._early = []
        lines = self.lines = Lines(self._servers, self._hear, self._lost, self._tally)
        try:
            await lines.open([names.marker for names in self.buckets.names])
            # First to be told, and then what is there: in the other order a change in between would be missed.
            for line in lines:
                told = [self.buckets.names[bucket] for bucket in lines.buckets(line)]
                channels = [*(names.channel for names in told), told[0].heartbeats(self.me)]
                await line.subscribe(channels, self.buckets.hears)
            found = [self.buckets.incarnation(line, bucket) for bucket, line in enumerate(self._lines())]
            self.buckets.rename(await asyncio.gather(*found))
            # What this process owes comes before what it is told of, so that it is in there.
            for connected in self.when_connected:
                await connected()
            await self._sync()
            self._check_not_lost(lines)
            for synced in self.when_synced:
                synced()
            await self.beat()
            self._check_not_lost(lines)
        except BaseException as error:  # an end in the middle of it, too: it is raised again
            lines.give_up(error if isinstance(error, Exception) else LineLost("it was given up"))
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

    def _check_not_lost(self, lines: Lines) -> None:
        """What was awaited may have come, and right behind it the end of the line, before anybody could go on."""
        if lines is not self.lines:
            raise LineLost("it was lost as soon as it was there")

    def _lines(self) -> list[Line]:
        """The line of each bucket."""
        return [self.way(bucket)[0] for bucket in range(len(self.buckets.names))]

    async def _sync(self) -> None:
        lines, buckets = self._lines(), self.buckets
        calls = [line.call(SYNC, buckets.keys(each), buckets.given(each)) for each, line in enumerate(lines)]
        for bucket, (stamps, windows, now) in enumerate(await asyncio.gather(*calls)):
            found = [(member, float(score) - float(now)) for member, score in _pairs(windows)]
            self._ledger.take(bucket, stamps, found)
        # What was told meanwhile may be older than the answer, or newer, though it came before it by another way. So it
        # counts now, in its order; and when the heartbeat that follows has come, all of it has been told.
        early, self._early = self._early or [], None
        for told in early:
            self._hear(*told)

    def _hear(self, channel: bytes, message: bytes) -> None:
        if self._early is not None:
            self._early.append((channel, message))
            return
        bucket = self.buckets.channels.get(channel)
        if bucket is None:
            if not self._proof.hear(channel, message):
                self.give_up("the server has other stamps, of which nothing was told")
        elif message[:1] == INCARNATED:
            if message[1:] != self.buckets.names[bucket].incarnation:
                self.give_up("the server has lost what it had, and begins anew")
        else:
            self._heard_change(bucket, message)

    def _heard_change(self, bucket: int, message: bytes) -> None:
        try:
            own = self._ledger.hear(message, self.me, bucket)
        except (struct.error, IndexError, ValueError):
            self._tally.add(foreign=1)
            return
        if own is not None:
            for heard in self.when_heard:
                heard(own)
        elif message[:1] == RESET:
            for reset in self.when_reset:
                reset()

    def _watch(self, call: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(call)
        task.add_done_callback(partial(self._beaten, self.lines))

    def _beaten(self, lines: Lines | None, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and lines is not None:
            lines.give_up(error if isinstance(error, Exception) else LineLost(str(error)))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._max_staleness / 4)
            if self.lines is None:
                return
            if self.lines.is_stuck(max(PATIENCE, self._max_staleness)):
                self.give_up("the server does not answer")
                return
            if len(self._proof) < MOST_BEATS:
                self.beat()
                self._keep_alive(self.lines)
            self._ledger.sweep()
            for ticking in self.when_ticking:
                ticking()

    def _keep_alive(self, lines: Lines) -> None:
        """Look after the other buckets, one of each server at a time: heartbeats are for the first ones."""
        self._ticks += 1
        for line in lines:
            others = lines.buckets(line)[1:]
            if others:
                bucket = others[self._ticks % len(others)]
                self._watch(self.buckets.incarnation(line, bucket, [self.buckets.names[bucket].stamps]))

    def _lost(self, lines: Lines, error: Exception) -> None:
        if lines is not self.lines:
            return
        was_up, self.is_up = self.is_up, False
        # At once: from here on it is not known what the server tells others.
        self._ledger.lose()
        self.lines = None
        if was_up:
            self.settled.clear()
            logger.debug("%s: %s", self.server, error)
        self._proof.lose(error)
        for lost in self.when_lost:
            lost(error)
        self._is_lost.set()

    def _fail(self, error: Exception) -> None:
        self.error = error
        self.lines = None
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

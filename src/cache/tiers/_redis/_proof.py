"""Proof: heartbeats, which prove when they come back that nothing was missed of what was told before.

One is sent through the one connection of a line and comes back through the other, behind all that the server has told
before. So whatever had happened when it was sent was heard of when it has come from all servers: what rests on it may
be served for as long as the bound says, from the moment at which it was sent, and no longer.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from itertools import count
from time import monotonic
from typing import Final, NamedTuple

from cache.tiers._redis._ledger import Ledger
from cache.tiers._redis._line import LineLost

#: A heartbeat as it comes back: its number, and the base.
BEAT: Final = struct.Struct("<QQ")


class Beat(NamedTuple):
    """When it was sent, from which channels it has to come back yet and of which buckets these are, and who waits."""

    sent: float
    awaited: dict[bytes, int]
    future: asyncio.Future[None]


class Proof:
    """The heartbeats that are on their way; in the thread of the engine."""

    def __init__(self, ledger: Ledger, max_staleness: float) -> None:
        self._ledger = ledger
        self._max_staleness = max_staleness
        self._beats: dict[int, Beat] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return len(self._beats)

    def begin(self, channels: Mapping[bytes, int]) -> tuple[bytes, asyncio.Future[None]]:
        """What is to be sent now, and has to come back from all these; and when it has."""
        number = next(self._numbers)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._beats[number] = Beat(monotonic(), dict(channels), future)
        return struct.pack("<Q", number), future

    def hear(self, channel: bytes, message: bytes) -> bool:
        """Take notice of what came back; False if the server has other stamps, of which nothing was told."""
        if len(message) != BEAT.size:
            return True
        number, base = BEAT.unpack(message)
        beat = self._beats.get(number)
        bucket = None if beat is None else beat.awaited.pop(channel, None)
        if beat is None or bucket is None:
            return True
        ledger = self._ledger
        if base != ledger.server[bucket * ledger.layout.width]:
            return False
        if not beat.awaited:
            del self._beats[number]
            ledger.stamps.until = max(ledger.stamps.until, beat.sent + self._max_staleness)
            if not beat.future.done():
                beat.future.set_result(None)
        return True

    def lose(self, error: Exception) -> None:
        """None of them will come back."""
        beats, self._beats = self._beats, {}
        for beat in beats.values():
            if not beat.future.done():
                beat.future.set_exception(LineLost(f"{error}"))
                beat.future.exception()  # most of them nobody waits for

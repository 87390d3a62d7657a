"""Telling: one change as the servers are sent it, one script for each bucket in which it has slots.

A value that comes with it is stored in the bucket of its address, if what it rests on there is what its writer knew:
what it rests on elsewhere gets no new stamp by that, so that it can be valid only if it has not changed. Where it would
get one, because two truths share a slot, the value is not stored.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from cache._tier import Address
from cache.tiers._redis._change import Change
from cache.tiers._redis._ledger import BEGUN, CHANGED, HEAD, Ledger
from cache.tiers._redis._link import Link
from cache.tiers._redis._records import pack
from cache.tiers._redis._scripts import CHANGE

#: A slot and its stamp.
KNOWN: Final = struct.Struct("<IQ")


class Value(NamedTuple):
    """What is stored with a change, for so many milliseconds, if these slots have these stamps at the server.

    Otherwise it is not; and ``or_nothing``, then nothing is changed at all.
    """

    data: bytes = b""
    lives: int = 1
    known: bytes = b""
    or_nothing: int = 0


NOTHING: Final = Value()


class Notice(NamedTuple):
    """What others are told: the kind of a change, the mutation, and for how many seconds that covers the slots."""

    kind: bytes = CHANGED
    mutation: bytes = bytes(8)
    left: float = 0.0


class Telling:
    """What sends changes; in the thread of the engine."""

    def __init__(self, link: Link, ledger: Ledger) -> None:
        self._link = link
        self._ledger = ledger

    def send(self, change: Change, told: Notice) -> list[asyncio.Future[Any]]:
        """Send this, with a new stamp, which is in force for this process before anybody else hears of it."""
        known = self._known(change)
        change.stamp = secrets.randbits(64)
        self._ledger.send(change.slots, change.stamp)
        value = NOTHING
        if (record := change.record) is not None:
            stamps = self._ledger.current(self._ledger.layout.grounds(record.address, record.grounds))
            value = Value(pack(record, stamps), change.lives, known, int(change.replaces))
        return self._tell(told, change.stamp, change.slots, change.addresses, value)

    def stamp(self, slots: Sequence[int], told: Notice) -> list[asyncio.Future[Any]]:
        """Give these a new stamp, which counts for what this process has loaded, too."""
        return self._tell(told, secrets.randbits(64), slots)

    def begin_again(self, slots: Sequence[int], mutation: bytes, left: float) -> list[asyncio.Future[Any]]:
        """A mutation goes on. As it began: it may have lapsed meanwhile, and others have stored what it is changing."""
        stamp = secrets.randbits(64)
        self._ledger.send(slots, stamp)
        return self._tell(Notice(BEGUN, mutation, left), stamp, slots)

    def parts(self, slots: Iterable[int]) -> list[list[int]]:
        """These slots by the answers that there will be."""
        layout = self._ledger.layout
        return [
            [bucket * layout.width + position for position in part] for bucket, part in layout.by_bucket(slots).items()
        ]

    def _known(self, change: Change) -> bytes:
        """What a value rests on where it is stored, and the stamps of that; nothing if there is none to be stored."""
        record, ledger = change.record, self._ledger
        if record is None:
            return b""
        layout = ledger.layout
        slots = layout.grounds(record.address, record.grounds)
        if ledger.is_covered(slots) or ledger.has_changed(slots, change.number):
            change.give_up_value()
            return b""
        home = layout.home(record.address)
        if any(layout.bucket(slot) != home for slot in set(slots).intersection(change.slots)):
            # It would be given the new stamp of a slot that is compared by nobody where the value is stored.
            change.give_up_value()
            return b""
        there = layout.by_bucket(slots)[home]
        first = home * layout.width
        stamps = ledger.current([first + position for position in there])
        return b"".join(map(KNOWN.pack, there, stamps))

    def _tell(
        self, told: Notice, stamp: int, slots: Sequence[int], addresses: Iterable[Address] = (), value: Value = NOTHING
    ) -> list[asyncio.Future[Any]]:
        layout, link = self._ledger.layout, self._link
        milliseconds = int(min(told.left, 1e9) * 1000)
        homes: dict[int, list[Address]] = {}
        for address in addresses:
            homes.setdefault(layout.home(address), []).append(address)
        answers = []
        for bucket, part in layout.by_bucket(slots).items():
            line, names = link.way(bucket)
            there = homes.get(bucket, ())
            packed = struct.pack(f"<{len(part)}I", *part)
            arguments = [
                *link.buckets.given(bucket),
                HEAD.pack(told.kind, link.me, told.mutation, stamp, milliseconds) + packed,
                stamp.to_bytes(8, "little"),
                packed,
                told.mutation + packed if told.kind != CHANGED else b"",
                milliseconds,
                *(value if there else NOTHING),
            ]
            keys = [key for address in there for key in names.pair(address)]
            answers.append(line.run(CHANGE, [*link.buckets.keys(bucket), *keys], arguments))
        return answers

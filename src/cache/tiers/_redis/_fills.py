"""Fills: values on their way to the server, and the leases of those that are being loaded.

A value is written with the stamps that this process knows. If one of them is out of date by then, the value is valid
nowhere; so it needs no check at the server. Whoever got a lease to load a value gives it back with that, or without.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, NamedTuple

from cache._tier import Address, Moment, Record
from cache.tiers._redis._change import Change
from cache.tiers._redis._changes import Changes
from cache.tiers._redis._layout import Layout
from cache.tiers._redis._ledger import CHANGED, Ledger
from cache.tiers._redis._link import Link
from cache.tiers._redis._records import pack
from cache.tiers._redis._scripts import FILL
from cache.tiers._redis._tally import Tally
from cache.tiers._redis._waiting import Failed, Then

logger = logging.getLogger("cache")

#: Values that are sent with one script, which keeps the server from everything else.
BATCH: Final = 128
#: And their bytes.
BATCH_BYTES: Final = 1024 * 1024


#: Leases that are given back when the server is there again.
MOST: Final = 4096


class Write(NamedTuple):
    """A value that was loaded since a moment; with ``replaces`` it is another than the one before."""

    record: Record
    moment: Moment
    #: By what `Ledger.replace` knows of it; 0 if it does not replace.
    replaces: int = 0


class Leased(NamedTuple):
    """A lease of this process: its token, the moment from which its load begins, and until when it lives."""

    token: bytes
    moment: Moment
    until: float


class Part(NamedTuple):
    """What one address gets: a value and for how long, or nothing; and the lease that is given back."""

    address: Address
    token: bytes
    value: bytes
    lives: int


class Fills:
    """What is written behind; in the thread of the engine."""

    def __init__(
        self,
        link: Link,
        ledger: Ledger,
        changes: Changes,
        tally: Tally,
        *,
        file: int,
        clock: Callable[[], float],
        max_ttl: float,
        max_bytes: int,
        fill_lease: float,
    ) -> None:
        self._link = link
        self._ledger = ledger
        self._changes = changes
        self._tally = tally
        self._file = file
        self._clock = clock
        self._max_ttl = max_ttl
        self._max_bytes = max_bytes
        self._fill_lease = fill_lease
        self._leases: dict[Address, Leased] = {}
        self._parts: list[Part] = []
        self._on_their_way: set[asyncio.Future[Any]] = set()
        self._has_warned = False
        link.when_up.append(self.send)
        link.when_ticking += [self.send, self._sweep]

    def lease(self, address: Address, token: bytes, moment: Moment) -> None:
        """The lease is ours, for a load that begins at this moment."""
        self._leases[address] = Leased(token, moment, monotonic() + self._fill_lease)

    def take(self, write: Write) -> None:
        """Write this with the others, if it may be; its lease is given back in any case."""
        record, ledger = write.record, self._ledger
        address = record.address
        token = self._let_go(address, write.moment)
        slots = ledger.layout.grounds(address, record.grounds)
        lives = self.lives(record)
        value = b""
        is_accepted = self._is_accepted(write, slots, lives)
        fits = is_accepted and not self.is_too_large(record)
        if write.replaces:
            if is_accepted:  # what was made of the value before is over, even if this one is too large
                self._replace(write, record if fits else None, lives)
            else:
                ledger.replacing.pop(write.replaces, None)
        elif fits:
            value = pack(record, ledger.current(slots))
        if value or token:
            self._parts.append(Part(address, token, value, max(1, lives)))

    def release(self, given: Mapping[Address, Moment]) -> None:
        """Nothing will be written to these loads."""
        for address, moment in given.items():
            token = self._let_go(address, moment)
            if token:
                self._parts.append(Part(address, token, b"", 1))

    def _let_go(self, address: Address, moment: Moment) -> bytes:
        """The token of the lease of this load; nothing if it has none, or the lease is one that came after it."""
        leased = self._leases.get(address)
        if leased is None or leased.moment is not moment:  # others may be equal, if nothing has changed meanwhile
            return b""
        del self._leases[address]
        return leased.token

    def give_back(self, address: Address, token: bytes) -> None:
        """The lease was got, but for nobody."""
        self._parts.append(Part(address, token, b"", 1))

    def send(self) -> None:
        """Send what was taken."""
        parts, self._parts = self._parts, []
        if not self._link.is_up:
            # Values would be out of date. But a lease may still be there, and others wait, when the server is back.
            self._parts = [part._replace(value=b"") for part in parts if part.token][-MOST:]
            self._tally.add(dropped=sum(bool(part.value) for part in parts))
            return
        for bucket, batch in _batches(parts, self._ledger.layout):
            line, names = self._link.way(bucket)
            stored = sum(bool(part.value) for part in batch)
            keys = [key for part in batch for key in names.pair(part.address)]
            arguments = [each for part in batch for each in part[1:]]
            task = asyncio.ensure_future(line.call(FILL, keys, arguments))
            self._on_their_way.add(task)
            task.add_done_callback(partial(self._sent, batch, stored))

    async def flush(self) -> None:
        """Wait until the server has what was taken."""
        self.send()
        while self._on_their_way:
            await asyncio.wait(self._on_their_way)

    def lives(self, record: Record) -> int:
        """For how many milliseconds a record is to be kept; 0 if its time is over."""
        left = self._max_ttl if record.expires is None else min(self._max_ttl, record.expires - self._clock())
        return max(0, int(left * 1000))

    def is_too_large(self, record: Record) -> bool:
        """Whether a value is not to be sent; that is counted, and told of once."""
        if len(record.value) <= self._max_bytes:
            return False
        self._tally.add(oversized=1)
        if not self._has_warned:
            self._has_warned = True
            self._tally.add(warnings=1)
            logger.warning(
                "%s: a value of %r takes %d bytes and is kept in memory only, and so will others be: the limit is "
                "max_value_bytes=%d",
                self._link.server,
                record.address.space,
                len(record.value),
                self._max_bytes,
            )
        return True

    def _is_accepted(self, write: Write, slots: Sequence[int], lives: int) -> bool:
        if not self._link.is_proven:
            self._tally.add(dropped=1)
            return False
        if (
            write.moment.file != self._file
            or lives < 1
            or self._ledger.has_changed(slots, write.moment.number)
            or self._ledger.is_covered(slots)
        ):
            self._tally.add(refused=1)
            return False
        return True

    def _replace(self, write: Write, record: Record | None, lives: int) -> None:
        address = write.record.address
        slots = self._ledger.layout.changed([address])
        self._changes.take(
            Change(
                CHANGED,
                slots,
                (address,),
                Then(partial(self._replaced, write)),
                record=record,
                lives=lives,
                number=self._ledger.ask(slots),
                replaces=record is not None,
                result=record is not None,
            )
        )

    def _replaced(self, write: Write, result: Any) -> None:
        self._ledger.replacing.pop(write.replaces, None)
        if result is True:
            self._tally.add(written=1)
        elif result is False:
            self._tally.add(refused=1)
        elif isinstance(result, Failed):
            self._tally.add(dropped=1)

    def _sent(self, batch: Sequence[Part], stored: int, task: asyncio.Future[Any]) -> None:
        self._on_their_way.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._tally.add(dropped=stored)
            self._parts += [part._replace(value=b"") for part in batch if part.token]
        else:
            self._tally.add(written=stored)

    def _sweep(self) -> None:
        now = monotonic()
        for address, leased in tuple(self._leases.items()):
            if leased.until <= now:
                del self._leases[address]


def _batches(parts: Iterable[Part], layout: Layout) -> Iterable[tuple[int, list[Part]]]:
    by_bucket: dict[int, list[Part]] = {}
    for part in parts:
        by_bucket.setdefault(layout.home(part.address), []).append(part)
    for bucket, there in by_bucket.items():
        batch: list[Part] = []
        size = 0
        for part in there:
            if batch and (len(batch) >= BATCH or size + len(part.value) > BATCH_BYTES):
                yield bucket, batch
                batch, size = [], 0
            batch.append(part)
            size += len(part.value)
        yield bucket, batch

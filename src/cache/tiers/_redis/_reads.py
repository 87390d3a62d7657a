"""Reads: what is asked in one turn travels together; and of many who miss the same, one loads.

MGET -> judged by the stamps known now: valid -> the record
     -> else the lease: it is ours -> the moment from which a load may begin
                        another process has it -> wait for its value, for as long as a lease lives at most
Who has got a lease waits for nobody: two who wait for each other would wait until the leases are over.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Final

from cache._tier import Address, Moment, Record, Slice
from cache.tiers._redis._fills import Fills
from cache.tiers._redis._layout import values_in
from cache.tiers._redis._ledger import Ledger
from cache.tiers._redis._line import LineLost, Refused
from cache.tiers._redis._link import Link
from cache.tiers._redis._read import Read, Seat
from cache.tiers._redis._records import IDENTITY, unpack
from cache.tiers._redis._scripts import LEASE
from cache.tiers._redis._tally import Tally

#: Values that are asked for with one command.
BATCH: Final = 256
#: The first and the longest pause between two questions for a value that another process loads, in seconds. In between
#: it grows with the time that was waited.
PAUSE: Final = 0.002
LONGEST: Final = 0.05
#: How many records one slice of a scan looks for.
SLICE: Final = 128

#: What the server says of a lease: that it is ours, or somebody else's.
LEASED: Final = 1
BUSY: Final = 0

#: What a server that is away, or answers with an error, raises.
AWAY: Final = (Refused, LineLost, TimeoutError)


class Reads:
    """The reads that are on their way; in the thread of the engine."""

    def __init__(
        self,
        link: Link,
        ledger: Ledger,
        fills: Fills,
        tally: Tally,
        *,
        file: int,
        clock: Callable[[], float],
        max_bytes: int,
        max_staleness: float,
        fill_lease: float,
    ) -> None:
        self._link = link
        self._ledger = ledger
        self._fills = fills
        self._tally = tally
        self._file = file
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_staleness = max_staleness
        self._fill_lease = fill_lease
        self._tasks: dict[asyncio.Task[None], list[Read]] = {}

    def take(self, reads: list[Read]) -> None:
        """Ask for these together."""
        self._tally.add(reads=sum(read.left for read in reads))
        task = asyncio.get_running_loop().create_task(self._answer(reads))
        self._tasks[task] = reads
        task.add_done_callback(self._tasks.pop)

    def close(self) -> None:
        """Answer whoever waits."""
        for task, reads in tuple(self._tasks.items()):
            task.cancel()
            self._give_up(reads)

    async def moment(self) -> Moment | None:
        """From when a load may begin; None if nobody knows what has changed."""
        number = self._ledger.number
        if not self._link.is_proven:
            await self._link.wait(self._max_staleness)
            number = self._ledger.number
        return Moment(self._file, number) if self._link.is_proven else None

    async def scan(self, space: str, after: int | None) -> tuple[Moment | None, Slice]:
        """The next valid records of a space, in no order, and a moment at which they were valid."""
        moment = await self.moment()
        if moment is None:
            return None, Slice([], None)
        found: list[Record] = []
        try:
            while True:
                keys, after = await self._keys(space, after or 0)
                for bucket, names in self._by_bucket(keys).items():
                    line, _ = self._link.way(bucket)
                    async with self._bound():
                        values = await line.ask("MGET", *names)
                    records = [self._found(value) for value in values if value is not None]
                    found += [record for record in records if record is not None and record.address.space == space]
                if not after or found:
                    break
        except AWAY:
            return None, Slice([], None)
        return (moment if self._link.is_proven else None), Slice(found, after)

    async def _keys(self, space: str, after: int) -> tuple[list[bytes], int | None]:
        """The next keys of values of a space, and after what to look for more: a cursor of one of the servers."""
        lines = list(self._link.lines or ())
        if not lines:
            raise LineLost("there is no connection")
        cursor, server = divmod(after, len(lines))
        answer, keys = await lines[server].ask(
            "SCAN", cursor, "MATCH", values_in(self._link.buckets.prefix, space), "COUNT", SLICE
        )
        if not int(answer):  # that server has no more
            return keys, (server + 1 if server + 1 < len(lines) else None)
        return keys, int(answer) * len(lines) + server

    def _by_bucket(self, keys: Iterable[bytes]) -> dict[int, list[bytes]]:
        """Those that are keys of values now."""
        found: dict[int, list[bytes]] = {}
        all_names = {names.tag: names for names in self._link.buckets.names}
        for key in keys:
            names = all_names.get(key[: key.find(b"}") + 2])
            if names is not None and names.has_value(key):
                found.setdefault(names.bucket, []).append(key)
        return found

    def _bound(self) -> asyncio.Timeout:
        """No answer is waited for longer than what is known now is known for certain."""
        return asyncio.timeout(max(0.0, self._ledger.stamps.until - monotonic()))

    async def _answer(self, reads: list[Read]) -> None:
        try:
            if self._link.is_proven or await self._link.wait(self._max_staleness):
                await self._fetch(reads)
            else:
                self._link.hurry()
        except AWAY:
            pass  # the cache goes on without it, and the link tells why
        finally:
            self._give_up(reads)

    async def _fetch(self, reads: list[Read]) -> None:
        seats = [Seat(address, read) for read in reads for address in read.distinct()]
        asked = []
        for bucket, there in self._batches(seats):
            line, names = self._link.way(bucket)
            asked.append((there, line.ask("MGET", *[names.value(seat.address) for seat in there])))
        missing: list[Seat] = []
        hits = len(seats)
        for there, answer in asked:
            async with self._bound():
                values = await answer
            missing += self._take(there, values)
        hits -= len(missing)
        if missing:
            hits += await self._lease(missing)
        if hits:
            self._tally.add(hits=hits)

    def _take(self, seats: Sequence[Seat], values: Sequence[bytes | None]) -> list[Seat]:
        """Settle seats with values that are valid now; those that are left remember what is of no use."""
        found = [
            None if value is None else self._found(value, seat.address)
            for seat, value in zip(seats, values, strict=True)
        ]
        # Asked last: if it is proven now, it was when the stamps were looked at.
        is_proven = self._link.is_proven
        left = []
        for seat, value, record in zip(seats, values, found, strict=True):
            if record is not None and is_proven:
                seat.read.settle(seat.address, record)
            else:
                seat.known = b"" if value is None else value[:IDENTITY]
                left.append(seat)
        return left

    def _found(self, value: bytes, address: Address | None = None) -> Record | None:
        """The record that is valid, and, if it is said for which address, the one for that."""
        stored = unpack(value, address) if len(value) <= self._max_bytes * 2 + 4096 else None
        if stored is None:
            self._tally.add(foreign=1)
            return None
        record = stored.record
        slots = self._ledger.layout.grounds(record.address, record.grounds)
        if len(slots) != len(stored.stamps) or len(record.value) > self._max_bytes:
            self._tally.add(foreign=1)
            return None
        if (*self._ledger.current(slots),) != stored.stamps or self._ledger.is_replacing(slots):
            return None
        return record if record.expires is None or record.is_fresh(self._clock()) else None

    async def _lease(self, seats: list[Seat]) -> int:
        """Find for each a value, or a lease, or that it cannot be waited for; how many values."""
        began, hits = monotonic(), 0
        for seat in seats:
            seat.slots = self._ledger.layout.grounds(seat.address, ())
        counted = False
        while seats := [seat for seat in seats if seat.read.is_wanted and not self._is_covered(seat)]:
            # Before it is asked: what changes from here on may be in the value, or may not.
            moment = Moment(self._file, self._ledger.number)
            found, busy = await self._try(seats, moment)
            hits += found
            waited = monotonic() - began
            seats = []
            for seat in busy:
                if seat.read.has_lease or waited > self._fill_lease:
                    seat.read.settle(seat.address, moment)
                else:
                    seats.append(seat)
            if seats:
                if not counted:
                    counted = True
                    self._tally.add(waits=len(seats))
                await asyncio.sleep(min(LONGEST, max(PAUSE, waited / 4)))
        return hits

    async def _try(self, seats: Sequence[Seat], moment: Moment) -> tuple[int, list[Seat]]:
        """Ask for values and leases; how many values there were, and for which somebody else has the lease."""
        hits, busy, failed = 0, [], None
        batches = self._batches(seats)
        answered = await asyncio.gather(*(self._ask(*each, moment) for each in batches), return_exceptions=True)
        for (_, asked), answers in zip(batches, answered, strict=True):
            if isinstance(answers, BaseException):  # the others may have got leases all the same
                failed = answers
                continue
            for seat, answer in zip(asked, answers, strict=True):
                if answer == LEASED:
                    seat.read.has_lease = True
                    seat.read.settle(seat.address, moment)
                elif answer != BUSY and not self._take([seat], [answer]):
                    hits += 1
                else:
                    busy.append(seat)
        if failed is not None:
            raise failed
        return hits, busy

    def _batches(self, seats: Iterable[Seat]) -> list[tuple[int, list[Seat]]]:
        """As many as are asked for at once, in one bucket."""
        homes: dict[int, list[Seat]] = {}
        for seat in seats:
            homes.setdefault(self._ledger.layout.home(seat.address), []).append(seat)
        return [
            (bucket, there[at : at + BATCH]) for bucket, there in homes.items() for at in range(0, len(there), BATCH)
        ]

    def _is_covered(self, seat: Seat) -> bool:
        """Whether a mutation is changing it, so that nobody could store what is loaded; then nobody waits for it."""
        if not self._ledger.is_covered(seat.slots):
            return False
        seat.read.settle(seat.address, None)
        self._tally.add(unanswered=1)
        return True

    async def _ask(self, bucket: int, seats: Sequence[Seat], moment: Moment) -> list[Any]:
        line, names = self._link.way(bucket)
        if not self._link.is_proven:
            raise LineLost("there is no connection")
        tokens = [secrets.token_bytes(8) for _ in seats]
        keys = [key for seat in seats for key in names.pair(seat.address)]
        arguments: list[Any] = [int(self._fill_lease * 1000)]
        for seat, token in zip(seats, tokens, strict=True):
            arguments += (token, seat.known)
        asked = asyncio.ensure_future(line.call(LEASE, keys, arguments))
        try:
            async with self._bound():
                answers: list[Any] = await asyncio.shield(asked)
        except BaseException:  # a lease that comes later is for nobody
            asked.add_done_callback(lambda done: self._give_back(seats, tokens, done))
            raise
        for seat, token, answer in zip(seats, tokens, answers, strict=True):
            if answer == LEASED:
                self._fills.lease(seat.address, token, moment)
                self._tally.add(leases=1)
        return answers

    def _give_back(self, seats: Sequence[Seat], tokens: Sequence[bytes], done: asyncio.Future[Any]) -> None:
        """Of leases that nobody waits for any more; also of those of which nobody knows whether they were got."""
        is_known = not done.cancelled() and done.exception() is None
        answers = done.result() if is_known else [LEASED] * len(seats)
        for seat, token, answer in zip(seats, tokens, answers, strict=True):
            if answer == LEASED:
                self._fills.give_back(seat.address, token)
        self._fills.send()

    def _give_up(self, reads: Iterable[Read]) -> None:
        unanswered = sum([read.give_up() for read in reads])
        if unanswered:
            self._tally.add(unanswered=unanswered)

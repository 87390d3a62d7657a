"""Entries: what is done with the tables of a file, inside a transaction that somebody else began."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from cache._tier import Address, Covering, Moment, Record, Slice
from cache.tiers._owners import Owners
from cache.tiers._records import (
    Damaged,
    Usage,
    checksum,
    decoded,
    encoded,
    name_of_entry,
    name_of_space,
    names_of,
    packed_grounds,
    rests_on,
    size_of,
    unpacked_grounds,
    verify,
)
from cache.tiers._sqlite_marks import Marks
from cache.tiers._sqlite_mutations import Mutations
from cache.tiers._sqlite_operations import changes, outside

#: With the mark of its space, which each entry is asked for.
READ = """
SELECT begun, checksum, expires, grounds, value, ifnull((SELECT number FROM marks WHERE name = ?), 0)
FROM entries WHERE name = ?
"""
WRITE = """
INSERT INTO entries (name, begun, used, size, checksum, expires, grounds, space, key, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    begun = excluded.begun, used = excluded.used, size = excluded.size, checksum = excluded.checksum,
    expires = excluded.expires, grounds = excluded.grounds, value = excluded.value
"""
SCAN = """
SELECT used, begun, checksum, expires, grounds, value, space, key FROM entries
WHERE used < ? ORDER BY used DESC LIMIT ?
"""
SWEEP = "SELECT id, begun, expires, grounds, space, key FROM entries WHERE id > ? ORDER BY id LIMIT ?"

#: Of entries, in an operation that works in slices: well below a millisecond a slice.
SLICE = 128
#: Pages that a sweep gives back to the file system, at each slice.
PAGES = 32
#: More than any number in the file.
BEYOND = 2**63 - 1

#: A value that was loaded since a moment, and whether it replaces one that nobody has invalidated.
Write: TypeAlias = tuple[Record, Moment, bool]


class Entries:
    """The entries and the marks of one file; times come from ``now``, the wall clock.

    An operation that changes something is one transaction, or part of one, and is done again if that fails. Entries
    count towards ``max_bytes`` (None: no bound) with their keys, values and grounds, and `OVERHEAD` each.
    """

    def __init__(
        self, connection: sqlite3.Connection, now: Callable[[], float], owners: Owners, max_bytes: int | None = None
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._now = now
        self._max_bytes = max_bytes
        self._marks = Marks(connection)
        self._mutations = Mutations(connection, self._marks, owners)

    def begin(self) -> None:
        """Know nothing of earlier transactions."""
        self._marks.begin()
        self._mutations.begin()

    def read(self, addresses: Sequence[Address]) -> list[Record | Moment]:
        """For each address its record, if it is valid; if there is none, the moment from which a load may begin."""
        now = self._now()
        moment: Moment | None = None
        found: list[Record | Moment] = []
        for address in addresses:
            name = name_of_entry(address)
            row = self._execute(READ, (name_of_space(address.space), name)).fetchone()
            record = None if row is None else self._valid(address, name, row, now)
            if record is not None:
                found.append(record)
                continue
            if moment is None:
                moment = self.moment()
            found.append(moment)
        return found

    def moment(self) -> Moment:
        """How many invalidations there have been: to be asked before a load begins."""
        return self._marks.moment()

    @changes
    def write(self, writes: Sequence[Write]) -> list[bool]:
        """Store values that were loaded since a moment; tell of each whether it was stored.

        Refused is what rests on something that was invalidated since or that a mutation covers, what has expired, and
        what alone is larger than the file may be. What replaces another value is, if it is stored, an invalidation of
        its address.
        """
        now = self._now()
        file, horizon = self._marks.state("file, horizon")
        used = self._last_use()
        stored: list[bool] = []
        for record, moment, replaces in writes:
            name = name_of_entry(record.address)
            names = (name, *rests_on(record))
            stands = (
                moment.file == file
                and moment.number >= horizon
                and not self._mutations.cover_any(names)  # which comes first: the dead leave marks
                and self._marks.none_since(moment.number, names)
                and self._is_to_be_kept(record, now)
            )
            if stands:
                used += 1
                self._put(record, name, self._marks.set((name,)) if replaces else moment.number, used)
            stored.append(stands)
        return stored

    @changes
    def assign(self, record: Record) -> bool:
        """An address has changed, and has this value from now on; tell whether the value was stored.

        As long as a mutation covers what it rests on, it is not.
        """
        name = name_of_entry(record.address)
        covered = self._mutations.cover_any((name, *rests_on(record)))  # which comes first: the dead leave marks
        begun = self._marks.set((name,))
        if stored := not covered and self._is_to_be_kept(record, self._now()):
            self._put(record, name, begun, self._last_use() + 1)
        else:  # the old value is not the assigned one
            self._execute("DELETE FROM entries WHERE name = ?", (name,))
        return stored

    @changes
    def invalidate(self, addresses: Sequence[Address], spaces: Sequence[str] = ()) -> int:
        """These, and all in these spaces, have changed; return how many of the addresses were there as entries."""
        names = names_of(addresses, spaces)
        self._marks.set(names)
        entries = names[: len(addresses)]
        return sum(self._execute("DELETE FROM entries WHERE name = ?", (name,)).rowcount for name in entries)

    @changes
    def cover(self, covering: Covering) -> None:
        """A mutation begins: what it covers is invalidated, and until it has ended nothing that rests on it is stored.

        Raises ``OSError`` or `FileBusy`, and has done nothing, where nobody could be told that this process has died.
        """
        self._mutations.cover(covering.number, names_of(covering.addresses, covering.spaces))
        self.invalidate(covering.addresses, covering.spaces)

    @changes
    def uncover(self, covering: Covering) -> None:
        """It has ended: what it covers is invalidated again. In a file that knows nothing of it that is all."""
        self.invalidate(covering.addresses, covering.spaces)
        self._mutations.uncover(covering.number)

    @changes
    def touch(self, addresses: Sequence[Address]) -> None:
        """These were used, in this order: they are the last to be evicted."""
        uses = enumerate(addresses, self._last_use() + 1)
        self._connection.executemany(
            "UPDATE entries SET used = ? WHERE name = ?",
            ((used, name_of_entry(address)) for used, address in uses),
        )

    @changes
    def evict(self, limit: int = SLICE) -> int:
        """Drop what was used least recently, at most ``limit`` entries, until ``max_bytes`` is kept; return how many.

        As long as that is not 0 there may be more to drop.
        """
        if self._max_bytes is None:
            return 0
        (size,) = self._marks.state("size")
        doomed: list[tuple[int]] = []
        if size > self._max_bytes:
            for id_, freed in self._execute("SELECT id, size FROM entries ORDER BY used LIMIT ?", (limit,)):
                doomed.append((id_,))
                size -= freed
                if size <= self._max_bytes:
                    break
        self._drop(doomed)
        return len(doomed)

    @changes
    def sweep(self, limit: int = SLICE, *, rest: float = 0.0) -> bool:
        """Look at the next ``limit`` entries and drop what can never be read again; True at the end of a round.

        To call it now and then keeps the file free of what was cleared or invalidated or has expired, and of old marks.
        All who share the file go round together, and do not begin another round for ``rest`` seconds: a load that takes
        less can be stored.
        """
        self._mutations.bury_dead()
        now = self._now()
        hand, rested = self._marks.state("hand, rested")
        at_the_end = 0.0 <= now - rested < rest or self._look_at(hand, limit, now)
        self._marks.forget(limit)
        (free,) = self._execute("PRAGMA freelist_count").fetchone()
        for _ in range(min(free, PAGES)):  # one by one: Python's module takes a single step of a row without columns
            self._execute("PRAGMA incremental_vacuum(1)")
        return at_the_end

    def _look_at(self, hand: int, limit: int, now: float) -> bool:
        rows = self._execute(SWEEP, (hand, limit)).fetchall()
        doomed = []
        for id_, begun, expires, grounds, space, key in rows:
            try:
                record = Record(Address(decoded(space), key), b"", expires, unpacked_grounds(grounds))
                valid = record.is_fresh(now) and self._marks.none_since(begun, rests_on(record))
            except (AttributeError, TypeError, ValueError) as error:
                raise Damaged(f"the entry {id_}, which rests on {grounds!r}") from error
            if not valid:
                doomed.append((id_,))
        self._drop(doomed)
        at_the_end = len(rows) < limit
        if at_the_end:
            self._marks.end_round(now)
        else:
            self._execute("UPDATE state SET hand = ?", (rows[-1][0],))
        return at_the_end

    def scan(self, spaces: Sequence[str] | None = None, after: int | None = None, limit: int = SLICE) -> Slice:
        """The valid records of some spaces (None: of all) among the next ``limit`` entries, those used last first."""
        now = self._now()
        rows = self._execute(SCAN, (BEYOND if after is None else after, limit)).fetchall()
        records = []
        for _, *row, space, key in rows:
            address = Address(decoded(space), key)
            if spaces is None or address.space in spaces:
                row.append(self._marks.of(name_of_space(address.space)))
                record = self._valid(address, name_of_entry(address), row, now)
                if record is not None:
                    records.append(record)
        return Slice(records, rows[-1][0] if len(rows) == limit else None)

    def usage(self) -> Usage:
        """How full the file is."""
        entries, size = self._marks.state("entries, size")
        (marks,) = self._execute("SELECT count(*) FROM marks").fetchone()
        (pages,) = self._execute("PRAGMA page_count").fetchone()
        (page_size,) = self._execute("PRAGMA page_size").fetchone()
        return Usage(entries, size, marks, pages * page_size)

    @outside
    def flush(self) -> None:
        """Move what is in the log into the file, as far as no reader holds it back.

        What an operation has answered for is safe from the end of the process without it.
        """
        self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    @outside
    def check(self) -> None:
        """Look at the whole file, which takes as long as reading it; raises if it is damaged."""
        (verdict,) = self._execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise Damaged(verdict)
        rows = self._execute("SELECT begun, checksum, expires, grounds, value, space, key FROM entries")
        for *row, space, key in rows:
            address = Address(decoded(space), key)
            verify(address, name_of_entry(address), row)

    def _valid(self, address: Address, name: bytes, row: Sequence[Any], now: float) -> Record | None:
        begun, written, expires, grounds, value, mark_of_space = row
        verify(address, name, (begun, written, expires, grounds, value))
        record = Record(address, value, expires, unpacked_grounds(grounds))
        if not record.is_fresh(now) or mark_of_space > begun:
            return None
        return record if grounds is None or self._marks.none_since(begun, rests_on(record)) else None

    def _is_to_be_kept(self, record: Record, now: float) -> bool:
        return record.is_fresh(now) and (self._max_bytes is None or size_of(record) <= self._max_bytes)

    def _put(self, record: Record, name: bytes, begun: int, used: int) -> None:
        grounds = packed_grounds(record)
        expires = None if record.expires is None else float(record.expires)
        written = checksum(name, begun, expires, grounds, record.value)
        space, key = encoded(record.address.space), record.address.key
        row = (name, begun, used, size_of(record), written, expires, grounds, space, key, record.value)
        self._execute(WRITE, row)

    def _last_use(self) -> int:
        (used,) = self._execute("SELECT ifnull(max(used), 0) FROM entries").fetchone()
        return int(used)

    def _drop(self, ids: list[tuple[int]]) -> None:
        self._connection.executemany("DELETE FROM entries WHERE id = ?", ids)

"""Disk: what is read from a tier in a file, and told to it, and the same written by hand. Lives in the worker.

By hand is what the standard library has: a connection of `sqlite3` for each thread, one statement for each value, and
`asyncio.to_thread`. It encodes nothing, bounds nothing, and knows nothing of loads, tags or other processes; the file
is set to the same journal, and to the same promises in case of a power loss, as that of the tier.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import mkdtemp
from time import process_time_ns
from typing import Any

from bench import timers
from bench.cases import Case
from bench.contenders import Contender, impossible
from bench.hits import KEYS
from bench.mutations import Mutation

#: More than are kept in memory: each has left when it is asked for again, and is on the disk.
STORED = range(4 * len(KEYS))


def order_of(size: int) -> Iterator[Any]:
    """All that are stored, one by one or in groups of such a size, again and again."""
    return cycle(STORED if size == 1 else [STORED[begin : begin + size] for begin in range(0, len(STORED), size)])


class ByHand:
    """A table of values in a file of its own."""

    def __init__(self) -> None:
        folder = mkdtemp(prefix="async-cache-bench-")
        self._path = Path(folder) / "by-hand.db"
        self._opened = threading.local()
        self._all: list[sqlite3.Connection] = []
        weakref.finalize(self, _remove, folder, self._all)
        connection = self._connection()
        connection.execute("CREATE TABLE entries (key INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
        connection.execute("CREATE TABLE records (key INTEGER PRIMARY KEY, value BLOB NOT NULL)")
        connection.executemany("INSERT INTO entries VALUES (?, ?)", [(key, key) for key in STORED])
        connection.commit()

    def read(self, key: int) -> int:
        """The value of a key."""
        (value,) = self._connection().execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        found: int = value
        return found

    def write(self, key: int) -> int:
        """Change one row, in a transaction."""
        with self._connection() as connection:
            connection.execute("UPDATE entries SET value = value + 1 WHERE key = ?", (key,))
        return key

    def write_all(self, values: Sequence[bytes]) -> None:
        """Insert a row for each, in one transaction."""
        with self._connection() as connection:
            connection.executemany("INSERT INTO records (value) VALUES (?)", [(value,) for value in values])

    def read_all(self) -> dict[int, int]:
        """The values of the `KEYS`, by these."""
        rows = self._connection().execute("SELECT key, value FROM entries WHERE key < ?", (len(KEYS),))
        return dict(rows.fetchall())

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._opened, "connection", None)
        if found is None:
            found = self._opened.connection = sqlite3.connect(self._path, check_same_thread=False)
            self._all.append(found)
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = NORMAL")
        return found


def _remove(folder: str, connections: list[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()
    shutil.rmtree(folder, ignore_errors=True)


class DiskHit(Case):
    """A miss in memory whose value is on the disk, so many ``at_once``. Without a cache: a read by hand."""

    def __init__(self, contender: Contender, *, at_once: int) -> None:
        self._loads: list[int] = []
        self._settle = contender.settle or impossible
        self._at_once = at_once
        self._time = timers.fresh(timers.gathered if at_once > 1 else timers.one_argument)
        self._time_bare = timers.fresh(timers.gathered if at_once > 1 else timers.one_argument)
        self._by_hand = ByHand()
        #: It goes on where it has stopped: what was asked for last is still in memory.
        self._order = order_of(at_once)

        async def load(uid: int) -> int:
            self._loads.append(uid)
            return uid

        self._call = (contender.lru or impossible)(len(KEYS))(load)

    async def answers(self) -> Any:
        """Each key's value, twice.

        Raises:
            ValueError: a value was not found on the disk, or still in memory.

        """
        found = [await self._call(key) for key in STORED]
        await self._settle()
        found += [await self._call(key) for key in STORED]
        self._check()
        hits = self._call.cache.get_metrics()["backup_hits"]
        if hits != len(STORED):
            raise ValueError(f"each of {STORED} was to be found on the disk once, and {hits} were")
        return found

    async def run(self, count: int) -> int:
        """Nanoseconds of so many reads, or groups of them."""
        nanoseconds: int = await self._time(self._call, self._asked(count))
        self._check()
        return nanoseconds

    async def bare(self, count: int) -> int:
        """Nanoseconds of as many in a thread, by hand."""
        read = self._by_hand.read
        nanoseconds: int = await self._time_bare(lambda key: asyncio.to_thread(read, key), self._asked(count))
        return nanoseconds

    def _asked(self, count: int) -> list[Any]:
        return list(islice(self._order, count))

    def _check(self) -> None:
        if self._loads != list(STORED):
            raise ValueError(f"each of {STORED} was to be loaded once, and there were {len(self._loads)} loads")


class DiskSave(Case):
    """New records, one for each of the `KEYS`, told to the tier and flushed. Without a cache: one transaction."""

    def __init__(self, contender: Contender) -> None:
        self._keep: Any = contender.keep or impossible
        self._values = [key.to_bytes(100, "big") for key in KEYS]
        self._by_hand = ByHand()

    async def answers(self) -> Any:
        """What is found of each in the file, as text.

        Raises:
            ValueError: something was not kept.

        """
        read = await self._keep(self._values)
        found = [(await read(key))[0] for key in KEYS]
        if [getattr(record, "value", None) for record in found] != self._values:
            raise ValueError(f"each of {KEYS} was to be found in the file as it was written: {found}")
        return [record.value.hex() for record in found]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many times all of them."""
        began = process_time_ns()
        for _ in range(count):
            await self._keep(self._values)
        return process_time_ns() - began

    async def bare(self, count: int) -> int:
        """Nanoseconds of as many transactions in a thread."""
        began = process_time_ns()
        for _ in range(count):
            await asyncio.to_thread(self._by_hand.write_all, self._values)
        return process_time_ns() - began


class DiskPreload(Case):
    """A record for each of the `KEYS`, into an empty memory. Without a cache: one statement for as many."""

    def __init__(self, contender: Contender) -> None:
        self._settle = contender.settle or impossible
        self._by_hand = ByHand()

        async def load(uid: int) -> int:
            return uid

        self._call = (contender.lru or impossible)(len(KEYS))(load)

    async def answers(self) -> Any:
        """The value of each, which was in memory."""
        for key in KEYS:
            await self._call(key)
        await self._settle()
        await self._preload()
        return [self._call.peek(key) for key in KEYS]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many times all of them."""
        return sum([await self._preload() for _ in range(count)])

    async def bare(self, count: int) -> int:
        """Nanoseconds of as many statements in a thread."""
        began = process_time_ns()
        for _ in range(count):
            await asyncio.to_thread(self._by_hand.read_all)
        return process_time_ns() - began

    async def _preload(self) -> int:
        await self._call.cache.aclose()
        began = process_time_ns()
        found = await self._call.cache.load_from_backup()
        nanoseconds = process_time_ns() - began
        if found != len(KEYS):
            raise ValueError(f"each of {KEYS} was to be found in the file, and {found} were")
        return nanoseconds


class DiskMutation(Mutation):
    """A mutation of a key that is on the disk too. Without a cache: a transaction of one row, by hand."""

    def __init__(self, contender: Contender) -> None:
        super().__init__(contender)
        self._by_hand = ByHand()

    async def bare(self, count: int) -> int:
        """Nanoseconds of as many transactions in a thread, by hand."""
        write = self._by_hand.write
        nanoseconds: int = await self._time_bare(lambda key: asyncio.to_thread(write, key), islice(cycle(KEYS), count))
        return nanoseconds

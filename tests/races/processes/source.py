"""The source: one SQLite file whose rows have versions that only increase, and which knows who has committed which."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.races.processes.ledger import Commit

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE rows (row INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE commits (row INTEGER, version INTEGER, process INTEGER, has_window INTEGER, PRIMARY KEY (row, version));
"""


def create(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany("INSERT INTO rows VALUES (?, 0)", [(row,) for row in range(rows)])


def commits(path: Path) -> list[Commit]:
    """Those of mutations with a window. Of one that invalidates afterwards nothing is owed before it has done so."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        found = connection.execute("SELECT row, version, process FROM commits WHERE has_window").fetchall()
    return [Commit(*each) for each in found]


class Source:
    """A connection of one process, and how long a way to a database takes."""

    def __init__(self, path: Path, process: int, chance: random.Random) -> None:
        # A process that was stopped in a transaction makes the others wait until it goes on.
        self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")  # what dies here is a process, and not the machine
        self._process = process
        self._chance = chance

    async def way(self) -> None:
        """The way to the database or back."""
        for _ in range(self._chance.randrange(3)):
            await asyncio.sleep(0)
        if self._chance.random() < 0.5:
            await asyncio.sleep(self._chance.random() * 0.005)

    async def read(self, row: int) -> int:
        await self.way()
        (version,) = self._connection.execute("SELECT version FROM rows WHERE row = ?", (row,)).fetchone()
        await self.way()
        return int(version)

    async def write(self, row: int, *, has_window: bool) -> int:
        await self.way()
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        (version,) = run("UPDATE rows SET version = version + 1 WHERE row = ? RETURNING version", (row,)).fetchone()
        run("INSERT INTO commits VALUES (?, ?, ?, ?)", (row, version, self._process, has_window))
        run("COMMIT")
        return int(version)

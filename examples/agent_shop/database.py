"""SQLite some way off: connections that read, one that writes, and the network in between."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from examples.catalogue.database import Connection

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from examples.catalogue.ledger import Ledger, Row


@dataclass(frozen=True, slots=True)
class Delays:
    """What is simulated around the database, as ranges of seconds."""

    way: tuple[float, float] = (0.003, 0.012)
    """Over the network to the database, and as long back again."""
    service: tuple[float, float] = (0.002, 0.006)
    """Until the payment or the pricing service has answered, inside a transaction."""


DELAYS: Final = Delays()
READERS: Final = 6


class Database:
    """One SQLite file in WAL mode, where readers and the writer do not block each other.

    ``loads`` counts how often it has been read.
    """

    def __init__(self, path: Path, ledger: Ledger, seed: int) -> None:
        self._ledger = ledger
        self._rng = random.Random(seed)
        self._readers = [Connection(path, f"reader-{number}") for number in range(READERS)]
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in self._readers:
            self._idle.put_nowait(connection)
        self._writer = Connection(path, "writer")
        self.loads = 0

    async def read(self, sql: str, *parameters: object) -> list[Any]:
        """Execute a query on a connection that is idle, and return all its rows."""
        self.loads += 1
        connection = await self._idle.get()
        try:
            await self._travel()
            rows = await connection.fetch(sql, *parameters)
            await self._travel()
        finally:
            self._idle.put_nowait(connection)
        return rows

    async def write(self, work: Callable[[sqlite3.Connection, int], Iterable[Row]]) -> None:
        """Execute a transaction: ``work`` is given its number, to write into the rows that it touches and returns.

        It travels to the database as a whole, and is executed there once those before it are: COMMIT if ``work``
        returns, ROLLBACK if it raises, also if its caller has been cancelled meanwhile.
        """
        await self._travel()
        await self._writer.run(lambda sqlite: self._execute(sqlite, work))
        await self._travel()

    def _execute(self, sqlite: sqlite3.Connection, work: Callable[[sqlite3.Connection, int], Iterable[Row]]) -> None:
        change = self._ledger.next_change()
        sqlite.execute("BEGIN IMMEDIATE")
        try:
            rows = list(work(sqlite, change))
            self._ledger.announce(change)
            sqlite.execute("COMMIT")
        except BaseException:  # the next transaction must find the connection clean, whatever has ended this one
            sqlite.execute("ROLLBACK")
            raise
        self._ledger.enter(change, rows)

    async def _travel(self) -> None:
        await asyncio.sleep(self._rng.uniform(*DELAYS.way))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in (*self._readers, self._writer):
            connection.close()

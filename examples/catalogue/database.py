"""SQLite for an asyncio application: a pool of sessions that read, and transactions that write."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from examples.catalogue.ledger import Row, Witness

T = TypeVar("T")

STAMP: Final = {
    "product": "UPDATE products SET version = ? WHERE id = ?",
    "supplier": "UPDATE suppliers SET version = ? WHERE id = ?",
    "category": "UPDATE categories SET version = ? WHERE id = ?",
}
VERSIONS: Final = {
    "product": "SELECT id, version FROM products",
    "supplier": "SELECT id, version FROM suppliers",
    "category": "SELECT id, version FROM categories",
}


class Connection:
    """A connection and the one thread that uses it.

    Statements run in the order in which they were asked for, also those whose caller has been cancelled
    meanwhile: whoever gets the connection next simply queues behind them.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._sqlite = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._sqlite.execute("PRAGMA foreign_keys = ON")
        self._sqlite.execute("PRAGMA synchronous = NORMAL")

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in the connection's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._sqlite)

    async def fetch(self, sql: str, *parameters: object) -> list[Any]:
        """Execute one statement and return all its rows."""
        return await self.run(lambda sqlite: sqlite.execute(sql, parameters).fetchall())

    async def execute(self, sql: str, *parameters: object) -> int:
        """Execute one statement and return the number of rows it changed."""
        return await self.run(lambda sqlite: sqlite.execute(sql, parameters).rowcount)

    def close(self) -> None:
        """Wait for the thread's last statement, then close."""
        self._thread.shutdown(wait=True)
        self._sqlite.close()


class Transaction:
    """A writing transaction: its statements, and the rows it has touched."""

    def __init__(self, connection: Connection, change: int) -> None:
        self._connection = connection
        self.change = change
        self.rows: list[Row] = []

    async def execute(self, sql: str, *parameters: object) -> int:
        """Execute one statement and return the number of rows it changed."""
        return await self._connection.execute(sql, *parameters)

    async def stamp(self, row: Row) -> None:
        """Write the number of this change into the version column of the row."""
        await self.execute(STAMP[row.kind], self.change, row.id)
        self.rows.append(row)


class Database:
    """One SQLite file in WAL mode, where readers and the writer do not block each other."""

    def __init__(self, path: Path, ledger: Witness, readers: int = 4) -> None:
        self._ledger = ledger
        self._readers = [Connection(path, f"reader-{number}") for number in range(readers)]
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in self._readers:
            self._idle.put_nowait(connection)
        self._writer = Connection(path, "writer")
        # SQLite has one writer at a time; a queue is fairer to the writers than its busy timeout.
        self._writing = asyncio.Lock()
        self.sessions = 0
        """How many sessions have been opened to read, which is how often a cache had to load."""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """Borrow a connection to read with, waiting until one is idle."""
        connection = await self._idle.get()
        self.sessions += 1
        try:
            yield connection
        finally:
            self._idle.put_nowait(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """BEGIN IMMEDIATE, then COMMIT if the body returns, or ROLLBACK if it raises or is cancelled.

        Whoever is cancelled during the COMMIT does not learn whether it happened; the ledger does.
        """
        async with self._writing:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                transaction = Transaction(self._writer, self._ledger.next_change())
                yield transaction
                await self._writer.run(lambda sqlite: self._commit(sqlite, transaction))
            except BaseException:  # cancellation included: the next writer must find the connection clean
                await asyncio.shield(self._writer.run(_roll_back))
                raise

    def _commit(self, sqlite: sqlite3.Connection, transaction: Transaction) -> None:
        self._ledger.announce(transaction.change)
        sqlite.execute("COMMIT")
        self._ledger.enter(transaction.change, transaction.rows)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in (*self._readers, self._writer):
            connection.close()


def _roll_back(sqlite: sqlite3.Connection) -> None:
    if sqlite.in_transaction:
        sqlite.execute("ROLLBACK")

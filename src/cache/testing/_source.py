"""A fake source of truth that counts versions, and whose every step waits for the schedule."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, Self

from ._table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from ._stage import Stage
    from ._table import Record

Ending = Literal["commits", "refused", "unacknowledged", "late"]
"""How a commit ends; see `Source.transaction`."""

_ENDINGS: tuple[Ending, ...] = ("commits", "refused", "unacknowledged", "late")


class CommitRefused(Exception):
    """The source refused a commit, as on a violated constraint: nothing was committed."""


class Source:
    """A table of versioned rows. Made by `Race.source`; any key exists, at version 0 until it is written.

    A load waits at two gates, before it reads and before it returns; so does a commit, before it takes effect
    and before its acknowledgement arrives. What lies between two gates happens at one go.
    """

    def __init__(self, table: Table, stage: Stage) -> None:
        self.name: str = table.name
        self._table = table
        self._stage = stage

    async def load(self, key: Any) -> Row:
        """Return the row as committed, or as written by the open transaction of the caller's context."""
        record = self._table.begin_load(key)
        try:
            await self._stage.gate("{}.load({!r}) reads", self.name, key)
            row = self._visible(record)
            await self._stage.gate("{}.load({!r}) returns v{}", *row)
        finally:
            record.loading -= 1
        return row

    async def load_many(self, keys: Iterable[Any]) -> dict[Any, Row]:
        """Return several rows by their keys, read at the same moment. Counts as one load of each key."""
        records = {key: self._table.begin_load(key) for key in keys}
        try:
            await self._stage.gate("{}.load_many({}) reads", self.name, list(records))
            rows = {key: self._visible(record) for key, record in records.items()}
            await self._stage.gate("{}.load_many({}) returns", self.name, list(records))
        finally:
            for record in records.values():
                record.loading -= 1
        return rows

    async def write(self, key: Any, *, ending: Ending = "commits", delay: float = 0.5) -> Row:
        """Commit a new version of the row and return it. The ways to end are those of `transaction`."""
        transaction = self.transaction(ending=ending, delay=delay)
        row = await transaction.write(key)
        await transaction.end_as_told()
        return row

    def transaction(self, *, ending: Ending = "commits", delay: float = 0.5) -> Transaction:
        """Return a transaction for `async with`: it commits after the body, or rolls back if that raises.

        Its commit may end in one of four ways: "commits"; "refused", which raises `CommitRefused` and commits
        nothing; "unacknowledged", which commits and then raises ConnectionError; "late", which raises
        TimeoutError and commits all the same, `delay` seconds of virtual time later.
        """
        if ending not in _ENDINGS:
            raise ValueError(f"ending={ending!r} is unknown: give one of {', '.join(_ENDINGS)}")
        if not delay >= 0:
            raise ValueError(f"delay={delay!r} is no duration: give seconds, 0 or more")
        return Transaction(self._table, self._stage, ending, delay)

    def write_now(self, key: Any) -> Row:
        """Commit a new version of the row at this very moment, for code that cannot wait, and return it.

        Raises RuntimeError while an open transaction holds the row, where a real source would block.
        """
        record = self._table.record(key)
        if record.owner is not None:
            raise RuntimeError(f"{record.row} is held by an open transaction: use `await write()` instead")
        row = record.next_row()
        self._table.commit(row)
        return row

    def committed(self, key: Any) -> Row:
        """Return the row as committed at this moment. Waits at no gate and counts as no load."""
        return self._table.record(key).row

    def loads(self, key: Any) -> int:
        """Return how often the row was loaded so far."""
        return self._table.record(key).loads

    def _visible(self, record: Record) -> Row:
        transaction = _open_transaction.get()
        while transaction is not None:
            if (row := transaction.written(record)) is not None:
                return row
            transaction = transaction.outer
        return record.row

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class Transaction:
    """Writes that become the truth together, or not at all. Made by `Source.transaction`.

    Loads in the same context see what it wrote, others do not. No other transaction can write the same rows
    before it is over.
    """

    def __init__(self, table: Table, stage: Stage, ending: Ending, delay: float) -> None:
        self.outer: Transaction | None = None
        self._table = table
        self._stage = stage
        self._ending = ending
        self._delay = delay
        self._is_over = False
        self._rows: dict[Record, Row] = {}

    def written(self, record: Record) -> Row | None:
        """Return the row as written here and not yet committed."""
        return None if self._is_over else self._rows.get(record)

    async def write(self, key: Any) -> Row:
        """Write a new version of the row and return it. Waits while another transaction holds the row."""
        self._check_open()
        record = self._table.record(key)

        def is_free() -> bool:
            return record.owner is None or record.owner is self

        await self._stage.gate("{}.write({!r})", self._table.name, key, is_free=is_free)
        while not is_free():  # of two writers let go on at the same time this is the second
            await self._stage.gate("{}.write({!r})", self._table.name, key, is_free=is_free)
        record.owner = self
        row = self._rows[record] = record.next_row()
        return row

    async def commit(self) -> None:
        """Make the writes the truth, or fail to, in the way given as `ending`."""
        self._check_open()
        await self._stage.gate("{} commits", self._table.name)
        await self.end_as_told()

    async def rollback(self) -> None:
        """Forget the writes."""
        self._check_open()
        try:
            await self._stage.gate("{} rolls back", self._table.name)
        finally:
            self.abandon()

    async def end_as_told(self) -> None:
        """Commit at this very moment, in the way given as `ending`, and wait for the acknowledgement."""
        name = self._table.name
        if self._ending == "refused":
            self.abandon()
            raise CommitRefused(f"{name} refused to commit {', '.join(map(str, self._rows.values()))}")
        if self._ending == "late":
            self._is_over = True
            self._stage.landings += 1
            asyncio.get_running_loop().call_later(self._delay, self._land)
            raise TimeoutError(f"{name} did not answer the commit in time; it may still land")
        self._apply()
        await self._stage.gate("{} acknowledges", name)
        if self._ending == "unacknowledged":
            raise ConnectionError(f"{name} has committed, and its answer was lost")

    def abandon(self) -> None:
        """Forget what is not committed, and set the rows free."""
        if not self._is_over:
            self._is_over = True
            self._release()

    async def __aenter__(self) -> Self:
        self.outer = _open_transaction.get()
        _open_transaction.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _open_transaction.set(self.outer)
        try:
            if not self._is_over:
                await (self.commit() if error is None else self.rollback())
        finally:
            self.abandon()

    def _land(self) -> None:
        self._stage.landings -= 1
        self._apply()

    def _apply(self) -> None:
        self._is_over = True
        for row in self._rows.values():
            self._table.commit(row)
        self._release()

    def _release(self) -> None:
        for record in self._rows:
            record.owner = None

    def _check_open(self) -> None:
        if self._is_over:
            raise RuntimeError(f"this transaction of {self._table.name!r} is over: begin another one")


_open_transaction: ContextVar[Transaction | None] = ContextVar("open_transaction", default=None)

"""The rows of a source, their versions, and who committed each when. No waiting happens here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ._stage import acting

if TYPE_CHECKING:
    from ._actor import Actor
    from ._stage import Stage


class Row(NamedTuple):
    """What a source returns for a key: which version of which row this is. Version 0 was there first."""

    source: str
    key: Any
    version: int

    def __repr__(self) -> str:
        return f"{self.source}[{self.key!r}] v{self.version}"


class Commit(NamedTuple):
    """A version of a row becoming the truth."""

    moment: int
    version: int
    actor: Actor | None


class Record:
    """All that is known of one row."""

    __slots__ = ("_issued", "commits", "loading", "loads", "owner", "peak", "row")

    def __init__(self, row: Row) -> None:
        self.row: Row = row  # as committed
        self.commits: list[Commit] = [Commit(0, row.version, None)]  # oldest first; their versions grow
        self.owner: object = None  # the transaction that has written the row and is not over
        self.loads: int = 0
        self.loading: int = 0
        self.peak: int = 0  # of `loading`
        self._issued = row.version

    def next_row(self) -> Row:
        """Return a new version of the row, not yet committed. A number is never given twice."""
        self._issued += 1
        return self.row._replace(version=self._issued)


class Table:
    """The records of one source. Any key exists, at version 0 until it is written."""

    __slots__ = ("_stage", "name", "records")

    def __init__(self, name: str, stage: Stage) -> None:
        self.name: str = name
        self.records: dict[Any, Record] = {}
        self._stage = stage

    def record(self, key: Any) -> Record:
        """Return the record of a key."""
        record = self.records.get(key)
        if record is None:
            record = self.records[key] = Record(Row(self.name, key, 0))
        return record

    def begin_load(self, key: Any) -> Record:
        """Count a load, which ends by `record.loading -= 1`."""
        record = self.record(key)
        self._stage.loads += 1
        record.loads += 1
        record.loading += 1
        record.peak = max(record.peak, record.loading)
        return record

    def commit(self, row: Row) -> None:
        """Make this version the truth, now."""
        record = self.record(row.key)
        record.row = row
        record.commits.append(Commit(self._stage.moment(), row.version, acting.get()))
        if self._stage.trace is not None:
            self._stage.note(f"{row} is committed")

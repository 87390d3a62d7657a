"""What a worker leaves behind: its reads and the ends of its mutations, in a file that survives a ``kill -9``.

Moments are nanoseconds of CLOCK_MONOTONIC, which is one clock for all processes of a machine. A transaction is numbered
by it while it holds the database's only write lock, so that changes commit in the order of their numbers, whichever
process makes them. Which rows a change has touched is written by the database itself, in the same transaction.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from bisect import bisect_right
from collections import defaultdict
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from examples.catalogue.ledger import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

JOURNAL: Final = """
CREATE TABLE journal (change INTEGER NOT NULL, kind TEXT NOT NULL, id INTEGER NOT NULL);
CREATE TRIGGER products_journal AFTER UPDATE OF version ON products
BEGIN INSERT INTO journal VALUES (NEW.version, 'product', NEW.id); END;
CREATE TRIGGER suppliers_journal AFTER UPDATE OF version ON suppliers
BEGIN INSERT INTO journal VALUES (NEW.version, 'supplier', NEW.id); END;
CREATE TRIGGER categories_journal AFTER UPDATE OF version ON categories
BEGIN INSERT INTO journal VALUES (NEW.version, 'category', NEW.id); END;
"""

INTERVAL: Final = 50_000_000
"""How many nanoseconds a read waits to be written, if there is another."""

_own: ContextVar[list[int]] = ContextVar("_own")


class Read(NamedTuple):
    """One read: when it began and ended, and the versions of the rows that it showed."""

    began: int
    ended: int
    versions: Mapping[Row, int]


class Log:
    """Written by one worker: a line of JSON now and then, with the reads since the line before.

    There is one at the end of each mutation, and one for each twentieth of a second in which there was a read.
    A line is with the system when its mutation has returned to whoever asked for it, so of a worker that is killed only
    reads of the last moment are missing.
    """

    def __init__(self, path: Path, counts: Callable[[], Mapping[str, int]]) -> None:
        self._file = path.open("ab", buffering=0)
        self._counts = counts
        self._reads: list[Read] = []
        self._due = 0

    @property
    def latest(self) -> int:
        """The moment."""
        return time.monotonic_ns()

    def next_change(self) -> int:
        """Number a transaction; to be called by the holder of the write lock, inside `mutation`."""
        change = time.monotonic_ns()
        _own.get().append(change)
        return change

    def announce(self, change: int) -> None:
        """The database keeps a journal itself."""

    def enter(self, change: int, rows: Iterable[Row]) -> None:
        """The database keeps a journal itself."""

    def judge(self, versions: Mapping[Row, int], began: int) -> None:
        """Put down a read, which can be judged only when it is known what the other workers did."""
        ended = time.monotonic_ns()
        self._reads.append(Read(began, ended, versions))
        if ended > self._due:
            self.flush()

    @contextmanager
    def mutation(self) -> Iterator[None]:
        """Put down when the mutation in the body has ended, in whatever way, and which changes it has made."""
        changes: list[int] = []
        token = _own.set(changes)
        try:
            yield
        finally:
            ended = time.monotonic_ns()
            _own.reset(token)
            self._write(dict.fromkeys(map(str, changes), ended))

    def flush(self) -> None:
        """Write what has not been written."""
        self._write({})

    def _write(self, ends: Mapping[str, int]) -> None:
        reads = [
            (began, ended, [(*row, version) for row, version in versions.items()])
            for began, ended, versions in self._reads
        ]
        self._reads.clear()
        now = time.monotonic_ns()
        self._due = now + INTERVAL
        said = {"at": now, "reads": reads, "ends": ends, "counts": self._counts()}
        line = json.dumps(said) + "\n"
        self._file.write(line.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass(slots=True)
class Account:
    """What the log of one worker says."""

    reads: list[Read] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    """By change, when the mutation that made it had ended."""
    counted: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    """What had been counted, and when."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a log, without the line in the middle of which its worker may have been killed."""
        account = cls()
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                account._add(json.loads(line))
        return account

    def _add(self, said: dict[str, Any]) -> None:
        for began, ended, rows in said["reads"]:
            versions = {Row(kind, number): version for kind, number, version in rows}
            self.reads.append(Read(began, ended, versions))
        self.ends |= {int(change): ended for change, ended in said["ends"].items()}
        self.counted.append((said["at"], said["counts"]))

    def counts(self, moment: float = math.inf) -> Mapping[str, int]:
        """What had last been counted then, or in the end."""
        before = bisect_right(self.counted, moment, key=itemgetter(0))
        return self.counted[before - 1][1] if before else {}


def journal_of(database: Path) -> dict[int, set[Row]]:
    """By change, the rows that it has touched; those that were rolled back are not in it."""
    journal: defaultdict[int, set[Row]] = defaultdict(set)
    with closing(sqlite3.connect(database)) as sqlite:
        for change, kind, number in sqlite.execute("SELECT change, kind, id FROM journal"):
            journal[change].add(Row(kind, number))
    return dict(journal)

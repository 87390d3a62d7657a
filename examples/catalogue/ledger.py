"""The judge: which commits had happened when a read began, and what the read therefore had to show.

Every writing transaction has a number, its *change*, drawn while it holds the database's only write lock, so
that changes commit in the order of their numbers. The transaction writes its change into the ``version``
column of each row it touches; each value read carries the versions of the rows it was made of. Staleness is
then a comparison of integers.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Row(NamedTuple):
    """What is versioned: a product (with its price and stock), a supplier, or a category's listing."""

    kind: str
    id: int


class Witness(Protocol):
    """Who is told of commits by the database, and of reads by those who read."""

    @property
    def latest(self) -> int:
        """What it has to know of the moment at which a read begins."""
        ...

    def next_change(self) -> int:
        """Number a transaction; asked by the holder of the write lock."""
        ...

    def announce(self, change: int) -> None:
        """COMMIT is about to be executed."""
        ...

    def enter(self, change: int, rows: Iterable[Row]) -> None:
        """COMMIT has returned."""
        ...

    def judge(self, versions: Mapping[Row, int], began: int) -> None:
        """A read has ended, and had begun when ``latest`` was ``began``."""
        ...


@dataclass(slots=True)
class Verdicts:
    """What the judge found in the reads of one pass."""

    stale: int = 0
    """Reads that began after a commit was acknowledged, and showed what was there before it."""
    dirty: int = 0
    """Reads that showed a change whose commit had not even begun."""
    oldest: float = 0.0
    """The longest time, in seconds, by which the end of a stale read came after the commit it missed."""


@dataclass(slots=True)
class Ledger:
    """The commits of one database: written by the writer's thread, consulted by the event loop.

    A commit is entered after COMMIT has returned, so no read is accused of missing one that was under way; it
    is announced before COMMIT begins, so no read is accused of seeing one too early.
    """

    verdicts: Verdicts = field(default_factory=Verdicts)
    latest: int = 0
    """The last change whose commit has been acknowledged."""
    _changes: count[int] = field(default_factory=lambda: count(1))
    _announced: set[int] = field(default_factory=lambda: {0})
    _commits: dict[Row, list[int]] = field(default_factory=dict)
    _moments: dict[int, float] = field(default_factory=dict)

    def next_change(self) -> int:
        """Number a transaction; to be called by the holder of the write lock."""
        return next(self._changes)

    def announce(self, change: int) -> None:
        """Say that COMMIT is about to be executed: from now on the change may be seen."""
        self._announced.add(change)

    def enter(self, change: int, rows: Iterable[Row]) -> None:
        """Say that COMMIT has returned: from now on the change must be seen."""
        self._moments[change] = time.perf_counter()
        for row in rows:
            self._commits.setdefault(row, []).append(change)
        # Last, so that whoever reads `latest` finds everything up to it.
        self.latest = change

    def judge(self, versions: Mapping[Row, int], began: int) -> None:
        """Judge a read that has just ended, and had begun when ``latest`` was ``began``."""
        stale = dirty = False
        for row, version in versions.items():
            if version not in self._announced:
                dirty = True
            required = self.required(row, began)
            if version < required:
                stale = True
                age = time.perf_counter() - self._moments[required]
                self.verdicts.oldest = max(self.verdicts.oldest, age)
        self.verdicts.stale += stale
        self.verdicts.dirty += dirty

    def required(self, row: Row, began: int) -> int:
        """The version of the row that a read must at least show if it began when ``latest`` was ``began``."""
        commits = self._commits.get(row)
        if commits is None:
            return 0
        position = bisect_right(commits, began)
        return commits[position - 1] if position else 0

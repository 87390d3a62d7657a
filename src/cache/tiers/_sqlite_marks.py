"""Marks: when each truth that entries of a file rest on was last invalidated.

Every invalidation of the file has a number, and the mark of a truth is the number of its last one. An entry keeps the
number that the file had reached before its load began, and is valid as long as none of the truths it rests on has a
higher mark; a truth without a mark was never invalidated. So one number proves everything about a load, and to
invalidate a tag or clear a space is one row, however many entries rest on it.

Marks would pile up for ever. A sweep goes round all entries in slices and drops those that are no longer valid; when
it is round, the marks that are older than its beginning have done their work. They are forgotten, and ``horizon``
remembers up to where: of a load that began before it nothing can be proved, so it is not stored. So that loads may
take their time, a sweep rests after each round.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from cache._tier import Moment
from cache.tiers._records import Damaged


class Marks:
    """The marks of one file, inside a transaction that somebody else began."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        #: Those that were looked up in this transaction, and are the same at its end.
        self._seen: dict[bytes, int] = {}

    def begin(self) -> None:
        """Know nothing of earlier transactions."""
        self._seen.clear()

    def state(self, columns: str) -> tuple[Any, ...]:
        """What the file says of itself."""
        query = f"SELECT {columns} FROM state"  # noqa: S608 - the columns are named in these rooms
        row: tuple[Any, ...] | None = self._execute(query).fetchone()
        if row is None:
            raise Damaged("its state is missing")
        return row

    def moment(self) -> Moment:
        """How many invalidations there have been."""
        return Moment(*self.state("file, number"))

    def of(self, name: bytes) -> int:
        """The mark of a truth; 0 if it has none."""
        mark = self._seen.get(name)
        if mark is None:
            row = self._execute("SELECT number FROM marks WHERE name = ?", (name,)).fetchone()
            mark = self._seen[name] = 0 if row is None else row[0]
        return mark

    def none_since(self, begun: int, names: Iterable[bytes]) -> bool:
        """Whether none of these was invalidated since that number."""
        return all(self.of(name) <= begun for name in names)

    def set(self, names: Sequence[bytes]) -> int:
        """These have changed, each at a number of its own; return the last one."""
        self._execute("UPDATE state SET number = number + ?", (len(names),))
        (last,) = self.state("number")
        for number, name in enumerate(names, last - len(names) + 1):
            self._execute("INSERT OR REPLACE INTO marks (number, name) VALUES (?, ?)", (number, name))
            self._seen[name] = number
        return int(last)

    def end_round(self, now: float) -> None:
        """All entries were looked at: what was marked before the sweep set out has no entry left to end."""
        self._execute("UPDATE state SET hand = 0, horizon = set_out, set_out = number, rested = ?", (now,))

    def forget(self, limit: int) -> None:
        """Drop the oldest, so many at a time, of which none is needed any more."""
        query = "DELETE FROM marks WHERE number IN (SELECT number FROM marks WHERE number <= ? ORDER BY number LIMIT ?)"
        self._execute(query, (*self.state("horizon"), limit))

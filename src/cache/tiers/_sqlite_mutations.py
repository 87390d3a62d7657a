"""Mutations: what changes just now, by whoever uses the file, and so must not be stored.

A mutation covers truths from before its body until after that, and each of them is marked when it is covered and again
when it is uncovered. As long as it is covered, nothing that rests on it is stored. When its owner has died in between,
nobody knows when the change was made: then it is marked and uncovered by whoever discovers that.

So readers need not look here. What they may be served was stored before the truth was covered, and the first mark has
ended that; or after it was uncovered, of a load that began after the second mark, or after the mark that the discovery
has left, and so after the change or the death of whoever was to make it. In between nothing is stored, and whoever
stores something looks, and thereby discovers the dead. Others do it at opening and sweeping, for the rows alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from cache.tiers._file_errors import FileBusy
from cache.tiers._owners import Owners
from cache.tiers._sqlite_marks import Marks


class Mutations:
    """The mutations in progress of one file, inside a transaction that somebody else began."""

    def __init__(self, connection: sqlite3.Connection, marks: Marks, owners: Owners) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._marks = marks
        self._owners = owners
        self.begin()

    def begin(self) -> None:
        """Know nothing of earlier transactions."""
        self._owners.begin()
        #: Who was found alive in this transaction, and whether there is any mutation.
        self._living: set[int] = set()
        self._any: bool | None = None

    def cover(self, number: int, names: Sequence[bytes]) -> None:
        """A mutation begins of these, which are marked in the same transaction.

        Raises ``OSError``, or `FileBusy` where the folder of the owners alone is to blame, if nobody could be told that
        this process has died.
        """
        try:
            owner = self._owners.cover(number)
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            reason = f"{error}; whoever mutates needs {self._owners.folder}: let its user own that folder, or delete it"
            raise FileBusy(self._owners.path, 0.0, reason) from error
        self._connection.executemany(
            "INSERT OR IGNORE INTO mutations (number, name, owner) VALUES (?, ?, ?)",
            ((number, name, owner) for name in names),
        )
        self._any = None

    def uncover(self, number: int) -> None:
        """It has ended, and what it covers was marked again; nothing if it is not of this owner, or of another file."""
        if self._owners.uncover(number):
            self._execute("DELETE FROM mutations WHERE number = ?", (number,))
            self._any = None

    def cover_any(self, names: Iterable[bytes]) -> bool:
        """Whether one of these is covered by somebody who is alive; of the dead, all are marked and uncovered."""
        if self._any is None:
            (any_,) = self._execute("SELECT EXISTS (SELECT 1 FROM mutations)").fetchone()
            self._any = bool(any_)
        return self._any and any(self._is_covered(name) for name in names)

    def bury_dead(self) -> None:
        """Mark and uncover what the dead had covered."""
        self.bury([owner for (owner,) in self._execute("SELECT DISTINCT owner FROM mutations") if self._is_dead(owner)])

    def bury(self, dead: Iterable[int]) -> None:
        """The same, of owners that are known to be dead."""
        for owner in dead:
            rows = self._execute("SELECT DISTINCT name FROM mutations WHERE owner = ?", (owner,)).fetchall()
            if rows:
                self._marks.set([name for (name,) in rows])
                self._execute("DELETE FROM mutations WHERE owner = ?", (owner,))

    def _is_covered(self, name: bytes) -> bool:
        owners = [owner for (owner,) in self._execute("SELECT owner FROM mutations WHERE name = ?", (name,))]
        dead = {owner for owner in owners if self._is_dead(owner)}
        self.bury(dead)
        return not dead.issuperset(owners)

    def _is_dead(self, owner: int) -> bool:
        if owner in self._living:
            return False
        if not self._owners.lives(owner):
            return True
        self._living.add(owner)
        return False

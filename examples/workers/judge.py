"""The judge, who has the logs of all workers: which reads showed less than what had been changed before they began."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

from examples.catalogue.ledger import Row, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from examples.workers.log import Read


class Record:
    """What was changed in the end, and from when on it had to be seen by everybody.

    ``journal`` has the rows of each change that was committed, ``ends`` the moment when the mutation that made it had
    ended. One that nobody has logged was that of a worker that was killed, and had ended when that was dead.
    """

    def __init__(self, journal: Mapping[int, AbstractSet[Row]], ends: Mapping[int, int], dead: int) -> None:
        self._journal = journal
        self._moments = {change: ends.get(change, dead) for change in journal}
        by_row: defaultdict[Row, list[tuple[int, int]]] = defaultdict(list)
        for change, rows in journal.items():
            for row in rows:
                by_row[row].append((self._moments[change], change))
        # Mutations need not end in the order of their commits: what had to be seen is the last commit of those over.
        self._ended = {row: sorted(pairs) for row, pairs in by_row.items()}
        self._required = {
            row: ([end for end, _ in ended], list(accumulate((change for _, change in ended), max)))
            for row, ended in self._ended.items()
        }

    def required(self, row: Row, began: int) -> int:
        """The version of the row that a read must at least show if it began at that moment."""
        ends, changes = self._required.get(row, ([], []))
        over = bisect_left(ends, began)
        return changes[over - 1] if over else 0

    def age(self, read: Read) -> float:
        """For how many seconds what it does not show had been over when the read began; 0 if it shows all."""
        missed = [
            end
            for row, version in read.versions.items()
            if version < self.required(row, read.began)
            for end, change in self._ended[row]
            if change > version
        ]
        return (read.began - min(missed)) / 1e9 if missed else 0.0

    def judge(self, reads: Iterable[Read]) -> Verdicts:
        """Judge every read."""
        verdicts = Verdicts()
        for read in reads:
            stale = dirty = False
            for row, version in read.versions.items():
                if version and row not in self._journal.get(version, ()):
                    dirty = True
                required = self.required(row, read.began)
                if version < required:
                    stale = True
                    verdicts.oldest = max(verdicts.oldest, (read.ended - self._moments[required]) / 1e9)
            verdicts.stale += stale
            verdicts.dirty += dirty
        return verdicts

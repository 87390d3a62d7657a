"""One pass: two crews, the second of which takes over where the first was stopped, and what was measured."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.workers.crew import Crew
from examples.workers.judge import Record
from examples.workers.log import Account, journal_of
from examples.workers.worker import WORKERS, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from examples.catalogue.ledger import Row
    from examples.workers.sharing import Sharing


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured in one pass; times are seconds."""

    seconds: float
    reads: int
    loads: int
    hits: int
    misses: int
    mutations: int
    """Those that committed something."""
    from_disk: int
    """Of the misses after the restart, those that were answered by the entries on disk."""
    missed_after: int
    """All misses after the restart."""
    stale: int
    dirty: int
    oldest: float

    @property
    def rate(self) -> float:
        """Reads per second, by all workers together."""
        return self.reads / self.seconds

    @property
    def hit_rate(self) -> float:
        """The share of the calls, nested ones included, that were answered from memory."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0

    @property
    def disk_rate(self) -> float:
        """The share of the misses after the restart that were answered from disk."""
        return self.from_disk / self.missed_after if self.from_disk else 0.0

    @property
    def is_sound(self) -> bool:
        """Whether no read was stale or dirty."""
        return not (self.stale or self.dirty)


@dataclass(frozen=True, slots=True)
class Shift:
    """The work of one crew: when it began, when none of it was alive any more, and what each worker has logged."""

    began: int
    gone: int
    accounts: Sequence[Account]

    @property
    def seconds(self) -> float:
        """From the beginning to the end of the last read."""
        return (max(read.ended for account in self.accounts for read in account.reads) - self.began) / 1e9

    def counts(self, moment: float = math.inf) -> Counter[str]:
        """What the workers had counted then, or in the end, together."""
        counts: Counter[str] = Counter()
        for account in self.accounts:
            counts.update(account.counts(moment))
        return counts


async def measure(database: Path, seconds: float, seed: int, sharing: Sharing | None) -> Figures:
    """Run one pass: half of the time by each crew, and one of the first killed at the end of it."""
    before, after = [await _shift(database, seconds / 2, seed, sharing, crew) for crew in (1, 2)]
    return _figures(before, after, journal_of(database))


async def _shift(database: Path, seconds: float, seed: int, sharing: Sharing | None, number: int) -> Shift:
    logs = [database.with_suffix(f".crew-{number}.worker-{worker}") for worker in range(1, WORKERS + 1)]
    tasks = [Task(str(database), str(log), f"{seed}/{log.suffixes}", sharing) for log in logs]
    async with Crew() as crew:
        began, gone = await crew.work(tasks, seconds, kill=number == 1)
    return Shift(began, gone, [Account.read(log) for log in logs])


def _figures(before: Shift, after: Shift, journal: Mapping[int, AbstractSet[Row]]) -> Figures:
    accounts = (*before.accounts, *after.accounts)
    reads = [read for account in accounts for read in account.reads]
    ends = {change: end for account in accounts for change, end in account.ends.items()}
    verdicts = Record(journal, ends, dead=before.gone).judge(reads)
    counts, after_counts = before.counts() + after.counts(), after.counts()
    return Figures(
        seconds=before.seconds + after.seconds,
        reads=len(reads),
        loads=counts["loads"],
        hits=counts["hits"],
        misses=counts["misses"],
        mutations=len(journal),
        from_disk=after_counts["backup_hits"],
        missed_after=after_counts["misses"],
        stale=verdicts.stale,
        dirty=verdicts.dirty,
        oldest=verdicts.oldest,
    )

"""One pass: two crews, the second of which takes over where the first was stopped, and what was measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.workers.crew import Crew
from examples.workers.judge import Record
from examples.workers.log import Account, journal_of
from examples.workers.worker import WORKERS, Sharing, Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from examples.workers.crew import Span


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


async def measure(database: Path, seconds: float, seed: int, sharing: Sharing | None) -> Figures:
    """Run one pass: half of the time by each crew, and one of the first killed at the end of it."""
    spans: list[Span] = []
    crews: list[list[Account]] = []
    for number, kill in enumerate((True, False)):
        logs = [database.with_suffix(f".crew-{number}.worker-{worker}") for worker in range(WORKERS)]
        tasks = [Task(str(database), str(log), f"{seed}/{log.suffixes}", sharing) for log in logs]
        async with Crew() as crew:
            spans.append(await crew.work(tasks, seconds / 2, kill=kill))
        crews.append([Account.read(log) for log in logs])
    return _figures(database, spans, crews)


def _figures(database: Path, spans: Sequence[Span], crews: Sequence[Sequence[Account]]) -> Figures:
    accounts = [account for crew in crews for account in crew]
    reads = [read for account in accounts for read in account.reads]
    ends = {change: end for account in accounts for change, end in account.ends.items()}
    journal = journal_of(database)
    verdicts = Record(journal, ends, dead=spans[0].ended).judge(reads)
    counts, after = _sum(accounts), _sum(crews[-1])
    return Figures(
        seconds=sum(span.ended - span.began for span in spans) / 1e9,
        reads=len(reads),
        loads=counts["loads"],
        hits=counts["hits"],
        misses=counts["misses"],
        mutations=len(journal),
        from_disk=after["backup_hits"],
        missed_after=after["misses"],
        stale=verdicts.stale,
        dirty=verdicts.dirty,
        oldest=verdicts.oldest,
    )


def _sum(accounts: Sequence[Account]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for account in accounts:
        counts.update(account.counts)
    return counts

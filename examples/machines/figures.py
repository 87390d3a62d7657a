"""What was measured: one pass of workers on two machines, told apart by what had become of their server."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from examples.workers.crew import Crew
from examples.workers.figures import Shift
from examples.workers.judge import Record
from examples.workers.log import Account, journal_of
from examples.workers.worker import WORKERS, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from examples.catalogue.ledger import Row
    from examples.machines.server import RedisServer
    from examples.workers.sharing import Sharing

BOUND: Final = 1.0
"""How many seconds a read may be behind what was changed on another machine: as it is by default."""
UNTIL_KILLED: Final = 0.3
AWAY: Final = 0.25
"""The shares of the time for which the server is there, and then is not."""
LATER: Final = BOUND + 0.25
"""How many seconds after the end everybody looks once more at what was changed: what is old then is stuck."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured in one phase; times are seconds."""

    seconds: float
    reads: int
    hits: int
    misses: int
    from_redis: int
    """Of the misses, those that were answered by Redis."""
    trips: int
    """To Redis and back, by whatever was sent together."""
    mutations: int
    """Those that committed something."""
    refused: int
    """Those that failed because nobody could be told of them, nearly all of them before they had begun."""
    behind: int
    """Reads that did not show what was over when they began."""
    worst: float
    """For how long that had been over at most."""
    late: int
    """Those of them for which it had been over for longer than the bound."""
    dirty: int
    stuck: int
    """Reads that were late when everything was over; they are those of the last phase."""

    @property
    def rate(self) -> float:
        """Reads per second, by all workers together."""
        return self.reads / self.seconds

    @property
    def memory_rate(self) -> float:
        """The share of the calls, nested ones included, that were answered from memory."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0

    @property
    def redis_rate(self) -> float:
        """The share of the calls that were answered by Redis."""
        return self.from_redis / (self.hits + self.misses) if self.from_redis else 0.0

    @property
    def hit_rate(self) -> float:
        """The share of the calls for which nothing was loaded."""
        return self.memory_rate + self.redis_rate

    @property
    def trips_per_read(self) -> float:
        """What a read took on average, with all that goes on beside it."""
        return self.trips / self.reads if self.reads else 0.0

    @property
    def is_sound(self) -> bool:
        """Whether no read was later than the bound, or of what never was."""
        return not (self.late or self.dirty or self.stuck)


async def measure(
    folders: Mapping[Path, Sharing], database: Path, seconds: float, seed: int, server: RedisServer | None = None
) -> list[Figures]:
    """Run one pass of workers with these folders, those of a folder sharing what is said there.

    If there is a server, it is away for a while, and there are figures of before, of that, and of what came after it.
    """
    tasks = [
        Task(str(database), str(folder / f"{database.stem}.{worker}"), f"{seed}/{folder.name}/{worker}", sharing, LATER)
        for folder, sharing in folders.items()
        for worker in range(WORKERS // len(folders))
    ]
    cuts: list[int] = []

    async def lose(server: RedisServer) -> None:
        for share, change in ((UNTIL_KILLED, server.kill), (AWAY, server.start)):
            await asyncio.sleep(share * seconds)
            await change()
            cuts.append(time.monotonic_ns())

    async with Crew() as crew:
        losing = None if server is None else partial(lose, server)
        began, gone = await crew.work(tasks, seconds, meanwhile=losing)
    shift = Shift(began, gone, [Account.read(Path(task.log)) for task in tasks])
    end = began + int((seconds + LATER) * 1e9)
    return _figures(shift, journal_of(database), [began, *cuts, end])


def _figures(shift: Shift, journal: Mapping[int, AbstractSet[Row]], cuts: Sequence[int]) -> list[Figures]:
    """What was measured between these moments; what was read after the last of them is asked for what is stuck."""
    ends = {change: end for account in shift.accounts for change, end in account.ends.items()}
    record = Record(journal, ends, dead=shift.gone)
    reads = sorted((read for account in shift.accounts for read in account.reads), key=attrgetter("began"))
    at = [bisect_left(reads, cut, key=attrgetter("began")) for cut in cuts]
    phases = []
    for begin, end, first, last in zip(cuts, cuts[1:], at, at[1:], strict=False):
        counts, phase = shift.counts(end) - shift.counts(begin), reads[first:last]
        ages = [age for age in map(record.age, phase) if age]
        phases.append(
            Figures(
                seconds=(max((read.ended for read in phase), default=end) - begin) / 1e9,
                reads=len(phase),
                hits=counts["hits"],
                misses=counts["misses"],
                from_redis=counts["backup_hits"],
                trips=counts["trips"],
                mutations=sum(begin <= change < end for change in journal),
                refused=counts["refused"],
                behind=len(ages),
                worst=max(ages, default=0.0),
                late=sum(age > BOUND for age in ages),
                dirty=record.judge(phase).dirty,
                stuck=0,
            )
        )
    stuck = sum(record.age(read) > BOUND for read in reads[at[-1] :])
    return [*phases[:-1], replace(phases[-1], stuck=stuck)]

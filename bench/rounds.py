"""Rounds: contenders take turns at one case, so that whatever disturbs the machine disturbs all of them.

Every process is started several times, because where things happen to lie in memory makes some percent of a time.
A ratio is taken within a round, of two times that lie next to each other, and its median over all rounds is reported.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from bench.environments import Environment
from bench.processes import Process, WorkerFailed


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of some values, one at least."""
        found = sorted(values)
        if len(found) == 1:
            return cls(found[0], found[0], found[0])
        low, median, high = statistics.quantiles(found, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Times:
    """Nanoseconds of one operation, a value for each round; ``bare`` those without a cache, where there are."""

    own: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Nanoseconds of one operation."""
        return statistics.median(self.own)

    def over(self, other: Times) -> Spread:
        """How many times as long as ``other`` it takes."""
        return Spread.of(own / theirs for own, theirs in zip(self.own, other.own, strict=True))

    def over_bare(self) -> Spread:
        """How many times as long as without a cache it takes."""
        return Spread.of(own / bare for own, bare in zip(self.own, self.bare, strict=True))


@dataclass(frozen=True)
class Effort:
    """How much is done: starts of the processes, rounds in each, and seconds of a round."""

    starts: int
    rounds: int
    heavy_rounds: int
    seconds: float


@dataclass(frozen=True)
class Contest:
    """One case and those who take part, us first. What is ``heavy`` takes seconds each time."""

    case: str
    entrants: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    loop: str = "asyncio"
    heavy: bool = False


@dataclass
class Outcome:
    """Of one contest: the times of those who gave the same answers as the first, and why others are missing."""

    times: dict[str, Times]
    missing: dict[str, str]


def measure(contest: Contest, environment: Environment, effort: Effort) -> Outcome:
    """Let all entrants give their answers, then take turns.

    Raises:
        WorkerFailed: the first of them failed, or one failed after it had given the right answers.

    """
    outcome = Outcome({}, {})
    for _ in range(1 if contest.heavy else effort.starts):
        with ExitStack() as stack:
            processes = [
                stack.enter_context(Process(environment, entrant, contest.loop))
                for entrant in contest.entrants
                if entrant not in outcome.missing
            ]
            processes = _agreeing(processes, contest, outcome)
            counts = {
                process.contender: 1 if contest.heavy else process.ask("count", seconds=effort.seconds)
                for process in processes
            }
            for turn in range(effort.heavy_rounds if contest.heavy else effort.rounds):
                at = turn % len(processes)
                for process in processes[at:] + processes[:at]:
                    own, bare = process.ask("round", count=counts[process.contender])
                    times = outcome.times.setdefault(process.contender, Times())
                    times.own.append(own)
                    if bare is not None:
                        times.bare.append(bare)
    return outcome


def _agreeing(processes: list[Process], contest: Contest, outcome: Outcome) -> list[Process]:
    agreeing: list[Process] = []
    wanted: Any = None
    for process in processes:
        try:
            answers = process.ask("prepare", case=contest.case, options=dict(contest.options))
        except WorkerFailed as failure:
            if not agreeing:
                raise
            outcome.missing[process.contender] = f"fails ({str(failure).splitlines()[-1]})"
            continue
        if not agreeing:
            wanted = answers
        if answers == wanted:
            agreeing.append(process)
        else:
            outcome.missing[process.contender] = "gives other answers"
    return agreeing

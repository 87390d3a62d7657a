"""How late reads were, of everything that was recorded; and what was still wrong when all was quiet.

In the process that has changed something nothing of before may be read when that has returned, and in any other for no
longer than the bound says.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.races.processes.ledger import DEATH, FORMAT, INVALIDATION, LAST, MUTATION, READ, Owed, Record, Stale


class Commit(NamedTuple):
    """A version, who has committed it, and whether in a mutation: of a mere invalidation nothing is owed before."""

    row: int
    version: int
    process: int
    has_window: bool


@dataclass
class Verdict:
    """What was done, and what of it was wrong."""

    bound: float
    done: Counter[int] = field(default_factory=Counter)
    hits: int = 0
    last_hits: int = 0
    #: Mutations that their process has not survived, though they had committed.
    died_committed: int = 0
    #: Reads that were late, by no more than the bound, and by how many seconds the worst.
    late: int = 0
    worst: float = 0.0
    stale: list[Stale] = field(default_factory=list)
    #: What was read when all was quiet, and is not what the source has.
    stuck: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        reads = self.done[READ] + self.done[LAST]
        return (
            f"{len(self.stale):,} stale reads of {reads:,}, {100 * self.hits / max(1, reads):.0f}% of them hits; "
            f"{self.late:,} of them late, by {self.worst:.3f} s at most, where {self.bound:g} s are allowed; "
            f"{self.done[MUTATION]:,} mutations and {self.done[INVALIDATION]:,} invalidations that ended, "
            f"{self.died_committed:,} mutations whose process died after the commit, {self.done[DEATH]:,} deaths; "
            f"{len(self.stuck)} values stuck"
        )


def by_process(folder: Path) -> dict[int, list[Record]]:
    """What each process has recorded."""
    found = {}
    for path in folder.glob("*.ledger"):
        data = path.read_bytes()
        found[int(path.stem)] = list(map(Record._make, FORMAT.iter_unpack(data[: len(data) - len(data) % FORMAT.size])))
    return found


def commits(path: Path) -> list[Commit]:
    """All that were ever made."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        found = connection.execute("SELECT row, version, process, has_window FROM commits").fetchall()
    return [Commit(row, version, process, bool(has_window)) for row, version, process, has_window in found]


def judge(records: Mapping[int, Iterable[Record]], committed: Iterable[Commit], bound: float) -> Verdict:
    """Hold every read against what had ended before it began, here and elsewhere."""
    verdict = Verdict(bound)
    reads: list[tuple[int, Record]] = []
    own: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    deaths: dict[int, int] = {}
    for process, recorded in records.items():
        for record in recorded:
            verdict.done[record.kind] += 1
            if record.kind in {READ, LAST}:
                reads.append((process, record))
            elif record.kind == DEATH:
                deaths[record.number] = min(record.ended, deaths.get(record.number, record.ended))
            else:
                own[process, record.row].append((record.ended, record.number))
    everywhere, final = _ends(verdict, own, deaths, committed)
    owed = {row: Owed(ends) for row, ends in everywhere.items()}
    owed_here = {where: Owed(ends) for where, ends in own.items()}
    for process, read in reads:
        verdict.hits += bool(read.ended)
        verdict.last_hits += bool(read.ended) and read.kind == LAST
        _hold(verdict, read, owed.get(read.row), owed_here.get((process, read.row)))
        if read.kind == LAST and read.number < final[read.row]:
            there = final[read.row]
            verdict.stuck.append(f"row {read.row} is {read.number} in {process}, and {there} in the source")
    return verdict


def _ends(
    verdict: Verdict,
    own: Mapping[tuple[int, int], list[tuple[int, int]]],
    deaths: Mapping[int, int],
    committed: Iterable[Commit],
) -> tuple[dict[int, list[tuple[int, int]]], dict[int, int]]:
    """By row, when each version had to be seen; and which one when all is quiet."""
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (_, row), ended in own.items():
        ends[row] += ended
    final: dict[int, int] = defaultdict(int)
    for commit in committed:
        is_ended = any(version == commit.version for _, version in own.get((commit.process, commit.row), ()))
        if not is_ended and commit.process in deaths:
            if not commit.has_window:
                continue  # nobody will ever tell of it
            verdict.died_committed += 1
            ends[commit.row].append((deaths[commit.process], commit.version))
        final[commit.row] = max(final[commit.row], commit.version)
    return ends, final


def _hold(verdict: Verdict, read: Record, everywhere: Owed | None, here: Owed | None) -> None:
    for owed, bound in ((here, 0.0), (everywhere, verdict.bound)):
        if owed is None:
            continue
        version, _ = owed.before(read.began)
        if read.number < version:
            late = (read.began - owed.since(read.number)) / 1e9
            if late > bound:
                verdict.stale.append(Stale(read.row, read.number, version, late))
                return
            verdict.late += 1
            verdict.worst = max(verdict.worst, late)

"""What a process has read and changed, written as it goes: of one that is killed, nothing is lost but its last record.

All times are of the monotonic clock, which is one for all processes of a machine, in nanoseconds.
"""

from __future__ import annotations

import os
import struct
import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

READ, LAST, MUTATION, INVALIDATION, DEATH = range(5)
FORMAT: Final = struct.Struct("<BBxxIqq")

now = time.monotonic_ns


class Record(NamedTuple):
    """Something that a process did, and when.

    A ``READ`` (or a ``LAST`` one, when all is quiet) has returned ``number``, a version, for ``row``; it began at
    ``began``, and ``ended`` is 0 if it had to load. A ``MUTATION`` or an ``INVALIDATION`` (one without a window) has
    committed version ``number`` of ``row``. A ``DEATH`` is that of process ``number``, at the latest at ``ended``.
    """

    kind: int
    row: int
    number: int
    began: int
    ended: int


class Ledger:
    """The records of one process."""

    def __init__(self, folder: Path, process: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(folder / f"{process}.ledger", flags, 0o600)

    def write(self, kind: int, row: int, number: int, began: int, ended: int) -> None:
        os.write(self._file, FORMAT.pack(kind, row, number, began, ended))

    def close(self) -> None:
        os.close(self._file)


def recorded(folder: Path) -> Iterator[Record]:
    for path in sorted(folder.glob("*.ledger")):
        data = path.read_bytes()
        yield from map(Record._make, FORMAT.iter_unpack(data[: len(data) - len(data) % FORMAT.size]))


class Commit(NamedTuple):
    """A version, and the process that has committed it in a mutation: as the source knows it."""

    row: int
    version: int
    process: int


class Stale(NamedTuple):
    """A read that returned less than what had been committed by a mutation that had ended."""

    row: int
    returned: int
    owed: int
    late: float  # seconds from the end of that mutation to the start of the read

    def __str__(self) -> str:
        return f"row {self.row}: {self.returned} was read {self.late:.4f} s after the mutation to {self.owed} had ended"


@dataclass
class Verdict:
    """What was done, and what of it was wrong."""

    done: Counter[int] = field(default_factory=Counter)
    hits: int = 0
    last_hits: int = 0
    #: Mutations that their process has not survived, though they had committed.
    died_committed: int = 0
    stale: list[Stale] = field(default_factory=list)

    def __str__(self) -> str:
        reads = self.done[READ] + self.done[LAST]
        return (
            f"{len(self.stale):,} stale reads of {reads:,}, {100 * self.hits / max(1, reads):.0f}% of them hits; "
            f"{self.done[MUTATION]:,} mutations and {self.done[INVALIDATION]:,} invalidations that ended, "
            f"{self.died_committed:,} mutations whose process died after the commit, {self.done[DEATH]:,} deaths"
        )


def judge(records: Iterable[Record], commits: Iterable[Commit]) -> Verdict:
    """A read owes what was committed by every mutation that had returned, or died with its process, before it began."""
    verdict = Verdict()
    reads: list[Record] = []
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
    ended: set[tuple[int, int]] = set()
    deaths: dict[int, int] = {}
    for record in records:
        verdict.done[record.kind] += 1
        if record.kind in {READ, LAST}:
            reads.append(record)
        elif record.kind == DEATH:
            deaths[record.number] = min(record.ended, deaths.get(record.number, record.ended))
        else:
            ends[record.row].append((record.ended, record.number))
            ended.add((record.row, record.number))
    for commit in commits:
        if (commit.row, commit.version) not in ended and commit.process in deaths:
            verdict.died_committed += 1
            ends[commit.row].append((deaths[commit.process], commit.version))
    owed = {row: Owed(of_row) for row, of_row in ends.items()}
    for read in reads:
        verdict.hits += bool(read.ended)
        verdict.last_hits += bool(read.ended) and read.kind == LAST
        if read.row in owed:
            version, since = owed[read.row].before(read.began)
            if read.number < version:
                verdict.stale.append(Stale(read.row, read.number, version, (read.began - since) / 1e9))
    return verdict


class Owed:
    """The newest version of a row that had to be seen, at any time."""

    def __init__(self, ends: list[tuple[int, int]]) -> None:
        self._times: list[int] = [0]
        self._versions: list[int] = [0]
        for ended, version in sorted(ends):
            if version > self._versions[-1]:
                self._times.append(ended)
                self._versions.append(version)

    def since(self, returned: int) -> int:
        """When more than this version was owed for the first time; it was."""
        return self._times[bisect_right(self._versions, returned)]

    def before(self, moment: int) -> tuple[int, int]:
        """The version that a read owes which begins then, and since when."""
        at = bisect_left(self._times, moment) - 1
        return self._versions[at], self._times[at]

"""Studies: what is no contest between rounds, but a figure of its own: memory, growth, pauses, hit ratios."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.contenders import FORMER, OURS, PEERS, REFERENCES, S3FIFO
from bench.environments import Environment
from bench.processes import Process, WorkerFailed
from bench.table import table
from bench.verdicts import Cell, Line, short

#: Bounds: bytes of an entry, growth from the smallest to the largest cache, milliseconds, part of the memory.
BYTES, GROWTH, MEMBERS, PAUSE, GIVEN_BACK = 200, 10, 3, 2.0, 0.9
#: Entries from which on the memory they take can be told from the rest of the process.
MANY = 1_000_000
#: How far two hit ratios may be apart and still be the same, in points.
SAME, SIMILAR = 0.005, 0.5


@dataclass(frozen=True)
class Extent:
    """How far the studies go."""

    entries: int
    sizes: tuple[int, ...]
    rounds: int
    large: int
    requests: int


@dataclass
class Found:
    """Lines for the table of targets, and a section with everything."""

    lines: list[Line]
    section: str


def study(environment: Environment, contender: str, name: str, **options: Any) -> Any:
    """Ask a process that does nothing else."""
    with Process(environment, contender) as process:
        return process.ask("study", name=name, options=options)


def memory(environments: Iterable[Environment], extent: Extent) -> Found:
    """Bytes of an entry beyond key and value."""
    lines = []
    for keep in ("lru", "ttl"):
        line = Line(f"memory of an entry beyond key and value, {keep.upper()}", f"≤ {BYTES} B")
        for made in environments:
            found = study(made, OURS, "memory", entries=extent.entries, keep=keep, exact=True)
            line.cells[made.version] = Cell(f"{found:.0f} B", met=found <= BYTES)
        lines.append(line)
    rows = []
    for name in (OURS, *PEERS, FORMER):
        row = [name]
        for made in environments:
            try:
                row.append(f"{study(made, name, 'memory', entries=extent.entries, keep='lru', exact=False):.0f} B")
            except WorkerFailed:
                row.append("fails")
        rows.append(row)
    text = f"By which the process grew, for each of {extent.entries:,} entries, beyond key and value:\n\n"
    return Found(lines, text + table(["LRU", *_pythons(environments)], rows))


def growth(environments: Iterable[Environment], extent: Extent) -> Found:
    """What every operation costs from the smallest cache to the largest."""
    small, large = extent.sizes[0], extent.sizes[-1]
    lines: dict[str, Line] = {}
    sections = []
    for made in environments:
        found = study(made, OURS, "growth", sizes=list(extent.sizes), rounds=extent.rounds)
        for name, times in found.items():
            bound = MEMBERS if "tag" in name else GROWTH
            line = Line(f"{name}, from {small:,} to {large:,} entries", f"≤ {bound} x")
            factor = times[-1] / times[0]
            lines.setdefault(name, line).cells[made.version] = Cell(f"{short(factor)} x", met=factor <= bound)
        rows = [[name, *(f"{short(time / 1000)} µs" for time in times)] for name, times in found.items()]
        head = [f"Python {made.version}", *(f"{size:,} entries" for size in extent.sizes)]
        sections.append(table(head, rows))
    return Found(list(lines.values()), "\n\n".join(sections))


def pauses(environments: Iterable[Environment], extent: Extent) -> Found:
    """For how long the loop is held up, and what memory is given back."""
    options = {"size": extent.large, "inserts": extent.large // 2}
    lines: dict[str, Line] = {}
    back = Line(f"memory given back by `clear` of {extent.large:,} entries", f"≥ {GIVEN_BACK:.0%}")
    sections = []
    for made in environments:
        lru, s3fifo, bare = (
            study(made, contender, name, **options)
            for contender, name in ((OURS, "pauses"), (S3FIFO, "pauses"), (OURS, "bare pauses"))
        )
        for name, (longest, _) in lru.items():
            line = Line(f"longest pause at {extent.large:,} entries: {name}", f"≤ {PAUSE:g} ms")
            lines.setdefault(name, line).cells[made.version] = Cell(f"{longest:.2f} ms", met=longest <= PAUSE)
        rows = [
            [
                name,
                *(f"{found[name][0]:.2f} ms" if name in found else "" for found in (lru, s3fifo, bare)),
                f"{lru[name][1]:.1f} ms",
            ]
            for name in lru
        ]
        head = [f"Python {made.version}", "lru", "s3fifo", "a bare dict", "collections, lru"]
        sections.append(table(head, rows))
        memory = study(made, OURS, "given back", size=extent.large)
        part = 1 - memory["left"] / memory["full"]
        # What a small cache takes is little beside what the allocator keeps for the next one.
        back.cells[made.version] = Cell(f"{part:.0%}", met=part >= GIVEN_BACK if extent.large >= MANY else None)
    text = (
        f"The longest turn of the loop in caches of {extent.large:,} entries, as time of its thread. What a bare dict\n"
        "takes for the same is CPython's own: its table is copied as a whole when it is full. The last column is the\n"
        "longest run of Python's garbage collector meanwhile, which is not in the others.\n\n"
    )
    return Found([*lines.values(), back], text + "\n\n".join(sections))


def hit_ratios(made: Environment, extent: Extent) -> Found:
    """Hit ratios of our policies, and of others that are known to be right."""
    ours = study(made, OURS, "ratios", policies=["lru", "s3fifo"], requests=extent.requests)
    others = ["LRU of cachetools", "S3-FIFO by the paper"]
    if made.has_references:
        others += ["LRU of libCacheSim", "S3-FIFO of libCacheSim"]
    known = study(made, REFERENCES, "ratios", policies=others, requests=extent.requests)
    lines = []
    for policy, reference, most in (("lru", others[0], SAME), ("s3fifo", others[1], SIMILAR)):
        furthest = max(abs(ours[trace][policy] - known[trace][reference]) for trace in ours)
        cell = Cell(f"{furthest:.2f} points", met=furthest <= most)
        what = f'hit ratios of `policy="{policy}"`, from those of {reference}'
        lines.append(Line(what, "the same" if most == SAME else f"within {most:g} points", {made.version: cell}))
    head = ["hits of 100 requests", "lru", "s3fifo", *others]
    rows = [
        [trace, *(f"{ours[trace][name]:.2f}" for name in ("lru", "s3fifo")), *(f"{of[name]:.2f}" for name in others)]
        for trace, of in known.items()
    ]
    return Found(lines, table(head, rows))


def _pythons(environments: Iterable[Environment]) -> list[str]:
    return [f"Python {made.version}" for made in environments]

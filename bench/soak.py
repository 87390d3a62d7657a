"""The soak: millions of operations on one set of caches, in constant memory. Plots memory and latency over time.

    python -m bench.soak [--operations 10000000] [--seed 1] [--plot docs/soak.png]

The exit status is 1 if the memory has grown, or if something is left that should have ended.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from bench.actors import ROOM, Town
from bench.environments import TOP
from bench.memory import resident
from bench.plot import plot
from cache import shutdown
from cache.testing import assert_quiet

#: Actors at work at the same time; points in the plot; by how much memory may end above what it was early on.
ACTORS, POINTS, GROWTH = 8, 200, 1.05
#: Operations from which on growth is judged.
ENOUGH = 500_000
#: Turns of the loop in which the contents of closed caches are freed.
SETTLING = 100


@dataclass
class Course:
    """What was seen, a value for each point in time: bytes, and microseconds of an operation."""

    operations: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    typical: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    longest: list[float] = field(default_factory=list)
    happened: dict[str, int] = field(default_factory=dict)

    @property
    def growth(self) -> float:
        """Memory in the last quarter as a multiple of that in the second, when all caches had long been full."""
        quarter = max(1, len(self.memory) // 4)
        return median(self.memory[-quarter:]) / median(self.memory[quarter : 2 * quarter] or self.memory)


async def soak(operations: int, seed: int, room: int = ROOM) -> Course:
    """Do so many operations, and watch."""
    town, course, numbers = Town(seed, room), Course(), iter(range(operations))
    step = max(2, operations // POINTS)
    times: list[int] = []

    def note() -> None:
        course.operations.append(step + (course.operations[-1] if course.operations else 0))
        course.memory.append(resident())
        course.typical.append(median(times) / 1e3)
        course.slow.append(quantiles(times, n=100)[98] / 1e3)
        course.longest.append(max(times) / 1e3)
        times.clear()
        if sys.stderr.isatty():
            print(f"\r{course.operations[-1]:,} of {operations:,} operations ", end="", file=sys.stderr, flush=True)

    async def actor() -> None:
        for number in numbers:
            began = time.perf_counter_ns()
            await town.act()
            times.append(time.perf_counter_ns() - began)
            if len(times) >= step:
                note()
            if number % 16 == 0:  # hits do not suspend: let the others have their turn
                await asyncio.sleep(0)

    await asyncio.gather(*[actor() for _ in range(ACTORS)])
    course.happened = {what: int(number) for what, number in town.person.get_metrics().items() if what != "hit_rate"}
    await shutdown()
    for _ in range(SETTLING):
        await asyncio.sleep(0)
    return course


def main() -> int:
    """Run, plot, and judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Watch memory and latency for long.")
    parser.add_argument("--operations", type=int, default=10_000_000, metavar="N", help="ten million by default")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is done")
    parser.add_argument("--plot", type=Path, default=TOP / "docs" / "soak.png", metavar="FILE", help="the picture")
    options = parser.parse_args()
    began = time.perf_counter()
    course = asyncio.run(soak(options.operations, options.seed))
    seconds = time.perf_counter() - began
    gc.collect()
    assert_quiet()
    plot(course, options.plot)
    happened = ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in course.happened.items())
    print(f"\nOf the function that others call: {happened}.")
    print(
        f"{options.operations:,} operations in {seconds:.0f} s. Memory at the end: {course.growth:.3f} times that of "
        f"the second quarter, {course.memory[-1] / 1e6:.1f} MB. Plotted to {options.plot}."
    )
    if options.operations < ENOUGH:
        print(f"That says nothing of its growth: it takes {ENOUGH:,} operations until all that is kept is there.")
    elif course.growth > GROWTH:
        print(f"It has grown: more than {GROWTH} times is too much.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure everything: one table on the terminal, and in docs/benchmarks.md.

    python -m bench [--quick] [--python 3.11 ...] [--only WORD]

``QUICK=1`` in the environment is ``--quick``: fewer rounds, fewer contenders, smaller caches. Targets that are missed
are marked, and never fail the run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench import report, studies
from bench.environments import TOP, Environment, InstallationFailed, environment, installed_versions
from bench.questions import AT_A_SERVER, HITS, LOADS, SHARED, TOOLS, Question
from bench.rounds import Effort, Outcome, measure
from bench.studies import Extent, Found
from bench.verdicts import Line, lines_of

DOCUMENT = TOP / "docs" / "benchmarks.md"

THOROUGH = Effort(starts=3, rounds=5, heavy_rounds=3, seconds=0.03)
QUICK = Effort(starts=1, rounds=5, heavy_rounds=1, seconds=0.008)

FAR = Extent(entries=100_000, sizes=(1_000, 10_000, 100_000, 1_000_000), rounds=9, large=1_000_000, requests=400_000)
HUGE = Extent(FAR.entries, (*FAR.sizes, 10_000_000), FAR.rounds, FAR.large, FAR.requests)
NEAR = Extent(entries=20_000, sizes=(1_000, 10_000, 100_000), rounds=5, large=100_000, requests=60_000)


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    quick: bool
    versions: tuple[str, ...]
    only: str
    huge: bool

    @property
    def extent(self) -> Extent:
        """How far the studies go."""
        return NEAR if self.quick else HUGE if self.huge else FAR


def main() -> int:
    """Run the suite; the exit status is 1 if something could not be measured at all."""
    options = _options()
    try:
        environments = [environment(version) for version in options.versions]
    except InstallationFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    outcomes = _contests(options, environments, (*HITS, *LOADS, *TOOLS))
    shared = _contests(options, environments, SHARED)
    remote = _contests(options, environments, AT_A_SERVER)
    found = _studies(options, environments)
    lines = [*_lines(outcomes), *(line for part in found.values() for line in part.lines)]
    sections = {name: part.section for name, part in found.items()}
    if remote:
        sections = {"A server": report.remote(_lines(remote), remote, options.versions), **sections}
    if shared:
        sections = {"Buses and tiers": report.sharing(_lines(shared), shared, options.versions), **sections}
    text = report.document(lines, outcomes, sections, options.versions)
    print(text)
    if not options.only:
        DOCUMENT.write_text(text, encoding="utf-8")
    return 0


def _lines(outcomes: report.Outcomes) -> list[Line]:
    return [line for question, by_version in outcomes.items() for line in lines_of(question, by_version)]


def _contests(
    options: Options, environments: list[Environment], questions: Iterable[Question]
) -> dict[Question, dict[str, Outcome]]:
    effort = QUICK if options.quick else THOROUGH
    outcomes: dict[Question, dict[str, Outcome]] = {}
    for known in questions:
        if options.only not in known.what:
            continue
        question = known.brief() if options.quick else known
        for made in environments:
            with _Told(f"{question.what}, Python {made.version}"):
                outcomes.setdefault(question, {})[made.version] = measure(question.contest, made, effort)
    return outcomes


def _studies(options: Options, environments: list[Environment]) -> dict[str, Found]:
    # The oldest and the newest version; with a few of them, the middle ones would say nothing new.
    ends = environments[:1] if options.quick else [*environments[:1], *environments[1:][-1:]]
    extent = options.extent
    wanted: dict[str, Callable[[], Found]] = {
        "Memory": lambda: studies.memory(ends, extent),
        "Growth": lambda: studies.growth(ends, extent),
        "Pauses": lambda: studies.pauses(ends, extent),
        "Hit ratios": lambda: studies.hit_ratios(environments[0], extent),
    }
    found = {}
    for name, run in wanted.items():
        if options.only in name:
            with _Told(name):
                found[name] = run()
    return found


class _Told:
    """Says on standard error what is being measured, and for how long."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = 0.0

    def __enter__(self) -> None:
        print(self._what, end=" ", file=sys.stderr, flush=True)
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        print(f"({time.perf_counter() - self._began:.1f} s)", file=sys.stderr, flush=True)


def _options() -> Options:
    known = installed_versions()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the cache, and others beside it.")
    parser.add_argument("--quick", action="store_true", help="in under two minutes; also QUICK=1")
    parser.add_argument("--python", action="append", choices=known, help="only this version; may be repeated")
    parser.add_argument("--only", default="", metavar="WORD", help="only what contains it; writes no document")
    parser.add_argument("--huge", action="store_true", help="growth up to ten million entries, in about 6 GB")
    arguments = parser.parse_args()
    quick = arguments.quick or os.environ.get("QUICK", "") not in ("", "0")
    return Options(quick, tuple(arguments.python or known), arguments.only, arguments.huge)


if __name__ == "__main__":
    sys.exit(main())

"""Runs a scenario under every schedule there is, under many, or under one that is given.

The ways are well known: run the real code again from its beginning for each schedule (Godefroid's VeriSoft),
and bound how often anything comes in before its turn (Musuvathi and Qadeer's CHESS).
"""

from __future__ import annotations

import gc
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from ._judge import KINDS, Finding
from ._plan import DepthFirst, Given, Loose, Sampled, parse, spell
from ._report import Loads, Outcome, Report, Violation
from ._trial import attempt, check_scenario

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._plan import Plan
    from ._trial import Scenario, Trial

_SHRINKING = 300
"""How many runs may be spent on making a sampled schedule simpler."""


def explore(
    scenario: Scenario,
    *,
    max_schedules: int = 20_000,
    samples: int = 2_000,
    seed: int = 0,
    preemptions: int = 0,
    stop_on_first: bool = True,
    allow: Iterable[str] = (),
) -> Report:
    """Run a scenario under all its schedules and report what went wrong; `report.check()` raises if any did.

    Each schedule is run once. If there are more than `max_schedules`, another `samples` are chosen at random
    from `seed`, and the report says that it is not complete. Something comes in only when nothing else can
    run, except for up to `preemptions` times in a schedule, where it comes in between any two callbacks of
    the event loop. With `stop_on_first` the first schedule that shows a violation ends the search. The kinds
    of violation in `allow` are left out: name what the code under test does not promise, such as
    "stale-commit".

    Raises ValueError or TypeError for wrong arguments or a mistake in the scenario, and RuntimeError if the
    scenario does not do the same when it is run again, or if called inside a running event loop.
    """
    for name, value in (("max_schedules", max_schedules), ("samples", samples), ("preemptions", preemptions)):
        if value < 0:
            raise ValueError(f"{name}={value!r} is no count: give 0 or more")
    if not max_schedules and not samples:
        raise ValueError("max_schedules=0 and samples=0 leave nothing to run: make one of them greater")
    check_scenario(scenario)
    search = _Search(scenario, preemptions, _kinds(allow), stop_on_first=stop_on_first)
    complete = search.visit_all(max_schedules)
    if not complete and not search.is_over():
        search.visit_some(samples, random.Random(seed))  # noqa: S311 - a reproducible choice, no secret
    return search.report(complete=complete)


def replay(scenario: Scenario, schedule: str, *, allow: Iterable[str] = ()) -> Outcome:
    """Run a scenario under one schedule, as printed by a report, and return all that is known of the run.

    Raises ValueError if the schedule is malformed or does not fit the scenario.
    """
    picks, preemptions = parse(schedule)
    check_scenario(scenario)
    return _replayed(scenario, picks, preemptions, _kinds(allow))


def _kinds(allow: Iterable[str]) -> frozenset[str]:
    kinds = frozenset([allow] if isinstance(allow, str) else allow)
    if unknown := kinds - KINDS.keys():
        raise ValueError(f"allow={sorted(unknown)} is no kind of violation; these are: {', '.join(KINDS)}")
    return kinds


def _replayed(scenario: Scenario, picks: list[int], preemptions: int, allow: frozenset[str]) -> Outcome:
    late: list[tuple[str, str]] = []
    plan = Given(picks)
    trial = attempt(scenario, plan, preemptions, allow=allow, late=late, tracing=True)
    plan.check_finished()
    gc.collect()  # what is lost in a cycle of references complains only now
    findings = trial.findings
    if "unhandled" not in allow:
        findings += [Finding("unhandled", text) for _, text in late]
    schedule, trace = spell(picks, preemptions), tuple(trial.trace)
    violations = tuple(Violation(kind, text, schedule, trace) for kind, text in findings)
    loads = {row: count for row, (count, _) in trial.loads.items()}
    return Outcome(schedule, violations, trace, trial.results, loads)


class _Search:
    """Runs a scenario many times and keeps the books."""

    def __init__(self, scenario: Scenario, preemptions: int, allow: frozenset[str], *, stop_on_first: bool) -> None:
        self._scenario = scenario
        self._preemptions = preemptions
        self._allow = allow
        self._stop_on_first = stop_on_first
        self._late: list[tuple[str, str]] = []
        self._schedules = 0
        self._counts: Counter[str] = Counter()
        self._violations: dict[str, Violation] = {}
        self._loads: dict[tuple[str, Any], list[int]] = {}

    def is_over(self) -> bool:
        """Whether what was found is enough."""
        return self._stop_on_first and bool(self._violations)

    def visit_all(self, limit: int) -> bool:
        """Visit at most `limit` schedules, each once, and return whether there are no more."""
        plan = DepthFirst()
        for _ in range(limit):
            trial = self._attempt(plan)
            self._enter(trial)
            if self.is_over():
                return False
            if not plan.advance():
                return True
        return False

    def visit_some(self, samples: int, rng: random.Random) -> None:
        """Visit schedules at random."""
        for _ in range(samples):
            trial = self._attempt(Sampled(rng))
            self._enter(trial, shrink=True)
            if self.is_over():
                return

    def report(self, *, complete: bool) -> Report:
        """Close the books."""
        gc.collect()  # what is lost in a cycle of references complains only now
        late = {} if "unhandled" in self._allow else dict(self._late)
        for schedule, text in late.items():
            self._count(Finding("unhandled", text), parse(schedule)[0])
        loads = {
            row: Loads(maximum, total / self._schedules, concurrent)
            for row, (maximum, total, concurrent) in self._loads.items()
        }
        violations = tuple(self._violations.values())
        return Report(self._schedules, complete, violations, self._counts, loads)

    def _attempt(self, plan: Plan) -> Trial:
        return attempt(self._scenario, plan, self._preemptions, allow=self._allow, late=self._late)

    def _enter(self, trial: Trial, *, shrink: bool = False) -> None:
        self._schedules += 1
        for row, (count, concurrent) in trial.loads.items():
            sums = self._loads.setdefault(row, [0, 0, 0])
            sums[0] = max(sums[0], count)
            sums[1] += count
            sums[2] = max(sums[2], concurrent)
        firsts: dict[str, Finding] = {}
        for finding in trial.findings:
            firsts.setdefault(finding.kind, finding)
        for kind, finding in firsts.items():
            is_new = kind not in self._violations
            self._count(finding, self._shrunk(trial, kind) if shrink and is_new else trial.picks)

    def _count(self, finding: Finding, picks: list[int]) -> None:
        """Count a finding of one schedule; the first of its kind is replayed for its trace."""
        kind, text = finding
        self._counts[kind] += 1
        if kind in self._violations:
            return
        outcome = _replayed(self._scenario, picks, self._preemptions, self._allow)
        again = next((violation for violation in outcome.violations if violation.kind == kind), None)
        self._violations[kind] = again or Violation(
            kind, text, outcome.schedule, (*outcome.trace, "  (seen once, and not again when replayed)")
        )

    def _shrunk(self, trial: Trial, kind: str) -> list[int]:
        """Return the picks of a schedule that shows the same with fewer of them out of the ordinary."""
        best = trial
        runs = 0
        place = 0
        while place < len(best.picks) and runs < _SHRINKING:
            if best.picks[place]:
                runs += 1
                simpler = self._attempt(Loose([*best.picks[:place], 0, *best.picks[place + 1 :]]))
                if simpler.shows(kind) and _oddity(simpler) < _oddity(best):
                    best, place = simpler, 0
                    continue
            place += 1
        return best.picks


def _oddity(trial: Trial) -> tuple[int, int]:
    return sum(map(bool, trial.picks)), len(trial.picks)

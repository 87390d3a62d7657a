"""Every scenario under every schedule, or under many: no property is broken in any."""

from __future__ import annotations

import pytest

from cache.testing import KINDS, Report, explore
from tests.races import (
    callers,
    core,
    keys,
    loops,
    nesting,
    sharing,
    tags,
    tier_changes,
    tier_ends,
    tier_levels,
    tier_mutants,
    tiers,
    tiers_and_buses,
    tools,
    variants,
)
from tests.races.catalogue import SCENARIOS, Entry
from tests.races.conftest import Explored
from tests.races.mutants import MUTANTS, Mutant

ROOMS = (
    callers,
    core,
    keys,
    loops,
    nesting,
    sharing,
    tags,
    tier_changes,
    tier_ends,
    tier_levels,
    tier_mutants,
    tiers,
    tiers_and_buses,
    tools,
    variants,
)

#: Schedules of a scenario that is sampled: in a quick run, and in a deep one.
SAMPLES, DEEP_SAMPLES = 250, 1_200
#: A scenario with more schedules than this is sampled, even if it is on the list as small.
ALL = 4_000


def run(entry: Entry, *, deep: bool, preemptions: int) -> Report:
    samples = (DEEP_SAMPLES if deep else SAMPLES) // (4 if entry.costly else 1)
    return explore(
        entry.scenario,
        max_schedules=ALL if entry.small and not preemptions else 0,
        samples=samples,
        preemptions=preemptions,
        allow=entry.allow,
    )


@pytest.mark.parametrize("preemptions", [0, 2], ids=["coarse", "fine"])
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_no_schedule_breaks_a_promise(name: str, preemptions: int, deep: bool, explored: Explored) -> None:
    report = run(SCENARIOS[name], deep=deep, preemptions=preemptions)
    explored.add(report)
    report.check()
    assert report.schedules > 1
    if SCENARIOS[name].small and not preemptions:
        assert report.complete, f"{name} has more than {ALL} schedules: it is not small"


def test_two_readers_and_two_mutations_under_every_schedule(deep: bool, explored: Explored) -> None:
    limit = 200_000 if deep else 0
    report = explore(SCENARIOS["two_readers_and_two_mutations"].scenario, max_schedules=limit, samples=2_000)
    explored.add(report)
    report.check()
    assert report.complete == deep


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_rule_that_is_switched_off_is_noticed(name: str, explored: Explored) -> None:
    mutant: Mutant = MUTANTS[name]
    entry = SCENARIOS[mutant.caught_by]
    with mutant.broken():
        report = explore(
            entry.scenario,
            max_schedules=ALL if entry.small else 0,
            samples=4_000,
            allow=entry.allow | (KINDS.keys() - {mutant.shows}),
        )
    assert report.violations, f"with {name}, {entry.name} was never {mutant.shows} in {report.schedules} schedules"
    assert "Error(" not in report.violations[0].text or mutant.shows == "innocents", "it fails, and shows nothing"
    explored.mutants += 1

"""Every order of scripts, messages and commits, with all that happens to machines: nothing is stale, nothing is stuck.

A few rules are there for something else than that, and for each of them it is said what.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.races.machines.model import Fleet
from tests.races.machines.protocol import INNER, OUTER, Mutation, Rules
from tests.races.processes.search import explore

BY_P = (Mutation(0),)
BY_BOTH = (Mutation(0), Mutation(1))
PLAIN = (Mutation(0, is_plain=True),)

#: What P reads, by whom all but one mutation is made, and what Q does.
NOTHING, INNERS, OUTERS, EVERYTHING = (), (INNER,), (OUTER,), (INNER, OUTER)
P_READS = (INNERS, NOTHING)
Q_READS = (NOTHING, INNERS)
BOTH_READ = (INNERS, INNERS)

#: Something has been stored by Q before anything else happens,
STORED = (
    "Q begins to read",
    "Q fetches",
    "Q is to load",
    "Q reads",
    "Q ends",
    "Q writes",
    "Q's fill",
)
#: or in the middle of a mutation whose window has lapsed.
STORED_LATE = ("A: open", "A: begin", "Q hears of begin", "A: its window lapses", "Q drops", *STORED)


def of_q(**options: Any) -> Fleet:
    """P changes something once, and Q reads."""
    return replace(Fleet(BY_P, reads=Q_READS), **options)


def of_p(**options: Any) -> Fleet:
    """P changes something once, and reads."""
    return replace(Fleet(BY_P, reads=P_READS), **options)


@dataclass(frozen=True)
class Explored:
    fleet: Fleet
    states: int


#: As many states as there are: a model that has become smaller proves less.
FLEETS = {
    "another process reads": Explored(of_q(), 1_500),
    "the same process reads": Explored(of_p(), 1_600),
    "processes that die, and old proofs": Explored(of_q(crashes=True, lapses=True), 34_000),
    "a reader that loses its subscription": Explored(of_q(losses=(0, 1)), 16_000),
    "a mutator that loses its subscription": Explored(of_p(losses=(1, 0)), 16_000),
    "proofs that are under way": Explored(of_q(losses=(0, 1), slow_beats=True), 22_000),
    "evictions": Explored(of_q(evictions=1), 14_000),
    "a mutation that takes too long": Explored(of_q(crashes=True, overruns=True), 6_000),
    "an end that cannot be told": Explored(of_q(overruns=True, failing_ends=True), 14_000),
    "and its own process": Explored(
        Fleet(BY_P, overruns=True, failing_ends=True, patient=(0,), past=STORED_LATE), 1_300
    ),
    "an invalidation without a body": Explored(Fleet(PLAIN, reads=BOTH_READ), 23_000),
    "and a lost subscription": Explored(Fleet(PLAIN, reads=P_READS, losses=(1, 0)), 7_000),
    "a value that is computed from another": Explored(of_q(reads=(NOTHING, OUTERS), crashes=True), 12_000),
    "a refresh": Explored(of_q(reads=(NOTHING, NOTHING), refreshes=1), 4_000),
    "a refresh of what others rest on": Explored(Fleet(reads=(OUTERS,), refreshes=1, silent=1), 450),
    "threads": Explored(of_q(crashes=True, fine=True), 5_600),
    "a restart": Explored(of_q(restarts=1, past=STORED), 44_000),
    "a holder that dies": Explored(Fleet(crashes=True), 100),
    "other stamps": Explored(Fleet(evictions=1, evicts=("stamps",), losses=(0, 1)), 5_000),
}

#: Greater ones, for a deep run.
DEEP_FLEETS = {
    "both read": Explored(Fleet(BY_P), 140_000),
    "both read, and die": Explored(Fleet(BY_P, crashes=True), 150_000),
    "two mutations": Explored(Fleet(BY_BOTH, reads=Q_READS), 130_000),
    "two mutations of one process": Explored(of_q(mutations=(*BY_P, *BY_P)), 250_000),
    "a subscription lost twice": Explored(of_q(losses=(0, 2)), 41_000),
    "an eviction and a lost subscription": Explored(of_q(evictions=1, losses=(0, 1)), 137_000),
    "a restart at any time, and deaths": Explored(of_q(restarts=1, crashes=True), 150_000),
    "a restart for those who change": Explored(of_p(restarts=1), 200_000),
    "a window that is renewed, or lapses": Explored(
        of_q(crashes=True, overruns=True, renews=True, losses=(0, 1)), 270_000
    ),
    "a refresh and reads": Explored(of_q(refreshes=1), 78_000),
    "a refresh elsewhere": Explored(Fleet(reads=(INNERS, OUTERS), refreshes=1, silent=1), 100_000),
    "everything is read": Explored(of_q(reads=(NOTHING, EVERYTHING)), 10_000),
    "without a body and with one": Explored(Fleet((*PLAIN, Mutation(1)), reads=P_READS), 30_000),
}


@pytest.mark.parametrize("name", [*FLEETS, *DEEP_FLEETS])
def test_nothing_is_served_that_is_older_than_its_proof(name: str, deep: bool) -> None:
    if name in DEEP_FLEETS and not deep:
        pytest.skip("explored with --deep")
    world = FLEETS.get(name) or DEEP_FLEETS[name]
    found = explore(world.fleet)
    assert found.violation is None, str(found)
    assert found.states >= world.states


#: What is switched off, and where it shows.
BROKEN = {
    "begins_first": of_p(),
    "stamps_at_begin": of_q(crashes=True),
    "opens_window": of_q(crashes=True),
    "stamps_at_end": of_q(overruns=True),
    "awaits_echo": of_p(),
    "owes_ends": of_q(overruns=True, failing_ends=True),
    "settles_debts_first": Fleet(BY_P, overruns=True, failing_ends=True, patient=(0,), past=STORED_LATE),
    "covers_plain": Fleet(PLAIN, reads=P_READS),
    "proof_for_hits": of_q(),
    "proof_for_records": Fleet(BY_P),
    "proof_by_subscription": of_q(),
    "proof_from_before": of_q(lapses=True),
    "proof_ends_with_subscription": of_p(losses=(1, 0)),
    "asks_for_memory": of_q(crashes=True),
    "compares_moment": of_q(),
    "stamps_of_check": of_q(),
    "records_grounds": of_q(reads=(NOTHING, OUTERS)),
    "leases_lapse": Fleet(crashes=True),
    "refresh_compares": of_q(reads=(NOTHING, NOTHING), refreshes=1),
    "refresh_covers": Fleet(reads=(OUTERS,), refreshes=1, silent=1),
    "notices_reconnects": of_q(losses=(0, 1)),
    "sync_kills": of_q(losses=(0, 1)),
    "sync_has_windows": of_q(crashes=True, losses=(0, 1)),
    "subscribes_first": of_q(losses=(0, 1)),
    "holds_messages": of_q(losses=(0, 1)),
    "hears_of_resets": Fleet(evictions=1, evicts=("stamps",), losses=(0, 1)),
    "names_reigns": of_q(restarts=1, past=(*STORED, "the server saves")),
    "window_before_stamp": of_q(crashes=True, fine=True),
}


def without(fleet: Fleet, *rules: str) -> Fleet:
    return replace(fleet, rules=Rules(**dict.fromkeys(rules, False)))


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_that_is_switched_off_shows(rule: str) -> None:
    found = explore(without(BROKEN[rule], rule))
    assert found.violation is not None, f"without {rule}: not noticed in {found.states:,} states"
    print(found)  # noqa: T201 - the counterexample, for whoever asks with -rP


#: What shows in no world, and why it is a rule all the same.
HARMLESS = {
    # What has old stamps is as good as gone; but it takes room, and whoever finds it has read it for nothing.
    "unlinks": "room",
    # What anybody writes with the stamps of now is true. There is one load for all if only one may write.
    "token": "herds",
    # The cache gives nothing to the server that it has not kept itself, and it has asked. It is for who has not.
    "asks_for_server": "others",
    "asks_at_write": "others",
    # What is written without a proof has stamps that are out of date, if anything has changed, and so is good nowhere.
    "proof_for_writes": "work",
    # What is known after catching up is never older than what was known to the question, wherever that comes from.
    "proof_after_sync": "plainness",
    # Who forgets a window that the server has lost, or does not tell it again, may store what its end takes away. It
    # makes the time shorter in which nobody must die.
    "keeps_windows": "deaths",
    "begins_again": "deaths",
    # Whoever drops what it keeps at its own changes loses hits.
    "spares_own": "hits",
}


@pytest.mark.parametrize(
    "fleet",
    [
        of_q(crashes=True),
        of_q(losses=(0, 1)),
        of_p(losses=(1, 0)),
        of_q(evictions=1),
        of_q(reads=(NOTHING, OUTERS), crashes=True),
        of_q(crashes=True, fine=True),
    ],
    ids=["deaths", "losses", "own losses", "evictions", "grounds", "threads"],
)
def test_the_rules_that_are_there_for_something_else_are_not_needed_all_together(fleet: Fleet) -> None:
    found = explore(without(fleet, *HARMLESS))
    assert found.violation is None, str(found)


def test_every_rule_is_either_needed_or_harmless() -> None:
    assert BROKEN.keys() | HARMLESS.keys() == vars(Rules()).keys()
    assert not BROKEN.keys() & HARMLESS.keys()


@pytest.mark.parametrize(
    "fleet",
    [
        of_q(crashes=True, overruns=True),
        of_q(crashes=True, restarts=1, past=("A: open", "A: begin", "the server restarts")),
        of_q(
            crashes=True, losses=(0, 1), evictions=1, evicts=("windows",), past=("A: open", "A: begin", "the windows")
        ),
    ],
    ids=["its time is over", "the server restarts", "it is evicted"],
)
def test_a_mutator_that_loses_its_window_and_dies_before_its_end_is_the_one_thing_that_is_not_covered(
    fleet: Fleet,
) -> None:
    found = explore(replace(fleet, double_faults=True))
    assert found.violation is not None
    assert "dies" in " ".join(found.trace)

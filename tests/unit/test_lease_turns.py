from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from cache._key import ALL
from cache._keyspace import Keyspace
from cache._lease import RUNNING, Lease
from cache._namespace import Namespace
from cache._step import step
from cache.testing import FakeClock
from tests.unit.leases import DETACHED, DIRTIED, FINE, SPOILED, Begin, answers, mutate

# -- the three turns -------------------------------------------------------------------------------------------


def test_no_turn_makes_a_result_storable_or_joinable_again(begin: Begin) -> None:
    turns = {DETACHED: Lease.detach, DIRTIED: Lease.dirty, SPOILED: Lease.spoil}
    for at, (outcome, turn) in enumerate(turns.items()):
        lease = begin(at)
        turn(lease)
        assert answers(lease) == outcome
        for milder in list(turns.values())[: at + 1]:
            milder(lease)
        assert lease.clean <= outcome[0]
        assert not lease.joinable


def test_what_is_invalidated_after_a_detached_load_began_its_solitude_reaches_it_still(
    begin: Begin, space: Keyspace
) -> None:
    for key, name in (("k", "k"), ("l", ALL)):
        lease = begin(key)
        lease.detach()
        assert answers(lease) == DETACHED
        space.kill(name)
        assert answers(lease) == DIRTIED


def test_loads_that_have_read_nothing_yet_or_have_ended_take_no_turn(space: Keyspace, begin: Begin) -> None:
    queued, ended = Lease(space, "queued"), begin("ended")
    ended.close()
    for lease in (queued, ended):
        before = answers(lease)
        lease.spoil()
        assert answers(lease) == before


@pytest.mark.parametrize(
    ("turn", "outcome"), [(Lease.detach, DETACHED), (Lease.dirty, DIRTIED), (Lease.spoil, SPOILED)]
)
def test_a_turn_reaches_all_who_wait_however_many_levels_up(
    begin: Begin, turn: Callable[[Lease], None], outcome: tuple[bool, bool, bool]
) -> None:
    levels = [begin(key) for key in range(3_000)]
    for lower, upper in itertools.pairwise(levels):
        if upper.key % 2:  # type: ignore[operator]  # the keys here are numbers
            lower.above[object()] = upper
        else:
            lower.parent = upper
    bystander = begin("bystander")
    turn(levels[0])
    assert {answers(lease) for lease in levels} == {outcome}
    assert answers(bystander) == FINE


def test_loads_that_wait_for_each_other_do_not_hang_a_turn(begin: Begin) -> None:
    one, other = begin("one"), begin("other")
    one.above["x"], other.above["y"] = other, one
    one.dirty()
    assert answers(other) == DIRTIED


def test_a_turn_does_not_pass_an_untracked_load(begin: Begin) -> None:
    lower, untracked, upper = begin("lower"), begin("untracked", tracked=False), begin("upper")
    lower.above["x"], untracked.above["y"] = untracked, upper
    lower.dirty()
    untracked.dirty()
    assert answers(upper) == FINE


def test_the_queued_load_begins_as_soon_as_the_running_one_need_not_be_waited_for(
    space: Keyspace, begin: Begin
) -> None:
    for end, begins in ((Lease.detach, False), (Lease.dirty, True), (Lease.close, True), (Lease.spoil, False)):
        first, second = begin(end), Lease(space, end)
        first.spoil()
        first.successor, second.predecessor = second, first
        with step:
            end(first)
        assert (second.state == RUNNING) is begins
        first.successor = None
        second.close()


def test_a_lease_hands_up_what_it_rests_on_and_how_long_it_is_good(begin: Begin) -> None:
    tags = Namespace("n")
    lower, upper = begin("lower", names=((tags, "t"),)), begin("upper")
    lower.above["waiter"] = upper
    lower.hand_up(5.0)
    assert upper.deadline == 5.0
    lower.close()
    tags.invalidate("t")
    assert answers(upper) == DIRTIED


# -- tags computed from the result -----------------------------------------------------------------------------


def test_a_load_whose_tags_are_not_known_counts_as_carrying_all_that_are_changing(
    begin: Begin, clock: FakeClock
) -> None:
    tags = Namespace("n")
    window = mutate(tags, "t", clock)
    lease, other = begin("k", undecided_in=tags), begin("l", undecided_in=tags)
    assert answers(lease) == answers(other) == (True, False, True)
    lease.decide(["another"])
    assert lease.clean
    other.decide(["t"])
    assert answers(other) == SPOILED
    window.end(0, succeeded=True)


def test_a_load_whose_tags_are_known_rests_on_them_since_it_began(begin: Begin) -> None:
    tags = Namespace("n")
    before, between, after = (begin(key, undecided_in=tags) for key in "abc")
    tags.invalidate("t")
    between.decide(["t", "u"])
    assert not between.clean
    before.decide(["u"])
    assert before.clean
    after.decide(["v"])
    tags.invalidate("v")
    assert not after.clean
    assert before.clean


def test_a_load_without_computed_tags_has_nothing_to_decide(begin: Begin) -> None:
    lease = begin()
    lease.decide(["t"])
    assert answers(lease) == FINE


# -- cycles ----------------------------------------------------------------------------------------------------


def test_a_load_finds_itself_above_itself(begin: Begin, space: Keyspace) -> None:
    lease = begin("k")
    assert lease.find_above(space, "k") is lease
    assert lease.find_above(space, "other") is None


def test_a_load_is_found_above_however_it_waits(begin: Begin, space: Keyspace, clock: FakeClock) -> None:
    bottom, private, top = begin("bottom"), begin("private"), begin("top")
    bottom.parent, private.above["waiter"] = private, top
    queued = Lease(space, "queued")
    top.successor = queued
    assert bottom.find_above(space, "top") is top
    assert bottom.find_above(space, "queued") is queued
    assert bottom.find_above(Keyspace("cache", clock), "top") is None
    assert top.find_above(space, "bottom") is None
    top.successor = None


def test_a_search_above_ends_where_loads_wait_for_each_other(begin: Begin, space: Keyspace) -> None:
    one, other = begin("one"), begin("other")
    one.above["x"], other.above["y"] = other, one
    assert one.find_above(space, "nobody") is None

"""What a domain has in common with other processes: codes, slots, stamps, and whom to tell."""

from __future__ import annotations

from typing import Any

import pytest

from cache._key import ALL, ANY, WILDCARD
from cache._keyspace import Keyspace
from cache._share import (
    Share,
    addresses_in,
    have_tiers,
    is_wildcard,
    slots_by_bus,
)
from cache._stable import encode
from cache._tier import Address
from cache.testing import FakeClock
from tests.unit.shared import KIND, Processes, keyspace, two_processes


@pytest.fixture
def processes() -> Processes:
    return two_processes()


class Open:
    """As much of a tier as is looked at."""

    closed = False


def test_a_name_has_its_slot_and_that_of_anything(processes: Processes) -> None:
    share = Share("c", processes[0])
    assert share.slots("a") == (share.slot("a"), share.anything)
    assert share.slots(KIND) == (share.slot(KIND), share.wildcards, share.anything)
    assert share.slot(ALL) == share.everything
    assert len({share.slot("a"), share.slot("b"), share.anything, share.everything, share.wildcards}) == 5
    assert Share("d", processes[0]).slot("a") != share.slot("a")
    assert Share("c", processes[1]).slot("a") == share.slot("a")


def test_without_a_bus_nothing_is_told_and_nothing_is_heard() -> None:
    share = Share("c", None)
    share.announce("a")
    assert not share.is_watched
    assert share.announced == 0
    assert not share.is_changing("a")
    assert share.slot("a") == 0


def test_an_announcement_stamps_the_name_and_anything_and_is_remembered(processes: Processes) -> None:
    share = Share("c", processes[0])
    share.announce("a")
    stamps = processes[1].stamps
    assert share.announced == stamps[share.slot("a")] == stamps[share.anything] == stamps[0] > 0
    assert stamps[share.slot("b")] == 0


def test_wildcards_that_others_have_declared_and_this_process_has_not_are_lacking(
    processes: Processes,
) -> None:
    here, there = (Share("c", process) for process in processes)
    assert not here.lacks_wildcards()
    there.declare((0,))
    assert here.lacks_wildcards()
    assert not there.lacks_wildcards()
    here.declare((0,))
    assert not here.lacks_wildcards()


def test_a_name_is_changing_if_another_process_covers_it_or_everything(processes: Processes) -> None:
    here, there = (Share("c", process) for process in processes)
    for covering in ("a", ALL):
        slots = there.slots(covering)
        processes[1].begin(slots)
        assert here.is_changing("a")
        assert here.is_changing("b") == (covering is ALL)
        assert not there.is_changing("a"), "what it covers itself it knows"
        processes[1].end(slots, 0.0)
        assert not here.is_changing("a")


def test_there_are_tiers_to_tell_where_one_is_behind_what_is_changed() -> None:
    truths = [(keyspace(Open()), "a"), (Keyspace("own", FakeClock()), "x")]
    assert have_tiers(truths)
    assert not have_tiers(truths[-1:])


def test_addresses_are_those_of_one_tier_and_wildcards_have_none() -> None:
    tier, other = Open(), Open()
    c, elsewhere = keyspace(tier), keyspace(other, space="d")
    tell: Any = tier
    assert addresses_in(tell, [(c, "a"), (c, KIND)]) == (Address("c", encode("a")),)
    assert addresses_in(tell, [(c, "a"), (elsewhere, "b")]) is None
    assert addresses_in(tell, [(Keyspace("own", FakeClock()), "a")]) is None


def test_slots_are_gathered_by_bus(processes: Processes) -> None:
    here, there = (keyspace(bus=process) for process in processes)
    assert here.share is not None
    assert there.share is not None
    own = Keyspace("own", FakeClock())
    found = dict(slots_by_bus([(here, "a"), (here, "b"), (there, "a"), (own, "a")]))
    assert found == {
        processes[0]: [*here.share.slots("a"), *here.share.slots("b")],
        processes[1]: [*there.share.slots("a")],
    }


def test_is_wildcard_knows_its_own() -> None:
    assert is_wildcard(KIND)
    assert not any(map(is_wildcard, ["a", (1, 2), (), WILDCARD, ALL, ANY]))

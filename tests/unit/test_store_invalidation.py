from __future__ import annotations

from collections.abc import Callable, Hashable

import pytest

from cache._entry import NEVER, Entry
from cache._key import ALL
from cache._lease import Lease
from cache._namespace import Namespace
from cache._reader import MANY
from cache._shards import Contents
from cache._share import Share
from cache._step import step
from cache._store import Store
from cache._window import Window
from cache.testing import FakeClock
from tests.unit.shared import keyspace, two_processes
from tests.unit.stores import ANOTHER_LOOP, LOOP, end, load, metric, values

pytestmark = pytest.mark.usefixtures("in_step")


# -- the end of a load -----------------------------------------------------------------------------------------


def test_a_clean_load_is_stored_for_its_seconds_from_its_end(store: Store, clock: FakeClock) -> None:
    lease = load(store)
    clock.advance(3.0)
    store.finish(lease, "v", 5.0)
    assert store.data["k"].exp == 8.0
    end(lease)


@pytest.mark.parametrize(("ttl", "stored"), [(None, True), (0.0, False), (1.0, True)])
def test_a_load_is_stored_for_ever_or_not_at_all(store: Store, ttl: float | None, stored: bool) -> None:
    lease = load(store)
    store.finish(lease, "v", ttl)
    assert ("k" in store.data) is stored
    end(lease)


@pytest.mark.parametrize("turn", [Lease.dirty, Lease.spoil])
def test_a_load_of_what_has_changed_is_not_stored_and_counts_as_fenced(
    store: Store, turn: Callable[[Lease], None]
) -> None:
    lease = load(store)
    turn(lease)
    store.finish(lease, "v", None)
    assert not store.data
    assert metric(store, "fenced") == 1
    end(lease)


def test_a_stored_result_is_good_no_longer_than_what_it_was_made_of(store: Store, clock: FakeClock) -> None:
    lease, reader = load(store), Lease(store, "reader")
    reader.start()
    lease.above["waiter"] = reader
    lease.rest_on((), 2.0, clock)
    store.finish(lease, "v", 5.0)
    assert store.data["k"].exp == 2.0
    assert reader.deadline == 2.0
    end(lease)
    reader.close()


def test_a_stored_result_rests_on_what_the_load_rested_on(store: Store) -> None:
    tags = Namespace("n")
    lease = load(store, names=((tags, "t"),))
    store.finish(lease, "v", None)
    end(lease)
    assert store.find("k") is not None
    tags.invalidate("t")
    assert store.find("k") is None


def test_a_refreshed_value_drops_what_was_computed_from_the_old_one_and_not_itself(store: Store) -> None:
    store.put("k", "old", NEVER, ())
    outer = store.tag("k")
    lease = load(store)
    lease.detach()
    store.finish(lease, "new", None, replaces=True)
    assert outer.dead
    another = store.tag("another")
    store.kill("another")
    assert another.dead
    entry = store.find("k")
    assert entry is not None
    assert entry.value == "new"
    end(lease)


def test_a_refreshed_value_that_rests_on_more_keys_than_are_remembered_rests_on_them_still(store: Store) -> None:
    store.put("k", "old", NEVER, ())
    outer, lease = store.tag("k"), load(store)
    for key in range(2 * MANY):
        lease.rest_on_key(store, key)
    store.finish(lease, "new", None, replaces=True)
    assert outer.dead
    entry = store.find("k")
    assert entry is not None
    assert entry.value == "new"
    store.invalidate(7)
    assert store.find("k") is None
    end(lease)


def test_a_refreshed_value_dies_of_what_another_process_invalidates_while_it_takes_the_place_of_the_old(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = two_processes()
    store.join(Share("c", here, ()))
    lease, kill = load(store), store.kill
    for key in range(2 * MANY):
        lease.rest_on_key(store, key)

    def preempted(name: Hashable) -> None:
        keyspace(bus=there).invalidate(7)
        kill(name)

    monkeypatch.setattr(Store, "kill", lambda _, name: preempted(name))
    store.finish(lease, "new", None, replaces=True)
    assert store.find("k") is None
    end(lease)


def test_a_refreshed_value_that_is_not_stored_takes_the_old_one_with_it_all_the_same(store: Store) -> None:
    store.put("k", "old", NEVER, ())
    lease = load(store)
    store.finish(lease, "new", 0.0, replaces=True)
    assert not store.data
    end(lease)


# -- invalidation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["k", ALL])
def test_to_invalidate_is_to_drop_the_entry_and_what_rests_on_it(store: Store, name: object) -> None:
    store.put("k", "v", NEVER, ())
    outer = store.tag(name)
    assert store.invalidate(name)
    assert not store.data
    assert outer.dead
    assert metric(store, "invalidations") == 1
    assert not store.invalidate(name)


def test_to_invalidate_one_key_is_to_leave_the_others(store: Store) -> None:
    store.put("k", "v", NEVER, ())
    other, lease = store.tag("other"), load(store, "other")
    store.put("other", "v", NEVER, ())
    store.invalidate("k")
    assert values(store) == {"other": "v"}
    assert not other.dead
    assert lease.joinable
    end(lease)


def test_to_drop_what_had_expired_is_to_have_found_nothing(store: Store, clock: FakeClock) -> None:
    store.put("k", "v", 1.0, ())
    clock.advance(1.0)
    assert not store.invalidate("k")
    assert not store.data


@pytest.mark.parametrize("name", ["k", ALL])
def test_loads_in_progress_are_fenced_on_every_loop(store: Store, name: object) -> None:
    here, there = load(store), Lease(store, "k")
    store.flights[ANOTHER_LOOP] = {"k": there}
    there.start()
    store.invalidate(name)
    for lease in (here, there):
        assert (lease.clean, lease.joinable, lease.chained) == (False, False, False)
    end(here)
    there.close()


@pytest.mark.parametrize("name", ["k", ALL])
def test_a_load_on_its_way_before_a_queued_one_is_fenced_too(store: Store, name: object) -> None:
    first, queued = Lease(store, "k"), Lease(store, "k")
    first.start()
    first.spoil()
    first.successor, queued.predecessor = queued, first
    store.flights[LOOP] = {"k": queued}
    store.invalidate(name)
    assert not first.chained  # nobody need wait for it any more
    assert queued.clean
    end(queued)
    first.close()


@pytest.mark.parametrize("name", ["k", ALL])
def test_during_a_mutation_loads_are_spoiled(store: Store, clock: FakeClock, name: object) -> None:
    lease, window = load(store), Window(((store, name),), clock)
    window.begin()
    assert (lease.clean, lease.joinable, lease.chained) == (False, False, True)
    end(lease)
    window.end(0, succeeded=True)


def test_everything_goes_in_one_swap_of_which_the_wrapper_is_told(store: Store) -> None:
    told: list[Contents[Entry]] = []
    store.rebind = told.append
    for key in range(3):
        store.put(key, key, NEVER, ())
    old, policy = store.data, store.policy
    assert store.invalidate(ALL)
    assert told == [store.data]
    assert told[0] is store.data
    assert store.data is not old
    assert len(old) == 3
    assert (old, policy) in step.heaps
    assert metric(store, "invalidations") == 3


class Fragile:
    """A key whose comparison may raise."""

    broken = False

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        if self.broken:
            raise ZeroDivisionError
        return self is other


def test_a_key_that_cannot_be_compared_changes_nothing(store: Store) -> None:
    key, other = Fragile(), Fragile()
    store.put(key, "v", NEVER, ())
    outer = store.tag(key)
    key.broken = True
    with pytest.raises(ZeroDivisionError):
        store.invalidate(other)
    key.broken = False
    assert values(store) == {key: "v"}
    assert not outer.dead
    assert metric(store, "invalidations") == 0


def test_a_key_that_cannot_be_compared_with_what_rests_on_another_changes_nothing(store: Store) -> None:
    key, other = Fragile(), Fragile()
    outer = store.tag(other)
    store.put(key, "v", NEVER, ())
    other.broken = True
    with pytest.raises(ZeroDivisionError):
        store.invalidate(key)
    other.broken = False
    assert values(store) == {key: "v"}
    assert not outer.dead

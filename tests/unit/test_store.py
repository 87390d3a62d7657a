from __future__ import annotations

from collections.abc import Callable

import pytest

from cache._entry import NEVER
from cache._namespace import Namespace
from cache._policy import LRU, Policy
from cache._s3fifo import S3FIFO
from cache._step import step
from cache._store import Store
from cache.testing import FakeClock
from tests.unit.stores import make_store, metric, values

pytestmark = pytest.mark.usefixtures("in_step")


# -- entries ---------------------------------------------------------------------------------------------------


def test_a_value_is_found_until_its_deadline(store: Store, clock: FakeClock) -> None:
    assert store.put("k", "v", 5.0, ())
    clock.advance(4.999)
    for look in (store.find, store.fresh):
        entry = look("k")
        assert entry is not None
        assert entry.value == "v"
    clock.advance(0.001)
    assert store.find("k") is None
    assert "k" in store.data
    assert store.fresh("k") is None
    assert "k" not in store.data
    assert metric(store, "expirations") == 1


def test_a_value_whose_tag_has_died_counts_as_invalidated(store: Store) -> None:
    tags = Namespace("n")
    store.put("k", "v", NEVER, (tags.tag("t"),))
    tags.invalidate("t")
    assert store.find("k") is None
    assert store.fresh("k") is None
    assert (metric(store, "invalidations"), metric(store, "expirations")) == (1, 0)


def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert store.find("k") is None
    assert store.fresh("k") is None


def test_a_value_takes_the_place_of_the_one_before(store: Store) -> None:
    for value in range(3):
        store.put("k", value, NEVER, ())
    assert values(store) == {"k": 2}
    assert metric(store, "evictions") == 0


@pytest.mark.parametrize("policy", [LRU, S3FIFO])
def test_a_store_never_holds_more_than_it_may(clock: FakeClock, policy: Callable[[int | None], Policy]) -> None:
    store = make_store(clock, 3, policy)
    for key in range(10):
        store.put(key, key, NEVER, ())
        assert len(store.data) <= 3
        assert len([entry for bucket in store.policy.buckets for entry in bucket.filed()]) == len(store.data)
    assert metric(store, "evictions") == 7
    store.put(9, "again", NEVER, ())
    assert metric(store, "evictions") == 7


def test_a_store_without_room_stores_nothing(clock: FakeClock) -> None:
    store = make_store(clock, 0)
    assert not store.put("k", "v", NEVER, ())
    assert not store.data


def test_what_has_expired_makes_room_before_anything_is_evicted(clock: FakeClock) -> None:
    store = make_store(clock, 2)
    store.put("old", 1, 5.0, ())
    store.put("good", 1, NEVER, ())
    clock.advance(5.0)
    store.put("new", 1, NEVER, ())
    assert values(store).keys() == {"good", "new"}
    assert metric(store, "evictions") == 0


def test_what_nobody_will_ever_be_served_again_does_not_pile_up(store: Store, clock: FakeClock) -> None:
    tags = Namespace("n")
    for key in range(5_000):
        store.put(key, key, clock() + 1.0, (tags.tag("odd"),) if key % 2 else ())
        clock.advance(0.01)
        if key % 500 == 0:
            tags.invalidate("odd")
    assert len(store.data) < 500


def test_dropped_values_are_left_to_the_end_of_the_step(store: Store) -> None:
    dropped = []
    for value in ("replaced", "invalidated"):
        store.put("k", value, NEVER, ())
        dropped.append(store.data["k"])
    store.invalidate("k")
    assert [entry for entry in step.doomed if entry in dropped] == dropped


# -- metrics ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [LRU, S3FIFO])
def test_hits_and_misses_add_up(clock: FakeClock, policy: Callable[[int | None], Policy]) -> None:
    store = make_store(clock, 2, policy)
    assert metric(store, "hit_rate") == 0.0
    for key in range(5):
        store.put(key, key, NEVER, ())
    for entry in [store.data[key] for key in store.data] * 3:
        store.touch(entry)
    store.misses += 2
    assert (metric(store, "hits"), metric(store, "misses"), metric(store, "hit_rate")) == (6, 2, 0.75)
    assert metric(store, "size") == 2
    store.invalidate_all()
    store.reset_metrics()
    assert set(store.metrics().values()) == {0}

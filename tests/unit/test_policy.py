from __future__ import annotations

import math
import random
import weakref
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache._policy import LRU, SCAN
from tests.unit.driven import Driven


class DrivenLRU(Driven):
    """An LRU beside the plain model of what it promises: the keys, oldest use first."""

    def __init__(self, maxsize: int | None = None) -> None:
        super().__init__(LRU(maxsize))
        self.model: OrderedDict[int, None] = OrderedDict()

    def add(self, key: int, value: object = None) -> None:
        self.tick += 1.0
        self.file(key, value)
        self.model[key] = None

    def use(self, key: int) -> None:
        self.tick = self.entries[key].tick = self.tick + 1.0
        self.model.move_to_end(key)

    def discard(self, key: int) -> None:
        super().discard(key)
        del self.model[key]

    def evict_exactly(self) -> int:
        key = self.evict()
        expected, _ = self.model.popitem(last=False)
        assert key == expected
        return key

    def check(self) -> None:
        """The buckets also stand in rising order."""
        super().check()
        bounds = [bucket.bound for bucket in self.policy.buckets]
        assert bounds == sorted(bounds)
        assert bounds[-1] == math.inf


OPERATIONS = st.lists(st.tuples(st.sampled_from("aaaaauuuude"), st.integers(0, 60)), min_size=100, max_size=300)


@settings(max_examples=60)
@given(st.sampled_from([1, 2, 3, 10, 50, None]), OPERATIONS)
def test_the_least_recently_used_goes_first(maxsize: int | None, operations: list[tuple[str, int]]) -> None:
    lru = DrivenLRU(maxsize)
    for operation, key in operations:
        if operation == "a":
            if key in lru.entries:
                lru.discard(key)
            if maxsize is not None and len(lru.entries) >= maxsize:
                lru.evict_exactly()
            lru.add(key)
        elif key in lru.entries and operation == "u":
            lru.use(key)
        elif key in lru.entries and operation == "d":
            lru.discard(key)
        elif lru.entries and operation == "e":
            lru.evict_exactly()
        lru.check()
    while lru.entries:
        lru.evict_exactly()


@pytest.mark.parametrize("maxsize", [8, 64, 700])
@pytest.mark.parametrize("used", [1, 10])
def test_the_order_is_exact_over_a_long_life(maxsize: int, used: int) -> None:
    chance = random.Random(7)
    lru = DrivenLRU(maxsize)
    for key in range(6_000):
        if len(lru.entries) >= maxsize:
            lru.evict_exactly()
        lru.add(key)
        lru.use(min(lru.entries) if key % 5 == 0 else key)
        for again in (key - chance.randrange(2 * maxsize) for _ in range(used)):
            if again in lru.entries:
                lru.use(again)
    lru.check()


def test_an_eviction_that_meets_too_many_entries_in_use_takes_the_oldest_of_those_it_has_seen() -> None:
    lru = DrivenLRU()
    for key in range(3 * SCAN):
        lru.add(key)
    for key in reversed(range(3 * SCAN)):
        lru.use(key)
    assert lru.evict() == SCAN - 1
    lru.check()


def test_evictions_that_are_not_exact_lose_nothing_and_find_the_order_again() -> None:
    lru = DrivenLRU()
    keys = range(4 * SCAN)
    for key in keys:
        lru.add(key)
    for key in reversed(keys):
        lru.use(key)
    first = [lru.evict() for _ in range(8)]
    for key in first:
        del lru.model[key]
    lru.check()
    rest = [lru.evict() for _ in range(len(lru.entries))]
    assert sorted(first + rest) == list(keys)
    assert rest[-SCAN:] == list(lru.model)[-SCAN:]


def test_the_last_one_can_be_evicted_however_often_it_was_used() -> None:
    lru = DrivenLRU(1)
    lru.add(1)
    for _ in range(5):
        lru.use(1)
    assert lru.evict_exactly() == 1
    assert not lru.policy.buckets[0].filed()


def test_an_entry_that_goes_is_kept_alive_by_nothing() -> None:
    class Value:
        pass

    lru = DrivenLRU()
    values = [Value() for _ in range(3)]
    alive = [weakref.ref(value) for value in values]
    for key in range(40):
        lru.add(key, values[key] if key < 3 else None)
    del values
    lru.discard(0)
    assert alive[0]() is None
    lru.evict_exactly()
    assert alive[1]() is None
    assert alive[2]() is not None


@pytest.mark.parametrize("standing", [0, 1, 300])
def test_coming_and_going_leaves_no_places_behind(standing: int) -> None:
    lru = DrivenLRU(1_000)
    for key in range(standing):
        lru.add(key)
    for key in range(standing, 20_000):
        lru.add(key)
        lru.discard(key)
    lru.check()
    assert lru.places <= 3 * standing + 64
    assert len(lru.policy.buckets) <= standing + 2


def test_entries_that_go_in_any_order_leave_no_places_behind() -> None:
    chance = random.Random(3)
    lru = DrivenLRU(2_000)
    for key in range(2_000):
        lru.add(key)
    for key in chance.sample(range(2_000), 1_950):
        lru.discard(key)
        if key % 50 == 0:
            lru.check()
            assert lru.places <= 3 * len(lru.entries) + 16 * len(lru.policy.buckets)
    assert lru.places <= 50 * 16


def test_use_alone_makes_nothing_grow() -> None:
    lru = DrivenLRU(100)
    for key in range(100):
        lru.add(key)
    for turn in range(5_000):
        lru.use(turn % 100)
    assert lru.places == 100


def test_a_moving_hand_passes_over_every_entry_in_turn() -> None:
    lru = DrivenLRU(100)
    for key in range(100):
        lru.add(key)
    for key in range(0, 100, 3):
        lru.discard(key)
    turns = lru.places + len(lru.policy.buckets)
    for _ in range(3):
        seen = [entry.key for entry in (lru.policy.inspect() for _ in range(turns)) if entry is not None]
        assert len(seen) == len(lru.entries)
        assert set(seen) == lru.entries.keys()


def test_a_moving_hand_finds_nothing_where_there_is_nothing() -> None:
    assert [LRU(10).inspect() for _ in range(3)] == [None] * 3


def test_a_policy_that_is_no_longer_used_can_be_let_go_of_bit_by_bit() -> None:
    lru = DrivenLRU(100)
    for key in range(100):
        lru.add(key)
    turns = 0
    while lru.policy.shed():
        turns += 1
    assert 1 < turns <= 100
    assert not lru.policy.buckets
    assert not lru.policy.shed()

from __future__ import annotations

import random
import weakref
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache._entry import NEVER, make_entry
from cache._policy import LRU, SCAN, Policy
from cache._s3fifo import S3FIFO
from tests.unit.driven import Driven


class Reference:
    """Algorithm 1 of "FIFO queues are all you need for cache eviction", in its own words and names.

    As the paper's text has it, an object that moves to M begins to count anew. Its evictS goes on after evictM has
    made room, for it is called for a cache that is full by bytes; where each object takes one place, one is enough.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.small_size = max(1, size // 10)
        self.s: deque[int] = deque()
        self.m: deque[int] = deque()
        self.g: deque[int] = deque()
        self.freq: dict[int, int] = {}
        self.evicted: list[int] = []

    def read(self, x: int) -> bool:
        if x in self.freq:
            self.freq[x] = min(self.freq[x] + 1, 3)
            return True
        if len(self.freq) >= self.size:
            self.evict()
        if x in self.g:
            self.g.remove(x)
            self.m.appendleft(x)
        else:
            self.s.appendleft(x)
        self.freq[x] = 0
        return False

    def remove(self, x: int) -> None:
        del self.freq[x]
        (self.s if x in self.s else self.m).remove(x)

    def evict(self) -> None:
        if len(self.s) >= self.small_size:
            self.evict_s()
        else:
            self.evict_m()

    def evict_s(self) -> None:
        while self.s:
            t = self.s.pop()
            if self.freq[t] <= 1:
                self.g.appendleft(t)
                if len(self.g) > self.size - self.small_size:
                    self.g.pop()
                self.drop(t)
                return
            self.freq[t] = 0
            self.m.appendleft(t)
            if len(self.m) > self.size - self.small_size:
                self.evict_m()
                return

    def evict_m(self) -> None:
        while True:
            t = self.m.pop()
            if self.freq[t] == 0:
                self.drop(t)
                return
            self.m.appendleft(t)
            self.freq[t] -= 1

    def drop(self, t: int) -> None:
        del self.freq[t]
        self.evicted.append(t)


class DrivenReader(Driven):
    """A policy under those who read, and add what they do not find; the S3-FIFO unless told otherwise."""

    def __init__(self, size: int, policy: Policy | None = None) -> None:
        super().__init__(S3FIFO(size) if policy is None else policy)
        self.size = size
        self.evicted: list[int] = []

    def read(self, key: int, value: object = None) -> bool:
        self.tick += 1.0
        entry = self.entries.get(key)
        if entry is not None:
            entry.tick = entry.tick + 1.0 if self.policy.counts_uses else self.tick
            return True
        if len(self.entries) >= self.size:
            self.evict()
        self.file(key, value)
        return False

    def evict(self) -> int:
        key = super().evict()
        self.evicted.append(key)
        return key


SIZES = st.sampled_from([1, 2, 3, 9, 10, 11, 20, 35])
READS = st.lists(st.tuples(st.sampled_from("rrrrrd"), st.integers(0, 50)), min_size=60, max_size=200)


@settings(max_examples=100)
@given(SIZES, READS)
def test_what_goes_is_what_the_paper_says(size: int, operations: list[tuple[str, int]]) -> None:
    reference, driven = Reference(size), DrivenReader(size)
    for operation, key in operations:
        if operation == "r":
            assert driven.read(key) == reference.read(key)
        elif key in driven.entries:
            driven.discard(key)
            reference.remove(key)
    assert driven.evicted == reference.evicted
    driven.check()


@pytest.mark.parametrize("size", [10, 100, 3_000])
def test_what_goes_is_what_the_paper_says_over_a_long_life(size: int) -> None:
    chance = random.Random(5)
    reference, driven = Reference(size), DrivenReader(size)
    for _ in range(10 * size + 2_000):
        key = int(5 * size * chance.random() ** 3)
        assert driven.read(key) == reference.read(key)
    assert driven.evicted == reference.evicted
    assert len(driven.evicted) > size
    driven.check()


def test_what_is_asked_for_again_outlives_a_scan() -> None:
    def survivors(driven: DrivenReader) -> int:
        popular = range(50)
        for _ in range(4):
            for key in popular:
                driven.read(key)
        for key in range(1_000, 3_000):
            driven.read(key)
        return sum(key in driven.entries for key in popular)

    assert survivors(DrivenReader(100)) == 50
    assert survivors(DrivenReader(100, LRU(100))) == 0


def test_what_was_turned_out_and_comes_back_soon_goes_to_the_main_queue_at_once() -> None:
    driven = DrivenReader(20)
    for key in range(21):
        driven.read(key)
    assert driven.evicted == [0]
    driven.read(0)  # and now passes nothing through the small queue any more
    for key in range(100, 117):
        driven.read(key)
    assert 0 in driven.entries
    assert 5 not in driven.entries


def test_an_eviction_that_meets_too_many_entries_in_use_takes_one_all_the_same() -> None:
    size = 3 * SCAN
    driven = DrivenReader(size)
    for _ in range(4):
        for key in range(size):
            driven.read(key)
    driven.read(size)
    assert len(driven.evicted) == 1
    filed_anew = [entry for entry in driven.entries.values() if entry.tick == 0.0 and entry.key != size]
    assert len(filed_anew) < SCAN
    driven.check()
    while driven.entries:
        driven.evict()
    assert len(set(driven.evicted)) == size + 1


def test_an_entry_that_goes_is_kept_alive_by_nothing() -> None:
    class Value:
        pass

    driven = DrivenReader(10)
    values = [Value() for _ in range(3)]
    alive = [weakref.ref(value) for value in values]
    for key in range(10):
        driven.read(key, values[key] if key < 3 else None)
    del values
    driven.discard(0)
    assert alive[0]() is None
    assert driven.evict() == 1
    assert alive[1]() is None
    assert alive[2]() is not None


def test_what_was_turned_out_keeps_no_key_alive() -> None:
    class Key:
        pass

    policy = S3FIFO(10)
    key = Key()
    alive = weakref.ref(key)
    policy.add(make_entry(key, None, NEVER, (), reader_checks_exp=False))
    del key
    assert policy.evict(1.0).key is alive()
    assert alive() is None


@pytest.mark.parametrize("standing", [0, 1, 300])
def test_coming_and_going_leaves_no_places_behind(standing: int) -> None:
    driven = DrivenReader(1_000)
    for key in range(standing):
        driven.read(key)
    for key in range(standing, 20_000):
        driven.read(key)
        driven.discard(key)
    driven.check()
    assert driven.places <= 3 * standing + 64
    assert len(driven.policy.buckets) <= standing + 3


def test_a_moving_hand_passes_over_every_entry_in_turn() -> None:
    driven = DrivenReader(100)
    for key in range(90):
        driven.read(key)
        if key < 60:
            driven.read(key)
            driven.read(key)
    for key in range(200, 240):
        driven.read(key)
    for key in list(driven.entries)[::3]:
        driven.discard(key)
    turns = 2 * (driven.places + len(driven.policy.buckets))
    for _ in range(3):
        seen = {entry.key for entry in (driven.policy.inspect() for _ in range(turns)) if entry is not None}
        assert seen == driven.entries.keys()


@pytest.mark.parametrize("maxsize", [10, None])
def test_a_moving_hand_finds_nothing_where_there_is_nothing(maxsize: int | None) -> None:
    policy = S3FIFO(maxsize)
    assert [policy.inspect() for _ in range(4)] == [None] * 4


def test_a_policy_that_is_no_longer_used_can_be_let_go_of_bit_by_bit() -> None:
    driven = DrivenReader(2_000)
    for key in range(2_000):
        driven.read(key)
        driven.read(key)
        driven.read(key)
    driven.read(5_000)
    turns = 0
    while driven.policy.shed():
        turns += 1
    assert 1 < turns <= 2_000
    assert not driven.policy.buckets
    assert not driven.policy.shed()

"""What a load rests on by having read it."""

from __future__ import annotations

import math

import pytest

from cache._entry import make_entry
from cache._key import ALL
from cache._keyspace import Keyspace
from cache._namespace import Namespace
from cache._reader import MANY
from cache.testing import FakeClock
from tests.unit.leases import DIRTIED, FINE, SPOILED, Begin, answers, mutate


def test_a_load_is_dirty_when_one_of_its_tags_is_invalidated(begin: Begin) -> None:
    tags = Namespace("n")
    lease = begin(names=((tags, "a"), (tags, "b")))
    tags.invalidate("c")
    assert answers(lease) == FINE
    tags.invalidate("b")
    assert answers(lease) == DIRTIED


@pytest.mark.parametrize("name", ["inner", ALL])
def test_a_load_is_dirty_when_a_key_it_has_read_is_invalidated(begin: Begin, clock: FakeClock, name: object) -> None:
    lease, other = begin(), Keyspace("other", clock)
    lease.rest_on_key(other, "inner")
    assert answers(lease) == FINE
    other.kill("another")
    assert answers(lease) == FINE
    other.kill(name)
    assert answers(lease) == DIRTIED


def test_a_load_that_reads_a_key_during_a_mutation_of_it_is_spoiled(begin: Begin, clock: FakeClock) -> None:
    lease, other = begin(), Keyspace("other", clock)
    window = mutate(other, "inner", clock)
    lease.rest_on_key(other, "inner")
    assert answers(lease) == SPOILED
    window.end(0, succeeded=True)


def test_a_load_that_reads_what_has_died_is_dirty(begin: Begin) -> None:
    tags, lease = Namespace("n"), begin()
    tag = tags.tag("t")
    tags.kill("t")
    lease.rest_on((tag,))
    assert answers(lease) == DIRTIED


def test_an_untracked_load_rests_on_nothing_that_it_reads(begin: Begin, clock: FakeClock) -> None:
    lease, other = begin(tracked=False), Keyspace("other", clock)
    lease.rest_on_key(other, "inner")
    lease.rest_on((), 5.0)
    other.kill("inner")
    assert answers(lease) == FINE
    assert lease.deadline == math.inf


def test_a_load_is_good_no_longer_than_what_it_has_read(begin: Begin, clock: FakeClock) -> None:
    lease = begin()
    for exp in (9.0, 5.0, 7.0, math.inf):
        lease.rest_on_entry(make_entry("inner", 1, exp, (), reader_checks_exp=False), clock)
    assert lease.deadline == 5.0


def test_a_deadline_on_another_clock_is_the_same_time_away(begin: Begin, clock: FakeClock) -> None:
    lease, other = begin(), FakeClock(1_000.0)
    clock.advance(10.0)
    lease.rest_on((), 1_003.0, other)
    assert lease.deadline == 13.0


def test_a_load_inherits_the_tags_of_an_entry_that_it_reads(begin: Begin, clock: FakeClock) -> None:
    tags, lease = Namespace("n"), begin()
    lease.rest_on_entry(make_entry("inner", 1, math.inf, (tags.tag("t"),), reader_checks_exp=False), clock)
    tags.invalidate("t")
    assert answers(lease) == DIRTIED


@pytest.mark.parametrize("read", [0, 1, 10 * MANY - 1])
def test_a_load_that_has_read_many_keys_forgets_none_and_does_not_grow(
    begin: Begin, clock: FakeClock, read: int
) -> None:
    lease, other = begin(), Keyspace("other", clock)
    for key in range(10 * MANY):
        lease.rest_on_key(other, key)
    assert len(lease.tags) <= MANY
    assert answers(lease) == FINE
    other.kill(read)
    assert answers(lease) == DIRTIED


def test_a_load_that_has_read_many_caches_forgets_none_and_does_not_grow(begin: Begin, clock: FakeClock) -> None:
    lease = begin()
    others = [Keyspace(f"other {n}", clock) for n in range(20)]
    for key in range(MANY):
        for other in others:
            lease.rest_on_key(other, key)
            assert len(lease.tags) <= MANY
    others[13].kill(200)
    assert answers(lease) == DIRTIED

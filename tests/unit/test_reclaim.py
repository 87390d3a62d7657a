from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from collections.abc import Callable, Iterator

import pytest

from cache import AsyncCache
from cache._policy import WIDEST
from cache._reclaim import SLICE


class Value:
    pass


@pytest.fixture(autouse=True)
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def filled(entries: int, policy: str) -> tuple[AsyncCache, Callable[[], int]]:
    """A full cache, and the number of its values that are alive."""
    cache = AsyncCache(maxsize=entries, policy=policy)
    values = [Value() for _ in range(entries)]
    for key, value in enumerate(values):
        cache.set(key, value)
    alive = [weakref.ref(value) for value in values]
    return cache, lambda: sum(value() is not None for value in alive)


POLICIES = pytest.mark.parametrize("policy", ["lru", "s3fifo"])


@POLICIES
@pytest.mark.parametrize("entries", [1, 10, 5 * SLICE])
def test_without_a_loop_what_was_dropped_is_free_at_once(entries: int, policy: str) -> None:
    cache, count_alive = filled(entries, policy)
    assert count_alive() == entries
    cache.clear()
    assert count_alive() == 0


@POLICIES
async def test_on_a_loop_the_contents_of_a_large_cache_are_freed_slice_by_slice(policy: str) -> None:
    entries = 5 * SLICE
    cache, count_alive = filled(entries, policy)
    contents = cache._store.data
    cache.clear()
    turns = [(entries, entries)]
    while any(turns[-1]):
        turns.append((len(contents), count_alive()))
        assert len(turns) < 200
        await asyncio.sleep(0)
    for before, after in itertools.pairwise(turns):
        assert before[0] - after[0] <= SLICE
        assert before[1] - after[1] <= SLICE + WIDEST  # whole buckets


@POLICIES
async def test_on_a_loop_small_contents_are_freed_in_a_few_turns(policy: str) -> None:
    cache, count_alive = filled(10, policy)
    cache.clear()
    for _ in range(3):
        await asyncio.sleep(0)
    assert count_alive() == 0


@POLICIES
async def test_what_is_being_freed_is_served_no_more_and_what_is_stored_meanwhile_stays(policy: str) -> None:
    cache, _ = filled(3 * SLICE, policy)
    cache.clear()
    assert len(cache) == 0
    assert 0 not in cache
    cache.set(0, "new")
    for _ in range(20):
        await asyncio.sleep(0)
    assert cache.peek(0) == "new"
    assert len(cache) == 1


@POLICIES
def test_a_single_entry_is_free_at_once(policy: str) -> None:
    cache, count_alive = filled(10, policy)
    cache.delete(3)
    assert count_alive() == 9
    cache.set("another", 1)
    cache.set("one more", 1)
    assert count_alive() == 8

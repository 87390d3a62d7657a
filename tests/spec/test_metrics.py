from __future__ import annotations

import asyncio

import pytest

from cache import AsyncCache, AsyncLRU, cached
from cache.testing import FakeClock
from tests.spec.steering import Loader, Table, metric, start

NOTHING = {
    "hits": 0,
    "misses": 0,
    "size": 0,
    "hit_rate": 0,
    "loads": 0,
    "load_errors": 0,
    "coalesced": 0,
    "evictions": 0,
    "expirations": 0,
    "invalidations": 0,
    "fenced": 0,
}


def differences(cache: AsyncCache) -> dict[str, int | float]:
    """The metrics that are not 0."""
    return {name: count for name, count in cache.get_metrics().items() if count}


async def test_a_new_cache_has_counted_nothing() -> None:
    assert AsyncCache().get_metrics() == NOTHING


async def test_a_call_is_a_hit_or_a_miss() -> None:
    cache = AsyncCache()
    for key in (1, 1, 2, 1):
        await cache.get(key, lambda: "v")
    assert differences(cache) == {"hits": 2, "misses": 2, "hit_rate": 0.5, "loads": 2, "size": 2}


async def test_a_call_without_a_loader_counts_too() -> None:
    cache = AsyncCache()
    cache.set(1, "v")
    await cache.get(1)
    await cache.get(2)
    assert differences(cache) == {"hits": 1, "misses": 1, "hit_rate": 0.5, "size": 1}


async def test_a_joined_call_is_a_miss_and_coalesced() -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get(1, loader)) for _ in range(3)]
    loader.end("v")
    await asyncio.gather(*readers)
    assert differences(cache) == {"misses": 3, "coalesced": 2, "loads": 1, "size": 1}


async def test_a_refresh_is_a_miss() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await get(1)
    await get.refresh(1)
    await get(1, use_cache=False)
    assert (metric(get.cache, "hits"), metric(get.cache, "misses"), metric(get.cache, "loads")) == (0, 3, 3)


async def test_a_load_that_raises_is_a_load_error() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get(1, loader))
    loader.fail(OSError())
    with pytest.raises(OSError, match=r"^$"):
        await reader
    assert differences(cache) == {"misses": 1, "loads": 1, "load_errors": 1}


async def test_an_error_that_is_kept_is_a_hit() -> None:
    @cached(cache_errors={KeyError: 5.0})
    async def get(uid: int) -> int:
        raise KeyError(uid)

    for _ in range(3):
        with pytest.raises(KeyError):
            await get(1)
    assert (metric(get.cache, "hits"), metric(get.cache, "misses"), metric(get.cache, "load_errors")) == (2, 1, 1)


async def test_what_goes_for_want_of_room_is_evicted() -> None:
    cache = AsyncCache(maxsize=2)
    for key in range(5):
        cache.set(key, key)
    assert differences(cache) == {"evictions": 3, "size": 2}


async def test_what_goes_by_time_has_expired(clock: FakeClock) -> None:
    cache = AsyncCache(default_ttl=1, clock=clock)
    cache.set(1, "v")
    clock.advance(1.0)
    await cache.get(1)
    assert differences(cache) == {"expirations": 1, "misses": 1}


@pytest.mark.parametrize("drop", ["delete", "mutation", "everything"])
async def test_what_goes_because_the_truth_changed_is_invalidated(drop: str) -> None:
    cache = AsyncCache()
    cache.set(1, "v")
    if drop == "delete":
        cache.delete(1)
    else:
        with cache.mutating(*([1] if drop == "mutation" else []), everything=drop == "everything"):
            pass
    assert differences(cache) == {"invalidations": 1}


async def test_what_a_tag_drops_is_invalidated_when_it_is_noticed() -> None:
    cache = AsyncCache()
    cache.set(1, "v", tags=("t",))
    cache.invalidate("t")
    await cache.get(1)
    assert differences(cache) == {"invalidations": 1, "misses": 1}


async def test_a_load_whose_result_is_refused_is_fenced() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get(1, loader))
    cache.delete(1)
    loader.end("v")
    await reader
    assert differences(cache) == {"misses": 1, "loads": 1, "fenced": 1}


async def test_each_key_of_a_batch_counts() -> None:
    cache = AsyncCache(batch_window_ms=0)
    await asyncio.gather(*[cache.get(key, batch_loader=list) for key in (1, 2, 2)])
    assert differences(cache) == {"misses": 3, "coalesced": 1, "loads": 2, "size": 2}


async def test_looking_counts_nothing(clock: FakeClock) -> None:
    cache = AsyncCache(default_ttl=1, clock=clock)
    cache.set(1, "v")
    for moment in ("fresh", "expired"):
        before = cache.get_metrics()
        cache.peek(1)
        cache.peek(2)
        assert (1 in cache) is (moment == "fresh")
        assert 2 not in cache
        len(cache)
        repr(cache)
        assert cache.get_metrics() == before
        clock.advance(1.0)


async def test_deleting_what_is_not_there_counts_nothing() -> None:
    cache = AsyncCache()
    cache.delete(1)
    cache.invalidate("t")
    assert differences(cache) == {}


async def test_only_clear_begins_anew() -> None:
    cache = AsyncCache()
    await cache.get(1, lambda: "v")
    await cache.get(1)
    cache.delete(1)
    cache.invalidate("t")
    with cache.mutating(everything=True):
        pass
    await cache.aclose()
    assert (metric(cache, "hits"), metric(cache, "misses")) == (1, 1)
    cache.clear()
    assert cache.get_metrics() == NOTHING


async def test_after_a_clear_it_counts_on() -> None:
    cache = AsyncCache()
    for _ in range(2):
        await cache.get(1, lambda: "v")
        await cache.get(1)
        assert differences(cache) == {"hits": 1, "misses": 1, "hit_rate": 0.5, "loads": 1, "size": 1}
        cache.clear()


async def test_the_metrics_are_a_copy() -> None:
    cache = AsyncCache()
    cache.get_metrics()["hits"] = 7
    assert cache.get_metrics() == NOTHING


async def test_the_metrics_of_a_function_are_those_of_its_cache() -> None:
    @AsyncLRU
    async def get(uid: int) -> int:
        return uid

    for uid in (1, 1, 2):
        await get(uid)
    assert get.get_metrics() == get.cache.get_metrics()
    assert differences(get.cache) == {"hits": 1, "misses": 2, "hit_rate": 1 / 3, "loads": 2, "size": 2}


@pytest.mark.parametrize("policy", ["lru", "s3fifo"])
@pytest.mark.parametrize("tags", [(), ("t",)], ids=["untagged", "tagged"])
async def test_hits_and_misses_add_up_to_the_calls_on_every_way(policy: str, tags: tuple[str, ...]) -> None:
    @cached(maxsize=3, policy=policy, tags=tags)
    async def get(uid: int) -> int:
        return uid

    metrics = get.get_metrics()
    for calls in range(1, 201):
        await get(calls * calls % 7)
        if calls % 13 == 0:
            get.invalidate_cache(calls % 7)
        if calls % 29 == 0:
            get.cache.invalidate("t")
        metrics = get.get_metrics()
        assert metrics["hits"] + metrics["misses"] == calls
        assert metrics["loads"] == metrics["misses"]
        assert metrics["hit_rate"] == metrics["hits"] / calls
    assert metrics["hits"] > 0

from __future__ import annotations

import asyncio
import contextvars

import pytest

from cache import AsyncCache, CacheCycleError, CacheError, LoadCancelled
from tests.spec.steering import Loader, Table, metric, settle, start


async def test_a_miss_loads_and_a_hit_does_not() -> None:
    cache, table = AsyncCache(), Table()
    assert await cache.get("k", lambda: table.read("k")) == 0
    await table.write("k")
    assert await cache.get("k", lambda: table.read("k")) == 0
    assert table.reads["k"] == 1


async def test_a_loader_may_be_plain() -> None:
    cache = AsyncCache()
    assert await cache.get("k", lambda: 1) == 1
    assert cache.peek("k") == 1


async def test_what_a_plain_loader_returns_is_awaited_if_it_is_awaitable() -> None:
    cache = AsyncCache()
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(7)
    assert await cache.get("k", lambda: future) == 7
    assert cache.peek("k") == 7


async def test_a_cached_none_is_a_hit() -> None:
    cache, loader = AsyncCache(), Loader()
    first = await start(cache.get("k", loader))
    loader.end(None)
    assert await first is None
    assert await cache.get("k", loader) is None
    assert len(loader.calls) == 1
    assert metric(cache, "hits") == 1


async def test_without_a_loader_a_miss_is_the_default() -> None:
    cache = AsyncCache()
    assert await cache.get("k") is None
    assert await cache.get("k", default="d") == "d"
    assert len(cache) == 0


async def test_without_a_loader_a_hit_is_the_value() -> None:
    cache = AsyncCache()
    cache.set("k", 1)
    assert await cache.get("k", default="d") == 1


async def test_concurrent_misses_share_one_load() -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(5)]
    assert len(loader.calls) == 1
    loader.end("v")
    assert await asyncio.gather(*readers) == ["v"] * 5
    assert metric(cache, "coalesced") == 4


async def test_different_keys_load_at_the_same_time() -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get(key, loader)) for key in range(3)]
    assert len(loader.calls) == 3
    for call in range(3):
        loader.end(call, call)
    assert await asyncio.gather(*readers) == [0, 1, 2]


async def test_keys_follow_the_equality_of_python() -> None:
    cache = AsyncCache()
    cache.set(1, "one")
    assert [await cache.get(1.0), await cache.get(True)] == ["one", "one"]


async def test_peek_gives_the_value_or_the_default_and_does_nothing_else() -> None:
    cache = AsyncCache(maxsize=2)
    cache.set("old", 1)
    cache.set("new", 2)
    before = cache.get_metrics()
    assert cache.peek("old") == 1
    assert cache.peek("absent") is None
    assert cache.peek("absent", "d") == "d"
    assert cache.get_metrics() == before
    cache.set("newest", 3)
    assert "old" not in cache, "peek must not have promoted it"


async def test_in_and_len_do_not_promote_load_or_count() -> None:
    cache = AsyncCache(maxsize=2)
    cache.set("old", 1)
    cache.set("new", 2)
    before = cache.get_metrics()
    assert "old" in cache
    assert "absent" not in cache
    assert len(cache) == 2
    assert cache.get_metrics() == before
    cache.set("newest", 3)
    assert "old" not in cache


async def test_a_hit_promotes() -> None:
    cache = AsyncCache(maxsize=2)
    cache.set("old", 1)
    cache.set("new", 2)
    await cache.get("old")
    cache.set("newest", 3)
    assert ("old" in cache, "new" in cache) == (True, False)


async def test_the_least_recently_used_goes_when_room_is_needed() -> None:
    cache = AsyncCache(maxsize=3)
    for key in range(5):
        cache.set(key, key)
    assert [key in cache for key in range(5)] == [False, False, True, True, True]
    assert metric(cache, "evictions") == 2


async def test_a_cache_of_size_none_has_no_bound() -> None:
    cache = AsyncCache(maxsize=None)
    for key in range(1_000):
        cache.set(key, key)
    assert len(cache) == 1_000


async def test_a_cache_of_size_0_stores_nothing_and_still_shares_loads() -> None:
    cache, loader = AsyncCache(maxsize=0), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(3)]
    loader.end("v")
    assert await asyncio.gather(*readers) == ["v"] * 3
    assert (len(loader.calls), len(cache)) == (1, 0)
    assert not cache.set("k", 1)


async def test_a_load_goes_on_in_the_context_of_the_caller_who_began_it() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    cache = AsyncCache()

    async def load() -> str:
        return variable.get()

    async def read() -> str:
        variable.set("inside")
        return await cache.get("k", load)

    assert await asyncio.create_task(read()) == "inside"
    assert variable.get() == "outside"


async def test_what_a_loader_sets_in_its_context_does_not_reach_its_caller() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    cache = AsyncCache()

    async def load() -> None:
        variable.set("inside")

    await cache.get("k", load)
    assert variable.get() == "outside"


async def test_a_hit_needs_no_event_loop() -> None:
    cache = AsyncCache()
    cache.set("k", "v")
    coroutine = cache.get("k")
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    assert end.value.value == "v"


async def test_a_value_set_during_a_load_stays() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    cache.set("k", "set")
    loader.end("loaded")
    assert await reader == "loaded"
    assert cache.peek("k") == "set"
    assert metric(cache, "fenced") == 1


async def test_a_load_begun_before_a_delete_is_given_to_those_who_waited_and_not_stored() -> None:
    cache, loader = AsyncCache(), Loader()
    early = await start(cache.get("k", loader))
    cache.delete("k")
    late = await start(cache.get("k", loader))
    assert len(loader.calls) == 2, "who asks after the delete does not join a load begun before it"
    loader.end("new", 1)
    loader.end("old", 0)
    assert (await early, await late) == ("old", "new")
    assert cache.peek("k") == "new"


async def test_a_load_begun_before_a_clear_is_not_stored() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    cache.clear()
    loader.end("old")
    assert await reader == "old"
    assert "k" not in cache


async def test_the_size_of_the_cache_does_not_matter_to_loads_in_progress() -> None:
    cache, loader = AsyncCache(maxsize=1), Loader()
    first = await start(cache.get("a", loader))
    cache.set("b", 1)
    cache.set("c", 2)
    second = await start(cache.get("a", loader))
    loader.end("v")
    assert (await first, await second, len(loader.calls)) == ("v", "v", 1)
    await settle()
    assert len(cache) == 1


async def test_the_errors_of_the_cache_have_one_root() -> None:
    assert issubclass(CacheCycleError, CacheError)
    assert issubclass(LoadCancelled, CacheError)

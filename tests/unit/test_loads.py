from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cache import AsyncCache, AsyncLRU, CacheCycleError, LoadCancelled
from cache.testing import FakeClock
from tests.spec.steering import Loader, metric, settle, start

# -- which load a caller joins ---------------------------------------------------------------------------------


async def test_callers_of_one_key_share_a_load_and_callers_of_two_do_not(cache: AsyncCache, loader: Loader) -> None:
    readers = [await start(cache.get(key, loader)) for key in "aab"]
    assert len(loader.calls) == 2
    loader.end("A", 0)
    loader.end("B", 1)
    assert await asyncio.gather(*readers) == ["A", "A", "B"]
    assert (metric(cache, "misses"), metric(cache, "coalesced"), metric(cache, "loads")) == (3, 1, 2)


async def test_whoever_asks_after_an_invalidation_does_not_join_the_load_that_began_before(
    cache: AsyncCache, loader: Loader
) -> None:
    early = await start(cache.get("k", loader))
    cache.delete("k")
    late = [await start(cache.get("k", loader)) for _ in range(2)]
    assert len(loader.calls) == 2
    loader.end("new", 1)
    assert await asyncio.gather(*late) == ["new", "new"]
    loader.end("old", 0)
    assert await early == "old"
    assert cache.peek("k") == "new"
    assert metric(cache, "fenced") == 1


async def test_during_a_mutation_one_load_runs_and_one_is_queued(cache: AsyncCache, loader: Loader) -> None:
    mutating = cache.mutating("k")
    await asyncio.create_task(mutating.__aenter__())
    readers = [await start(cache.get("k", loader)) for _ in range(4)]
    assert len(loader.calls) == 1
    loader.end("first", 0)
    await settle()
    assert len(loader.calls) == 2
    loader.end("second", 1)
    assert await asyncio.gather(*readers) == ["first", "second", "second", "second"]
    assert len(cache) == 0
    await mutating.__aexit__(None, None, None)


async def test_the_end_of_a_mutation_begins_the_queued_load_at_once(cache: AsyncCache, loader: Loader) -> None:
    mutating = cache.mutating("k")
    await asyncio.create_task(mutating.__aenter__())
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    assert len(loader.calls) == 1
    await mutating.__aexit__(None, None, None)
    await settle()
    assert len(loader.calls) == 2
    loader.end("new", 1)
    assert await readers[1] == "new"
    assert cache.peek("k") == "new"
    loader.end("old", 0)
    assert await readers[0] == "old"
    assert cache.peek("k") == "new"


async def test_a_queued_load_that_nobody_waits_for_any_more_leaves_its_place_to_the_one_before(
    cache: AsyncCache, loader: Loader
) -> None:
    mutating = cache.mutating("k")
    await asyncio.create_task(mutating.__aenter__())
    first, queued = [await start(cache.get("k", loader)) for _ in range(2)]
    queued.cancel()
    await settle()
    third = await start(cache.get("k", loader))
    assert len(loader.calls) == 1
    loader.end("first", 0)
    await settle()
    assert len(loader.calls) == 2
    loader.end("third", 1)
    assert [await first, await third] == ["first", "third"]
    await mutating.__aexit__(None, None, None)


async def test_a_queued_load_is_left_alone_by_invalidations(cache: AsyncCache, loader: Loader) -> None:
    mutating = cache.mutating("k")
    await asyncio.create_task(mutating.__aenter__())
    first = await start(cache.get("k", loader))
    queued = await start(cache.get("k", loader))
    await mutating.__aexit__(None, None, None)
    await settle()
    loader.end("queued", 1)
    assert await queued == "queued"
    assert cache.peek("k") == "queued"
    loader.end("first", 0)
    await first


# -- to load anew ----------------------------------------------------------------------------------------------


def made_of(loader: Loader) -> Any:
    @AsyncLRU()
    async def f(uid: int) -> Any:
        return await loader(uid)

    return f


async def test_to_load_anew_is_to_join_no_load_that_has_begun(loader: Loader) -> None:
    f = made_of(loader)
    plain = await start(f(1))
    refreshed = await start(f.refresh(1))
    assert len(loader.calls) == 2
    newcomer = await start(f(1))
    assert len(loader.calls) == 2
    loader.end("new", 1)
    assert [await refreshed, await newcomer] == ["new", "new"]
    loader.end("old", 0)
    assert await plain == "old"
    assert f.peek(1) == "new"


async def test_to_load_anew_leaves_others_the_entry_until_it_ends(loader: Loader) -> None:
    f = made_of(loader)
    f.cache.set(f.cache_key(1), "old")
    refreshed = await start(f.refresh(1))
    assert await f(1) == "old"
    loader.end("new")
    assert await refreshed == "new"
    assert await f(1) == "new"


async def test_to_load_anew_is_to_join_a_load_that_has_not_begun(loader: Loader) -> None:
    f = made_of(loader)
    mutating = f.cache.mutating(f.cache_key(1))
    await asyncio.create_task(mutating.__aenter__())
    readers = [await start(read) for read in (f(1), f(1), f.refresh(1))]
    loader.end("first", 0)
    await settle()
    assert len(loader.calls) == 2
    loader.end("second", 1)
    assert await asyncio.gather(*readers) == ["first", "second", "second"]
    await mutating.__aexit__(None, None, None)


# -- kept errors -----------------------------------------------------------------------------------------------


async def test_an_error_is_kept_for_the_seconds_of_the_first_class_that_it_belongs_to(clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock, cache_errors={KeyError: 2.0, LookupError: 5.0})
    for error, seconds in ((KeyError("k"), 2.0), (IndexError("i"), 5.0), (ValueError("v"), None)):
        assert cache._loads.ttl_of_error(error) == seconds


async def test_a_cancelled_load_and_a_cycle_say_nothing_of_what_the_next_load_would_find() -> None:
    cache = AsyncCache(cache_errors={Exception: 5.0})
    assert cache._loads.ttl_of_error(LoadCancelled("closed")) is None
    assert cache._loads.ttl_of_error(CacheCycleError("c", 1, "c", 2)) is None
    assert cache._loads.ttl_of_error(OSError()) == 5.0


# -- several loops ---------------------------------------------------------------------------------------------


async def test_a_load_on_another_loop_is_not_waited_for(cache: AsyncCache, loader: Loader) -> None:
    reader = await start(cache.get("k", loader))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(cache.get("k", lambda: "theirs"))))
    thread.start()
    thread.join()
    assert found == ["theirs"]
    assert cache.peek("k") == "theirs"
    loader.end("ours")
    assert await reader == "ours"


# -- closing ---------------------------------------------------------------------------------------------------


async def test_to_cancel_all_is_to_tell_all_who_wait_and_to_end_the_tasks(cache: AsyncCache, loader: Loader) -> None:
    readers = [await start(cache.get(key, loader)) for key in "ab"]
    error = LoadCancelled("closed")
    assert await cache._loads.cancel_all(error, 5.0) == []
    assert await asyncio.gather(*readers, return_exceptions=True) == [error, error]
    assert loader.cancelled == 2


async def test_to_cancel_all_names_the_tasks_that_would_not_end(cache: AsyncCache) -> None:
    may_end = asyncio.Event()

    async def stubborn() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    reader = await start(cache.get("k", stubborn))
    assert await cache._loads.cancel_all(LoadCancelled("closed"), 0.0) == ["cache load of users"]
    may_end.set()
    with pytest.raises(LoadCancelled):
        await reader


async def test_a_load_may_close_its_own_cache(cache: AsyncCache) -> None:
    async def load() -> str:
        await cache.aclose()
        return "v"

    with pytest.raises(LoadCancelled):
        await cache.get("k", load)
    assert len(cache) == 0

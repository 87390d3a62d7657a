from __future__ import annotations

import asyncio
import logging

import pytest

from cache import AsyncCache, LoadCancelled
from cache.testing import assert_quiet
from tests.spec.steering import BatchLoader, Loader, Stubborn, Timers, metric, settle, start, start_outside

# -- what it does --------------------------------------------------------------------------------------------------


async def test_closing_drops_all_entries() -> None:
    cache = AsyncCache()
    cache.set("k", 1, tags=("t",))
    await cache.aclose()
    assert len(cache) == 0
    assert_quiet(cache)


async def test_closing_ends_the_loads_in_progress_and_tells_their_callers() -> None:
    cache, loader = AsyncCache(name="users"), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    await cache.aclose()
    results = await asyncio.gather(*readers, return_exceptions=True)
    for error in results:
        assert isinstance(error, LoadCancelled)
        assert "'users' was closed" in str(error)
    assert loader.cancelled == 1
    assert len(cache) == 0


async def test_closing_returns_when_the_loads_have_ended() -> None:
    cache, cleaned_up = AsyncCache(), asyncio.Event()

    async def load() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await settle()
            cleaned_up.set()

    reader = await start(cache.get("k", load))
    await cache.aclose()
    assert cleaned_up.is_set()
    with pytest.raises(LoadCancelled):
        await reader


async def test_closing_tells_those_whose_load_is_queued() -> None:
    cache, loader = AsyncCache(), Loader()
    async with cache.mutating("k"):
        readers = [await start_outside(cache.get("k", loader)) for _ in range(2)]
        assert len(loader.calls) == 1
        await cache.aclose()
        results = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(error) for error in results] == [LoadCancelled, LoadCancelled]
    assert len(loader.calls) == 1, "the queued one never began"
    assert metric(cache, "loads") == 1


async def test_closing_tells_those_whose_batch_collects(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, load, timers = AsyncCache(batch_window_ms=20), BatchLoader(), Timers(monkeypatch)
    readers = [await start(cache.get(key, batch_loader=load)) for key in "ab"]
    await cache.aclose()
    timers.go_off()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(error) for error in results] == [LoadCancelled, LoadCancelled]
    assert load.asked == []


async def test_closing_ends_a_batch_that_was_sent() -> None:
    cache, loader = AsyncCache(batch_window_ms=0), Loader()
    reader = await start(cache.get("a", batch_loader=loader))
    await cache.aclose()
    with pytest.raises(LoadCancelled):
        await reader
    assert loader.cancelled == 1


async def test_closing_keeps_the_metrics() -> None:
    cache = AsyncCache()
    await cache.get("k", lambda: 1)
    await cache.aclose()
    assert (metric(cache, "misses"), metric(cache, "size")) == (1, 0)


async def test_a_caller_who_is_cancelled_as_the_cache_closes_is_cancelled() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    reader.cancel()
    await cache.aclose()
    assert reader.cancelled()


async def test_the_error_of_a_closed_inner_cache_is_the_outer_loaders_to_handle() -> None:
    inner, outer, loader = AsyncCache(), AsyncCache(), Loader()

    async def load() -> str:
        try:
            await inner.get("k", loader)
        except LoadCancelled:
            return "without"
        return "with"

    reader = await start(outer.get("k", load))
    await inner.aclose()
    assert await reader == "without"


async def test_closing_while_a_mutation_is_open_leaves_the_mutation_in_force() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        await cache.aclose()
        assert await (await start_outside(cache.get("k", lambda: "uncommitted"))) == "uncommitted"
        assert "k" not in cache
    assert await cache.get("k", lambda: "new") == "new"
    assert cache.peek("k") == "new"


# -- bounded -------------------------------------------------------------------------------------------------------


async def test_closing_waits_for_a_stubborn_load_no_longer_than_its_timeout(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache, loader, timers = AsyncCache(name="users"), Stubborn(), Timers(monkeypatch)
    reader = await start(cache.get("k", loader))
    closing = await start(cache.aclose(timeout=7))
    assert not closing.done()
    with pytest.raises(LoadCancelled):
        await reader
    assert timers.delays == [7]
    with caplog.at_level(logging.WARNING, "cache"):
        timers.go_off()
        await closing
    assert "'users' was closed; loads still running after 7 s: 1" in caplog.text
    loader.may_end.set()
    await settle()
    assert len(cache) == 0, "what it returns at last is of no interest any more"


async def test_a_stubborn_load_does_not_delay_the_news_for_its_callers() -> None:
    cache, loader = AsyncCache(), Stubborn()
    reader = await start(cache.get("k", loader))
    closing = await start(cache.aclose())
    assert reader.done()
    loader.may_end.set()
    await closing
    with pytest.raises(LoadCancelled):
        await reader


async def test_a_timeout_of_0_does_not_wait() -> None:
    cache, loader = AsyncCache(), Stubborn()
    reader = await start(cache.get("k", loader))
    await cache.aclose(timeout=0)
    assert not loader.may_end.is_set()
    loader.may_end.set()
    with pytest.raises(LoadCancelled):
        await reader


async def test_a_loader_may_close_its_own_cache() -> None:
    cache = AsyncCache()

    async def load() -> None:
        await cache.aclose()

    with pytest.raises(LoadCancelled):
        await cache.get("k", load)


async def test_closing_may_be_cancelled_and_tried_again() -> None:
    cache, loader = AsyncCache(), Stubborn()
    reader = await start(cache.get("k", loader))
    closing = await start(cache.aclose())
    closing.cancel()
    await settle()
    assert closing.cancelled()
    loader.may_end.set()
    await cache.aclose()
    with pytest.raises(LoadCancelled):
        await reader


# -- repeatable ----------------------------------------------------------------------------------------------------


async def test_closing_may_be_repeated() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    for _ in range(3):
        await cache.aclose()
    with pytest.raises(LoadCancelled):
        await reader


async def test_closing_twice_at_once() -> None:
    cache, loader = AsyncCache(), Stubborn()
    reader = await start(cache.get("k", loader))
    closing = [await start(cache.aclose()) for _ in range(2)]
    loader.may_end.set()
    await asyncio.gather(*closing)
    with pytest.raises(LoadCancelled):
        await reader


async def test_a_closed_cache_can_be_used_again() -> None:
    cache = AsyncCache()
    await cache.aclose()
    assert await cache.get("k", lambda: 1) == 1
    assert cache.peek("k") == 1
    await cache.aclose()
    assert cache.set("k", 2)


# -- async with ----------------------------------------------------------------------------------------------------


async def test_async_with_gives_the_cache_and_closes_it() -> None:
    loader = Loader()
    async with AsyncCache() as cache:
        cache.set("k", 1)
        reader = await start(cache.get("other", loader))
    assert len(cache) == 0
    with pytest.raises(LoadCancelled):
        await reader


async def test_async_with_closes_the_cache_after_an_error_and_passes_it_on() -> None:
    cache, error = AsyncCache(), LookupError()

    async def fail() -> None:
        async with cache:
            cache.set("k", 1)
            raise error

    with pytest.raises(LookupError) as raised:
        await fail()
    assert raised.value is error
    assert len(cache) == 0

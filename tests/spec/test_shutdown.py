from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncCache, LoadCancelled, cached, shutdown
from tests.spec.steering import Elsewhere, Loader, Stubborn, Timers, settle, start


async def test_closing_ends_the_loads_of_other_loops_too(elsewhere: Elsewhere) -> None:
    cache, loader = AsyncCache(), Loader()

    async def begin() -> asyncio.Task[Any]:
        return await start(cache.get("k", loader))

    async def end(reader: asyncio.Task[Any]) -> None:
        with pytest.raises(LoadCancelled):
            await reader
        await settle()

    reader = await elsewhere.do(begin())
    await cache.aclose()
    await elsewhere.do(end(reader))
    assert loader.cancelled == 1


async def test_shutdown_closes_every_cache_that_is_alive() -> None:
    loader, cache = Loader(), AsyncCache()

    @cached()
    async def read() -> Any:
        return await loader()

    cache.set("k", 1)
    reader = await start(read())
    await shutdown()
    assert len(cache) == 0
    with pytest.raises(LoadCancelled):
        await reader


async def test_shutdown_may_be_repeated() -> None:
    cache = AsyncCache()
    cache.set("k", 1)
    await shutdown()
    await shutdown()
    assert cache.set("k", 2)


async def test_shutdown_waits_for_all_caches_together_and_no_longer_than_its_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caches, loader, timers = [AsyncCache() for _ in range(3)], Stubborn(), Timers(monkeypatch)
    readers = [await start(cache.get("k", loader)) for cache in caches]
    closing = await start(shutdown(timeout=7))
    assert timers.delays == [7, 7, 7], "set at the same moment"
    timers.go_off()
    await closing
    loader.may_end.set()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(error) for error in results] == [LoadCancelled] * 3

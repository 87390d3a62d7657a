from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cache import AsyncLRU, cached
from tests.spec.steering import Loader, Table, settle, start, start_outside


async def test_use_cache_false_loads_anew_and_stores() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await get(1)
    await table.write(1)
    assert await get(1, use_cache=False) == 1
    assert await get(1) == 1
    assert table.reads[1] == 2


async def test_refresh_loads_anew_and_stores() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await get(1)
    await table.write(1)
    assert await get.refresh(1) == 1
    assert get.peek(1) == 1


async def test_use_cache_true_is_an_ordinary_call() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await get(1)
    await get(1, use_cache=True)
    assert table.reads[1] == 1


async def test_others_are_served_the_entry_while_it_is_refreshed() -> None:
    loader = Loader()
    get = AsyncLRU()(_calling(loader))
    get.cache.set(get.cache_key(1), "old")
    refresh = await start(get.refresh(1))
    assert await get(1) == "old"
    loader.end("new")
    assert await refresh == "new"
    assert await get(1) == "new"
    assert len(loader.calls) == 1


async def test_a_refresh_that_fails_keeps_the_entry() -> None:
    loader = Loader()
    get = AsyncLRU()(_calling(loader))
    get.cache.set(get.cache_key(1), "old")
    refresh = await start(get.refresh(1))
    loader.fail(OSError("down"))
    with pytest.raises(OSError, match="down"):
        await refresh
    assert await get(1) == "old"


async def test_a_refresh_whose_result_is_not_stored_does_not_bring_the_old_one_back() -> None:
    table = Table()
    get = cached(ttl=lambda version: 0 if version else None)(table.read)
    await get(1)
    await table.write(1)
    assert await get.refresh(1) == 1
    assert await get(1) == 1


async def test_a_refresh_does_not_join_a_load_that_has_begun_and_detaches_it() -> None:
    loader = Loader()
    get = AsyncLRU()(_calling(loader))
    early = await start(get(1))
    refresh = await start(get.refresh(1))
    assert len(loader.calls) == 2
    late = await start(get(1))
    assert len(loader.calls) == 2
    loader.end("new", 1)
    loader.end("old", 0)
    assert [await early, await refresh, await late] == ["old", "new", "new"]
    assert get.peek(1) == "new"


async def test_a_refresh_joins_a_load_that_has_not_begun() -> None:
    loader = Loader()
    get = AsyncLRU()(_calling(loader))
    with get.cache.mutating(get.cache_key(1)):
        first, second, refresh = [await start_outside(read) for read in (get(1), get(1), get.refresh(1))]
        assert len(loader.calls) == 1, "the others are queued behind the first, whose result cannot be stored"
        loader.end("during")
        await settle()
        assert len(loader.calls) == 2
    loader.end("after")
    assert [await first, await second, await refresh] == ["during", "after", "after"]


def _calling(loader: Loader) -> Callable[[int], Coroutine[Any, Any, Any]]:
    async def get(uid: int) -> Any:
        return await loader(uid)

    return get

from __future__ import annotations

import asyncio

import pytest

import cache
from cache import AsyncCache, AsyncLRU, AsyncLRUInvalidator, AsyncTTL
from cache.testing import disabled
from tests.spec.steering import Loader, Table, start


async def test_every_call_loads_anew() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    with disabled():
        await get(1)
        await table.write(1)
        assert await get(1) == 1
    assert table.reads[1] == 2


async def test_loads_are_not_shared() -> None:
    loader = Loader()

    @AsyncLRU
    async def get(uid: int) -> object:
        return await loader(uid)

    with disabled():
        readers = [await start(get(1)) for _ in range(3)]
        assert len(loader.calls) == 3
        for call in range(3):
            loader.end(call, call)
        assert await asyncio.gather(*readers) == [0, 1, 2]


async def test_it_holds_for_every_cache_and_way_to_read() -> None:
    core, table = AsyncCache(batch_window_ms=0), Table()
    brief = AsyncTTL()(table.read)
    with disabled():
        for _ in range(2):
            await core.get("k", lambda: table.read("core"))
            await core.get("k", batch_loader=lambda _: [table.reads.update(["batch"])])
            await brief("brief")
            await brief.refresh("brief")
    assert table.reads == {"core": 2, "batch": 2, "brief": 4}


async def test_what_was_stored_before_is_dropped_and_nothing_from_inside_stays() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await get(1)
    with disabled():
        assert get.peek(1) is None
        await get(2)
        assert len(get.cache) == 0
    assert len(get.cache) == 0


async def test_nothing_can_be_set() -> None:
    core = AsyncCache()
    with disabled():
        assert not core.set("k", 1)
        assert await core.get("k", default="absent") == "absent"
    assert "k" not in core


async def test_a_load_that_was_in_progress_is_not_stored() -> None:
    loader, core = Loader(), AsyncCache()
    before = await start(core.get("k", loader))
    with disabled():
        loader.end("v")
        assert await before == "v"
    assert "k" not in core


async def test_a_load_begun_inside_is_not_stored_when_it_ends_outside() -> None:
    loader, core = Loader(), AsyncCache()
    with disabled():
        inside = await start(core.get("k", loader))
    loader.end("v")
    assert await inside == "v"
    assert "k" not in core


async def test_afterwards_everything_is_cached_again() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    with disabled():
        await get(1)
    await get(1)
    await get(1)
    assert table.reads[1] == 2


async def test_it_ends_when_its_body_raises() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    with pytest.raises(ValueError, match=r"^$"), disabled():
        raise ValueError
    await get(1)
    assert get.peek(1) == 0


async def test_it_may_be_nested() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    with disabled():
        with disabled():
            await get(1)
        await get(1)
        await get(1)
    assert table.reads[1] == 3


async def test_mutations_and_nested_functions_work_as_ever() -> None:
    table = Table()
    get = AsyncLRU()(table.read)

    @AsyncLRU
    async def double(key: int) -> int:
        return 2 * await get(key)

    write = AsyncLRUInvalidator(get)(table.write)
    with disabled():
        assert await double(1) == 0
        await write(1)
        assert await double(1) == 2


async def test_a_cache_made_inside_is_disabled_too() -> None:
    table = Table()
    with disabled():
        get = AsyncLRU()(table.read)
        await get(1)
        await get(1)
    assert table.reads[1] == 2


async def test_it_is_reached_through_the_door() -> None:
    with cache.testing.disabled():
        assert not AsyncCache().set("k", 1)

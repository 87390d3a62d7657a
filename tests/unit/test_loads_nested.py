from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncCache, AsyncLRU, CacheCycleError, LoadCancelled
from cache._loads import switch
from cache.testing import disabled
from tests.spec.steering import Loader, metric, settle, start

# -- private reads ---------------------------------------------------------------------------------------------


async def test_the_body_of_a_mutation_reads_for_itself(cache: AsyncCache, loader: Loader) -> None:
    other = AsyncCache()
    async with cache.mutating("k"):
        for of in (cache, other):
            reader = await start(of.get("x", loader))
            loader.end("uncommitted")
            assert await reader == "uncommitted"
            assert len(of) == 0
            assert metric(of, "loads") == 1
    assert len(loader.calls) == 2


async def test_the_body_of_a_mutation_may_read_what_it_does_not_change_from_the_cache(cache: AsyncCache) -> None:
    cache.set("other", "stored")
    async with cache.mutating("k"):
        assert await cache.get("other", lambda: "loaded") == "stored"


async def test_a_load_that_has_read_in_the_body_of_a_mutation_is_not_stored(cache: AsyncCache) -> None:
    outer = AsyncCache()

    async def load() -> Any:
        async with cache.mutating("k"):
            return await cache.get("other", lambda: "uncommitted")

    assert await outer.get("outer", load) == "uncommitted"
    assert len(outer) == 0


@pytest.mark.parametrize("error", [KeyError("no"), KeyboardInterrupt()])
async def test_errors_of_private_reads_are_counted_and_passed_on(cache: AsyncCache, error: BaseException) -> None:
    def load() -> None:
        raise error

    async with cache.mutating("k"):
        with pytest.raises(type(error)) as caught:
            await cache.get("k", load)
    assert caught.value is error
    assert metric(cache, "load_errors") == 1


async def test_a_private_read_cancelled_from_inside_is_reported_as_that(cache: AsyncCache) -> None:
    def load() -> None:
        raise asyncio.CancelledError

    async with cache.mutating("k"):
        with pytest.raises(LoadCancelled, match=r"the load of users\['k'\] was cancelled from inside"):
            await cache.get("k", load)
    assert metric(cache, "load_errors") == 1


async def test_a_private_read_whose_caller_is_cancelled_is_cancelled(cache: AsyncCache, loader: Loader) -> None:
    async def body() -> None:
        with cache.mutating("k", linger=0):
            await cache.get("k", loader)

    reader = await start(body())
    reader.cancel()
    await settle()
    assert reader.cancelled()
    assert loader.cancelled == 1
    assert metric(cache, "load_errors") == 0


async def test_while_caches_are_disabled_nothing_is_shared_or_stored(cache: AsyncCache, loader: Loader) -> None:
    with disabled():
        assert switch.off == 1
        readers = [await start(cache.get("k", loader)) for _ in range(2)]
        for call in range(2):
            loader.end(call, call)
        assert await asyncio.gather(*readers) == [0, 1]
    assert switch.off == 0
    assert len(cache) == 0


# -- reads inside a load ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_hit", [True, False])
async def test_a_load_rests_on_the_key_that_it_reads_whether_stored_or_not(
    cache: AsyncCache, loader: Loader, is_hit: bool
) -> None:
    outer = AsyncCache()
    if is_hit:
        cache.set("inner", 1)

    async def load() -> Any:
        await cache.get("inner", lambda: 1)
        return await loader()

    reader = await start(outer.get("outer", load))
    cache.delete("inner")
    loader.end("made of the old")
    await reader
    assert len(outer) == 0


async def test_a_look_without_a_loader_makes_the_load_rest_on_the_key_too(cache: AsyncCache) -> None:
    outer = AsyncCache()

    async def load() -> Any:
        return await cache.get("inner", default="none"), cache.peek("other", "none")

    for inner in ("inner", "other"):
        assert await outer.get(inner, load) == ("none", "none")
        cache.set(inner, "there now")
        assert inner not in outer
        cache.clear()


async def test_a_load_that_would_wait_for_itself_is_refused_with_both_keys(cache: AsyncCache) -> None:
    async def load_a() -> Any:
        return await cache.get("b", load_b)

    async def load_b() -> Any:
        return await cache.get("a", load_a)

    with pytest.raises(CacheCycleError, match=r"users\['b'\].*users\['a'\]") as caught:
        await cache.get("a", load_a)
    assert (caught.value.key, caught.value.waiting) == ("a", "b")
    assert len(cache) == 0


async def test_a_load_that_refreshes_a_key_during_a_mutation_of_it_is_not_stored(cache: AsyncCache) -> None:
    @AsyncLRU()
    async def inner(uid: int) -> int:
        return uid

    outer = AsyncCache()
    mutating = inner.cache.mutating(inner.cache_key(1))
    await asyncio.create_task(mutating.__aenter__())
    assert await outer.get("outer", lambda: inner.refresh(1)) == 1
    assert len(outer) == 0
    await mutating.__aexit__(None, None, None)
    assert await outer.get("outer", lambda: inner.refresh(1)) == 1
    assert len(outer) == 1

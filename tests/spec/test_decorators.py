from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cache import AsyncLRU, AsyncTTL, cached, invalidate
from cache.testing import FakeClock
from tests.spec.steering import Loader, Table, metric, start


async def test_the_second_call_with_the_same_arguments_is_a_hit() -> None:
    table = Table()

    @AsyncLRU()
    async def get(uid: int) -> int:
        return await table.read(uid)

    assert [await get(1), await get(1), await get(2)] == [0, 0, 0]
    assert table.reads == {1: 1, 2: 1}


BARE_AND_CALLED = {
    "AsyncLRU": AsyncLRU,
    "AsyncLRU()": AsyncLRU(),
    "AsyncTTL": AsyncTTL,
    "AsyncTTL()": AsyncTTL(),
    "cached()": cached(),
}


@pytest.mark.parametrize("decorator", BARE_AND_CALLED)
async def test_a_decorator_may_be_bare_or_called(decorator: str) -> None:
    table = Table()
    get = BARE_AND_CALLED[decorator](table.read)
    assert [await get(1), await get(1)] == [0, 0]
    assert table.reads[1] == 1


@pytest.mark.parametrize("decorator", BARE_AND_CALLED)
async def test_what_is_not_said_has_the_documented_size(decorator: str) -> None:
    maxsize = 1024 if "TTL" in decorator else 128
    get = BARE_AND_CALLED[decorator](Table().read)
    assert get.cache_parameters()["maxsize"] == maxsize
    for key in range(maxsize + 1):
        await get(key)
    assert len(get.cache) == maxsize


async def test_results_of_the_ttl_preset_are_kept_for_a_minute(clock: FakeClock) -> None:
    table = Table()

    @AsyncTTL(clock=clock)
    async def get(uid: int) -> int:
        return await table.read(uid)

    await get(1)
    clock.advance(59.9)
    await get(1)
    assert table.reads[1] == 1
    clock.advance(0.2)
    await get(1)
    assert table.reads[1] == 2


async def test_the_options_of_the_presets_have_positions() -> None:
    @AsyncLRU(2, 1)
    async def recent(session: object, uid: int) -> int:
        return uid

    @AsyncTTL(5, 2, 1)
    async def brief(session: object, uid: int) -> int:
        return uid

    for get in (recent, brief):
        assert get.cache_parameters() == {"maxsize": 2, "typed": False}
        assert get.cache_key("one", 1) == get.cache_key("another", 1)


async def test_concurrent_calls_share_one_load() -> None:
    loader = Loader()
    get = AsyncLRU()(_calling(loader))
    readers = [await start(get(1)) for _ in range(5)]
    loader.end("v")
    assert await asyncio.gather(*readers) == ["v"] * 5
    assert loader.calls == [(1,)]


async def test_a_function_of_size_0_stores_nothing_and_still_shares_loads() -> None:
    loader = Loader()
    get = AsyncLRU(maxsize=0)(_calling(loader))
    readers = [await start(get(1)) for _ in range(3)]
    loader.end("v")
    await asyncio.gather(*readers)
    assert (len(loader.calls), len(get.cache)) == (1, 0)


async def test_a_cached_none_is_a_hit() -> None:
    calls = []

    @AsyncLRU
    async def find(uid: int) -> None:
        calls.append(uid)

    await find(1)
    await find(1)
    assert calls == [1]


async def test_entries_belong_to_the_wrapper_and_not_to_a_name() -> None:
    table = Table()

    async def get(uid: int) -> int:
        return await table.read(uid)

    one, two = AsyncLRU()(get), AsyncTTL()(get)
    await one(1)
    await table.write(1)
    assert [await one(1), await two(1)] == [0, 1]
    one.clear_cache()
    assert (len(one.cache), len(two.cache)) == (0, 1)


async def test_a_decorator_may_be_used_for_several_functions_which_share_nothing() -> None:
    decorate = AsyncLRU(maxsize=2)

    @decorate
    async def double(x: int) -> int:
        return 2 * x

    @decorate
    async def negate(x: int) -> int:
        return -x

    assert [await double(1), await negate(1)] == [2, -1]
    assert double.cache is not negate.cache


# -- options -----------------------------------------------------------------------------------------------------


async def test_an_error_is_kept_if_its_class_is_named() -> None:
    calls = []

    @cached(cache_errors={KeyError: 5.0})
    async def get(uid: int) -> int:
        calls.append(uid)
        raise KeyError(uid)

    for _ in range(2):
        with pytest.raises(KeyError):
            await get(1)
    assert calls == [1]


async def test_tags_live_in_the_namespace_of_the_function() -> None:
    @cached(tags=("user:{uid}",), namespace="tenant")
    async def get(uid: int) -> int:
        return uid

    await get(1)
    invalidate("user:1")
    assert get.peek(1) == 1
    invalidate("user:1", namespace="tenant")
    assert get.peek(1) is None


@pytest.mark.parametrize("policy", ["lru", "s3fifo"])
async def test_a_policy_bounds_the_size(policy: str) -> None:
    @cached(maxsize=10, policy=policy)
    async def get(uid: int) -> int:
        return uid

    for uid in range(100):
        assert await get(uid) == uid
    assert len(get.cache) == 10
    assert metric(get.cache, "evictions") == 90


# -- what can be decorated ---------------------------------------------------------------------------------------


async def test_a_partial_of_a_coroutine_function_may_be_cached() -> None:
    table = Table()

    async def get(source: Table, uid: int) -> int:
        return await source.read(uid)

    of_table = AsyncLRU()(functools.partial(get, table))
    assert [await of_table(1), await of_table(uid=1)] == [0, 0]
    assert table.reads[1] == 1


async def test_a_bound_method_may_be_cached() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    assert [await get(1), await get(key=1)] == [0, 0]
    assert table.reads[1] == 1


async def test_another_decorator_may_stand_on_either_side() -> None:
    order: list[str] = []

    def logged(name: str) -> Callable[[Any], Any]:
        def decorate(function: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
            @functools.wraps(function)
            async def call(*args: Any, **kwargs: Any) -> Any:
                order.append(name)
                return await function(*args, **kwargs)

            return call

        return decorate

    @logged("outside")
    @AsyncLRU()
    @logged("inside")
    async def get(uid: int) -> int:
        return uid

    assert [await get(1), await get(uid=1)] == [1, 1]
    assert order == ["outside", "inside", "outside"]
    get.invalidate_cache(1)
    await get(1)
    assert order == ["outside", "inside", "outside", "outside", "inside"]


def _calling(loader: Loader) -> Callable[[int], Coroutine[Any, Any, Any]]:
    async def get(uid: int) -> Any:
        return await loader(uid)

    return get

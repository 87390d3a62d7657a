from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from cache import AsyncCache, AsyncLRU, cached
from tests.spec.steering import Loader, Table, start


async def test_peek_gives_the_result_or_none_and_does_nothing_else() -> None:
    table = Table()
    get = AsyncLRU(maxsize=2)(table.read)
    assert get.peek(1) is None
    await get(1)
    await get(2)
    before = get.get_metrics()
    assert get.peek(1) == 0
    assert get.get_metrics() == before
    await get(3)
    assert get.peek(1) is None, "peek must not have promoted it"
    assert table.reads == {1: 1, 2: 1, 3: 1}


async def test_peek_shows_no_error_that_is_kept() -> None:
    @cached(cache_errors={KeyError: 5.0})
    async def get(uid: int) -> None:
        raise KeyError(uid)

    with pytest.raises(KeyError):
        await get(1)
    assert get.peek(1) is None


async def test_invalidate_cache_drops_the_result_for_these_arguments_alone() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    for key in (1, 2):
        await get(key)
        await table.write(key)
    get.invalidate_cache(key=1)
    assert [await get(1), await get(2)] == [1, 0]


async def test_invalidate_cache_fences_a_load_in_progress() -> None:
    loader = Loader()
    get = AsyncLRU()(_calling(loader))
    early = await start(get(1))
    get.invalidate_cache(1)
    loader.end("old")
    assert await early == "old"
    assert get.peek(1) is None


@pytest.mark.parametrize("name", ["clear_cache", "cache_clear"])
async def test_clear_cache_drops_everything_under_either_name(name: str) -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await get(1)
    await get(2)
    assert getattr(get, name)()
    assert len(get.cache) == 0
    assert get.get_metrics()["misses"] == 0


async def test_what_is_set_under_its_key_is_what_the_function_returns() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    get.cache.set(get.cache_key(1), 7)
    assert await get(1) == 7
    assert 1 not in table.reads


async def test_the_cache_of_a_function_is_an_async_cache_that_bears_its_name() -> None:
    @AsyncLRU
    async def get(uid: int) -> int:
        return uid

    named = cached(name="users")(_calling(Loader()))
    assert isinstance(get.cache, AsyncCache)
    assert (get.cache.name, named.cache.name) == (get.__qualname__, "users")


@pytest.mark.parametrize("maxsize", [None, 0, 2, 128])
@pytest.mark.parametrize("typed", [False, True])
async def test_cache_info_and_parameters_say_what_functools_says(maxsize: int | None, *, typed: bool) -> None:
    @functools.lru_cache(maxsize=maxsize, typed=typed)
    def theirs(x: Any) -> Any:
        return x

    @cached(maxsize=maxsize, typed=typed)
    async def ours(x: Any) -> Any:
        return x

    for x in [1, 1, 2, 3, 1, "1", 4, 3, "1"]:
        assert await ours(x) == theirs(x)
        assert tuple(ours.cache_info()) == tuple(theirs.cache_info())
    assert ours.cache_parameters() == theirs.cache_parameters()
    assert ours.cache_info()._fields == theirs.cache_info()._fields


def _calling(loader: Loader) -> Callable[[int], Coroutine[Any, Any, Any]]:
    async def get(uid: int) -> Any:
        return await loader(uid)

    return get

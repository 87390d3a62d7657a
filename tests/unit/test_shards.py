from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache import AsyncCache, AsyncLRU
from cache._shards import PART, SMALL, Shards, count_parts, make_contents
from cache.testing import assert_quiet

LARGE = SMALL + 1


@pytest.mark.parametrize("maxsize", [None, 0, 1, SMALL])
def test_a_cache_that_is_not_known_to_be_large_is_one_dict(maxsize: int | None) -> None:
    assert count_parts(maxsize) == 1
    contents: Any = make_contents(count_parts(maxsize))
    assert type(contents) is dict


@pytest.mark.parametrize("maxsize", [LARGE, 100_000, 1_000_000, 10_000_000])
def test_a_large_one_is_in_parts_of_a_few_thousand(maxsize: int) -> None:
    parts = count_parts(maxsize)
    assert parts % 2 == 1
    assert PART / 2 < maxsize / parts <= PART


@pytest.mark.parametrize("step", [1, 2, 64, 1024, 8192])
def test_keys_at_equal_distances_are_spread_over_all_parts(step: int) -> None:
    shards: Shards[int] = Shards(count_parts(1_000_000))
    for key in range(0, 10_000 * step, step):
        shards[key] = key
    fullest = max(len(part) for part in shards.parts)
    assert fullest <= 2 * 10_000 / len(shards.parts)


@given(st.lists(st.tuples(st.sampled_from(["set", "delete", "get"]), st.integers(0, 30))))
def test_it_is_a_dict_in_all_that_it_does(operations: list[tuple[str, int]]) -> None:
    shards: Shards[int] = Shards(5)
    model: dict[int, int] = {}
    for step, (what, key) in enumerate(operations):
        if what == "set":
            shards[key] = model[key] = step
        elif what == "delete" and key in model:
            del shards[key], model[key]
        assert shards.get(key) == model.get(key)
        assert (key in shards) == (key in model)
        assert len(shards) == len(model)
    assert {key: shards[key] for key in shards} == model
    assert dict(shards.popitem() for _ in range(len(model))) == model
    assert len(shards) == 0


def test_what_is_not_there_is_a_key_error_and_what_is_not_hashable_a_type_error() -> None:
    shards: Shards[int] = Shards(5)
    with pytest.raises(KeyError):
        shards[1]
    with pytest.raises(KeyError):
        del shards[1]
    with pytest.raises(KeyError):
        shards.popitem()
    with pytest.raises(TypeError):
        shards.get([])  # type: ignore[arg-type]  # that is the mistake
    assert len(shards) == 0


@pytest.mark.parametrize("policy", ["lru", "s3fifo"])
async def test_a_large_cache_does_what_a_small_one_does(policy: str) -> None:
    loads: list[Any] = []

    @AsyncLRU(LARGE, policy=policy)
    async def get(x: Any, y: int = 0) -> tuple[Any, int]:
        loads.append((x, y))
        return x, y

    assert [await get(1), await get(x=1), await get(1, 0), get.peek(1)] == [(1, 0)] * 4
    assert await get([1]) == ([1], 0) == await get([1])
    assert loads == [(1, 0), ([1], 0)]
    assert get.invalidate_cache(1)
    assert await get(1) == (1, 0)
    assert len(loads) == 3
    get.clear_cache()
    assert get.peek(1) is None
    assert await get(1) == await get(1) == (1, 0)
    assert len(loads) == 4
    assert get.get_metrics()["hits"] == 1
    assert_quiet(get.cache)


@pytest.mark.parametrize("policy", ["lru", "s3fifo"])
async def test_a_large_cache_holds_no_more_than_its_bound_and_is_freed(policy: str) -> None:
    cache = AsyncCache(LARGE, policy=policy)
    for key in range(LARGE + 5_000):
        cache.set(key, key)
    assert len(cache) == LARGE
    assert cache.get_metrics()["evictions"] == 5_000
    cache.clear()
    assert len(cache) == 0
    for _ in range(200):
        await asyncio.sleep(0)
    assert_quiet(cache)

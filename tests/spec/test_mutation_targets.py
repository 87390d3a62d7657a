"""What a mutation, or an invalidation, can be of: keys, functions, tags, everything, over any number of caches."""

from __future__ import annotations

from typing import Any

import pytest

import cache as door
from cache import AsyncCache, cached
from tests.spec.steering import Loader, settle, start, start_outside


async def is_covered(cache: AsyncCache, key: str, *tags: str) -> bool:
    """Whether what others load now is not stored."""
    await (await start_outside(cache.get(key, lambda: "now", tags=tags)))
    covered = key not in cache
    cache.delete(key)
    return covered


# -- one cache -----------------------------------------------------------------------------------------------------


async def test_everything_covers_also_the_keys_that_are_not_known_yet() -> None:
    cache = AsyncCache()
    cache.set("known", 1)
    async with cache.mutating(everything=True):
        assert "known" not in cache
        assert await is_covered(cache, "known")
        assert await is_covered(cache, "unknown")
    assert not await is_covered(cache, "unknown")


async def test_everything_fences_every_load_in_progress() -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get(key, loader)) for key in "ab"]
    async with cache.mutating(everything=True):
        pass
    loader.end("old", 0)
    loader.end("old", 1)
    assert [await reader for reader in readers] == ["old", "old"]
    assert len(cache) == 0


async def test_a_tag_covers_what_carries_it_in_all_caches_of_the_namespace() -> None:
    one, two, other = AsyncCache(), AsyncCache(), AsyncCache(namespace="other")
    for cache in (one, two, other):
        cache.set("k", 1, tags=("t",))
    async with one.mutating(tags=("t",)):
        assert ["k" in cache for cache in (one, two, other)] == [False, False, True]
        assert await is_covered(two, "k", "t")
        assert await is_covered(two, "k", "t", "u")
        assert not await is_covered(two, "k", "u")
        assert not await is_covered(other, "k", "t")
    assert not await is_covered(two, "k", "t")


async def test_a_load_whose_tag_is_changed_before_it_ends_is_not_stored() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader, tags=("t",)))
    async with cache.mutating(tags=("t",)):
        pass
    loader.end("old")
    assert await reader == "old"
    assert "k" not in cache


async def test_a_load_whose_tags_are_not_known_yet_is_not_joined_during_a_mutation_of_any_tag() -> None:
    loader = Loader()

    @cached(tags=lambda result: [result])
    async def read() -> Any:
        return await loader()

    before = await start(read())
    async with read.cache.mutating(tags=("t",)):
        during = await start_outside(read())
        queued = await start_outside(read())
        assert len(loader.calls) == 2
        loader.end("t", 0)
        loader.end("t", 1)
        assert (await before, await during) == ("t", "t")
        assert read.peek() is None
        await settle()
        loader.end("another", 2)
        assert await queued == "another"
        assert read.peek() == "another", "it turned out to carry no tag that is being changed"


# -- functions -----------------------------------------------------------------------------------------------------


@cached()
async def double(number: int) -> int:
    return 2 * number


@cached(tags=("number:{number}",))
async def square(number: int) -> int:
    return number * number


async def test_one_call_of_a_function_can_be_changed_through_its_cache() -> None:
    await double(1)
    await double(2)
    async with double.cache.mutating(double.cache_key(1)):
        assert (double.peek(1), double.peek(2)) == (None, 4)
        assert await double(1) == 2
        assert double.peek(1) is None
    assert await double(1) == 2
    assert double.peek(1) == 2


async def test_a_function_as_a_target_is_all_of_it() -> None:
    await double(1)
    async with door.mutating(double):
        assert double.peek(1) is None
        await (await start_outside(double(2)))
        assert double.peek(2) is None
    await double(2)
    assert double.peek(2) == 4


async def test_a_function_with_a_key_is_one_call_of_it() -> None:
    await double(1)
    await double(2)
    async with door.mutating((double, double.cache_key(1))):
        assert (double.peek(1), double.peek(2)) == (None, 4)


async def test_a_cache_is_a_target_as_well() -> None:
    cache = AsyncCache()
    cache.set("a", 1)
    cache.set("b", 1)
    async with door.mutating((cache, "a")):
        assert ("a" in cache, "b" in cache) == (False, True)
    async with door.mutating(cache):
        assert "b" not in cache


async def test_one_mutation_may_span_functions_caches_and_tags() -> None:
    cache = AsyncCache()
    cache.set("k", 1)
    cache.set("other", 1)
    await double(1)
    await square(1)
    await square(2)
    async with door.mutating((cache, "k"), double, tags=("number:1",)):
        assert ("k" in cache, "other" in cache) == (False, True)
        assert (double.peek(1), square.peek(1), square.peek(2)) == (None, None, 4)
        assert await is_covered(cache, "k")
        await (await start_outside(square(1)))
        assert square.peek(1) is None
    assert await square(1) == 1
    assert square.peek(1) == 1


async def test_the_tags_of_a_mutation_live_in_the_namespace_it_names() -> None:
    default, other = AsyncCache(), AsyncCache(namespace="other")
    for cache in (default, other):
        cache.set("k", 1, tags=("t",))
    async with door.mutating(tags=("t",), namespace="other"):
        assert ("k" in default, "k" in other) == (True, False)
    async with door.mutating(tags=("t",)):
        assert "k" not in default


async def test_a_mutation_that_spans_caches_closes_in_all_of_them_after_an_error() -> None:
    cache = AsyncCache()

    async def fail() -> None:
        async with door.mutating((cache, "k"), double):
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert not await is_covered(cache, "k")
    await double(3)
    assert double.peek(3) == 6


# -- invalidation by the module ------------------------------------------------------------------------------------


async def test_the_module_invalidates_tags_of_functions() -> None:
    await square(1)
    await square(2)
    assert door.invalidate("number:1")
    assert (square.peek(1), square.peek(2)) == (None, 4)
    assert not door.invalidate("number:1")


async def test_the_module_invalidates_several_tags_at_once() -> None:
    await square(1)
    await square(2)
    assert door.invalidate("number:1", "number:2", "nobody's")
    assert (square.peek(1), square.peek(2)) == (None, None)


async def test_the_module_fences_loads_in_progress() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader, tags=("t",)))
    door.invalidate("t")
    loader.end("old")
    assert await reader == "old"
    assert "k" not in cache

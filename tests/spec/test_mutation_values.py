"""Values that the body of a mutation sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import cache as door
from cache import AsyncCache
from cache.testing import FakeClock
from tests.spec.steering import Loader, start, start_outside


async def set_outside(cache: AsyncCache, key: str, value: object) -> bool:
    """Set, not as part of the mutation whose body the caller is in."""

    async def set_value() -> bool:
        return bool(cache.set(key, value))

    return await (await start_outside(set_value()))


async def test_a_value_set_by_the_body_is_stored_when_it_has_succeeded() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        assert not cache.set("k", "new"), "not yet"
        assert "k" not in cache
    assert cache.peek("k") == "new"


async def test_a_value_set_by_a_body_that_fails_is_dropped() -> None:
    cache = AsyncCache()

    async def fail() -> None:
        async with cache.mutating("k"):
            cache.set("k", "rolled back")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert "k" not in cache


async def test_a_value_set_by_the_body_is_dropped_where_the_key_lingers(clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    async with cache.mutating("k", linger=5):
        cache.set("k", "new")
    assert "k" not in cache
    clock.advance(5)
    assert "k" not in cache


async def test_the_last_value_set_by_the_body_wins() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        cache.set("k", "first")
        cache.set("k", "last")
    assert cache.peek("k") == "last"


async def test_a_value_set_by_the_body_for_a_key_that_it_does_not_cover_is_stored_at_once() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        assert cache.set("other", 1)
        assert cache.peek("other") == 1


async def test_a_value_set_by_others_during_the_mutation_is_dropped() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        assert not await set_outside(cache, "k", "theirs")
    assert "k" not in cache


async def test_a_value_set_by_the_body_and_then_by_others_is_dropped() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        cache.set("k", "mine")
        await set_outside(cache, "k", "theirs")
    assert "k" not in cache, "nobody knows whose is the last word"


async def test_a_value_set_by_the_body_fences_loads_begun_before() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    async with cache.mutating("k"):
        cache.set("k", "new")
    loader.end("old")
    assert await reader == "old"
    assert cache.peek("k") == "new"


async def test_the_ttl_of_a_value_set_by_the_body_counts_from_the_set(clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    async with cache.mutating("k"):
        cache.set("k", "new", ttl=10)
        clock.advance(4)
    clock.advance(5)
    assert cache.peek("k") == "new"
    clock.advance(1)
    assert "k" not in cache


async def test_a_value_set_by_the_body_carries_its_tags() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        cache.set("k", "new", tags=("t",))
    assert cache.peek("k") == "new"
    assert cache.invalidate("t")
    assert "k" not in cache


async def test_a_value_of_a_tag_that_the_body_changes_is_held_too() -> None:
    cache = AsyncCache()
    async with cache.mutating(tags=("t",)):
        assert not cache.set("k", "new", tags=("t",))
        assert "k" not in cache
    assert cache.peek("k") == "new"


# -- whatever is invalidated meanwhile goes ------------------------------------------------------------------------

INVALIDATIONS: list[Any] = [
    pytest.param(lambda cache: cache.delete("k"), id="delete"),
    pytest.param(lambda cache: cache.clear(), id="clear"),
    pytest.param(lambda cache: cache.invalidate("t"), id="invalidate"),
    pytest.param(lambda _: door.invalidate("t"), id="invalidate of the module"),
]


@pytest.mark.parametrize("invalidate", INVALIDATIONS)
async def test_a_value_set_by_the_body_and_invalidated_since_is_dropped(
    invalidate: Callable[[AsyncCache], object],
) -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        cache.set("k", "set", tags=("t",))
        invalidate(cache)
    assert "k" not in cache


@pytest.mark.parametrize("invalidate", INVALIDATIONS)
async def test_a_value_set_by_the_body_after_an_invalidation_is_kept(
    invalidate: Callable[[AsyncCache], object],
) -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        invalidate(cache)
        cache.set("k", "set")
    assert cache.peek("k") == "set"


async def test_invalidating_what_the_value_does_not_rest_on_keeps_it() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        cache.set("k", "set", tags=("t",))
        cache.delete("other")
        cache.invalidate("another")
    assert cache.peek("k") == "set"


# -- other mutations -----------------------------------------------------------------------------------------------

OTHERS: list[Any] = [
    pytest.param(lambda cache: cache.mutating("k"), id="of the key"),
    pytest.param(lambda cache: cache.mutating(everything=True), id="of everything"),
    pytest.param(lambda cache: cache.mutating(tags=("t",)), id="of its tag"),
]


async def mutate_outside(mutation: Any) -> None:
    async def mutate() -> None:
        async with mutation:
            pass

    await (await start_outside(mutate()))


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("when", ["before the set", "after the set"])
async def test_of_two_mutations_that_overlap_neither_stores_its_value(
    other: Callable[[AsyncCache], Any], when: str
) -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        if when == "before the set":
            await mutate_outside(other(cache))
        cache.set("k", "set", tags=("t",))
        if when == "after the set":
            await mutate_outside(other(cache))
    assert "k" not in cache, "the other may have committed later"


async def test_two_mutations_that_overlap_drop_the_values_of_both() -> None:
    cache, first_may_end, second_may_end = AsyncCache(), asyncio.Event(), asyncio.Event()

    async def mutate(value: str, may_end: asyncio.Event) -> None:
        async with cache.mutating("k"):
            cache.set("k", value)
            await may_end.wait()

    first = await start(mutate("first", first_may_end))
    second = await start(mutate("second", second_may_end))
    first_may_end.set()
    await first
    assert "k" not in cache
    second_may_end.set()
    await second
    assert "k" not in cache


async def test_mutations_one_after_the_other_store_their_values() -> None:
    cache = AsyncCache()
    for value in range(3):
        async with cache.mutating("k"):
            cache.set("k", value)
        assert cache.peek("k") == value


async def test_a_mutation_of_something_else_does_not_matter() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        cache.set("k", "set")
        await mutate_outside(cache.mutating("other"))
    assert cache.peek("k") == "set"


async def test_a_value_set_in_a_mutation_inside_a_mutation_is_not_stored_for_the_outer_one_may_write_on() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        async with cache.mutating("k"):
            cache.set("k", "new")
        assert "k" not in cache
    assert cache.peek("k") is None


async def test_a_value_set_in_a_mutation_inside_one_of_something_else_is_stored() -> None:
    cache = AsyncCache()
    async with cache.mutating("other"):
        async with cache.mutating("k"):
            cache.set("k", "new")
        assert cache.peek("k") == "new"


@pytest.mark.parametrize("which", ["inner", "outer"])
async def test_a_value_set_in_a_mutation_inside_a_mutation_is_dropped_if_either_fails(which: str) -> None:
    cache = AsyncCache()

    async def inner() -> None:
        async with cache.mutating("k"):
            cache.set("k", "rolled back")
            if which == "inner":
                raise LookupError

    async def outer() -> None:
        async with cache.mutating("k"):
            try:
                await inner()
            except LookupError:
                return
            raise LookupError

    await asyncio.gather(outer(), return_exceptions=True)
    assert "k" not in cache


async def test_a_value_set_by_a_task_of_the_body_is_the_bodys() -> None:
    cache = AsyncCache()

    async def set_value() -> None:
        cache.set("k", "new")

    async with cache.mutating("k"):
        await asyncio.create_task(set_value())
    assert cache.peek("k") == "new"

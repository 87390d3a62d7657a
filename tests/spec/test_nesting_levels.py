"""Loads inside loads inside loads: many levels, wide ones, cycles, and those that want none of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncCache, CacheCycleError, cached
from cache.testing import FakeClock
from tests.spec.steering import Loader, Table, settle, start, start_outside

# -- deep and wide -------------------------------------------------------------------------------------------------


def tower(levels: int) -> tuple[AsyncCache, Any, Table]:
    """A cache in which each level is computed from the one below, its top, and the truth at its foot."""
    cache, table = AsyncCache(maxsize=None), Table()

    async def level(height: int) -> int:
        if height == 0:
            return await table.read("foot")
        return await cache.get(height - 1, lambda: level(height - 1))

    return cache, lambda: cache.get(levels, lambda: level(levels)), table


@pytest.mark.parametrize("levels", [2, 3, 10])
async def test_invalidation_reaches_every_level_above(levels: int) -> None:
    cache, read, table = tower(levels)
    await read()
    await table.write("foot")
    cache.delete(levels // 2)
    assert [height in cache for height in range(levels + 1)] == [height < levels // 2 for height in range(levels + 1)]
    cache.delete(0)
    assert await read() == 1


async def test_hundreds_of_levels_neither_overflow_the_stack_nor_lose_a_bond() -> None:
    cache, read, table = tower(500)
    assert await read() == 0
    assert len(cache) == 501
    await table.write("foot")
    cache.delete(0)
    assert not any(height in cache for height in range(501))
    assert await read() == 1


async def test_invalidation_reaches_loads_in_progress_at_every_level() -> None:
    loader = Loader()

    @cached()
    async def bottom() -> Any:
        return await loader()

    @cached()
    async def middle() -> Any:
        return await bottom()

    @cached()
    async def top() -> Any:
        return await middle()

    reader = await start(top())
    bottom.invalidate_cache()
    loader.end("old")
    assert await reader == "old"
    assert [level.peek() for level in (bottom, middle, top)] == [None] * 3


async def test_what_is_read_in_a_mutation_spoils_loads_at_every_level() -> None:
    table, passed_bottom, may_end = Table(), asyncio.Event(), asyncio.Event()

    @cached()
    async def bottom() -> int:
        return await table.read("k")

    @cached()
    async def middle() -> int:
        value = await bottom()
        passed_bottom.set()
        await may_end.wait()
        return value

    @cached()
    async def top() -> int:
        return await middle()

    async with bottom.cache.mutating(bottom.cache_key()):
        reader = await start_outside(top())
        assert passed_bottom.is_set()
        await table.write("k")
    late = await start(top())
    may_end.set()
    assert (await reader, await late) == (0, 1), "who asks after the mutation does not join what began in it"
    assert top.peek() == 1


async def test_a_load_may_read_thousands_of_values_and_rests_on_each() -> None:
    inner, outer = AsyncCache(maxsize=None), AsyncCache()

    async def total() -> int:
        return sum([await inner.get(number, lambda: 1) for number in range(2_000)])

    for changed in (0, 1_000, 1_999):
        assert await outer.get("o", total) == 2_000
        inner.delete(changed)
        assert "o" not in outer


async def test_thousands_of_values_may_rest_on_one() -> None:
    inner, outer = AsyncCache(), AsyncCache(maxsize=None)
    for number in range(2_000):
        await outer.get(number, lambda: inner.get("i", lambda: 1))
    inner.delete("i")
    assert not any(number in outer for number in range(2_000))


async def test_two_ways_to_one_value_are_both_taken() -> None:
    @cached()
    async def bottom() -> int:
        return 1

    @cached()
    async def left() -> int:
        return await bottom()

    @cached()
    async def right() -> int:
        return await bottom()

    @cached()
    async def top() -> int:
        return await left() + await right()

    assert await top() == 2
    right.invalidate_cache()
    assert (bottom.peek(), left.peek(), right.peek(), top.peek()) == (1, 1, None, None)


# -- cycles --------------------------------------------------------------------------------------------------------


async def test_a_load_that_asks_for_its_own_key_is_an_error_that_names_it() -> None:
    cache = AsyncCache(name="users")

    async def load() -> Any:
        return await cache.get("k", load)

    with pytest.raises(CacheCycleError, match=r"users\['k'\].*users\['k'\]") as raised:
        await cache.get("k", load)
    assert (raised.value.key, raised.value.waiting) == ("k", "k")
    assert len(cache) == 0


async def test_a_cycle_through_other_keys_is_an_error_that_names_both_ends() -> None:
    cache = AsyncCache(name="parts")
    uses = {"a": "b", "b": "c", "c": "a"}

    def load(key: str) -> Any:
        return lambda: cache.get(uses[key], load(uses[key]))

    with pytest.raises(CacheCycleError, match=r"parts\['c'\] is being loaded and asks for parts\['a'\]"):
        await cache.get("a", load("a"))


async def test_a_cycle_through_several_caches_is_an_error() -> None:
    @cached()
    async def ping(number: int) -> int:
        return await pong(number)

    @cached()
    async def pong(number: int) -> int:
        return await ping(number)

    with pytest.raises(CacheCycleError):
        await ping(1)
    with pytest.raises(CacheCycleError):
        await pong(1)


@pytest.mark.parametrize("way", ["gather", "task group", "refresh"])
async def test_a_cycle_through_tasks_of_the_loader_is_an_error(way: str) -> None:
    @cached()
    async def read() -> Any:
        if way == "gather":
            return await asyncio.gather(asyncio.sleep(0), read())
        if way == "refresh":
            return await read.refresh()
        async with asyncio.TaskGroup() as group:
            return group.create_task(read())

    with pytest.raises((CacheCycleError, ExceptionGroup)) as raised:
        await read()
    assert raised.group_contains(CacheCycleError) if way == "task group" else raised.type is CacheCycleError


async def test_a_cycle_of_two_callers_in_tasks_of_their_own_is_an_error_of_one_of_them() -> None:
    cache, may_go_on = AsyncCache(), asyncio.Event()

    def load(other: str) -> Any:
        async def loader() -> Any:
            await may_go_on.wait()
            return await cache.get(other, load("a" if other == "b" else "b"))

        return loader

    readers = [await start(cache.get("a", load("b"))), await start(cache.get("b", load("a")))]
    may_go_on.set()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert {type(result) for result in results} == {CacheCycleError}


async def test_a_cycle_in_the_body_of_a_mutation_is_an_error_too() -> None:
    cache = AsyncCache()

    async def load() -> Any:
        return await cache.get("k", load)

    async with cache.mutating("k"):
        with pytest.raises(CacheCycleError):
            await cache.get("k", load)


async def test_a_loader_may_handle_the_error_of_a_cycle() -> None:
    cache = AsyncCache()

    async def load() -> str:
        try:
            await cache.get("k", load)
        except CacheCycleError:
            return "without"
        return "with"

    assert await cache.get("k", load) == "without"


async def test_recursion_over_other_keys_is_no_cycle() -> None:
    @cached(maxsize=None)
    async def fibonacci(number: int) -> int:
        return number if number < 2 else sum(await asyncio.gather(fibonacci(number - 1), fibonacci(number - 2)))

    assert await fibonacci(60) == 1548008755920
    assert fibonacci.get_metrics()["loads"] == 61


async def test_a_task_left_behind_by_a_loader_may_ask_for_its_key() -> None:
    cache, goes_on, tasks = AsyncCache(), asyncio.Event(), []

    async def ask_later() -> Any:
        await goes_on.wait()
        return await cache.get("k", lambda: "again")

    async def load() -> str:
        tasks.append(asyncio.create_task(ask_later()))
        return "first"

    await cache.get("k", load, ttl=0)
    goes_on.set()
    await settle()
    assert await tasks[0] == "again"


# -- those that do not want to be tracked --------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["inner", "outer"])
async def test_where_either_is_not_tracked_nothing_rests_on_anything(who: str, clock: FakeClock) -> None:
    inner = AsyncCache(track=who != "inner", default_ttl=10, clock=clock)
    outer = AsyncCache(track=who != "outer", clock=clock)
    await outer.get("o", lambda: inner.get("i", lambda: 1, tags=("t",)))
    inner.delete("i")
    inner.invalidate("t")
    inner.clear()
    clock.advance(10)
    assert outer.peek("o") == 1


async def test_what_is_not_tracked_is_still_fenced_itself() -> None:
    cache, loader = AsyncCache(track=False), Loader()
    reader = await start(cache.get("k", loader))
    cache.delete("k")
    loader.end("old")
    assert await reader == "old"
    assert "k" not in cache


async def test_a_cycle_is_noticed_even_where_nothing_is_tracked() -> None:
    cache = AsyncCache(track=False)

    async def load() -> Any:
        return await cache.get("k", load)

    with pytest.raises(CacheCycleError):
        await cache.get("k", load)

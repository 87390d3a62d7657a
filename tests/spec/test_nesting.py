"""A load that reads other cached values rests on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import cache as door
from cache import AsyncCache, cached
from cache.testing import FakeClock
from tests.spec.steering import Loader, Table, metric, settle, start, start_outside

# -- how the inner value is read -----------------------------------------------------------------------------------

Read = Callable[[AsyncCache], Awaitable[Any]]


async def directly(inner: AsyncCache) -> Any:
    return await inner.get("i", lambda: 1)


async def through_gather(inner: AsyncCache) -> Any:
    return await asyncio.gather(directly(inner), directly(inner))


async def through_a_task_group(inner: AsyncCache) -> Any:
    async with asyncio.TaskGroup() as group:
        group.create_task(directly(inner))


async def through_a_thread_with_a_loop(inner: AsyncCache) -> Any:
    return await asyncio.to_thread(asyncio.run, directly(inner))


async def through_a_thread_without_a_loop(inner: AsyncCache) -> Any:
    return await asyncio.to_thread(inner.peek, "i")


async def through_a_timeout(inner: AsyncCache) -> Any:
    return await asyncio.wait_for(directly(inner), 3600)


async def by_peek(inner: AsyncCache) -> Any:
    return inner.peek("i")


async def without_a_loader(inner: AsyncCache) -> Any:
    return await inner.get("i", default="d")


async def by_a_batch(inner: AsyncCache) -> Any:
    return await inner.get("i", batch_loader=lambda keys: keys)


WAYS: list[Read] = [
    directly,
    through_gather,
    through_a_task_group,
    through_a_thread_with_a_loop,
    through_a_thread_without_a_loop,
    through_a_timeout,
    by_peek,
    without_a_loader,
    by_a_batch,
]


@pytest.mark.parametrize("found", ["stored", "missing"])
@pytest.mark.parametrize("read", WAYS)
async def test_what_a_load_has_read_takes_its_result_with_it(read: Read, found: str) -> None:
    inner, outer = AsyncCache(batch_window_ms=0), AsyncCache()
    if found == "stored":
        inner.set("i", 0)
    await outer.get("o", lambda: read(inner))
    assert "o" in outer
    inner.delete("i")
    assert "o" not in outer


@pytest.mark.parametrize("read", WAYS)
async def test_what_is_invalidated_while_the_outer_load_goes_on_takes_its_result_with_it(read: Read) -> None:
    inner, outer, may_end = AsyncCache(batch_window_ms=0), AsyncCache(), asyncio.Event()
    has_read = asyncio.Event()

    async def load() -> str:
        await read(inner)
        has_read.set()
        await may_end.wait()
        return "old"

    reader = await start(outer.get("o", load))
    await has_read.wait()
    inner.delete("i")
    late = await start(outer.get("o", lambda: "new"))
    assert await late == "new", "who asks now does not join"
    may_end.set()
    assert await reader == "old"
    assert outer.peek("o") == "new"


async def test_refreshing_the_inner_value_takes_the_outer_one_with_it() -> None:
    table = Table()

    @cached()
    async def inner() -> int:
        return await table.read("i")

    @cached()
    async def outer() -> int:
        return await inner()

    await outer()
    await table.write("i")
    assert await inner.refresh() == 1
    assert await outer() == 1


async def test_an_inner_value_read_anew_is_rested_on_as_well() -> None:
    table = Table()

    @cached()
    async def inner() -> int:
        return await table.read("i")

    @cached()
    async def outer() -> int:
        return await inner.refresh()

    assert await outer() == 0
    await table.write("i")
    inner.invalidate_cache()
    assert await outer() == 1


async def test_setting_the_inner_value_takes_the_outer_one_with_it() -> None:
    inner, outer = AsyncCache(), AsyncCache()
    await outer.get("o", lambda: directly(inner))
    inner.set("i", 2)
    assert "o" not in outer


async def test_clearing_the_inner_cache_takes_the_outer_value_with_it() -> None:
    inner, outer = AsyncCache(), AsyncCache()
    await outer.get("o", lambda: directly(inner))
    inner.clear()
    assert "o" not in outer


async def test_evicting_the_inner_value_leaves_the_outer_one_and_the_bond() -> None:
    inner, outer = AsyncCache(maxsize=1), AsyncCache()
    await outer.get("o", lambda: directly(inner))
    inner.set("something else", 1)
    assert "i" not in inner
    assert "o" in outer
    inner.delete("i")
    assert "o" not in outer


async def test_a_mutation_of_the_inner_value_covers_the_outer_one() -> None:
    inner, outer = AsyncCache(), AsyncCache()
    await outer.get("o", lambda: directly(inner))
    async with inner.mutating("i"):
        assert "o" not in outer
        await (await start_outside(outer.get("o", lambda: directly(inner))))
        assert "o" not in outer, "it was computed from what may not be committed"
    await outer.get("o", lambda: directly(inner))
    assert "o" in outer


async def test_an_outer_load_spoiled_by_a_mutation_is_not_joined() -> None:
    inner, outer, loader = AsyncCache(), AsyncCache(), Loader()

    async def load() -> Any:
        await directly(inner)
        return await loader()

    async with inner.mutating("i"):
        first = await start_outside(outer.get("o", load))
        second = await start_outside(outer.get("o", load))
        assert len(loader.calls) == 1
        loader.end("first")
        await settle()
        loader.end("second")
        assert (await first, await second) == ("first", "second")


async def test_the_tags_of_the_inner_value_are_the_outer_ones_too() -> None:
    inner, outer = AsyncCache(), AsyncCache()
    await outer.get("o", lambda: inner.get("i", lambda: 1, tags=("t",)))
    door.invalidate("t")
    assert "o" not in outer


async def test_the_tags_of_a_joined_inner_load_are_the_outer_ones_too() -> None:
    inner, outer, loader = AsyncCache(), AsyncCache(), Loader()
    direct = await start(inner.get("i", loader, tags=("t",)))
    through_outer = await start(outer.get("o", lambda: inner.get("i", loader, tags=("t",))))
    loader.end(1)
    assert (await direct, await through_outer) == (1, 1)
    assert "o" in outer
    door.invalidate("t")
    assert "o" not in outer


async def test_an_outer_value_computed_anew_without_the_inner_one_is_free_of_it() -> None:
    inner, outer = AsyncCache(), AsyncCache()
    await outer.get("o", lambda: directly(inner))
    outer.delete("o")
    await outer.get("o", lambda: "by itself")
    inner.delete("i")
    assert outer.peek("o") == "by itself"


async def test_a_task_that_outlives_its_load_adds_nothing_to_it() -> None:
    inner, outer, goes_on = AsyncCache(), AsyncCache(), asyncio.Event()
    tasks = []

    async def read_later() -> None:
        await goes_on.wait()
        await directly(inner)

    async def load() -> int:
        tasks.append(asyncio.create_task(read_later()))
        return 1

    await outer.get("o", load)
    goes_on.set()
    await asyncio.gather(*tasks)
    inner.delete("i")
    assert "o" in outer


async def test_one_who_reads_in_no_load_rests_on_nothing() -> None:
    inner = AsyncCache()
    await directly(inner)
    inner.delete("i")
    assert metric(inner, "invalidations") == 1


# -- deadlines -----------------------------------------------------------------------------------------------------


async def test_an_outer_value_is_good_no_longer_than_what_it_was_computed_from(clock: FakeClock) -> None:
    inner, outer = AsyncCache(default_ttl=10, clock=clock), AsyncCache(clock=clock)
    await directly(inner)
    clock.advance(4)
    await outer.get("o", lambda: directly(inner))
    clock.advance(5)
    assert await outer.get("o") == 1
    clock.advance(1)
    assert await outer.get("o", default="gone") == "gone"


async def test_the_shortest_of_all_deadlines_counts(clock: FakeClock) -> None:
    inner, outer = AsyncCache(clock=clock), AsyncCache(default_ttl=20, clock=clock)
    for key, ttl in (("a", 30), ("b", 5), ("c", None)):
        inner.set(key, 1, ttl=ttl)
    await outer.get("o", lambda: asyncio.gather(*[inner.get(key) for key in "abc"]))
    clock.advance(4)
    assert "o" in outer
    clock.advance(1)
    assert "o" not in outer


async def test_a_joined_inner_load_hands_up_its_deadline(clock: FakeClock) -> None:
    inner, outer, loader = AsyncCache(default_ttl=10, clock=clock), AsyncCache(clock=clock), Loader()
    direct = await start(inner.get("i", loader))
    through_outer = await start(outer.get("o", lambda: inner.get("i", loader)))
    loader.end(1)
    await asyncio.gather(direct, through_outer)
    clock.advance(9)
    assert "o" in outer
    clock.advance(1)
    assert "o" not in outer


async def test_an_inner_value_that_is_not_to_be_stored_keeps_the_outer_one_from_being_stored() -> None:
    inner, outer = AsyncCache(default_ttl=0), AsyncCache()
    assert await outer.get("o", lambda: directly(inner)) == 1
    assert "o" not in outer


async def test_deadlines_are_inherited_as_what_is_left_where_the_clocks_differ() -> None:
    one, two = FakeClock(1_000), FakeClock()
    inner, outer = AsyncCache(default_ttl=10, clock=one), AsyncCache(clock=two)
    await directly(inner)
    one.advance(4)
    await outer.get("o", lambda: directly(inner))
    two.advance(5)
    assert "o" in outer
    two.advance(1)
    assert "o" not in outer

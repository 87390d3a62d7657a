"""Batches, preloading, saving, warming up and closing, with a tier behind the cache."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import cache
from cache import AsyncCache, DiskBackend, LoadCancelled, cached
from cache.testing import FakeClock
from tests.spec.backed import Held, Open, forget, from_backup, until
from tests.spec.steering import BatchLoader, Loader, Table, metric, start


async def test_a_batch_loader_is_given_the_keys_that_the_tier_does_not_have(disk: DiskBackend) -> None:
    loader = BatchLoader()
    c = AsyncCache(name="c", backup=disk, batch_window_ms=0)
    await asyncio.gather(*[c.get(key, batch_loader=loader) for key in (1, 2)])
    await forget(c)
    found = await asyncio.gather(*[c.get(key, batch_loader=loader) for key in (1, 2, 3)])
    assert found == ["<1>", "<2>", "<3>"]
    assert loader.asked == [[1, 2], [3]]
    assert from_backup(c) == (2, 3)


async def test_a_batch_of_which_the_tier_has_every_key_calls_no_loader(disk: DiskBackend) -> None:
    loader = BatchLoader()
    c = AsyncCache(name="c", backup=disk, batch_window_ms=0)
    for _ in range(2):
        await asyncio.gather(*[c.get(key, batch_loader=loader) for key in (1, 2)])
        await forget(c)
    assert loader.asked == [[1, 2]]


async def test_a_batch_loader_may_read_a_key_that_the_tier_had(disk: DiskBackend) -> None:
    c = AsyncCache(name="c", backup=disk, batch_window_ms=0)
    await c.get(1, lambda: "one")
    await forget(c)

    async def load(keys: list[int]) -> dict[int, Any]:
        await c.delete(1)
        return {key: await c.get(1, lambda: "one") for key in keys}

    assert await asyncio.gather(*[c.get(key, batch_loader=load) for key in (1, 2)]) == ["one", "one"]


async def test_a_key_without_a_form_for_other_processes_spoils_no_batch(disk: DiskBackend) -> None:
    c = AsyncCache(name="c", backup=disk, batch_window_ms=0)
    loader = BatchLoader()
    good, bad = await asyncio.gather(
        c.get(1, batch_loader=loader), c.get(object(), batch_loader=loader), return_exceptions=True
    )
    assert good == "<1>"
    assert isinstance(bad, TypeError)


async def test_who_leaves_a_batch_while_the_tier_is_asked_leaves_nothing_behind(open_file: Open) -> None:
    disk = open_file(Held)
    assert isinstance(disk, Held)
    disk.may_answer.set()
    c = AsyncCache(name="c", backup=disk, batch_window_ms=0)
    for key in (1, 2):
        await c.get(key, lambda: "old", tags=("t",))
    await forget(c)
    disk.may_answer.clear()
    loader = BatchLoader()
    leaving, staying = [await start(c.get(key, batch_loader=loader, tags=("t",))) for key in (1, 2)]
    await until(lambda: disk.asked)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    disk.may_answer.set()
    assert await staying == "old"
    tag = c._namespace.known("t")
    assert tag is not None
    assert not tag.readers


async def test_preloading_stores_what_the_tier_has_and_says_how_much(open_file: Open) -> None:
    table = Table()
    before = AsyncCache(name="c", backup=open_file())
    for key in range(10):
        await before.get(key, lambda key=key: table.read(key))  # type: ignore[misc]  # a default binds
    await before.save_to_backup()
    after = AsyncCache(name="c", backup=open_file())
    assert await after.load_from_backup() == 10
    assert [after.peek(key) for key in range(10)] == [0] * 10
    assert await after.load_from_backup() == 0, "all of it is there"


async def test_preloading_begins_with_what_was_used_last_and_ends_when_the_cache_is_full(open_file: Open) -> None:
    before = AsyncCache(name="c", backup=open_file())
    for key in range(10):
        await before.get(key, lambda: "v")
        await before.save_to_backup()
    after = AsyncCache(3, name="c", backup=open_file())
    assert await after.load_from_backup() == 3
    assert sorted(key for key in range(10) if key in after) == [7, 8, 9]
    assert await AsyncCache(0, name="c", backup=open_file()).load_from_backup() == 0


async def test_what_is_preloaded_keeps_its_ttl_its_tags_and_what_it_was_computed_from(
    disk: DiskBackend, clock: FakeClock
) -> None:
    table = Table()

    @cached(name="inner", backup=disk, clock=clock, ttl=10)
    async def inner(key: str) -> int:
        return await table.read(key)

    @cached(name="outer", backup=disk, clock=clock, tags=("user:{key}",))
    async def outer(key: str) -> int:
        return await inner(key)

    for key in "abcd":
        await outer(key)
    clock.advance(9)
    await forget(inner, outer)
    assert await outer.cache.load_from_backup() == 4
    await inner.invalidate_cache("a")
    await cache.invalidate("user:b")
    assert [outer.peek(key) for key in "abcd"] == [None, None, 0, 0]
    await inner.clear_cache()
    assert outer.peek("c") is None
    clock.advance(1)
    assert outer.peek("d") is None


async def test_preloading_leaves_what_is_in_memory_and_what_has_expired(disk: DiskBackend, clock: FakeClock) -> None:
    c = AsyncCache(name="c", backup=disk, clock=clock)
    await c.get("a", lambda: "old", ttl=5)
    await c.get("b", lambda: "b")
    await forget(c)
    await c.get("b", lambda: "b")
    clock.advance(5)
    assert await c.load_from_backup() == 0
    assert c.peek("a") is None


async def test_saving_counts_what_the_tier_has_stored_since_the_last_time(disk: DiskBackend) -> None:
    c = AsyncCache(name="c", backup=disk)
    for key in range(3):
        await c.get(key, lambda: "v")
    assert await c.save_to_backup() == 3
    assert await c.save_to_backup() == 0


@pytest.mark.parametrize("asked", ["save_to_backup", "load_from_backup"])
async def test_without_a_tier_there_is_nothing_to_save_or_load(asked: str) -> None:
    with pytest.raises(TypeError, match=rf"{asked}\(\) needs a tier behind the cache: pass backup=DiskBackend"):
        await getattr(AsyncCache(backup=None), asked)()


async def test_warming_up_loads_what_the_tier_does_not_have(disk: DiskBackend) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"))
    await forget(c)
    await c.warmup({key: lambda key=key: table.read(key) for key in "ab"})  # type: ignore[misc]  # a default binds
    assert table.reads == {"a": 1, "b": 1}
    assert len(c) == 2


async def test_to_close_a_cache_is_to_store_what_is_on_its_way(open_file: Open) -> None:
    c = AsyncCache(name="c", backup=open_file())
    await c.get("a", lambda: 1)
    await c.aclose()
    assert len(c) == 0
    assert await AsyncCache(name="c", backup=open_file()).load_from_backup() == 1
    await c.aclose()


async def test_to_shut_down_is_the_same_for_every_cache(open_file: Open) -> None:
    caches = [AsyncCache(name=name, backup=open_file()) for name in "cd"]
    for c in caches:
        await c.get("a", lambda: 1)
    await cache.shutdown()
    for name in "cd":
        assert await AsyncCache(name=name, backup=open_file()).load_from_backup() == 1


async def test_to_close_a_cache_ends_the_loads_that_ask_the_tier(open_file: Open) -> None:
    disk = open_file(Held)
    assert isinstance(disk, Held)
    loader, c = Loader(), AsyncCache(name="c", backup=disk)
    waiting = await start(c.get("a", loader))
    await c.aclose()
    with pytest.raises(LoadCancelled):
        await waiting
    assert not loader.calls
    disk.may_answer.set()


async def test_a_tier_that_was_closed_costs_hits_and_nothing_else(disk: DiskBackend) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"))
    await disk.aclose()
    assert await c.get("b", lambda: table.read("b")) == 0
    await c.aclose()
    for _ in range(2):
        assert await c.get("a", lambda: table.read("a")) == 0
    assert table.reads["a"] == 2
    assert metric(c, "hits") == 1
    assert await c.load_from_backup() == 0

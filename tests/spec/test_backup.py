"""A tier behind the cache: what a load finds there, and how long it is good."""

from __future__ import annotations

import asyncio

import pytest

from cache import AsyncCache, AsyncLRU, AsyncTTL, DiskBackend, cached
from cache.testing import FakeClock
from tests.spec.backed import Held, Open, forget, from_backup, until
from tests.spec.steering import Loader, Table, metric, start


async def test_a_result_survives_the_process(open_file: Open) -> None:
    table = Table()

    async def call(backend: DiskBackend) -> int:
        @cached(name="read", backup=backend)
        async def read(key: str) -> int:
            return await table.read(key)

        result = await read("a")
        await read.cache.aclose()
        return result

    await call(open_file())
    table.versions["a"] = 7
    assert await call(open_file()) == 0
    assert table.reads["a"] == 1


async def test_what_is_not_in_memory_is_looked_for_in_the_tier_before_it_is_loaded(disk: DiskBackend) -> None:
    table = Table()
    cache = AsyncCache(name="c", backup=disk)
    for _ in range(2):
        assert await cache.get("a", lambda: table.read("a")) == 0
        await forget(cache)
    assert table.reads["a"] == 1
    assert from_backup(cache) == (1, 1)


async def test_what_is_in_memory_asks_nobody(disk: DiskBackend) -> None:
    cache = AsyncCache(name="c", backup=disk)
    for _ in range(3):
        await cache.get("a", lambda: 1)
    assert disk.metrics().reads == 1


async def test_those_who_ask_at_once_ask_the_tier_once(disk: DiskBackend) -> None:
    cache = AsyncCache(name="c", backup=disk)
    await cache.get("a", lambda: 1)
    await forget(cache)
    assert await asyncio.gather(*[cache.get("a", lambda: 2) for _ in range(5)]) == [1] * 5
    assert from_backup(cache) == (1, 1)


async def test_what_was_evicted_from_memory_is_found_in_the_tier(disk: DiskBackend) -> None:
    table = Table()

    @AsyncLRU(maxsize=2, name="read", backup=disk)
    async def read(key: int) -> int:
        return await table.read(key)

    for _ in range(2):
        for key in range(10):
            await read(key)
    assert len(read.cache) == 2
    assert set(table.reads.values()) == {1}


async def test_a_cache_that_stores_nothing_in_memory_keeps_its_loads_in_the_tier(disk: DiskBackend) -> None:
    table = Table()
    cache = AsyncCache(0, name="c", backup=disk)
    for _ in range(3):
        await cache.get("a", lambda: table.read("a"))
    assert len(cache) == 0
    assert table.reads["a"] == 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_entry_keeps_what_remains_of_its_ttl(disk: DiskBackend, clock: FakeClock, restarted: bool) -> None:
    table = Table()

    @AsyncTTL(10, name="read", backup=disk, clock=clock)
    async def read(key: str) -> int:
        return await table.read(key)

    await read("a")
    clock.advance(9)
    if restarted:
        await forget(read)
    assert await read("a") == 0
    clock.advance(0.9)
    assert await read("a") == 0
    assert table.reads["a"] == 1
    clock.advance(0.1)
    await read("a")
    assert table.reads["a"] == 2


async def test_the_ttl_of_one_result_is_that_which_was_computed_from_it(disk: DiskBackend, clock: FakeClock) -> None:
    table = Table()
    cache = AsyncCache(name="c", backup=disk, clock=clock, default_ttl=lambda value: 5 if value else 50)
    await cache.get("short", lambda: 1)
    await cache.get("long", lambda: 0)
    await forget(cache)
    clock.advance(5)
    await cache.get("short", lambda: table.read("short"))
    await cache.get("long", lambda: table.read("long"))
    assert table.reads == {"short": 1}


async def test_what_is_to_be_stored_not_at_all_is_not_given_to_the_tier(disk: DiskBackend) -> None:
    table = Table()
    cache = AsyncCache(name="c", backup=disk)
    for _ in range(2):
        await cache.get("a", lambda: table.read("a"), ttl=0)
    assert table.reads["a"] == 2
    assert (await disk.usage()).entries == 0  # type: ignore[union-attr]  # the file is open


async def test_an_outer_result_lives_no_longer_than_what_it_was_computed_from(
    disk: DiskBackend, clock: FakeClock
) -> None:
    table = Table()

    @AsyncTTL(10, name="inner", backup=disk, clock=clock)
    async def inner(key: str) -> int:
        return await table.read(key)

    @AsyncLRU(name="outer", backup=disk, clock=clock)
    async def outer(key: str) -> int:
        return await inner(key)

    await outer("a")
    await forget(inner, outer)
    clock.advance(9)
    assert await outer("a") == 0
    table.versions["a"] = 1
    clock.advance(1)
    assert await outer("a") == 1


async def test_an_error_is_not_kept_in_the_tier(disk: DiskBackend) -> None:
    calls = []

    @cached(name="fails", backup=disk, cache_errors={ValueError: 60})
    async def fails() -> None:
        calls.append(1)
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):  # noqa: PT011 - it says nothing
            await fails()
    assert len(calls) == 1
    await forget(fails)
    with pytest.raises(ValueError):  # noqa: PT011 - it says nothing
        await fails()
    assert len(calls) == 2


async def test_a_caller_who_leaves_while_the_tier_is_asked_touches_nobody_else(open_file: Open) -> None:
    disk = open_file(Held)
    assert isinstance(disk, Held)
    loader = Loader()
    cache = AsyncCache(name="c", backup=disk)
    leaving, staying = await start(cache.get("a", loader)), await start(cache.get("a", loader))
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    disk.may_answer.set()
    await until(lambda: loader.calls)
    loader.end("v")
    assert await staying == "v"
    assert disk.asked == 1


async def test_when_the_last_caller_has_left_the_loader_is_not_called(open_file: Open) -> None:
    disk = open_file(Held)
    assert isinstance(disk, Held)
    loader = Loader()
    cache = AsyncCache(name="c", backup=disk)
    leaving = await start(cache.get("a", loader))
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    disk.may_answer.set()
    assert await cache.get("b", lambda: 1) == 1
    assert not loader.calls


async def test_a_load_found_in_the_tier_counts_as_a_miss_and_as_found(disk: DiskBackend) -> None:
    cache = AsyncCache(name="c", backup=disk)
    await cache.get("a", lambda: 1)
    await forget(cache)
    await cache.get("a", lambda: 1)
    await cache.get("a", lambda: 1)
    assert [metric(cache, name) for name in ("hits", "misses", "backup_hits", "backup_misses")] == [1, 2, 1, 1]


async def test_a_cache_without_a_tier_has_no_metrics_of_one(disk: DiskBackend) -> None:
    with_one, without = AsyncCache(name="c", backup=disk), AsyncCache(name="d", backup=None)
    assert {name for name in with_one.get_metrics() if "backup" in name} == {
        "backup_hits",
        "backup_misses",
        "backup_refused",
        "backup_unencodable",
    }
    assert not any("backup" in name for name in without.get_metrics())
    await with_one.get("a", lambda: 1)
    await with_one.clear()
    assert from_backup(with_one) == (0, 0)

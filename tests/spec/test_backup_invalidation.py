"""What was invalidated is served by nobody again, out of memory or out of the tier."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import cache
from cache import AsyncCache, DiskBackend, cached, invalidates
from cache.testing import disabled
from tests.spec.backed import Open, forget
from tests.spec.steering import Table

Read = Callable[[str], Awaitable[int]]
Act = Callable[[AsyncCache], Awaitable[object]]

ENDS: dict[str, Act] = {
    "delete": lambda c: c.delete("a"),
    "clear": lambda c: c.clear(),
    "invalidate": lambda c: c.invalidate("t"),
    "module": lambda _: cache.invalidate("t"),
}


def reader(table: Table, disk: DiskBackend, **options: Any) -> Any:
    @cached(name="read", backup=disk, **options)
    async def read(key: str) -> int:
        return await table.read(key)

    return read


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("in_memory", [False, True])
async def test_what_was_invalidated_is_found_in_neither(disk: DiskBackend, end: str, in_memory: bool) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"), tags=("t",))
    await disk.flush()
    if not in_memory:
        await forget(c)
    table.versions["a"] = 1
    await ENDS[end](c)
    assert await c.get("a", lambda: table.read("a"), tags=("t",)) == 1
    await forget(c)
    assert await c.get("a", lambda: table.read("a"), tags=("t",)) == 1
    assert table.reads["a"] == 2


@pytest.mark.parametrize("end", ENDS)
async def test_an_invalidation_that_was_awaited_outlives_the_process(open_file: Open, end: str) -> None:
    table, disk = Table(), open_file()
    before = AsyncCache(name="c", backup=disk)
    await before.get("a", lambda: table.read("a"), tags=("t",))
    await disk.flush()
    table.versions["a"] = 1
    await ENDS[end](before)
    after = AsyncCache(name="c", backup=open_file())  # the first was not closed: it was killed
    assert await after.get("a", lambda: table.read("a"), tags=("t",)) == 1


@pytest.mark.parametrize("end", ENDS)
async def test_an_invalidation_that_nobody_awaits_takes_effect_here_at_once(disk: DiskBackend, end: str) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"), tags=("t",))
    await disk.flush()
    table.versions["a"] = 1
    ENDS[end](c)
    assert await c.get("a", lambda: table.read("a"), tags=("t",)) == 1


async def test_an_invalidation_spares_what_it_does_not_name(disk: DiskBackend) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    for key in "ab":
        await c.get(key, lambda key=key: table.read(key), tags=(key,))  # type: ignore[misc]  # a default binds
    await c.invalidate("b")
    await forget(c)
    for key in "ab":
        await c.get(key, lambda key=key: table.read(key), tags=(key,))  # type: ignore[misc]  # a default binds
    assert table.reads == {"a": 1, "b": 2}


async def test_an_entry_from_the_tier_rests_on_its_tags(disk: DiskBackend) -> None:
    table = Table()
    read = reader(table, disk, tags=lambda _, key: (f"user:{key}",))
    await read("a")
    await forget(read)
    await read("a")
    table.versions["a"] = 1
    await cache.invalidate("user:a")
    assert await read("a") == 1


def levels(table: Table, disk: DiskBackend) -> list[Any]:
    read = reader(table, disk, tags=("user:{key}",))

    @cached(name="page", backup=disk)
    async def page(key: str) -> int:
        return int(await read(key))

    @cached(name="site", backup=disk)
    async def site(key: str) -> int:
        return await page(key)

    return [read, page, site]


@pytest.mark.parametrize("forgotten", [(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("end", ["key", "everything", "middle", "tag", "mutation", "set"])
async def test_what_was_computed_goes_with_what_it_was_computed_from_at_every_level(
    disk: DiskBackend, forgotten: tuple[int, ...], end: str
) -> None:
    table = Table()
    read, page, site = functions = levels(table, disk)
    assert await site("a") == 0
    await disk.flush()
    await forget(*[functions[level] for level in forgotten])
    assert await site("a") == 0
    await forget(*[functions[level] for level in forgotten if level < 2])
    table.versions["a"] = 1
    if end == "key":
        await read.invalidate_cache("a")
    elif end == "everything":
        await read.clear_cache()
    elif end == "middle":
        await page.invalidate_cache("a")
        await read.cache.delete(read.cache_key("a"))
    elif end == "tag":
        await cache.invalidate("user:a")
    elif end == "set":
        await read.cache.set(read.cache_key("a"), 1)
    else:
        async with cache.mutating(read):
            pass
    assert await site("a") == 1
    await forget(*functions)
    assert await site("a") == 1


async def test_a_wildcard_reaches_what_it_names_at_every_level(disk: DiskBackend) -> None:
    table = Table()

    @cached(name="read", backup=disk)
    async def read(key: str, page: int = 0) -> int:
        return await table.read(key) + page

    @cached(name="outer", backup=disk)
    async def outer(key: str) -> int:
        return await read(key, 0)

    @invalidates(read)
    async def write(key: str) -> None:
        await table.write(key)

    await outer("a")
    await forget(read, outer)
    assert await outer("a") == 0
    await write("a")
    assert await outer("a") == 1
    assert await read("a", 5) == 6
    await forget(read, outer)
    assert await outer("a") == 1


async def test_a_function_that_was_given_other_tags_finds_nothing_of_before(disk: DiskBackend) -> None:
    table = Table()
    before = reader(table, disk)
    await before("a")
    await forget(before)
    del before
    gc.collect()
    read = reader(table, disk, tags=("user:{key}",))
    table.versions["a"] = 1
    await cache.invalidate("user:a")
    assert await read("a") == 1


async def test_a_refresh_asks_the_loader_and_not_the_tier_and_replaces_what_that_has(disk: DiskBackend) -> None:
    table = Table()
    read = reader(table, disk)
    await read("a")
    await forget(read)
    table.versions["a"] = 1
    assert await read.refresh("a") == 1
    await forget(read)
    assert await read("a") == 1
    table.versions["a"] = 2
    assert await read("a", use_cache=False) == 2
    assert table.reads["a"] == 3


async def test_a_refresh_ends_what_was_computed_from_the_old_value(disk: DiskBackend) -> None:
    table = Table()
    read, page, site = levels(table, disk)
    await site("a")
    await forget(read, page, site)
    table.versions["a"] = 1
    await read.refresh("a")
    assert await page("a") == 1
    assert await site("a") == 1


@pytest.mark.parametrize("kept", ["ttl 0", "no bytes", "an error"])
async def test_a_refresh_that_the_tier_is_not_given_leaves_nothing_older_there(disk: DiskBackend, kept: str) -> None:
    results: list[Any] = [1]

    @cached(name="f", backup=disk, ttl=lambda value: 0 if value == "ttl 0" else None, cache_errors={KeyError: 0.0})
    async def f() -> Any:
        if results[-1] == "an error":
            raise KeyError
        return results[-1]

    await f()
    await disk.flush()
    results.append(object() if kept == "no bytes" else kept)
    if kept == "an error":
        with pytest.raises(KeyError):
            await f.refresh()
    else:
        assert await f.refresh() is results[-1]
    results.append(2)
    await forget(f)
    assert await f() == 2


async def test_a_value_that_was_set_is_in_the_tier_with_its_tags(open_file: Open) -> None:
    table = Table()
    first = AsyncCache(name="c", backup=open_file())
    await first.set("a", 5, tags=("t",))
    second = AsyncCache(name="c", backup=open_file(), namespace="another process")
    assert await second.get("a", lambda: table.read("a")) == 0, "its tags are of a namespace that is not known here"
    third = AsyncCache(name="c", backup=open_file())
    await first.set("a", 6, tags=("t",))
    assert await third.get("a", lambda: table.read("a"), tags=("t",)) == 6
    await cache.invalidate("t")
    assert await third.get("a", lambda: table.read("a"), tags=("t",)) == 0


async def test_a_value_that_was_set_is_in_memory_at_once_and_afterwards(disk: DiskBackend) -> None:
    c = AsyncCache(name="c", backup=disk)
    value = object()
    told = c.set("a", value)
    assert c.peek("a") is value
    assert await told
    assert c.peek("a") is value


async def test_nothing_of_the_tier_is_seen_where_caching_is_disabled(disk: DiskBackend) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"))
    await disk.flush()
    with disabled():
        await c.get("a", lambda: table.read("a"))
        await c.get("b", lambda: table.read("b"))
        assert await c.load_from_backup() == 0
    assert table.reads == {"a": 2, "b": 1}
    await c.get("b", lambda: table.read("b"))
    assert table.reads["b"] == 2, "nothing that was loaded inside stays"


async def test_what_was_set_where_caching_is_disabled_is_older_than_nothing(disk: DiskBackend) -> None:
    c = AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: "old")
    await disk.flush()
    with disabled():
        await c.set("a", "new")
    assert await c.get("a", lambda: "new") == "new"


async def test_untracked_results_are_found_again_and_outlive_what_they_read(disk: DiskBackend) -> None:
    table = Table()
    read = reader(table, disk)

    @cached(name="outer", backup=disk, track=False)
    async def outer(key: str) -> int:
        return int(await read(key))

    await outer("a")
    await forget(read, outer)
    await read.invalidate_cache("a")
    table.versions["a"] = 1
    assert await outer("a") == 0


async def test_invalidations_that_fail_say_so_to_who_awaits_them(open_file: Open) -> None:
    disk = open_file()
    c = AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: 1)
    await disk.aclose()
    with pytest.raises(cache.CacheError, match="closed"):
        await c.delete("a")
    assert await c.get("a", lambda: 2) == 2, "here it took effect"
    assert await c.get("a", lambda: 3) == 2, "and is over"


async def test_a_set_that_fails_says_so_to_who_awaits_it(open_file: Open) -> None:
    disk = open_file()
    c = AsyncCache(name="c", backup=disk)
    await disk.aclose()
    with pytest.raises(cache.CacheError, match="closed"):
        await c.set("a", 1)
    assert c.peek("a") == 1, "here it took effect"
    assert await c.get("a", lambda: 2) == 1, "and is over"


async def test_deletes_at_once_are_one_after_the_other(disk: DiskBackend) -> None:
    c = AsyncCache(name="c", backup=disk)
    for number in range(20):
        await c.get(number, lambda: "old")
    await disk.flush()
    await asyncio.gather(*[c.delete(number) for number in range(20)])
    assert await asyncio.gather(*[c.get(number, lambda: "new") for number in range(20)]) == ["new"] * 20

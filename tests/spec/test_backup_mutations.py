"""A mutation tells the tier before its body and after it, and does not run if it cannot."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import cache
from cache import AsyncCache, CacheError, DiskBackend, cached, invalidates
from tests.spec.backed import Open, forget, until
from tests.spec.steering import Table, settle, start, start_outside


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process has the file, and does not let go of it."""
    with closing(sqlite3.connect(path / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_mutation_ends_what_the_tier_has_before_its_body(open_file: Open) -> None:
    table = Table()
    here, there = (AsyncCache(name="c", backup=open_file()) for _ in range(2))
    await here.get("a", lambda: table.read("a"))
    await forget(here)
    async with here.mutating("a"):
        await table.write("a")
        # Nothing more is told if the process is killed here.
        assert await there.get("a", lambda: table.read("a")) == 1


async def test_what_others_load_during_a_mutation_is_not_served_when_it_has_ended(open_file: Open) -> None:
    table = Table()
    here, there, later = (AsyncCache(name="c", backup=open_file()) for _ in range(3))
    async with here.mutating("a"):
        await there.get("a", lambda: table.read("a"))
        await forget(there)
        await table.write("a")
    assert await later.get("a", lambda: table.read("a")) == 1


@pytest.mark.parametrize("error", [ValueError, TimeoutError, asyncio.CancelledError])
async def test_so_it_is_however_the_body_ends(disk: DiskBackend, error: type[BaseException]) -> None:
    table = Table()
    c = AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"))
    await disk.flush()

    async def write() -> None:
        async with c.mutating("a", linger=0):
            await table.write("a")
            raise error

    with pytest.raises(error):
        await write()
    assert await c.get("a", lambda: table.read("a")) == 1
    await forget(c)
    assert await c.get("a", lambda: table.read("a")) == 1


async def test_a_mutation_does_not_run_if_the_tier_cannot_be_told(open_file: Open, tmp_path: Path) -> None:
    table, disk = Table(), open_file(patience=0.0)

    @cached(name="read", backup=disk)
    async def read(key: str) -> int:
        return await table.read(key)

    @invalidates(read)
    async def write(key: str) -> None:
        await table.write(key)

    await read("a")
    await disk.flush()
    with held(tmp_path), pytest.raises(CacheError):
        await write("a")
    assert not table.versions
    assert not read.cache._store.windows
    await write("a")
    assert await read("a") == 1


async def test_a_mutation_whose_end_cannot_be_told_keeps_its_outcome_and_is_logged(
    open_file: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table, disk = Table(), open_file(patience=0.0)
    c = AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"))
    await disk.flush()
    async with c.mutating("a"):
        await table.write("a")
        context = held(tmp_path)
        context.__enter__()
    context.__exit__(None, None, None)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "could not be told that it has ended" in caplog.text
    assert await c.get("a", lambda: table.read("a")) == 1


async def test_a_mutation_that_is_cancelled_while_the_tier_is_told_does_not_run(
    open_file: Open, tmp_path: Path
) -> None:
    table, disk = Table(), open_file(patience=60.0)
    c = AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"))
    await disk.flush()

    async def write() -> None:
        async with c.mutating("a"):
            await table.write("a")

    with held(tmp_path):
        writing = await start(write())
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert not table.versions
    assert not c._store.windows
    assert await c.get("a", lambda: table.read("a")) == 0


async def test_a_mutation_that_is_cancelled_at_its_end_tells_the_tier_first(open_file: Open, tmp_path: Path) -> None:
    table, disk = Table(), open_file(patience=60.0)
    c = AsyncCache(name="c", backup=disk)
    hold: list[Any] = []

    async def write() -> None:
        async with c.mutating("a", linger=0):
            await table.write("a")
            hold.append(held(tmp_path))
            hold[0].__enter__()

    writing = await start(write())
    await until(lambda: hold)
    await settle()
    writing.cancel()
    await settle()
    assert not writing.done()
    hold[0].__exit__(None, None, None)
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert not c._store.windows
    assert await c.get("a", lambda: table.read("a")) == 1


async def test_in_an_event_loop_it_takes_async_with(disk: DiskBackend) -> None:
    c = AsyncCache(name="c", backup=disk)
    with pytest.raises(TypeError, match="`async with` in place of `with`"), c.mutating("a"):
        raise AssertionError
    async with c.mutating("a"):
        pass


async def test_in_a_thread_without_one_it_takes_with(disk: DiskBackend) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)

    def write() -> None:
        with c.mutating("a"):
            table.versions["a"] += 1

    await c.get("a", lambda: table.read("a"))
    await forget(c)
    await asyncio.to_thread(write)
    assert await c.get("a", lambda: table.read("a")) == 1


async def test_the_body_reads_the_source_and_not_the_tier(disk: DiskBackend) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"))
    await forget(c)
    async with c.mutating("b"):
        await c.get("a", lambda: table.read("a"))
    assert table.reads["a"] == 2


async def test_what_the_body_has_set_is_in_memory_and_not_older_in_the_tier(disk: DiskBackend) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: table.read("a"))
    await disk.flush()
    async with c.mutating("a"):
        await table.write("a")
        c.set("a", 1)
    assert c.peek("a") == 1
    await forget(c)
    assert await c.get("a", lambda: table.read("a")) == 1


async def test_tags_are_told_to_every_tier_that_keeps_what_rests_on_them(tmp_path: Path) -> None:
    table = Table()
    disks = [DiskBackend(tmp_path / f"{number}.db") for number in range(2)]
    caches = [AsyncCache(name="c", backup=disk) for disk in disks]
    for c in caches:
        await c.get("a", lambda: table.read("a"), tags=("t",))
    await forget(*caches)
    async with cache.mutating(tags=("t",)):
        await table.write("a")
    assert [await c.get("a", lambda: table.read("a"), tags=("t",)) for c in caches] == [1, 1]
    for disk in disks:
        await disk.aclose()


async def test_a_namespace_may_be_given_a_tier_while_a_tag_of_it_is_changed(open_file: Open) -> None:
    table = Table()
    first = AsyncCache(name="c", namespace="late", backup=open_file())
    async with cache.mutating(tags=("t",), namespace="late"):
        second = AsyncCache(name="d", namespace="late", backup=open_file())
        reading = await start_outside(_read(second, table))
        assert await reading == 0
        await table.write("a")
    assert await second.get("a", lambda: table.read("a"), tags=("t",)) == 1
    assert not first._namespace.windows


async def _read(c: AsyncCache, table: Table) -> Any:
    return await c.get("a", lambda: table.read("a"), tags=("t",))

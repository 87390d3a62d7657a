"""A tier behind a cache that is used from threads, with and without event loops; and behind methods."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cache import Applied, AsyncCache, DiskBackend, cached, invalidates
from cache._tier import Address
from tests.spec.backed import Open, forget, from_backup, until
from tests.spec.steering import Elsewhere, Table


class Interrupted(DiskBackend):
    """A file that, before it is told of anything, lets another thread do something to the end."""

    meanwhile: Callable[[], object] | None = None

    def invalidate(
        self, addresses: Sequence[Address], spaces: Sequence[str] = (), then: Callable[[], object] | None = None
    ) -> Any:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            thread = threading.Thread(target=meanwhile)
            thread.start()
            thread.join()
        return super().invalidate(addresses, spaces, then)


@pytest.mark.parametrize("end", ["delete", "clear", "invalidate"])
async def test_a_thread_that_reads_in_the_middle_of_an_invalidation_keeps_nothing_old(
    open_file: Open, end: str
) -> None:
    disk = open_file(Interrupted)
    assert isinstance(disk, Interrupted)
    truth = ["old"]
    c = AsyncCache(name="c", backup=disk)
    await c.get("a", lambda: truth[0], tags=("t",))
    await forget(c)
    truth[0] = "new"
    disk.meanwhile = lambda: c.get_blocking("a", lambda: truth[0], tags=("t",))
    acts: dict[str, Callable[[], Applied]] = {
        "delete": lambda: c.delete("a"),
        "clear": c.clear,
        "invalidate": lambda: c.invalidate("t"),
    }
    await acts[end]()
    assert await c.get("a", lambda: truth[0], tags=("t",)) == "new"


async def test_a_thread_without_a_loop_finds_what_the_tier_has(disk: DiskBackend) -> None:
    calls: list[int] = []
    c = AsyncCache(name="c", backup=disk)

    def read() -> Any:
        return c.get_blocking("a", lambda: calls.append(1) or "v")  # type: ignore[func-returns-value]  # it is None, which is what `or` needs

    assert await asyncio.to_thread(read) == "v"
    await forget(c)
    assert await asyncio.to_thread(read) == "v"
    assert len(calls) == 1
    assert from_backup(c) == (1, 1)


async def test_threads_that_ask_at_once_ask_the_tier_once(disk: DiskBackend) -> None:
    c = AsyncCache(name="c", backup=disk)
    may_load, loading = threading.Event(), threading.Event()

    def load() -> str:
        loading.set()
        may_load.wait()
        return "v"

    first = asyncio.create_task(asyncio.to_thread(c.get_blocking, "a", load))
    await asyncio.to_thread(loading.wait)
    others = [asyncio.create_task(asyncio.to_thread(c.get_blocking, "a", load)) for _ in range(3)]
    await until(lambda: c.get_metrics()["coalesced"] == len(others))
    may_load.set()
    assert await asyncio.gather(first, *others) == ["v"] * 4
    assert disk.metrics().reads == 1


@pytest.mark.parametrize("end", ["delete", "clear", "invalidate", "set"])
async def test_a_thread_without_a_loop_returns_when_the_tier_knows(open_file: Open, end: str) -> None:
    c = AsyncCache(name="c", backup=open_file())
    await c.get("a", lambda: "old", tags=("t",))
    await forget(c)
    acts: dict[str, Callable[[], object]] = {
        "delete": lambda: c.delete("a"),
        "clear": c.clear,
        "invalidate": lambda: c.invalidate("t"),
        "set": lambda: c.set("a", "new", tags=("t",)),
    }
    await asyncio.to_thread(acts[end])
    later = AsyncCache(name="c", backup=open_file())
    assert await later.get("a", lambda: "new", tags=("t",)) == "new"


async def test_one_tier_serves_several_loops(disk: DiskBackend, elsewhere: Elsewhere) -> None:
    table, c = Table(), AsyncCache(name="c", backup=disk)
    assert await elsewhere.do(c.get("a", lambda: table.read("a"))) == 0
    await forget(c)
    assert await c.get("a", lambda: table.read("a")) == 0
    await forget(c)
    table.versions["a"] = 1

    async def delete() -> bool:
        return await c.delete("a")

    await elsewhere.do(delete())
    assert await c.get("a", lambda: table.read("a")) == 1


def test_one_tier_serves_loops_one_after_the_other(open_file: Open) -> None:
    disk = open_file()
    c = AsyncCache(name="c", backup=disk)

    async def use() -> Any:
        found = await c.get("a", lambda: "v")
        await forget(c)
        return found

    assert [asyncio.run(use()) for _ in range(3)] == ["v"] * 3
    assert from_backup(c) == (2, 1)
    assert disk.close()


async def test_the_entries_of_a_method_are_found_again_if_its_instance_is_left_out(disk: DiskBackend) -> None:
    table = Table()

    class Repository:
        @cached(name="Repository.read", skip_args=1, backup=disk)
        async def read(self, key: str) -> int:
            return await table.read(key)

        @invalidates(read)
        async def write(self, key: str) -> None:
            await table.write(key)

    assert await Repository().read("a") == 0
    await forget(Repository.read)
    assert await Repository().read("a") == 0
    assert table.reads["a"] == 1
    await Repository().write("a")
    assert await Repository().read("a") == 1


async def test_a_key_made_by_hand_may_stand_for_an_instance(disk: DiskBackend) -> None:
    table = Table()

    class Repository:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant

        @cached(name="Repository.read", key=lambda self, key: (self.tenant, key), backup=disk)
        async def read(self, key: str) -> int:
            return await table.read((self.tenant, key))

    await Repository("x").read("a")
    await forget(Repository.read)
    await Repository("x").read("a")
    await Repository("y").read("a")
    assert table.reads == {("x", "a"): 1, ("y", "a"): 1}

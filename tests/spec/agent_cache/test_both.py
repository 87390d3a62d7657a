"""A tool that is both: it writes one resource and reads another, or the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator
from agent_cache.integrations import Rules
from cache import AsyncLRU
from tests.spec.agent_cache.people import Shop, counted
from tests.spec.steering import Loader, settle, start


async def test_its_window_opens_on_every_call_hits_included(shop: Shop) -> None:
    @AgentCache("log")
    async def read_log() -> int:
        return shop.read("log")

    @AgentCacheInvalidator("log")
    @AgentCache("catalog")
    async def search(word: str) -> int:
        return shop.read(word)

    for n in range(1, 4):
        await read_log()
        assert await search("tea") == 0
        assert shop.reads == {"log": n, "tea": 1}


async def test_one_that_writes_what_it_reads_runs_at_each_call(shop: Shop) -> None:
    @AgentCacheInvalidator("counter")
    @AgentCache("counter")
    async def count() -> int:
        shop.write("counter")
        return shop.read("counter")

    @AgentCache("counter")
    async def get_count() -> int:
        return shop.read("counter")

    assert [await count(), await get_count(), await count(), await get_count(), await get_count()] == [1, 1, 2, 2, 2]
    assert shop.reads["counter"] == 4


def test_a_plain_one_does_the_same(shop: Shop) -> None:
    @AgentCacheInvalidator("log")
    @AgentCache("catalog")
    def search(word: str) -> int:
        return shop.read(word)

    @AgentCache("log")
    def read_log() -> int:
        return shop.read("log")

    @AgentCacheInvalidator("catalog")
    def restock() -> None:
        """Write."""

    for n in range(1, 4):
        assert [search("tea"), search("tea"), read_log()] == [0, 0, 0]
        assert shop.reads == {"log": n, "tea": 1}
    restock()
    search("tea")
    assert shop.reads["tea"] == 2


async def test_what_it_reads_is_shared_with_those_who_call_it_at_the_same_time() -> None:
    """Its own window is none for what it reads."""
    load = Loader()

    @AgentCacheInvalidator("log")
    @AgentCache("catalog")
    async def search_both() -> Any:
        return await load()

    readers = [await start(search_both()) for _ in range(3)]
    load.end("v")
    assert [await reader for reader in readers] == ["v"] * 3
    assert len(load.calls) == 1
    assert await search_both() == "v"
    assert counted("search_both", "writes") == 4


async def test_a_read_in_flight_elsewhere_is_fenced_by_it() -> None:
    load, other = Loader(), Loader()

    @AgentCache("log")
    async def read_log() -> Any:
        return await other()

    @AgentCacheInvalidator("log")
    @AgentCache("catalog")
    async def search() -> Any:
        return await load()

    reader = await start(read_log())
    searching = await start(search())
    load.end("found")
    await searching
    other.end("old")
    assert await reader == "old"
    again = await start(read_log())
    other.end("new")
    assert await again == "new"


async def test_an_error_or_a_cancellation_of_it_invalidates_too(shop: Shop) -> None:
    load = Loader()

    @AgentCache("log")
    async def read_log() -> int:
        return shop.read("log")

    @AgentCacheInvalidator("log", linger=0)
    @AgentCache("catalog")
    async def search() -> Any:
        return await load()

    await read_log()
    failing = await start(search())
    load.fail(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await failing
    await read_log()
    assert shop.reads["log"] == 2
    cancelled = await start(search())
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await read_log()
    assert shop.reads["log"] == 3
    await settle()


def test_the_other_way_round_is_refused_at_decoration() -> None:
    @AgentCacheInvalidator("catalog")
    async def write() -> None:
        """Write."""

    with pytest.raises(TypeError, match=r"write writes: .*Put @AgentCacheInvalidator above @AgentCache"):
        AgentCache("catalog")(write)


def test_one_cache_is_enough() -> None:
    @AgentCache("catalog")
    async def read() -> None:
        """Read."""

    @AsyncLRU
    async def cached() -> None:
        """Read."""

    for tool in (read, cached):
        with pytest.raises(TypeError, match="is cached already"):
            AgentCache("catalog")(tool)


async def test_two_invalidators_one_above_the_other_both_count(shop: Shop) -> None:
    @AgentCacheInvalidator("a")
    @AgentCacheInvalidator("b")
    async def write() -> None:
        """Write."""

    @AgentCache("a")
    async def read_a() -> int:
        return shop.read("a")

    @AgentCache("b")
    async def read_b() -> int:
        return shop.read("b")

    for n in (1, 2):
        await read_a(), await read_b()
        assert shop.reads == {"a": n, "b": n}
        await write()


async def test_so_it_is_with_tools_that_others_have_declared(shop: Shop) -> None:
    rules = Rules(
        read={"search": "catalog", "read_log": "log"},
        write={"search": "log"},
        scope="global",
        vary=lambda: "everybody",
    )

    async def run(_: Any, arguments: dict[str, Any]) -> int:
        return shop.read(arguments["what"])

    for n in (1, 2, 3):
        await rules.call("search", None, {"what": "tea"}, run)
        await rules.call("read_log", None, {"what": "log"}, run)
        assert shop.reads == {"tea": 1, "log": n}


async def test_whenever_it_is_cancelled_nothing_stays_covered(shop: Shop) -> None:
    @AgentCacheInvalidator("cart:{user}", linger=0.0)
    @AgentCache("profile:{user}")
    async def check_out(user: str) -> int:
        await asyncio.sleep(0)
        return shop.read(user)

    @AgentCache("cart:{user}")
    async def get_cart(user: str) -> int:
        return shop.read(f"cart of {user}")

    turn = 0
    while not (task := await after(turn, check_out(f"user {turn}"))).done():
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(2):
            await get_cart(f"user {turn}")
        assert shop.reads[f"cart of user {turn}"] == 1
        turn += 1
    assert turn > 1


async def after(turns: int, call: Coroutine[Any, Any, int]) -> asyncio.Task[int]:
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    return task

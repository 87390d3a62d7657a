"""What was read of a resource is good until it is written, however, wherever and by whomever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from cache import cached, invalidate, mutating
from cache.testing import FakeClock
from tests.spec.agent_cache.people import RunContext, Shop, counted
from tests.spec.steering import Loader, settle, start


async def test_two_equal_reads_run_the_tool_once(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    assert [await get_cart(7), await get_cart(cart_id=7), await get_cart(8)] == [0, 0, 0]
    assert shop.reads == {7: 1, 8: 1}


async def test_a_read_after_a_write_sees_it(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart")
    async def add_item(cart_id: int) -> str:
        shop.write(cart_id)
        return "added"

    assert await get_cart(7) == 0
    assert await add_item(7) == "added"
    assert await get_cart(7) == 1


@pytest.mark.parametrize("scope", ["global", "session"])
@pytest.mark.parametrize("write_scope", ["global", "session"])
async def test_a_write_in_the_same_session_reaches_whatever_was_read(scope: Any, write_scope: Any, shop: Shop) -> None:
    @AgentCache("cart", scope=scope)
    async def get_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart", scope=write_scope)
    async def add_item() -> None:
        shop.write("cart")

    async with AgentCacheSession():
        assert [await get_cart(), await get_cart()] == [0, 0]
        await add_item()
        assert [await get_cart(), await get_cart()] == [1, 1]
    assert shop.reads["cart"] == 2


async def test_a_load_begun_before_a_write_is_not_kept() -> None:
    load, write = Loader(), Loader()
    get_cart = AgentCache("cart")(_named(load, "get_cart"))
    add_item = AgentCacheInvalidator("cart")(_named(write, "add_item"))
    reader = await start(get_cart())
    writer = await start(add_item())
    load.end("old")
    assert await reader == "old"
    late = await start(get_cart())
    assert len(load.calls) == 2
    load.end("of the write, perhaps")
    await late
    write.end(None)
    await writer
    after = await start(get_cart())
    load.end("new")
    assert await after == "new"
    assert await get_cart() == "new"
    assert len(load.calls) == 3
    assert counted("get_cart", "fenced") >= 1


@pytest.mark.parametrize("write_scope", ["global", "session"])
@pytest.mark.parametrize("scope", ["global", "session"])
async def test_a_write_in_one_session_while_a_read_is_in_flight_in_another(scope: Any, write_scope: Any) -> None:
    load, write = Loader(), Loader()
    get_cart = AgentCache("cart", scope=scope)(_named(load, "get_cart"))
    add_item = AgentCacheInvalidator("cart", scope=write_scope)(_named(write, "add_item"))
    leave = asyncio.Event()

    async def reads() -> list[Any]:
        async with AgentCacheSession():
            first = await get_cart()
            await leave.wait()
            return [first, await get_cart()]

    async def writes() -> None:
        async with AgentCacheSession():
            await add_item()

    reader, writer = await start(reads()), await start(writes())
    write.end(None)
    await writer
    load.end("old")
    await settle()
    leave.set()
    await settle()
    reached = not (scope == "session" and write_scope == "session")
    assert len(load.calls) == (2 if reached else 1), "a session write leaves the results of other sessions alone"
    if reached:
        load.end("new")
    assert await reader == ["old", "new" if reached else "old"]


async def test_who_asks_after_a_write_does_not_join_a_load_from_before() -> None:
    load = Loader()
    get_cart = AgentCache("cart")(_named(load, "get_cart"))

    @AgentCacheInvalidator("cart")
    async def add_item() -> None:
        """Write."""

    before = await start(get_cart())
    await add_item()
    after = await start(get_cart())
    assert len(load.calls) == 2
    load.end("new", 1)
    load.end("old", 0)
    assert (await before, await after) == ("old", "new")
    assert await get_cart() == "new"


@pytest.mark.parametrize("error", [ValueError("refused"), KeyError("x")])
async def test_a_write_that_raises_invalidates_too(error: Exception, shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart")
    async def add_item() -> None:
        shop.write("cart")
        raise error

    await get_cart()
    with pytest.raises(type(error)) as caught:
        await add_item()
    assert caught.value is error
    assert await get_cart() == 1


async def test_a_write_that_is_cancelled_invalidates_too(shop: Shop) -> None:
    write = Loader()

    @AgentCache("cart")
    async def get_cart() -> int:
        return shop.read("cart")

    add_item = AgentCacheInvalidator("cart", linger=0)(_named(write, "add_item"))
    await get_cart()
    writer = await start(add_item())
    shop.write("cart")
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    assert [await get_cart(), await get_cart()] == [1, 1]
    assert shop.reads["cart"] == 2


async def test_after_a_cancelled_write_nothing_is_kept_for_a_while(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr("cache._spanning.time.monotonic", clock)
    write = Loader()

    @AgentCache("cart")
    async def get_cart() -> int:
        return shop.read("cart")

    add_item = AgentCacheInvalidator("cart")(_named(write, "add_item"))
    writer = await start(add_item())
    monkeypatch.undo()
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    await get_cart()
    shop.write("cart")  # the commit lands after all
    assert await get_cart() == 1
    clock.advance(1)
    assert [await get_cart(), await get_cart()] == [1, 1]
    assert shop.reads["cart"] == 3


async def test_the_reads_of_a_write_are_its_own(shop: Shop) -> None:
    """What a write has not finished is nobody else's."""

    @AgentCache("cart")
    async def get_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart")
    async def try_out() -> int:
        shop.versions["cart"] = 99
        try:
            return await get_cart()
        finally:
            shop.versions["cart"] = 1

    assert await get_cart() == 0
    assert await try_out() == 99
    assert await get_cart() == 1


async def test_a_tool_that_reads_several_resources_rests_on_each(shop: Shop) -> None:
    @AgentCache(["cart", "prices"])
    async def total() -> int:
        return shop.read("total")

    for resource in ("cart", "prices", "stock"):

        @AgentCacheInvalidator(resource)
        async def change() -> None:
            shop.write("total")

        before = await total()
        await change()
        assert await total() == before + (resource != "stock"), resource


async def test_a_tool_that_writes_several_resources_invalidates_each(shop: Shop) -> None:
    def reader(resource: str) -> Any:
        @AgentCache(resource, name=resource)
        async def read() -> int:
            return shop.read(resource)

        return read

    carts, orders, prices = map(reader, ("carts", "orders", "prices"))

    @AgentCacheInvalidator(("carts", "orders"))
    async def check_out() -> None:
        """Write."""

    for _ in range(2):
        await carts(), await orders(), await prices()
        await check_out()
    assert shop.reads == {"carts": 2, "orders": 2, "prices": 1}


async def test_a_write_waits_for_no_reader_and_keeps_no_entry_alive(shop: Shop) -> None:
    """Ten writes and ten reads in turn: each read is one load, and one result is kept."""

    @AgentCache("cart")
    async def fetch_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart")
    async def add_item() -> None:
        shop.write("cart")

    for n in range(10):
        assert await fetch_cart() == n
        await add_item()
    assert await fetch_cart() == 10
    assert counted("fetch_cart", "size") == 1
    assert counted("fetch_cart", "loads") == 11


async def test_calls_at_the_same_time_share_one_execution() -> None:
    load = Loader()
    get_cart = AgentCache("cart")(_named(load, "get_cart_at_once"))
    readers = [await start(get_cart()) for _ in range(5)]
    load.end({"items": []})
    results = [await reader for reader in readers]
    assert results == [{"items": []}] * 5
    assert len({id(result) for result in results}) == 5
    assert len(load.calls) == 1
    assert counted("get_cart_at_once", "coalesced") == 4


async def test_the_cancellation_of_one_caller_harms_no_other() -> None:
    load = Loader()
    get_cart = AgentCache("cart")(_named(load, "get_cart"))
    first, second = await start(get_cart()), await start(get_cart())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    load.end("v")
    assert await second == "v"
    assert load.cancelled == 0
    assert await get_cart() == "v"


async def test_the_execution_ends_with_its_last_caller() -> None:
    load = Loader()
    get_cart = AgentCache("cart")(_named(load, "get_cart"))
    readers = [await start(get_cart()) for _ in range(2)]
    for reader in readers:
        reader.cancel()
        await settle()
    assert load.cancelled == 1


async def test_results_live_as_long_as_their_ttl(shop: Shop, time: FakeClock) -> None:
    @AgentCache("weather", ttl=60)
    async def weather() -> int:
        return shop.read("weather")

    await weather()
    time.advance(59)
    await weather()
    assert shop.reads["weather"] == 1
    time.advance(1)
    await weather()
    assert shop.reads["weather"] == 2


async def test_the_ttl_may_depend_on_the_result(shop: Shop, time: FakeClock) -> None:
    @AgentCache("weather", ttl=lambda result: None if result["final"] else 10)
    async def weather(day: str) -> dict[str, Any]:
        return {"read": shop.read(day), "final": day == "yesterday"}

    for moment, expected in ((0, 1), (9, 1), (1, 2)):
        time.advance(moment)
        await weather("today")
        await weather("yesterday")
        assert shop.reads == {"today": expected, "yesterday": 1}


async def test_a_ttl_of_zero_keeps_nothing(shop: Shop) -> None:
    @AgentCache("weather", ttl=0)
    async def weather() -> int:
        return shop.read("weather")

    await weather(), await weather()
    assert shop.reads["weather"] == 2


async def test_no_more_than_maxsize_results_are_kept(shop: Shop) -> None:
    @AgentCache("cart", maxsize=2)
    async def get_small_cart(n: int) -> int:
        return shop.read(n)

    for n in (1, 2, 3, 3, 1):
        await get_small_cart(n)
    assert shop.reads == {1: 2, 2: 1, 3: 1}
    assert counted("get_small_cart", "size") == 2
    assert counted("get_small_cart", "evictions") == 2


# -- the caches of the rest of the application -----------------------------------------------------------------------


async def test_tags_are_those_of_cached_functions(shop: Shop) -> None:
    @cached(tags=("user:{uid}",))
    async def name(uid: int) -> int:
        return shop.read(("name", uid))

    @AgentCache("profile", tags=("user:{uid}", "users"))
    async def profile(uid: int) -> int:
        return shop.read(("profile", uid))

    @AgentCacheInvalidator("unrelated", tags=("user:{user.uid}",))
    async def rename(user: Any) -> None:
        """Write."""

    async def read() -> None:
        for uid in (7, 8):
            await name(uid), await profile(uid)

    class User:
        uid = 7

    await read()
    await rename(User())
    await read()
    assert shop.reads == {("name", 7): 2, ("profile", 7): 2, ("name", 8): 1, ("profile", 8): 1}
    invalidate("users")
    await read()
    assert shop.reads[("profile", 8)] == 2
    with mutating(tags=("user:8",)):
        pass
    await read()
    assert (shop.reads[("profile", 8)], shop.reads[("name", 8)]) == (3, 2)


async def test_a_tool_rests_on_the_cached_functions_that_it_calls(shop: Shop) -> None:
    @cached
    async def price(item: str) -> int:
        return shop.read(item)

    @AgentCache("cart")
    async def total() -> int:
        return await price("tea") + await price("milk")

    @AgentCache("summary")
    async def summary() -> str:
        return f"total {await total()}"

    assert await summary() == "total 0"
    shop.write("milk")
    assert await summary() == "total 0"
    price.invalidate_cache("milk")
    assert await summary() == "total 1"
    assert shop.reads == {"tea": 1, "milk": 2}


async def test_a_tool_rests_on_the_tools_that_it_calls(shop: Shop) -> None:
    @AgentCache("prices")
    async def price() -> int:
        return shop.read("price")

    @AgentCache("cart")
    async def total() -> int:
        return await price()

    @AgentCache("summary")
    async def summary() -> int:
        return await total()

    @AgentCacheInvalidator("prices")
    async def reprice() -> None:
        shop.write("price")

    assert [await summary(), await summary()] == [0, 0]
    await reprice()
    assert [await summary(), await summary(), await total()] == [1, 1, 1]
    assert shop.reads["price"] == 2


# -- partitions and writes -------------------------------------------------------------------------------------------


async def test_a_write_reaches_its_own_partition_and_one_without_vary_every_one(shop: Shop) -> None:
    def whose(ctx: RunContext) -> Any:
        return ctx.deps.user

    @AgentCache("cart", vary=whose)
    async def get_cart(ctx: RunContext) -> int:
        return shop.read(ctx.deps.user)

    @AgentCache("cart")
    async def count_carts() -> int:
        return shop.read("all")

    @AgentCacheInvalidator("cart", vary=whose)
    async def add_item(ctx: RunContext) -> None:
        """Write."""

    @AgentCacheInvalidator("cart")
    async def empty_all() -> None:
        """Write."""

    ann, bob, nobody = RunContext("ann"), RunContext("bob"), RunContext(None)

    async def read() -> dict[Any, int]:
        before = dict(shop.reads)
        await get_cart(ann), await get_cart(bob), await count_carts()
        return {key: n - before.get(key, 0) for key, n in shop.reads.items() if n != before.get(key)}

    assert await read() == {"ann": 1, "bob": 1, "all": 1}
    assert await read() == {}
    await add_item(ann)
    assert await read() == {"ann": 1, "all": 1}
    await empty_all()
    assert await read() == {"ann": 1, "bob": 1, "all": 1}
    await add_item(nobody)
    assert await read() == {"ann": 1, "bob": 1, "all": 1}


async def test_a_vary_of_an_argument_reaches_whom_the_context_names(shop: Shop) -> None:
    @AgentCache("cart", vary=lambda ctx: ctx.deps.user)
    async def get_cart(ctx: RunContext) -> int:
        return shop.read(ctx.deps.user)

    @AgentCacheInvalidator("cart", vary=lambda user_id: user_id)
    async def give_to(user_id: int) -> None:
        """Write."""

    ann, bob = RunContext(1), RunContext(2)
    for _ in range(2):
        await get_cart(ann), await get_cart(bob)
        await give_to(1)
    assert shop.reads == {1: 2, 2: 1}


def _named(loader: Loader, name: str) -> Any:
    async def tool() -> Any:
        return await loader()

    tool.__name__ = name
    return tool

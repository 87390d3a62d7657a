"""Plain tools keep every promise, in whatever thread a framework runs them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from tests.spec.agent_cache.people import RunContext, Shop, counted
from tests.spec.steering import Loader, start
from tests.spec.threads import Crowd, HeldLoader, a_crowd


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    with a_crowd(monkeypatch) as crowd:
        yield crowd


def test_a_plain_tool_stays_plain_and_is_cached_without_an_event_loop(shop: Shop) -> None:
    @AgentCache("cart:{cart_id}")
    def get_cart(cart_id: int) -> int:
        return shop.read(cart_id)

    @AgentCacheInvalidator("cart:{cart_id}")
    def add_item(cart_id: int) -> str:
        shop.write(cart_id)
        return "added"

    assert [get_cart(7), get_cart(7), get_cart(8)] == [0, 0, 0]
    assert add_item(7) == "added"
    assert [get_cart(7), get_cart(8)] == [1, 0]
    assert shop.reads == {7: 2, 8: 1}


async def test_plain_and_async_tools_invalidate_each_other(shop: Shop) -> None:
    @AgentCache("cart")
    def plain() -> int:
        return shop.read("plain")

    @AgentCache("cart")
    async def later() -> int:
        return shop.read("async")

    @AgentCacheInvalidator("cart")
    def write() -> None:
        """Write."""

    @AgentCacheInvalidator("cart")
    async def write_later() -> None:
        """Write."""

    for n in range(1, 4):
        assert (plain(), await later(), await asyncio.to_thread(plain)) == (0, 0, 0)
        assert shop.reads == {"plain": n, "async": n}
        await write_later() if n == 1 else await asyncio.to_thread(write)


def test_threads_share_one_execution(crowd: Crowd) -> None:
    load = HeldLoader()

    @AgentCache("cart")
    def get_cart_in_threads() -> Any:
        return load()

    first = crowd.start(get_cart_in_threads)
    load.begins()
    others = [crowd.seat(get_cart_in_threads) for _ in range(3)]
    load.end(["tea"])
    results = [call.result() for call in (first, *others)]
    assert results == [["tea"]] * 4
    assert len({id(result) for result in results}) == 4
    assert load.calls == 1
    assert counted("get_cart_in_threads", "coalesced") == 3


def test_a_write_while_a_read_is_in_flight_in_another_thread(crowd: Crowd) -> None:
    load = HeldLoader()

    @AgentCache("cart")
    def get_cart() -> Any:
        return load()

    @AgentCacheInvalidator("cart")
    def add_item() -> None:
        """Write."""

    before = crowd.start(get_cart)
    load.begins()
    add_item()
    after = crowd.start(get_cart)
    load.begins()
    load.end("new", 1)
    load.end("old", 0)
    assert (before.result(), after.result(), get_cart()) == ("old", "new", "new")
    assert load.calls == 2


def test_a_read_during_a_write_in_another_thread_is_not_kept(crowd: Crowd, shop: Shop) -> None:
    write = HeldLoader()

    @AgentCache("cart")
    def get_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart")
    def add_item() -> None:
        write()
        shop.write("cart")

    writer = crowd.start(add_item)
    write.begins()
    assert [get_cart(), get_cart()] == [0, 0]
    assert shop.reads["cart"] == 2
    write.end(None)
    writer.result()
    assert [get_cart(), get_cart()] == [1, 1]


async def test_a_session_write_of_a_thread_and_a_read_in_flight_in_another_session(shop: Shop) -> None:
    load = Loader()

    @AgentCache("cart", scope="session")
    async def get_cart() -> Any:
        return await load()

    @AgentCacheInvalidator("cart")
    def add_item() -> None:
        """Write."""

    def writes() -> None:
        with AgentCacheSession():
            add_item()

    async with AgentCacheSession():
        reader = await start(get_cart())
        await asyncio.to_thread(writes)
        load.end("old")
        assert await reader == "old"
        again = await start(get_cart())
        load.end("new")
        assert await again == "new"


def test_an_error_reaches_all_threads_and_is_not_kept(crowd: Crowd) -> None:
    load = HeldLoader()

    @AgentCache("cart")
    def get_cart() -> Any:
        return load()

    first = crowd.start(get_cart)
    load.begins()
    second = crowd.seat(get_cart)
    load.end(ValueError("no"))
    for call in (first, second):
        with pytest.raises(ValueError, match="no"):
            call.result()
    third = crowd.start(get_cart)
    load.begins()
    load.end("v")
    assert third.result() == "v"


def test_a_write_that_raises_invalidates_too(shop: Shop) -> None:
    @AgentCache("cart")
    def get_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart")
    def add_item() -> None:
        shop.write("cart")
        raise KeyError

    get_cart()
    with pytest.raises(KeyError):
        add_item()
    assert get_cart() == 1


async def test_a_plain_tool_on_the_event_loop_waits_for_nobody(shop: Shop) -> None:
    """Nobody else could go on while it waits."""
    load = HeldLoader()

    @AgentCache("cart")
    def get_cart() -> Any:
        return shop.read("loop") if threading.current_thread() is threading.main_thread() else load()

    other = asyncio.create_task(asyncio.to_thread(get_cart))
    await asyncio.to_thread(load.begins)
    assert get_cart() == 0
    load.end("v")
    assert await other == "v"


def test_users_and_contexts_are_those_of_async_tools(shop: Shop) -> None:
    @AgentCache("cart", vary=lambda ctx: ctx.deps.user)
    def get_cart(ctx: RunContext, cart_id: int) -> int:
        return shop.read((ctx.deps.user, cart_id))

    for _ in range(2):
        get_cart(RunContext("ann"), 7), get_cart(ctx=RunContext("bob"), cart_id=7)
        get_cart(RunContext(None), 7)
    assert shop.reads == {("ann", 7): 1, ("bob", 7): 1, (None, 7): 2}


def test_a_write_that_would_still_have_to_be_awaited_is_refused(shop: Shop) -> None:
    """It would be made after everything was invalidated, and what is read meanwhile would be kept."""

    async def write() -> None:
        shop.write("cart")

    @AgentCacheInvalidator("cart")
    def add_item() -> Any:
        return write()

    with pytest.raises(TypeError, match=r"add_item returned <coroutine .*> which must be awaited|add_item returned"):
        add_item()
    assert not shop.versions


async def test_so_is_one_that_goes_on_by_itself() -> None:
    future = asyncio.get_running_loop().create_future()

    @AgentCacheInvalidator("cart")
    def add_item() -> Any:
        return future

    with pytest.raises(TypeError, match="make it an `async def` that awaits it"):
        add_item()
    future.cancel()


async def test_a_read_that_has_to_be_awaited_is_passed_through(shop: Shop) -> None:
    async def read() -> int:
        return shop.read("cart")

    @AgentCache("cart")
    def get_cart() -> Any:
        return read()

    assert [await get_cart(), await get_cart()] == [0, 0]
    assert shop.reads["cart"] == 2


def test_a_method_is_a_tool(shop: Shop) -> None:
    class Carts:
        def __init__(self, name: str) -> None:
            self.name = name

        @AgentCache("cart")
        def get(self, cart_id: int) -> str:
            shop.read((self.name, cart_id))
            return self.name

        @AgentCacheInvalidator("cart")
        def add(self) -> None:
            """Write."""

        @classmethod
        @AgentCache("cart")
        def count(cls) -> int:
            return shop.read(cls.__name__)

        @staticmethod
        @AgentCache("cart")
        def total(cart_id: int) -> int:
            return shop.read("total")

    ann, bob = Carts("ann"), Carts("bob")
    for n in (1, 2):
        for _ in range(2):
            assert (ann.get(7), bob.get(7), Carts.get(ann, 7)) == ("ann", "bob", "ann")
            Carts.count(), ann.count(), ann.total(7), Carts.total(7)
        assert set(shop.reads.values()) == {n}
        bob.add()

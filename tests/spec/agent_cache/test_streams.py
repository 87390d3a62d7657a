"""Generators pass through: their items cannot be given out again. While one writes, its window is open."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing
from contextvars import copy_context
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator
from tests.spec.agent_cache.people import Shop, counted
from tests.spec.steering import start_outside


@pytest.fixture
def get_cart(shop: Shop) -> Any:
    @AgentCache("cart")
    async def get_cart() -> int:
        return shop.read("cart")

    return get_cart


async def outside(tool: Any) -> Any:
    """A call from beside whatever goes on in this context."""
    return await (await start_outside(tool()))


async def test_a_stream_is_run_by_each_who_asks(shop: Shop) -> None:
    @AgentCache("cart")
    async def stream_some(n: int) -> AsyncIterator[int]:
        for item in range(n):
            shop.read(item)
            yield item

    assert inspect.isasyncgenfunction(stream_some)
    for _ in range(2):
        assert [item async for item in stream_some(3)] == [0, 1, 2]
    assert shop.reads == {0: 2, 1: 2, 2: 2}
    assert (counted("stream_some", "bypassed"), counted("stream_some", "loads")) == (2, 0)


def test_so_is_a_generator_with_what_it_is_sent_and_returns(shop: Shop) -> None:
    @AgentCache("cart")
    def echo() -> Generator[Any, Any, str]:
        got: Any = yield "begin"
        while got is not None:
            got = yield got
        return "end"

    assert inspect.isgeneratorfunction(echo)
    generator: Any = echo()
    assert [next(generator), generator.send("a"), generator.send("b")] == ["begin", "a", "b"]
    with pytest.raises(StopIteration, match="end"):
        generator.send(None)


async def test_while_a_stream_writes_nothing_is_kept(get_cart: Any, shop: Shop) -> None:
    closed = []

    @AgentCacheInvalidator("cart")
    async def write_slowly() -> AsyncIterator[int]:
        try:
            yield 1
            shop.write("cart")
            yield 2
        finally:
            closed.append(True)

    await get_cart()
    stream = write_slowly()
    assert shop.reads["cart"] == 1
    assert await outside(get_cart) == 0
    assert shop.reads["cart"] == 1, "it has not begun"
    await anext(stream)
    assert [await outside(get_cart), await outside(get_cart)] == [0, 0]
    assert shop.reads["cart"] == 3
    await anext(stream)
    assert await outside(get_cart) == 1
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert closed == [True]
    assert [await get_cart(), await get_cart()] == [1, 1]
    assert shop.reads["cart"] == 5


async def test_a_stream_that_is_left_early_closes_its_window(get_cart: Any, shop: Shop) -> None:
    @AgentCacheInvalidator("cart")
    async def write_slowly() -> AsyncIterator[int]:
        shop.write("cart")
        yield 1
        yield 2

    await get_cart()
    async with aclosing(write_slowly()) as items:  # type: ignore[type-var]  # it is a generator
        async for _ in items:
            break
    assert [await get_cart(), await get_cart()] == [1, 1]
    assert shop.reads["cart"] == 2


async def test_a_stream_that_raises_closes_its_window(get_cart: Any, shop: Shop) -> None:
    @AgentCacheInvalidator("cart")
    async def write_slowly() -> AsyncIterator[int]:
        yield 1
        shop.write("cart")
        raise KeyError

    await get_cart()
    with pytest.raises(KeyError):
        _ = [item async for item in write_slowly()]
    assert await get_cart() == 1


async def test_a_generator_that_writes_is_covered_from_first_to_last(get_cart: Any, shop: Shop) -> None:
    @AgentCacheInvalidator("cart")
    def generate_slowly() -> Iterator[int]:
        yield 1
        shop.write("cart")
        yield 2

    await get_cart()
    generator: Any = generate_slowly()
    context = copy_context()
    context.run(next, generator)
    assert [await get_cart(), await get_cart()] == [0, 0]
    assert shop.reads["cart"] == 3
    context.run(next, generator)
    generator.close()
    assert [await get_cart(), await get_cart()] == [1, 1]
    assert shop.reads["cart"] == 4
    assert counted("generate_slowly", "writes") == 1

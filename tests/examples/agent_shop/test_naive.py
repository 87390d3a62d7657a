"""The cache that people put around tools by hand: what it does well, and the race that it loses."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from examples.agent_shop import naive
from examples.agent_shop.answers import Cart, Findings, Offer, Orders
from examples.agent_shop.toolbox import Toolbox, Visit

A = TypeVar("A")

ALICE, BOB = SimpleNamespace(deps=Visit(1)), SimpleNamespace(deps=Visit(2))


class SteeredTools:
    """Tools over one number, the version of everything: answers are read at once, and given when the gate is open."""

    def __init__(self) -> None:
        self.version = 0
        self.executed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def toolbox(self) -> Toolbox:
        async def search(word: str) -> Findings:
            return await self._answer("search", Findings(f"{word} {self.version}", []))

        async def look_at(product_id: int) -> Offer:
            return await self._answer("look_at", Offer(product_id, "lamp", 1, 1, self.version, self.version))

        async def read_cart(ctx: Any) -> Cart:
            return await self._answer("read_cart", Cart(ctx.deps.customer_id, self.version, []))

        async def read_orders(ctx: Any) -> Orders:
            return await self._answer("read_orders", Orders(ctx.deps.customer_id, self.version, 0, 0))

        async def add_to_cart(ctx: Any, product_id: int, quantity: int) -> None:
            self.version += 1

        async def change_quantity(ctx: Any, product_id: int, quantity: int) -> None:
            self.version += 1

        async def check_out(ctx: Any, product_ids: list[int], cents: int) -> None:
            self.version += 1

        async def reprice(product_id: int, cents: int) -> None:
            self.version += 1

        async def restock(product_id: int, quantity: int) -> None:
            self.version += 1

        return Toolbox(
            search, look_at, read_cart, read_orders, add_to_cart, change_quantity, check_out, reprice, restock
        )

    async def _answer(self, tool: str, answer: A) -> A:
        self.executed.append(tool)
        await self.gate.wait()
        return answer


async def turns() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("placement", ["before", "after", "around", "ttl"])
async def test_wherever_it_invalidates_a_read_that_the_write_overtakes_leaves_a_stale_answer(
    placement: naive.Placement,
) -> None:
    steered = SteeredTools()
    tools = naive.cached(steered.toolbox(), placement)
    steered.gate.clear()
    read = asyncio.create_task(tools.read_cart(ALICE))
    await turns()
    await tools.add_to_cart(ALICE, 7, 1)
    steered.gate.set()
    await read
    assert (await tools.read_cart(ALICE)).version == 0
    assert steered.version == 1


@pytest.mark.parametrize("placement", ["before", "after", "around"])
async def test_a_write_alone_is_seen_at_once(placement: naive.Placement) -> None:
    steered = SteeredTools()
    tools = naive.cached(steered.toolbox(), placement)
    await tools.read_cart(ALICE)
    await tools.add_to_cart(ALICE, 7, 1)
    assert (await tools.read_cart(ALICE)).version == 1


async def test_the_same_call_is_executed_once_whether_by_position_or_by_name() -> None:
    steered = SteeredTools()
    tools = naive.cached(steered.toolbox())
    await tools.look_at(7)
    await tools.look_at(product_id=7)
    await tools.look_at(8)
    assert steered.executed == ["look_at"] * 2


async def test_no_customer_is_shown_the_cart_of_another() -> None:
    steered = SteeredTools()
    tools = naive.cached(steered.toolbox())
    assert (await tools.read_cart(ALICE)).customer_id == 1
    assert (await tools.read_cart(BOB)).customer_id == 2
    await tools.add_to_cart(BOB, 7, 1)
    await tools.read_cart(ALICE)
    assert steered.executed == ["read_cart"] * 2


async def test_calls_that_ask_meanwhile_share_one_execution_and_the_cancellation_of_one_hurts_nobody() -> None:
    steered = SteeredTools()
    tools = naive.cached(steered.toolbox())
    steered.gate.clear()
    impatient, patient = (asyncio.create_task(tools.look_at(7)) for _ in range(2))
    await turns()
    impatient.cancel()
    await turns()
    steered.gate.set()
    assert (await patient).product_id == 7
    assert impatient.cancelled()
    assert steered.executed == ["look_at"]


@pytest.mark.parametrize(
    ("write", "forgotten"),
    [
        (lambda tools: tools.reprice(7, 100), ["search", "look_at", "read_cart", "read_cart"]),
        (lambda tools: tools.restock(7, 1), ["look_at"]),
        (lambda tools: tools.restock(8, 1), []),
        (lambda tools: tools.check_out(ALICE, [7], 100), ["look_at", "read_cart", "read_orders"]),
        (lambda tools: tools.change_quantity(ALICE, 7, 1), ["read_cart"]),
    ],
)
async def test_each_write_forgets_what_it_makes_wrong_and_nothing_else(write: Any, forgotten: list[str]) -> None:
    steered = SteeredTools()
    tools = naive.cached(steered.toolbox())

    async def read_everything() -> list[str]:
        steered.executed.clear()
        await tools.search("lamp")
        await tools.look_at(7)
        await tools.read_cart(ALICE)
        await tools.read_cart(BOB)
        await tools.read_orders(ALICE)
        return list(steered.executed)

    assert len(await read_everything()) == 5
    assert await read_everything() == []
    await write(tools)
    assert await read_everything() == forgotten


async def test_what_is_good_for_a_time_is_executed_again_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("examples.agent_shop.naive.monotonic", lambda: now)
    steered = SteeredTools()
    tools = naive.cached(steered.toolbox(), "ttl")
    await tools.look_at(7)
    now = naive.GOOD_FOR * 0.9
    await tools.look_at(7)
    assert len(steered.executed) == 1
    now = naive.GOOD_FOR
    await tools.look_at(7)
    assert len(steered.executed) == 2


async def test_a_call_that_fails_is_not_kept() -> None:
    calls = 0

    async def look_at(product_id: int) -> Offer:
        nonlocal calls
        calls += 1
        raise LookupError(f"there is no product {product_id}")

    tool = naive.ToolCache("before").reading(look_at)
    for _ in range(2):
        with pytest.raises(LookupError):
            await tool(7)
    assert calls == 2

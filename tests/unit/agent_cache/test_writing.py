"""A write tool: what a call of it covers, and what a call gets that is not run."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from tests.spec.agent_cache.people import Shop


class InputRequiredResult:
    """What a server returns to be called again."""

    __module__ = "mcp.types"


async def test_a_write_that_returns_a_question_is_no_repetition() -> None:
    @AgentCacheInvalidator("cart")
    async def add_item() -> Any:
        return InputRequiredResult()

    @AgentCache("cart")
    async def get_cart() -> Any:
        return InputRequiredResult()

    async with AgentCacheSession(loop_detection=True, max_tool_repeats=2) as session:
        for _ in range(5):
            await add_item()
            await get_cart()
        assert session.loops == []


async def test_a_write_that_is_part_of_a_loop_is_not_made() -> None:
    shop = Shop()

    @AgentCacheInvalidator("cart")
    def add_plain() -> None:
        shop.write("plain")

    @AgentCacheInvalidator("cart")
    async def add_later() -> None:
        shop.write("async")

    with AgentCacheSession(loop_detection=True, max_tool_repeats=2, on_loop="short_circuit"):
        for _ in range(4):
            add_plain()
    async with AgentCacheSession(loop_detection=True, max_tool_repeats=2, on_loop="short_circuit"):
        for _ in range(4):
            await add_later()
    assert shop.versions == {"plain": 2, "async": 2}


async def test_a_linger_that_fails_ends_the_write_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    def linger(error: BaseException | None) -> float:
        raise RuntimeError

    @AgentCache("cart")
    async def get_cart() -> int:
        return 1

    @AgentCacheInvalidator("cart", linger=linger)
    async def add_item() -> str:
        return "added"

    assert await add_item() == "added"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert await get_cart() == 1


async def test_what_a_write_changes_is_told_before_it_runs() -> None:
    shop = Shop()

    @AgentCacheInvalidator("cart:{cart_id}", tags=("cart:{cart_id.number}",))
    async def add_item(cart_id: Any) -> None:
        shop.write("cart")

    with pytest.raises(AttributeError):
        await add_item(7)
    assert not shop.versions

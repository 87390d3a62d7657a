"""One call of a write tool: what it counts as, and what it gets if it is not run."""

from __future__ import annotations

from typing import Any

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

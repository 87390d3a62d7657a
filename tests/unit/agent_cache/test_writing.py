"""A write tool: what a call of it covers."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator
from tests.spec.agent_cache.people import Shop


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

"""A shop as an MCP server on FastMCP, and an agent that calls it. The agent is a script: no key and no network."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from fastmcp import Client, FastMCP

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, get_metrics
from agent_cache.integrations import Rules
from agent_cache.integrations.fastmcp import AgentCacheClient

carts: dict[tuple[str, int], list[str]] = {}

# Who has sent a request. On a server with users: lambda: get_access_token().claims["sub"]
user: ContextVar[str] = ContextVar("user")

# Your own tools are decorated, below @shop.tool: what they read and write, and whose it is.
shop = FastMCP("shop")


@shop.tool
@AgentCache("cart:{cart_id}", vary=user.get)
async def get_cart(cart_id: int) -> list[str]:
    """What is in a cart."""
    print(f"  executed: get_cart({cart_id})")
    return carts.get((user.get(), cart_id), [])


@shop.tool
@AgentCacheInvalidator("cart:{cart_id}", vary=user.get)
async def add_item(cart_id: int, item: str) -> str:
    """Put an item into a cart."""
    print(f"  executed: add_item({cart_id}, {item!r})")
    carts.setdefault((user.get(), cart_id), []).append(item)
    return f"{item} is in the cart"


# The server of somebody else is called by a client with rules; a server of your own takes AgentCacheMiddleware(rules).
warehouse = FastMCP("warehouse")


@warehouse.tool
async def get_stock(item: str) -> int:
    """How much there is of an item."""
    print(f"  executed: get_stock({item!r})")
    return 7


rules = Rules(read={"get_stock": "stock:{item}"}, scope="global", vary=lambda: "everybody")

SCRIPT: list[list[tuple[str, dict[str, Any]]]] = [
    [("get_cart", {"cart_id": 1}), ("get_stock", {"item": "tea"})],
    [("get_cart", {"cart_id": 1}), ("get_stock", {"item": "tea"})],
    [("add_item", {"cart_id": 1, "item": "tea"})],
    [("get_cart", {"cart_id": 1})],
]


async def main() -> None:
    """Two customers, one after the other."""
    for user_id in ("ann", "bob"):
        print(f"{user_id}: I need tea.")
        user.set(user_id)
        async with (
            AgentCacheSession(loop_detection=True),  # a run that goes round in circles is ended
            Client(shop) as own,
            AgentCacheClient(warehouse, rules=rules) as foreign,
        ):
            for turn in SCRIPT:
                clients = {"get_stock": foreign}
                await asyncio.gather(*[clients.get(name, own).call_tool(name, args) for name, args in turn])
        print("  There is tea in your cart.")
    for name, counted in get_metrics()["tools"].items():
        print(f"{name}: {counted['hits']} hits, {counted['loads'] + counted['writes']} executed")


if __name__ == "__main__":
    asyncio.run(main())

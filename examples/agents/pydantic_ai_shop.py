"""A shopping agent on pydantic-ai. Its model is a script, so that it needs no key and no network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.toolsets import FunctionToolset

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, get_metrics
from agent_cache.integrations import Rules
from agent_cache.integrations.pydantic_ai import cached_toolset

carts: dict[tuple[str, int], list[str]] = {}


@dataclass
class Customer:
    """Who talks to the agent."""

    user_id: str


# Your own tools are decorated: what they read and write, and whose it is.


@AgentCache("cart:{cart_id}", vary=lambda ctx: ctx.deps.user_id)
async def get_cart(ctx: RunContext[Customer], cart_id: int) -> list[str]:
    """What is in a cart."""
    print(f"  executed: get_cart({cart_id})")
    return carts.get((ctx.deps.user_id, cart_id), [])


@AgentCacheInvalidator("cart:{cart_id}", vary=lambda ctx: ctx.deps.user_id)
async def add_item(ctx: RunContext[Customer], cart_id: int, item: str) -> str:
    """Put an item into a cart."""
    print(f"  executed: add_item({cart_id}, {item!r})")
    carts.setdefault((ctx.deps.user_id, cart_id), []).append(item)
    return f"{item} is in the cart"


# Tools that somebody else has written are named in rules.


def get_stock(item: str) -> int:
    """How much there is of an item."""
    print(f"  executed: get_stock({item!r})")
    return 7


warehouse: FunctionToolset[Customer] = FunctionToolset([get_stock])
rules = Rules(read={"get_stock": "stock:{item}"}, scope="global", vary=lambda: "everybody")

SCRIPT = [
    [ToolCallPart("get_cart", {"cart_id": 1}), ToolCallPart("get_stock", {"item": "tea"})],
    [ToolCallPart("get_cart", {"cart_id": 1}), ToolCallPart("get_stock", {"item": "tea"})],
    [ToolCallPart("add_item", {"cart_id": 1, "item": "tea"})],
    [ToolCallPart("get_cart", {"cart_id": 1})],
]


def scripted(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """One turn of the script after the other."""
    turn = sum(isinstance(message, ModelResponse) for message in messages)
    return ModelResponse(parts=SCRIPT[turn] if turn < len(SCRIPT) else [TextPart("There is tea in your cart.")])


agent = Agent(
    FunctionModel(scripted),
    deps_type=Customer,
    tools=[get_cart, add_item],
    toolsets=[cached_toolset(warehouse, rules)],
)


async def main() -> None:
    """Two customers, one after the other."""
    for user_id in ("ann", "bob"):
        print(f"{user_id}: I need tea.")
        async with AgentCacheSession(loop_detection=True):  # a run that goes round in circles is ended
            result = await agent.run("I need tea.", deps=Customer(user_id))
        print(f"  {result.output}")
    for name, counted in get_metrics()["tools"].items():
        print(f"{name}: {counted['hits']} hits, {counted['loads'] + counted['writes']} executed")


if __name__ == "__main__":
    asyncio.run(main())

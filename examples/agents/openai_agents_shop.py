"""A shopping agent on openai-agents. Its model is a script, so that it needs no key and no network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count

from agents import Agent, RunContextWrapper, Runner, function_tool, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message, function_call

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, get_metrics
from agent_cache.integrations import Rules
from agent_cache.integrations.openai_agents import cached_tools

carts: dict[tuple[str, int], list[str]] = {}


@dataclass
class Customer:
    """Who talks to the agent."""

    user_id: str


# Your own tools are decorated, below @function_tool: what they read and write, and whose it is.


@function_tool
@AgentCache("cart:{cart_id}", vary=lambda ctx: ctx.context.user_id)
async def get_cart(ctx: RunContextWrapper[Customer], cart_id: int) -> list[str]:
    """What is in a cart."""
    print(f"  executed: get_cart({cart_id})")
    return carts.get((ctx.context.user_id, cart_id), [])


@function_tool
@AgentCacheInvalidator("cart:{cart_id}", vary=lambda ctx: ctx.context.user_id)
async def add_item(ctx: RunContextWrapper[Customer], cart_id: int, item: str) -> str:
    """Put an item into a cart."""
    print(f"  executed: add_item({cart_id}, {item!r})")
    carts.setdefault((ctx.context.user_id, cart_id), []).append(item)
    return f"{item} is in the cart"


# Tools that somebody else has written are named in rules.


@function_tool
def get_stock(item: str) -> int:
    """How much there is of an item."""
    print(f"  executed: get_stock({item!r})")
    return 7


rules = Rules(read={"get_stock": "stock:{item}"}, scope="global", vary=lambda: "everybody")
tools = [get_cart, add_item, *cached_tools([get_stock], rules)]


SCRIPT: list[list[tuple[str, dict[str, object]]]] = [
    [("get_cart", {"cart_id": 1}), ("get_stock", {"item": "tea"})],
    [("get_cart", {"cart_id": 1}), ("get_stock", {"item": "tea"})],
    [("add_item", {"cart_id": 1, "item": "tea"})],
    [("get_cart", {"cart_id": 1})],
]


def scripted() -> ScriptedModel:
    """A model that follows the script."""
    ids = map(str, count())
    turns = [[function_call(name, arguments, call_id=next(ids)) for name, arguments in turn] for turn in SCRIPT]
    return ScriptedModel([*turns, [assistant_message("There is tea in your cart.")]])


async def main() -> None:
    """Two customers, one after the other."""
    set_tracing_disabled(True)
    for user_id in ("ann", "bob"):
        print(f"{user_id}: I need tea.")
        agent = Agent[Customer](name="shopper", model=scripted(), tools=tools)
        async with AgentCacheSession(loop_detection=True):  # a run that goes round in circles is ended
            result = await Runner.run(agent, "I need tea.", context=Customer(user_id))
        print(f"  {result.final_output}")
    for name, counted in get_metrics()["tools"].items():
        print(f"{name}: {counted['hits']} hits, {counted['loads'] + counted['writes']} executed")


if __name__ == "__main__":
    asyncio.run(main())

"""A shopping agent on LangChain and LangGraph. Its model is a script, so that it needs no key and no network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, get_metrics
from agent_cache.integrations import Rules
from agent_cache.integrations.langchain import AgentCacheMiddleware

carts: dict[tuple[str, int], list[str]] = {}


@dataclass
class Customer:
    """Who talks to the agent."""

    user_id: str


Runtime = ToolRuntime[Customer, Any]

# Your own tools are decorated, below @tool: what they read and write, and whose it is.


@tool
@AgentCache("cart:{cart_id}", vary=lambda runtime: runtime.context.user_id)
async def get_cart(cart_id: int, runtime: Runtime) -> list[str]:
    """What is in a cart."""
    print(f"  executed: get_cart({cart_id})")
    return carts.get((runtime.context.user_id, cart_id), [])


@tool
@AgentCacheInvalidator("cart:{cart_id}", vary=lambda runtime: runtime.context.user_id)
async def add_item(cart_id: int, item: str, runtime: Runtime) -> str:
    """Put an item into a cart."""
    print(f"  executed: add_item({cart_id}, {item!r})")
    carts.setdefault((runtime.context.user_id, cart_id), []).append(item)
    return f"{item} is in the cart"


# Tools that somebody else has written are named in rules.


@tool
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


class Scripted(GenericFakeChatModel):
    """One turn of the script after the other."""

    def bind_tools(self, *_: Any, **__: Any) -> Scripted:
        """A script needs no tools to choose from."""
        return self


def script() -> list[AIMessage]:
    """The script as a model says it."""
    turns = [
        AIMessage("", tool_calls=[{"name": n, "args": a, "id": f"{turn}.{at}"} for at, (n, a) in enumerate(calls)])
        for turn, calls in enumerate(SCRIPT)
    ]
    return [*turns, AIMessage("There is tea in your cart.")]


async def main() -> None:
    """Two customers, one after the other."""
    cache = AgentCacheMiddleware(rules)
    for user_id in ("ann", "bob"):
        print(f"{user_id}: I need tea.")
        agent = create_agent(
            Scripted(messages=iter(script())),
            tools=[get_cart, add_item, get_stock],
            middleware=[cache],
            context_schema=Customer,
        )
        async with AgentCacheSession(loop_detection=True):  # a run that goes round in circles is ended
            state = await agent.ainvoke({"messages": [HumanMessage("I need tea.")]}, context=Customer(user_id))
        print(f"  {state['messages'][-1].content}")
    for name, counted in get_metrics()["tools"].items():
        print(f"{name}: {counted['hits']} hits, {counted['loads'] + counted['writes']} executed")


if __name__ == "__main__":
    asyncio.run(main())

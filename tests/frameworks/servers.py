"""Servers: the tools of a shop on FastMCP servers, and agents that call them through clients in memory."""

from __future__ import annotations

import asyncio
import json
from contextvars import ContextVar
from functools import partial
from typing import Any

import mcp_types
from fastmcp import Client, Context, FastMCP
from fastmcp.server.middleware import Middleware

from agent_cache import AgentCache, AgentCacheInvalidator
from agent_cache.integrations import Rules
from tests.frameworks.marks import Mark, unmarked
from tests.frameworks.shop import Shop, Turns

#: Who has sent the request: what an access token says on a server that has users.
user: ContextVar[str] = ContextVar("user")


def server(
    shop: Shop, reads: Mark = unmarked, writes: Mark = unmarked, *, middleware: Middleware | None = None, **options: Any
) -> FastMCP:
    """The tools of a shop, decorated below ``@server.tool``; ``get_cart`` says that it only reads."""
    made = FastMCP("shop", middleware=[] if middleware is None else [middleware], **options)

    @made.tool(annotations={"readOnlyHint": True})
    @reads
    async def get_cart(cart_id: int, ctx: Context) -> dict[str, Any]:
        """What is in a cart."""
        assert ctx.fastmcp.name == "shop"
        await shop.turn()
        return shop.get_cart(user.get(), cart_id)

    @made.tool
    @writes
    async def add_item(cart_id: int, item: str) -> str:
        """Put something into a cart."""
        await shop.turn()
        return shop.add_item(user.get(), cart_id, item)

    @made.tool
    async def get_hours() -> str:
        """When the shop is open."""
        return shop.get_hours()

    return made


def blocking_server(
    shop: Shop,
    reads: Mark = unmarked,
    writes: Mark = unmarked,
    *,
    middleware: Middleware | None = None,
    in_thread: bool = True,
    **options: Any,
) -> FastMCP:
    """The same of plain functions, in threads or in that of the event loop."""
    made = FastMCP("shop", middleware=[] if middleware is None else [middleware], **options)

    @made.tool(annotations={"readOnlyHint": True}, run_in_thread=in_thread)
    @reads
    def get_cart(cart_id: int, ctx: Context) -> dict[str, Any]:
        """What is in a cart."""
        assert ctx.fastmcp.name == "shop"
        return shop.get_cart(user.get(), cart_id)

    @made.tool(run_in_thread=in_thread)
    @writes
    def add_item(cart_id: int, item: str) -> str:
        """Put something into a cart."""
        return shop.add_item(user.get(), cart_id, item)

    @made.tool(run_in_thread=in_thread)
    def get_hours() -> str:
        """When the shop is open."""
        return shop.get_hours()

    return made


inline_server = partial(blocking_server, in_thread=False)


def decorated(shop: Shop, make: Any = server, **options: Any) -> FastMCP:
    resource = f"{shop.cart}:{{cart_id}}"
    reads = AgentCache(resource, vary=user.get)
    made: FastMCP = make(shop, reads, AgentCacheInvalidator(resource, vary=user.get), **options)
    return made


def rules(shop: Shop, **options: Any) -> Rules:
    resource = f"{shop.cart}:{{cart_id}}"
    return Rules(read={"get_cart": resource}, write={"add_item": resource}, **options)


shared = partial(rules, scope="global", vary=user.get)


async def call(client: Client[Any], name: str, arguments: dict[str, Any], *, raises: bool = True) -> Any:
    """What a tool has answered, or with ``raises=False`` what its error says."""
    result = await client.call_tool(name, arguments, raise_on_error=raises)
    if result.is_error:
        return text(result)
    return _plain(result.data)


async def call_server(server: FastMCP, name: str, arguments: dict[str, Any]) -> Any:
    """The same without a client."""
    result = await server.call_tool(name, arguments)
    found = result.structured_content
    return found["result"] if found is not None and set(found) == {"result"} else found


def text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, mcp_types.TextContent)
    return block.text


async def talk(client: Client[Any], turns: Turns, *, raises: bool = True) -> list[Any]:
    """An agent: the calls of a turn at once, and one turn after the other."""
    found: list[Any] = []
    for turn in turns:
        found += await asyncio.gather(*[call(client, *each, raises=raises) for each in turn])
    return found


def _plain(data: Any) -> Any:
    return json.loads(json.dumps(data, default=vars))

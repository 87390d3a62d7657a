"""FastMCP: what a client sees of a tool, and what the server hands to it, is the same with decorators."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from fastmcp import Client, Context, FastMCP
from fastmcp.dependencies import CurrentContext, CurrentFastMCP, Depends, Progress
from pydantic import BaseModel, Field

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from agent_cache.integrations import Rules
from agent_cache.integrations.fastmcp import AgentCacheMiddleware


class Item(BaseModel):
    """Something in the shop."""

    id: int
    name: str = Field(description="how it is called")


def currency() -> str:
    return "EUR"


async def context_first(
    ctx: Context,
    item_id: int,
    lang: Annotated[str, Field(description="language of the answer")] = "en",
    kind: Literal["short", "long"] = "short",
    tags: list[str] | None = None,
) -> Item:
    """Get an item.

    Args:
        item_id: The id of the item.
        kind: How much to tell.
        tags: Words to look for.

    """
    return Item(id=item_id, name=f"{type(ctx).__name__} {lang} {kind} {tags}")


async def context_if_any(item_id: int, ctx: Context | None = None) -> str:
    """Get an item, perhaps with a context."""
    return f"{item_id} {type(ctx).__name__}"


async def context_annotated(item_id: int, ctx: Annotated[Context, "of the call"]) -> str:
    """Get an item with an annotated context."""
    return f"{item_id} {type(ctx).__name__}"


async def dependencies(
    item_id: int,
    ctx: Context = CurrentContext(),  # noqa: B008 - so FastMCP fills it in
    unit: str = Depends(currency),
    server: Any = CurrentFastMCP(),  # noqa: B008 - as above
) -> list[str]:
    """Get the price of an item."""
    return [f"{item_id}", type(ctx).__name__, unit, type(server).__name__]


async def progress(item_id: int, progress: Progress = Progress()) -> str:  # noqa: B008 - as above
    """Get an item slowly."""
    await progress.set_total(1)
    return f"{item_id}"


async def keywords(item_id: int, ctx: Context, *, unit: str, amount: int = 1) -> dict[str, Any]:
    """Get some of an item."""
    return {"id": item_id, "unit": unit, "amount": amount, "ctx": type(ctx).__name__}


async def model(item: Item) -> str:
    """Look at an item."""
    return item.name


def blocking(item_id: int, ctx: Context) -> str:
    """Get an item in a thread."""
    return f"{item_id} {type(ctx).__name__}"


async def untyped(item_id: int):  # type: ignore[no-untyped-def]  # noqa: ANN201 - tools are written like this, too
    """Get an item of unknown type."""
    return {"id": item_id}


CALLS: dict[Callable[..., Any], dict[str, Any]] = {
    context_first: {"item_id": 1, "tags": ["tea"]},
    context_if_any: {"item_id": 1},
    context_annotated: {"item_id": 1},
    dependencies: {"item_id": 1},
    progress: {"item_id": 1},
    keywords: {"item_id": 1, "unit": "kg"},
    model: {"item": {"id": 1, "name": "tea"}},
    blocking: {"item_id": 1},
    untyped: {"item_id": 1},
}
DECORATORS = {
    "reads": AgentCache("items", scope="session"),
    "writes": AgentCacheInvalidator("items", scope="session"),
    "both": lambda function: AgentCacheInvalidator("items")(AgentCache("items", scope="session")(function)),
}
shapes = pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
decorators = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)


def fresh(function: Any) -> Any:
    """The same function anew: FastMCP marks those that it is given, and rewrites their signatures."""
    again = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    again.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(again, function)
    del again.__wrapped__  # type: ignore[attr-defined]  # set by update_wrapper; it is the same, and wraps nothing
    return again


async def seen(function: Any, arguments: dict[str, Any], *middleware: Any) -> list[dict[str, Any]]:
    """All that a client learns of a tool, and the results of two calls of it."""
    server = FastMCP("items", middleware=middleware)
    server.tool(function, annotations={"title": "An item"}, tags={"shop"})
    async with AgentCacheSession(), Client(server) as client:
        (tool,) = await client.list_tools()
        results = [await client.call_tool_mcp(tool.name, arguments) for _ in range(2)]
    assert not any(result.is_error for result in results)
    return [tool.model_dump(), *[result.model_dump() for result in results]]


@shapes
@decorators
async def test_the_schema_and_the_results_are_those_of_the_tool_itself(function: Any, decorate: Any) -> None:
    raw = await seen(fresh(function), CALLS[function])
    assert await seen(decorate(fresh(function)), CALLS[function]) == raw


@shapes
async def test_the_middleware_changes_no_result(function: Any) -> None:
    middleware = AgentCacheMiddleware(Rules(read={function.__name__: "items"}))
    raw = await seen(fresh(function), CALLS[function])
    assert await seen(fresh(function), CALLS[function], middleware) == raw


async def test_the_comparison_sees_what_differs() -> None:
    assert await seen(fresh(context_if_any), {"item_id": 1}) != await seen(fresh(blocking), {"item_id": 1})


@shapes
async def test_what_is_injected_is_no_part_of_the_key(function: Any) -> None:
    executed = 0

    @functools.wraps(fresh(function))
    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal executed
        executed += 1
        result = function(*args, **kwargs)
        return await result if hasattr(result, "__await__") else result

    await seen(AgentCache("items", scope="session")(counted), CALLS[function])
    assert executed == 1

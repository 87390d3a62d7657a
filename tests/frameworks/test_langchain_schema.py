"""LangChain and LangGraph: what a model sees of a tool, and what the graph hands to it, is the same with decorators."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.tools import InjectedState, InjectedStore, InjectedToolArg, InjectedToolCallId, ToolRuntime, tool
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel, Field

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from tests.frameworks import graphs
from tests.frameworks.shop import Customer

#: What the graph has handed to the tools.
given: list[Any] = []


class Item(BaseModel):
    """Something in the shop."""

    id: int
    name: str = Field(description="how it is called")


async def plain(
    item_id: int,
    lang: Annotated[str, Field(description="language of the answer")] = "en",
    kind: Literal["short", "long"] = "short",
    tags: list[str] | None = None,
) -> str:
    """Get an item.

    Args:
        item_id: The id of the item.
        lang: The language.
        kind: How much to tell.
        tags: Words to look for.

    """
    given.append((item_id, lang, kind, tags))
    return f"{item_id}"


async def with_runtime(item_id: int, runtime: ToolRuntime[Customer, Any]) -> str:
    """Get an item for a customer."""
    given.append((item_id, runtime.context))
    return f"{item_id}"


async def with_injected(  # noqa: PLR0917 - all that can be injected
    item_id: int,
    state: Annotated[dict[str, Any], InjectedState],
    messages: Annotated[list[Any], InjectedState("messages")],
    call_id: Annotated[str, InjectedToolCallId],
    store: Annotated[BaseStore, InjectedStore()],
    config: RunnableConfig,
    region: Annotated[str, InjectedToolArg] = "none",
) -> str:
    """Get an item with all that a graph knows."""
    kinds = (type(state), len(messages), call_id[:4], type(store), config["configurable"]["thread_id"][:6])
    given.append((item_id, kinds, region))
    return f"{item_id}"


async def with_model(item: Item) -> str:
    """Look at an item."""
    given.append(item)
    return item.name


def blocking(item_id: int, runtime: ToolRuntime[Customer, Any]) -> str:
    """Get an item in a thread."""
    given.append((item_id, type(runtime)))
    return f"{item_id}"


CALLS: dict[Callable[..., Any], dict[str, Any]] = {
    plain: {"item_id": 1, "tags": ["tea"]},
    with_runtime: {"item_id": 1},
    with_injected: {"item_id": 1},
    with_model: {"item": {"id": 1, "name": "tea"}},
    blocking: {"item_id": 1},
}
DECORATORS = {
    "reads": AgentCache("items", scope="session"),
    "writes": AgentCacheInvalidator("items", scope="session"),
    "both": lambda function: AgentCacheInvalidator("items")(AgentCache("items", scope="session")(function)),
}
shapes = pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
decorators = pytest.mark.parametrize("decorate", DECORATORS.values(), ids=DECORATORS)


def seen(made: Any) -> tuple[Any, ...]:
    """All that a model, or whoever looks, learns of a tool."""
    return (
        made.name,
        made.description,
        made.args,
        made.tool_call_schema.model_json_schema(),
        made.get_input_schema().model_json_schema() if not _injects(made) else None,
        convert_to_openai_tool(made),
        made.coroutine is None,
    )


def _injects(made: Any) -> bool:
    # What is injected has no schema, which LangChain hides from models.
    return set(inspect.signature(made.coroutine or made.func).parameters) != set(made.args)


@shapes
@decorators
def test_the_schema_is_that_of_the_tool_itself(function: Any, decorate: Any) -> None:
    assert seen(tool(decorate(function))) == seen(tool(function))


@decorators
def test_the_docstring_tells_of_the_parameters(decorate: Any) -> None:
    parsed = tool(parse_docstring=True)
    assert seen(parsed(decorate(plain))) == seen(parsed(plain))
    assert parsed(decorate(plain)).args["kind"]["description"] == "How much to tell."


def test_the_comparison_sees_what_differs() -> None:
    def other(item_id: int, runtime: ToolRuntime) -> str:
        """Get an item in another thread."""
        return f"{item_id}, {runtime}"

    assert seen(tool(other)) != seen(tool(blocking))


@shapes
@decorators
async def test_a_model_is_bound_to_the_same_tool_and_a_tool_given_the_same_values(function: Any, decorate: Any) -> None:
    handed: list[Any] = []
    for each in (function, decorate(function)):
        given.clear()
        model = graphs.Scripted(turns=[[(function.__name__, CALLS[function])]], bound=[])
        agent = create_agent(model, tools=[tool(each)], context_schema=Customer, store=InMemoryStore())
        async with AgentCacheSession():
            state = await agent.ainvoke(graphs.GO, graphs.thread(), context=Customer("ann"))
        bound = [convert_to_openai_tool(tool) for tool in model.bound]
        handed.append((bound, copy.copy(given), graphs.answers(state["messages"])))
    assert handed[0] == handed[1]
    assert len(handed[0][1]) == 1


async def test_what_is_injected_is_no_part_of_the_key() -> None:
    given.clear()
    call = (with_injected.__name__, {"item_id": 1})
    cached = tool(AgentCache("items", scope="session")(with_injected))
    agent = create_agent(
        graphs.Scripted(turns=[[call], [call]]), tools=[cached], context_schema=Customer, store=InMemoryStore()
    )
    async with AgentCacheSession():
        await agent.ainvoke(graphs.GO, graphs.thread(), context=Customer("ann"))
    assert len(given) == 1

"""LangChain and LangGraph: the conversations of the shop, with the decorators and with the middleware."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from langchain.tools import tool
from langchain_core.messages import ToolMessage

from agent_cache import AgentCacheSession
from agent_cache.integrations import Rules
from agent_cache.integrations.langchain import AgentCacheMiddleware
from tests.frameworks import graphs
from tests.frameworks.graphs import Runtime, blocking_tools, decorators, rules, shared, tools
from tests.frameworks.shop import ADD, CONVERSATIONS, GET, HOURS, Build, Customer, Play, Shop, Turns, cart

#: Makes an agent that plays these turns over the tools of a shop that were given.
Stage = Callable[[Turns], Any]


def played(stage: Stage, run: graphs.Run) -> Play:
    async def play(turns: Turns, user_id: str = "ann") -> list[Any]:
        async with AgentCacheSession():
            return graphs.answers(await run(stage(turns), graphs.GO, Customer(user_id), graphs.thread()))

    return play


def by_decorators(shop: Shop, run: graphs.Run = graphs.awaited, make: Any = tools) -> Play:
    given = decorators(shop, make)
    return played(lambda turns: graphs.agent(turns, given), run)


def by_middleware(
    shop: Shop, run: graphs.Run = graphs.awaited, make: Any = tools, rules: Callable[[Shop], Rules] = shared
) -> Play:
    given, middleware = make(shop), AgentCacheMiddleware(rules(shop))
    return played(lambda turns: graphs.agent(turns, given, middleware), run)


def by_decorators_in_a_tool_node(shop: Shop) -> Play:
    given = decorators(shop)
    return played(lambda turns: graphs.graph(turns, given), graphs.awaited)


def by_hooks_of_a_tool_node(shop: Shop, run: graphs.Run = graphs.awaited, make: Any = tools) -> Play:
    given, cache = make(shop), AgentCacheMiddleware(shared(shop))
    hooks = {"wrap_tool_call": cache.wrap_tool_call, "awrap_tool_call": cache.awrap_tool_call}
    return played(lambda turns: graphs.graph(turns, given, **hooks), run)


BUILDS: dict[str, Build] = {
    "decorators": by_decorators,
    "decorators, streamed": partial(by_decorators, run=graphs.streamed),
    "decorators, events": partial(by_decorators, run=graphs.told_by_events),
    "decorators, threaded tools": partial(by_decorators, make=blocking_tools),
    "decorators, blocking run": partial(by_decorators, run=graphs.blocking, make=blocking_tools),
    "decorators, ToolNode": by_decorators_in_a_tool_node,
    "middleware": by_middleware,
    "middleware, session": partial(by_middleware, rules=rules),
    "middleware, streamed": partial(by_middleware, run=graphs.streamed),
    "middleware, events": partial(by_middleware, run=graphs.told_by_events),
    "middleware, threaded tools": partial(by_middleware, make=blocking_tools),
    "middleware, blocking run": partial(by_middleware, run=graphs.blocking, make=blocking_tools),
    "middleware, ToolNode": by_hooks_of_a_tool_node,
    "middleware, ToolNode, blocking run": partial(by_hooks_of_a_tool_node, run=graphs.blocking, make=blocking_tools),
}


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.__name__)
@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
async def test_a_conversation_goes_as_without_a_cache_with_fewer_executions(
    conversation: Callable[[Build], Awaitable[None]], build: Build
) -> None:
    await conversation(build)


async def converse(turns: Turns, given: Sequence[Any], *middleware: Any) -> list[ToolMessage]:
    """The messages of the tools in one conversation in a session."""
    async with AgentCacheSession():
        agent = graphs.agent(turns, given, *middleware, saver=False)
        messages = await graphs.awaited(agent, graphs.GO, Customer("ann"), graphs.thread())
    graphs.answers(messages)
    return [message for message in messages if isinstance(message, ToolMessage)]


async def test_a_replayed_message_is_the_callers_own() -> None:
    shop, artifact = Shop(), {"rows": [1]}

    @tool(response_format="content_and_artifact")
    async def get_cart(cart_id: int) -> tuple[str, Any]:
        """What is in a cart."""
        shop.get_cart("ann", cart_id)
        return "one row", artifact

    middleware = AgentCacheMiddleware(rules(shop))
    first, second, third = await converse([[GET], [GET], [GET]], [get_cart], middleware)
    assert shop.executed == {"get_cart": 1}
    assert first.artifact == second.artifact == third.artifact
    assert first.content == second.content
    assert second.name == "get_cart"
    first.artifact["rows"].append(2)
    second.artifact["rows"].append(3)
    assert third.artifact == {"rows": [1]}


async def test_what_cannot_be_copied_is_handed_to_the_call_that_has_made_it() -> None:
    shop = Shop()

    @tool(response_format="content_and_artifact")
    async def get_cart(cart_id: int) -> tuple[str, Any]:
        """What is in a cart."""
        shop.get_cart("ann", cart_id)
        return "rows", (row for row in [1])

    first, second = await converse([[GET], [GET]], [get_cart], AgentCacheMiddleware(rules(shop)))
    assert shop.executed == {"get_cart": 2}
    assert list(first.artifact) == list(second.artifact) == [1]


async def test_a_message_of_the_tools_own_is_replayed_under_the_id_of_the_new_call() -> None:
    shop = Shop()

    @tool
    async def get_cart(cart_id: int, runtime: Runtime) -> ToolMessage:
        """What is in a cart."""
        shop.get_cart("ann", cart_id)
        return ToolMessage("empty", tool_call_id=runtime.tool_call_id, name="get_cart", id="my own")

    first, second = await converse([[GET], [GET]], [get_cart], AgentCacheMiddleware(rules(shop)))
    assert shop.executed == {"get_cart": 1}
    assert first.id == "my own"
    assert second.id != "my own"
    assert first.tool_call_id != second.tool_call_id


async def test_a_tool_that_the_agent_does_not_have_is_answered_as_without_a_cache() -> None:
    shop = Shop()
    messages = await converse([[("get_stock", {})], [GET]], tools(shop), AgentCacheMiddleware(rules(shop)))
    assert [message.status for message in messages] == ["error", "success"]


async def test_what_no_rule_speaks_of_counts_as_passed_by() -> None:
    shop = Shop()
    middleware = AgentCacheMiddleware(Rules(read={"get_hours": shop.cart}, poll=["get_cart"]))
    assert len(await converse([[HOURS, GET], [HOURS, GET]], tools(shop), middleware)) == 4
    assert shop.executed == {"get_hours": 1, "get_cart": 2}


async def test_a_call_with_a_user_who_is_unknown_is_not_cached() -> None:
    shop = Shop()
    middleware = AgentCacheMiddleware(rules(shop, scope="global", vary=lambda _: None))
    await converse([[GET], [GET]], tools(shop), middleware)
    assert shop.executed == {"get_cart": 2}


async def test_a_tool_of_an_mcp_server_is_taken_at_its_word() -> None:
    shop = Shop()
    get_cart, add_item, get_hours = tools(shop)
    get_cart.metadata, add_item.metadata = {"readOnlyHint": True}, {"readOnlyHint": None}
    middleware = AgentCacheMiddleware(Rules(hints=shop.cart))
    messages = await converse([[GET], [GET], [ADD], [GET], [HOURS], [GET]], [get_cart, add_item, get_hours], middleware)
    assert shop.executed == {"get_cart": 2, "add_item": 1, "get_hours": 1}
    assert messages[-1].content == messages[3].content
    assert shop.metrics()["writes"] == 1


async def test_a_tool_of_an_mcp_server_that_says_nothing_writes() -> None:
    shop = Shop()
    get_cart, add_item, _ = tools(shop)
    get_cart.metadata = {"readOnlyHint": True}
    add_item.coroutine.__module__ = "langchain_mcp_adapters.tools"
    await converse([[GET], [ADD], [GET]], [get_cart, add_item], AgentCacheMiddleware(Rules(hints=shop.cart)))
    assert shop.executed == {"get_cart": 2, "add_item": 1}


def test_what_are_no_rules_is_refused() -> None:
    wrong: Any = {"get_cart": "cart"}
    with pytest.raises(TypeError, match=r"rules=\{'get_cart': 'cart'\}, of type dict: pass .*Rules"):
        AgentCacheMiddleware(wrong)


async def test_users_of_one_thread_of_a_graph_stay_apart() -> None:
    shop = Shop()
    given, middleware = tools(shop), AgentCacheMiddleware(shared(shop))
    agent = graphs.agent([[GET], [GET]], given, middleware)
    config = graphs.thread()
    for user in ("ann", "bob", "ann"):
        messages = await graphs.awaited(agent, graphs.GO, Customer(user), config)
        assert graphs.answers(messages)[-2:] == [cart(user)] * 2
    assert shop.executed == {"get_cart": 2}


def test_without_the_framework_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agent_cache.integrations.langchain")
    monkeypatch.setitem(sys.modules, "langchain.agents.middleware", None)
    with pytest.raises(ImportError, match=r"pip install 'async-cache\[langchain\]'"):
        importlib.import_module("agent_cache.integrations.langchain")

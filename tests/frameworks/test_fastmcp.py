"""FastMCP: the conversations of the shop, with the decorators, the middleware of a server and the client."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import mcp_types
import pytest
from fastmcp import Client, Context, FastMCP
from fastmcp.server import create_proxy
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult

from agent_cache import AgentCacheSession
from agent_cache.integrations import Rules
from agent_cache.integrations.fastmcp import AgentCacheClient, AgentCacheMiddleware
from tests.frameworks import servers
from tests.frameworks.servers import rules, shared, user
from tests.frameworks.shop import ADD, CONVERSATIONS, GET, HOURS, Build, Play, Shop, Turns, cart

#: Connects an agent to a server: ``connect(server)`` to a client that is not connected yet.
Connect = Callable[[FastMCP], Client[Any]]


def played(server: FastMCP, connect: Connect = Client) -> Play:
    async def play(turns: Turns, user_id: str = "ann") -> list[Any]:
        user.set(user_id)
        async with AgentCacheSession(), connect(server) as client:
            return await servers.talk(client, turns)

    return play


def by_decorators(shop: Shop, make: Any = servers.server, connect: Connect = Client) -> Play:
    return played(servers.decorated(shop, make), connect)


def by_middleware(
    shop: Shop, make: Any = servers.server, rules: Callable[[Shop], Rules] = shared, connect: Connect = Client
) -> Play:
    return played(make(shop, middleware=AgentCacheMiddleware(rules(shop))), connect)


def by_proxy(shop: Shop) -> Play:
    proxy = create_proxy(servers.server(shop))
    proxy.add_middleware(AgentCacheMiddleware(shared(shop)))
    return played(proxy)


def by_client(shop: Shop, make: Any = servers.server, rules: Callable[[Shop], Rules] = shared, **options: Any) -> Play:
    given = rules(shop)
    return played(make(shop), lambda server: AgentCacheClient(server, rules=given, **options))


def by_calls_without_a_client(shop: Shop) -> Play:
    server = servers.server(shop, middleware=AgentCacheMiddleware(shared(shop)))

    async def play(turns: Turns, user_id: str = "ann") -> list[Any]:
        user.set(user_id)
        found: list[Any] = []
        for turn in turns:
            found += await asyncio.gather(*[servers.call_server(server, *each) for each in turn])
        return found

    return play


legacy = partial(Client, mode="legacy")

BUILDS: dict[str, Build] = {
    "decorators": by_decorators,
    "decorators, legacy": partial(by_decorators, connect=legacy),
    "decorators, threaded tools": partial(by_decorators, make=servers.blocking_server),
    "decorators, inline tools": partial(by_decorators, make=servers.inline_server),
    "middleware": by_middleware,
    "middleware, session": partial(by_middleware, rules=rules),
    "middleware, legacy": partial(by_middleware, connect=legacy),
    "middleware, threaded tools": partial(by_middleware, make=servers.blocking_server),
    "middleware, proxy": by_proxy,
    "middleware, no client": by_calls_without_a_client,
    "client": by_client,
    "client, session": partial(by_client, rules=rules),
    "client, legacy": partial(by_client, mode="legacy"),
    "client, threaded tools": partial(by_client, make=servers.blocking_server),
}


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.__name__)
@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
async def test_a_conversation_goes_as_without_a_cache_with_fewer_executions(
    conversation: Callable[[Build], Awaitable[None]], build: Build
) -> None:
    await conversation(build)


async def test_each_client_has_results_of_its_own_if_they_vary_by_it() -> None:
    shop = Shop()
    server, given = servers.server(shop), rules(shop, scope="global", vary=lambda client: client.name)
    for name in ("ann", "bob", "ann"):
        user.set(name)
        async with AgentCacheClient(server, rules=given, name=name) as client:
            assert await servers.talk(client, [[GET], [GET]]) == [cart(name)] * 2
    assert shop.executed == {"get_cart": 2}


async def test_a_copy_of_a_client_shares_its_rules() -> None:
    shop = Shop()
    client = AgentCacheClient(servers.server(shop), rules=rules(shop))
    user.set("ann")
    async with AgentCacheSession():
        for each in (client, client.new()):
            async with each:
                await servers.talk(each, [[GET]])
    assert shop.executed == {"get_cart": 1}


@pytest.mark.parametrize("by", [by_middleware, by_client])
async def test_without_a_session_nothing_is_kept_in_one(
    by: Callable[..., Play], caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop()
    given = rules(shop)
    server = servers.server(shop, middleware=AgentCacheMiddleware(given) if by is by_middleware else None)
    user.set("ann")
    async with Client(server) if by is by_middleware else AgentCacheClient(server, rules=given) as client:
        await servers.talk(client, [[GET], [GET]])
    assert shop.executed == {"get_cart": 2}
    assert "get_cart is not cached: its scope is the session" in caplog.text


def hinted(shop: Shop, by: str) -> tuple[FastMCP, Connect]:
    given = Rules(hints=shop.cart, scope="global", vary=user.get)
    if by == "middleware":
        return servers.server(shop, middleware=AgentCacheMiddleware(given)), Client
    return servers.server(shop), lambda server: AgentCacheClient(server, rules=given)


@pytest.mark.parametrize("by", ["middleware", "client"])
async def test_a_tool_is_taken_at_its_servers_word(by: str) -> None:
    shop = Shop()
    server, connect = hinted(shop, by)
    answers = await played(server, connect)([[GET], [GET], [ADD], [GET], [HOURS], [GET]])
    assert [answers[at] for at in (0, 1, 3, 5)] == [cart("ann"), cart("ann"), cart("ann", "tea"), cart("ann", "tea")]
    assert shop.executed == {"get_cart": 3, "add_item": 1, "get_hours": 1}
    counted = shop.metrics()
    assert (counted["hits"], counted["misses"], counted["writes"]) == (1, 3, 2)


@pytest.mark.parametrize(("by", "writes"), [("middleware", 0), ("client", 1)])
async def test_a_server_knows_that_a_tool_does_not_exist_and_a_client_must_take_it_for_a_write(
    by: str, writes: int
) -> None:
    shop = Shop()
    server, connect = hinted(shop, by)
    user.set("ann")
    async with connect(server) as client:
        await servers.talk(client, [[GET]])
        assert "Unknown tool" in await servers.call(client, "get_stock", {}, raises=False)
        await servers.talk(client, [[GET]])
    assert shop.executed == {"get_cart": 1 + writes}


async def test_one_set_of_rules_keeps_two_servers_apart() -> None:
    rules = Rules(read={"get_order": "order"}, scope="global", vary=lambda: "everybody")

    def shop_of(name: str, **options: Any) -> FastMCP[Any]:
        server: FastMCP[Any] = FastMCP(name, **options)

        @server.tool
        def get_order() -> str:
            return f"an order of {name}"

        return server

    async def ask(client: Client[Any]) -> Any:
        async with client:
            return (await client.call_tool("get_order")).data

    middleware = [AgentCacheMiddleware(rules)]
    for name in ("eu", "us", "eu"):
        assert await ask(AgentCacheClient(shop_of(name), rules=rules)) == f"an order of {name}"
        assert await ask(Client(shop_of(name, middleware=middleware))) == f"an order of {name}"


async def test_a_name_of_a_rule_goes_before_what_the_server_says() -> None:
    shop = Shop()
    given = Rules(write={"get_cart": shop.cart}, hints=shop.cart, scope="global", vary=user.get)
    await played(servers.server(shop, middleware=AgentCacheMiddleware(given)))([[GET], [GET]])
    assert shop.executed == {"get_cart": 2}
    assert shop.metrics()["writes"] == 2


async def test_a_hit_asks_nobody_about_a_tool_that_a_rule_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    get_tool = FastMCP.get_tool

    async def counted(self: FastMCP, name: str, version: Any = None) -> Any:
        asked[name] += 1
        return await get_tool(self, name, version)

    monkeypatch.setattr(FastMCP, "get_tool", counted)
    shop = Shop()
    given = rules(shop, hints=shop.cart, scope="global", vary=user.get)
    user.set("ann")
    server = servers.server(shop, middleware=AgentCacheMiddleware(given))
    for _ in range(3):
        await servers.call_server(server, *GET)
    assert shop.executed == {"get_cart": 1}
    assert asked == {"get_cart": 1}  # by the execution itself


def versioned(executed: Counter[str], middleware: Middleware | None = None) -> FastMCP:
    server = FastMCP("versions", middleware=[] if middleware is None else [middleware])

    @server.tool(name="price", version="1.0", annotations={"readOnlyHint": True})
    async def first() -> str:
        executed["1.0"] += 1
        return "one"

    @server.tool(name="price", version="2.0", annotations={"readOnlyHint": True})
    async def second() -> str:
        executed["2.0"] += 1
        return "two"

    return server


@pytest.mark.parametrize("by", ["middleware", "client"])
async def test_versions_of_a_tool_are_told_apart(by: str) -> None:
    executed: Counter[str] = Counter()
    given = Rules(read={"price": "prices"}, scope="global", vary=lambda: "everybody")
    server = versioned(executed, AgentCacheMiddleware(given) if by == "middleware" else None)
    async with Client(server) if by == "middleware" else AgentCacheClient(server, rules=given) as client:
        for _ in range(2):
            for version, price in (("1.0", "one"), ("2.0", "two")):
                assert (await client.call_tool("price", version=version)).data == price
    assert executed == {"1.0": 1, "2.0": 1}


async def test_a_version_that_is_asked_for_is_not_taken_at_the_word_of_the_latest() -> None:
    executed: Counter[str] = Counter()
    server = versioned(executed, AgentCacheMiddleware(Rules(hints="prices", scope="global", vary=lambda: "all")))
    async with Client(server) as client:
        for _ in range(2):
            await client.call_tool("price", version="1.0")
        for _ in range(2):
            await client.call_tool("price")
    assert executed == {"1.0": 2, "2.0": 1}


async def test_what_a_client_says_beside_the_arguments_is_part_of_its_call() -> None:
    told: list[str] = []
    server = FastMCP("meta")

    @server.tool
    async def whoami(ctx: Context) -> str:
        """Who asks."""
        meta: Any = ctx.request_context.meta if ctx.request_context else None
        told.append(meta["user"])
        return told[-1]

    given = Rules(read={"whoami": "users"}, scope="global", vary=lambda: "everybody")
    async with AgentCacheClient(server, rules=given) as client:
        for name in ("ann", "bob", "ann"):
            assert (await client.call_tool("whoami", meta={"user": name})).data == name
    assert told == ["ann", "bob"]


async def test_a_result_is_the_callers_own() -> None:
    class Spoiling(Middleware):
        async def on_call_tool(
            self,
            context: MiddlewareContext[mcp_types.CallToolRequestParams],
            call_next: CallNext[mcp_types.CallToolRequestParams, ToolResult],
        ) -> ToolResult:
            result = await call_next(context)
            assert result.structured_content is not None
            result.structured_content["items"].append("spoilt")
            return result

    shop = Shop()
    server = servers.server(shop, middleware=Spoiling())
    server.add_middleware(AgentCacheMiddleware(shared(shop)))
    user.set("ann")
    for _ in range(3):
        assert await servers.call_server(server, *GET) == cart("ann", "spoilt")
    assert shop.executed == {"get_cart": 1}


def test_what_are_no_rules_is_refused() -> None:
    wrong: Any = None
    for make in (AgentCacheMiddleware, lambda rules: AgentCacheClient(FastMCP("none"), rules=rules)):
        with pytest.raises(TypeError, match=r"rules=None, of type NoneType: pass .*Rules"):
            make(wrong)


def test_without_the_framework_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agent_cache.integrations.fastmcp")
    monkeypatch.setitem(sys.modules, "fastmcp", None)
    with pytest.raises(ImportError, match=r"pip install 'async-cache\[fastmcp\]'"):
        importlib.import_module("agent_cache.integrations.fastmcp")

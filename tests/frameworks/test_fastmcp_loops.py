"""FastMCP: a run that goes round in circles is ended, although a client learns nothing but the text of an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastmcp import Client, FastMCP
from fastmcp.exceptions import ToolError

from agent_cache import AgentCacheInvalidator, AgentCacheSession, AgentLoopDetectedError
from agent_cache.integrations import Rules
from agent_cache.integrations.fastmcp import AgentCacheClient, AgentCacheMiddleware
from tests.frameworks import servers
from tests.frameworks.servers import user
from tests.frameworks.shop import ENDLESS, REPEATS, Shop, cancellation_from_outside_stays_one, is_ended_by_a_loop

#: Connects to the shop, by whatever way to the cache: ``connect(shop, make)`` with the maker of the server.
Connect = Callable[..., Client[Any]]


def by_decorators(shop: Shop, make: Any, **options: Any) -> Client[Any]:
    return Client(servers.decorated(shop, make), **options)


def by_middleware(shop: Shop, make: Any, **options: Any) -> Client[Any]:
    return Client(make(shop, middleware=AgentCacheMiddleware(servers.shared(shop))), **options)


def by_client(shop: Shop, make: Any, **options: Any) -> Client[Any]:
    return AgentCacheClient(make(shop), rules=servers.shared(shop), **options)


every = pytest.mark.parametrize("connect", [by_decorators, by_middleware, by_client])
makers = pytest.mark.parametrize(
    "make", [servers.server, servers.blocking_server, servers.inline_server], ids=["async", "threaded", "inline"]
)
policies = pytest.mark.parametrize("swallows", [False, True], ids=["propagating", "swallowing"])
modes = pytest.mark.parametrize("mode", ["auto", "legacy"])


@every
@makers
@modes
@policies
async def test_a_loop_ends_a_run_that_connects(connect: Connect, make: Any, mode: str, *, swallows: bool) -> None:
    shop = Shop()
    user.set("ann")

    async def run() -> None:
        async with connect(shop, make, mode=mode) as client:
            await servers.talk(client, ENDLESS, raises=not swallows)

    await is_ended_by_a_loop(shop, run)


@every
@makers
@policies
async def test_a_loop_leaves_a_connection_from_before_the_run_usable(
    connect: Connect, make: Any, *, swallows: bool
) -> None:
    shop = Shop()
    user.set("ann")
    async with connect(shop, make) as client:
        await is_ended_by_a_loop(shop, lambda: servers.talk(client, ENDLESS, raises=not swallows))
        assert await servers.call(client, "get_hours", {}) == "9 to 5"


@pytest.mark.parametrize("by_decorators", [True, False], ids=["decorators", "middleware"])
async def test_a_loop_ends_a_run_without_a_client(*, by_decorators: bool) -> None:
    shop = Shop()
    user.set("ann")
    middleware = AgentCacheMiddleware(servers.shared(shop))
    server = servers.decorated(shop) if by_decorators else servers.server(shop, middleware=middleware)

    async def run() -> None:
        for turn in ENDLESS:
            for each in turn:
                await servers.call_server(server, *each)

    await is_ended_by_a_loop(shop, run)


@policies
async def test_a_loop_is_told_by_a_server_that_masks_its_errors(*, swallows: bool) -> None:
    shop = Shop()
    user.set("ann")
    middleware = AgentCacheMiddleware(servers.shared(shop))
    server = servers.server(shop, middleware=middleware, mask_error_details=True)

    async def run() -> None:
        async with Client(server) as client:
            await servers.talk(client, ENDLESS, raises=not swallows)

    await is_ended_by_a_loop(shop, run)


async def test_a_model_is_told_what_it_does_wrong() -> None:
    shop = Shop()
    user.set("ann")
    told: list[Any] = []

    async def run() -> None:
        async with by_middleware(shop, servers.server) as client:
            for turn in ENDLESS:
                told.extend(await servers.talk(client, [turn], raises=False))

    await is_ended_by_a_loop(shop, run)
    assert told[: REPEATS - 1] == ["added tea"] * (REPEATS - 1)
    assert "add_item was called 3 times with the same arguments and the same result" in told[REPEATS - 1]


async def test_the_error_of_a_server_has_the_loop_as_its_cause() -> None:
    shop = Shop()
    user.set("ann")
    server = servers.server(shop, middleware=AgentCacheMiddleware(servers.shared(shop)))
    async with AgentCacheSession(loop_detection=True, max_tool_repeats=REPEATS):
        for turn in ENDLESS[: REPEATS - 1]:
            await servers.call_server(server, *turn[0])
        with pytest.raises(ToolError, match="add_item was called 3 times") as caught:
            await servers.call_server(server, *ENDLESS[0][0])
    assert isinstance(caught.value.__cause__, AgentLoopDetectedError)


@every
async def test_identical_calls_at_once_are_no_loop(connect: Connect) -> None:
    shop = Shop()
    user.set("ann")
    async with (
        AgentCacheSession(loop_detection=True, max_tool_repeats=REPEATS) as session,
        connect(shop, servers.server) as client,
    ):
        await servers.talk(client, [ENDLESS[0] * 6])
        assert session.loops == []
    assert shop.executed == {"add_item": 6}


def holding(shop: Shop, began: asyncio.Event) -> FastMCP:
    server = FastMCP("holding")

    @server.tool
    async def get_cart(cart_id: int) -> str:
        began.set()
        await asyncio.Event().wait()
        return shop.cart

    return server


@pytest.mark.parametrize("by_client", [True, False], ids=["client", "middleware"])
async def test_a_cancellation_from_outside_stays_one(*, by_client: bool) -> None:
    shop, began = Shop(), asyncio.Event()
    user.set("ann")
    server, given = holding(shop, began), servers.shared(shop)
    if not by_client:
        server.add_middleware(AgentCacheMiddleware(given))

    async def run() -> None:
        async with AgentCacheClient(server, rules=given) if by_client else Client(server) as client:
            await servers.call(client, "get_cart", {"cart_id": 1})

    await cancellation_from_outside_stays_one(run, began)


def short_circuiting(ping: Any, by: str) -> Client[Any]:
    rules = Rules(write={"ping": "pings"})
    server = FastMCP("pings", middleware=[AgentCacheMiddleware(rules)] if by == "middleware" else [])
    server.tool(AgentCacheInvalidator("pings", scope="session")(ping) if by == "decorators" else ping)
    return AgentCacheClient(server, rules=rules) if by == "client" else Client(server)


@pytest.mark.parametrize("by", ["decorators", "middleware", "client"])
async def test_a_short_circuit_is_told_in_place_of_an_answer_and_goes_on(by: str) -> None:
    calls = 0

    async def ping() -> str:
        nonlocal calls
        calls += 1
        return "pong"

    async with (
        AgentCacheSession(loop_detection=True, max_tool_repeats=REPEATS, on_loop="short_circuit"),
        short_circuiting(ping, by) as client,
    ):
        answers = await servers.talk(client, [[("ping", {})]] * 5, raises=False)
    assert answers[:REPEATS] == ["pong"] * REPEATS
    for answer in answers[REPEATS:]:
        assert "ping was" in answer
    assert calls == REPEATS


@pytest.mark.parametrize("by", ["middleware", "client"])
async def test_a_tool_that_fails_again_and_again_is_a_loop(by: str) -> None:
    calls = 0

    async def ping() -> str:
        nonlocal calls
        calls += 1
        raise ValueError(f"error {calls}")

    with pytest.raises(AgentLoopDetectedError, match="ping failed 3 times in a row"):
        async with AgentCacheSession(loop_detection=True), short_circuiting(ping, by) as client:
            await servers.talk(client, [[("ping", {})]] * 9, raises=False)
    assert calls == 3

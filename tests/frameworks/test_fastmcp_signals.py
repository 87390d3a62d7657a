"""FastMCP: what is no result is never given out again, and whoever must be asked is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import mcp_types
import pytest
from fastmcp import Client, Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult

from agent_cache import AgentCache, AgentCacheSession
from agent_cache.integrations import Rules
from agent_cache.integrations.fastmcp import AgentCacheClient, AgentCacheMiddleware
from tests.frameworks import servers

#: Connects a client to a server with the one tool ``quote``, which reads; by whatever way to the cache.
Cached = Callable[..., Client[Any]]


def _server(quote: Any, *middleware: Middleware) -> FastMCP:
    server = FastMCP("prices", middleware=middleware)
    server.tool(quote, name="quote", annotations={"readOnlyHint": True})
    return server


def decorated(quote: Any, **options: Any) -> Client[Any]:
    return Client(_server(AgentCache("prices", scope="session")(quote)), **options)


def intercepted(quote: Any, *inner: Middleware, **options: Any) -> Client[Any]:
    rules = Rules(read={"quote": "prices"})
    return Client(_server(quote, AgentCacheMiddleware(rules), *inner), **options)


def called(quote: Any, *inner: Middleware, **options: Any) -> Client[Any]:
    return AgentCacheClient(_server(quote, *inner), rules=Rules(read={"quote": "prices"}), **options)


every = pytest.mark.parametrize("cached", [decorated, intercepted, called])
TEA = ("quote", {"item": "tea"})


@every
async def test_an_error_is_told_and_not_kept(cached: Cached) -> None:
    executed: Counter[str] = Counter()

    async def quote(item: str) -> str:
        executed[item] += 1
        raise ValueError(f"no {item}, {executed[item]}")

    async with AgentCacheSession(), cached(quote) as client:
        with pytest.raises(ToolError, match="no tea, 1"):
            await servers.call(client, *TEA)
        with pytest.raises(ToolError, match="no tea, 2"):
            await servers.call(client, *TEA)
    assert executed == {"tea": 2}


@every
async def test_an_error_result_is_told_and_not_kept(cached: Cached) -> None:
    executed: Counter[str] = Counter()

    async def quote(item: str) -> ToolResult:
        executed[item] += 1
        return ToolResult(f"no {item}, {executed[item]}", is_error=True)

    async with AgentCacheSession(), cached(quote) as client:
        found = [await servers.call(client, *TEA, raises=False) for _ in range(2)]
    assert found == ["no tea, 1", "no tea, 2"]


@every
async def test_arguments_that_do_not_fit_are_told_and_not_kept(cached: Cached) -> None:
    async def quote(item: int) -> str:
        raise AssertionError(item)

    async with AgentCacheSession() as session, cached(quote) as client:
        for _ in range(2):
            assert "valid integer" in await servers.call(client, *TEA, raises=False)
        assert session.get_metrics().get("quote", {"hits": 0})["hits"] == 0


@every
async def test_a_failure_of_one_is_not_that_of_those_who_waited(cached: Cached) -> None:
    executed: Counter[str] = Counter()

    async def quote(item: str) -> ToolResult:
        executed[item] += 1
        failed = executed[item] == 1
        await asyncio.sleep(0)
        return ToolResult("no" if failed else "5", is_error=failed)

    async with AgentCacheSession(), cached(quote) as client:
        found = await asyncio.gather(*[client.call_tool(*TEA, raise_on_error=False) for _ in range(3)])
    assert sorted(map(servers.text, found)) == ["5", "5", "no"]


# -- tools that ask --------------------------------------------------------------------------------------------


def asking() -> Any:
    """A tool that asks for a password, and says what it was."""

    async def quote(item: str, ctx: Context) -> str | mcp_types.InputRequiredResult:
        if not ctx.input_responses:
            schema = {"type": "object", "properties": {"value": {"type": "string"}}}
            form = mcp_types.ElicitRequestFormParams(message=f"{item}?", requested_schema=schema)
            ask = mcp_types.ElicitRequest(method="elicitation/create", params=form)
            return mcp_types.InputRequiredResult(input_requests={"password": ask}, request_state="asked")
        answer: Any = ctx.input_responses["password"]
        return f"{item}: 5, {answer.content['value']}"

    return quote


def asking_at_once() -> Any:
    """The same within one request, as servers did before 2026."""

    async def quote(item: str, ctx: Context) -> str:
        answer: Any = await ctx.elicit(f"{item}?", response_type=str)
        return f"{item}: 5, {answer.data}"

    return quote


class User:
    """Whoever is asked: ``asked`` is how often."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, *_: Any) -> dict[str, Any]:
        self.asked += 1
        return {"value": f"answer {self.asked}"}


@every
async def test_a_tool_that_asks_asks_each_time(cached: Cached) -> None:
    user = User()
    async with AgentCacheSession(), cached(asking(), elicitation_handler=user.answer) as client:
        found = [await servers.call(client, *TEA) for _ in range(3)]
    assert found == [f"tea: 5, answer {n}" for n in (1, 2, 3)]


@every
async def test_calls_at_once_of_a_tool_that_asks_are_asked_one_by_one(cached: Cached) -> None:
    user = User()
    async with AgentCacheSession(), cached(asking(), elicitation_handler=user.answer) as client:
        found = await asyncio.gather(*[servers.call(client, *TEA) for _ in range(3)])
    assert sorted(found) == [f"tea: 5, answer {n}" for n in (1, 2, 3)]


async def test_a_client_sees_that_a_server_asks_within_a_request() -> None:
    user = User()
    client = called(asking_at_once(), elicitation_handler=user.answer, mode="legacy")
    async with AgentCacheSession(), client:
        found = [await servers.call(client, *TEA) for _ in range(2)]
    assert found == ["tea: 5, answer 1", "tea: 5, answer 2"]


async def test_a_client_knows_of_a_handler_that_was_set_later() -> None:
    user = User()
    client = called(asking())
    client.set_elicitation_callback(user.answer)
    async with AgentCacheSession(), client.new() as connected:
        found = [await servers.call(connected, *TEA) for _ in range(2)]
    assert found == ["tea: 5, answer 1", "tea: 5, answer 2"]


@pytest.mark.parametrize("cached", [decorated, intercepted])
async def test_an_answer_that_arrives_in_another_process_is_not_kept_there(cached: Cached) -> None:
    name, arguments = TEA
    user = User()
    async with cached(asking(), elicitation_handler=user.answer) as here:
        response = mcp_types.ElicitResult(action="accept", content={"value": "from elsewhere"})
        async with AgentCacheSession():
            session = here.session
            answered: Any = await session.call_tool(name, arguments, input_responses={"password": response})
            assert servers.text(answered) == "tea: 5, from elsewhere"
            assert await servers.call(here, *TEA) == "tea: 5, answer 1"


@every
async def test_questions_are_no_loop(cached: Cached) -> None:
    user = User()
    async with (
        AgentCacheSession(loop_detection=True, max_tool_repeats=2) as session,
        cached(asking(), elicitation_handler=user.answer) as client,
    ):
        for _ in range(4):
            await servers.call(client, *TEA)
        assert session.loops == []


# -- tasks -----------------------------------------------------------------------------------------------------


class Deferring(Middleware):
    """Begins a task in place of an answer, as an extension does."""

    def __init__(self) -> None:
        self.begun = 0

    async def on_call_tool(
        self,
        context: MiddlewareContext[mcp_types.CallToolRequestParams],
        call_next: CallNext[mcp_types.CallToolRequestParams, ToolResult],
    ) -> Any:
        self.begun += 1
        return mcp_types.CreateTaskResult(
            task=mcp_types.Task(
                task_id=f"{context.message.name} {self.begun}",
                status="working",
                created_at="2026-01-01T00:00:00Z",
                last_updated_at="2026-01-01T00:00:00Z",
                ttl=None,
            )
        )


async def test_a_task_that_has_begun_is_no_result_for_others() -> None:
    deferring = Deferring()

    async def quote(item: str) -> str:
        raise AssertionError(item)

    server = _server(quote, AgentCacheMiddleware(Rules(read={"quote": "prices"})), deferring)
    async with AgentCacheSession():
        found: list[Any] = [await server.call_tool(*TEA) for _ in range(2)]
        found += await asyncio.gather(*[server.call_tool(*TEA) for _ in range(2)])
    assert sorted(result.task.task_id for result in found) == [f"quote {n}" for n in (1, 2, 3, 4)]

"""LangChain and LangGraph: a run that goes round in circles is ended, whatever becomes of what a tool raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain.tools import tool

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, AgentLoopDetectedError
from agent_cache.integrations import Rules
from agent_cache.integrations.langchain import AgentCacheMiddleware
from tests.frameworks import graphs
from tests.frameworks.shop import (
    ENDLESS,
    REPEATS,
    Customer,
    Shop,
    Turns,
    cancellation_from_outside_stays_one,
    is_ended_by_a_loop,
)

CALL: tuple[str, dict[str, Any]] = ("ping", {})


def staged(turns: Turns, tools: list[Any], cache: AgentCacheMiddleware | None = None, *, swallows: bool) -> Any:
    """An agent that tells the model what a tool has raised, or raises it."""
    if not swallows:
        return graphs.agent(turns, tools, *([] if cache is None else [cache]))
    if cache is None:
        return graphs.graph(turns, tools, handle_tool_errors=True)
    hooks = {"wrap_tool_call": cache.wrap_tool_call, "awrap_tool_call": cache.awrap_tool_call}
    return graphs.graph(turns, tools, handle_tool_errors=True, **hooks)


#: An agent that plays these turns over a tool ``ping`` that reads or writes.
Stage = Callable[..., Any]


def decorated(turns: Turns, ping: Any, *, swallows: bool, reads: bool = False) -> Any:
    mark = AgentCache if reads else AgentCacheInvalidator
    return staged(turns, [tool(mark("pings", scope="session")(ping))], swallows=swallows)


def intercepted(turns: Turns, ping: Any, *, swallows: bool, reads: bool = False) -> Any:
    rules = Rules(read={"ping": "pings"}) if reads else Rules(write={"ping": "pings"})
    return staged(turns, [tool(ping)], AgentCacheMiddleware(rules), swallows=swallows)


RUNS = {
    "awaited": (graphs.awaited, graphs.tools),
    "awaited, threaded": (graphs.awaited, graphs.blocking_tools),
    "streamed": (graphs.streamed, graphs.tools),
    "streamed, threaded": (graphs.streamed, graphs.blocking_tools),
    "events": (graphs.told_by_events, graphs.tools),
    "blocking": (graphs.blocking, graphs.blocking_tools),
}
policies = pytest.mark.parametrize("swallows", [False, True], ids=["propagating", "swallowing"])
both = pytest.mark.parametrize("stage", [decorated, intercepted])


def shop_agent(shop: Shop, make: Any, *, by_decorators: bool, swallows: bool) -> Any:
    if by_decorators:
        return staged(ENDLESS, graphs.decorators(shop, make), swallows=swallows)
    return staged(ENDLESS, make(shop), AgentCacheMiddleware(graphs.shared(shop)), swallows=swallows)


async def converse(agent: Any, run: graphs.Run = graphs.awaited) -> list[Any]:
    return graphs.answers(await run(agent, graphs.GO, Customer("ann"), graphs.thread()))


@pytest.mark.parametrize("by_decorators", [True, False], ids=["decorators", "middleware"])
@pytest.mark.parametrize(("run", "make"), RUNS.values(), ids=RUNS)
@policies
async def test_a_loop_ends_the_run(run: graphs.Run, make: Any, *, by_decorators: bool, swallows: bool) -> None:
    shop = Shop()
    agent = shop_agent(shop, make, by_decorators=by_decorators, swallows=swallows)
    await is_ended_by_a_loop(shop, lambda: converse(agent, run))


@pytest.mark.parametrize("by_decorators", [True, False], ids=["decorators", "middleware"])
@policies
async def test_a_loop_ends_a_run_without_an_event_loop(*, by_decorators: bool, swallows: bool) -> None:
    shop = Shop()
    agent = shop_agent(shop, graphs.blocking_tools, by_decorators=by_decorators, swallows=swallows)

    def run() -> None:
        with AgentCacheSession(loop_detection=True, max_tool_repeats=REPEATS):
            agent.invoke(graphs.GO, graphs.thread(), context=Customer("ann"))

    with pytest.raises(AgentLoopDetectedError, match="add_item was called 3 times"):
        await asyncio.to_thread(run)
    assert shop.executed == {"add_item": REPEATS}


@both
async def test_a_loop_of_errors_that_are_swallowed_ends_the_run(stage: Stage) -> None:
    calls = 0

    async def ping() -> str:
        """Ping."""
        nonlocal calls
        calls += 1
        raise ValueError(f"error {calls}")

    with pytest.raises(AgentLoopDetectedError, match="ping failed 3 times in a row"):
        async with AgentCacheSession(loop_detection=True):
            await converse(stage([[CALL]] * 9, ping, swallows=True))
    assert calls == 3


@both
async def test_an_error_that_is_not_swallowed_is_raised_as_it_is(stage: Stage) -> None:
    error = ValueError("no pong")

    async def ping() -> str:
        """Ping."""
        raise error

    with pytest.raises(ValueError, match="no pong") as caught:
        async with AgentCacheSession(loop_detection=True):
            await converse(stage([[CALL]] * 9, ping, swallows=False))
    assert caught.value is error


@both
@policies
async def test_identical_calls_of_one_turn_are_no_loop(stage: Stage, *, swallows: bool) -> None:
    all_six = asyncio.Barrier(6)

    async def ping() -> str:
        """Ping."""
        await all_six.wait()
        return "pong"

    async with AgentCacheSession(loop_detection=True, max_tool_repeats=3) as session:
        answers = await converse(stage([[CALL] * 6, [CALL] * 6], ping, swallows=swallows))
    assert session.loops == []
    assert answers == ["pong"] * 12


@both
@policies
async def test_siblings_in_a_looping_turn_do_not_hide_the_loop(stage: Stage, *, swallows: bool) -> None:
    async def ping() -> str:
        """Ping."""
        return "pong"

    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(AgentLoopDetectedError):
        async with AgentCacheSession(loop_detection=True, max_tool_repeats=3):
            await converse(stage([[CALL] * 3] * 9, ping, swallows=swallows))
    assert task.cancelling() == 0


@both
@policies
async def test_a_cancellation_from_outside_stays_one(stage: Stage, *, swallows: bool) -> None:
    began = asyncio.Event()

    async def ping() -> str:
        """Ping."""
        began.set()
        await asyncio.Event().wait()
        return "pong"

    agent = stage([[CALL]], ping, swallows=swallows, reads=True)
    await cancellation_from_outside_stays_one(lambda: converse(agent), began)


@both
async def test_a_task_that_was_stopped_can_run_another_agent(stage: Stage) -> None:
    async def ping() -> str:
        """Ping."""
        return "pong"

    for _ in range(2):
        with pytest.raises(AgentLoopDetectedError):
            async with AgentCacheSession(loop_detection=True, max_tool_repeats=3):
                await converse(stage([[CALL]] * 9, ping, swallows=True))
    async with AgentCacheSession(loop_detection=True, max_tool_repeats=3):
        assert await converse(stage([[CALL]] * 2, ping, swallows=True)) == ["pong"] * 2


@both
async def test_a_short_circuit_answers_in_place_of_the_tool_and_goes_on(stage: Stage) -> None:
    calls = 0

    async def ping() -> str | None:
        """Ping."""
        nonlocal calls
        calls += 1
        return "pong"

    async with AgentCacheSession(loop_detection=True, max_tool_repeats=3, on_loop="short_circuit"):
        answers = await converse(stage([[CALL]] * 6, ping, swallows=False))
    assert answers == ["pong"] * 3 + [None] * 3
    assert calls == 3


@both
async def test_a_hit_counts_like_an_execution(stage: Stage) -> None:
    calls = 0

    async def ping() -> str:
        """Ping."""
        nonlocal calls
        calls += 1
        return "pong"

    with pytest.raises(AgentLoopDetectedError, match="ping was called 3 times"):
        async with AgentCacheSession(loop_detection=True, max_tool_repeats=3) as session:
            await converse(stage([[CALL]] * 9, ping, swallows=False, reads=True))
    assert calls == 1
    assert [loop.tool for loop in session.loops] == ["ping"]


async def test_content_in_blocks_is_the_same_whatever_their_ids() -> None:
    calls = 0

    async def ping() -> list[dict[str, Any]]:
        """Ping."""
        nonlocal calls
        calls += 1
        return [{"type": "text", "text": "pong", "id": f"lc_{calls}"}]

    with pytest.raises(AgentLoopDetectedError, match="ping was called 3 times"):
        async with AgentCacheSession(loop_detection=True, max_tool_repeats=3):
            await converse(intercepted([[CALL]] * 9, ping, swallows=False))


async def test_images_that_differ_are_no_loop() -> None:
    calls = 0

    async def ping() -> list[dict[str, Any]]:
        """Ping."""
        nonlocal calls
        calls += 1
        return [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{calls:04}"}}]

    async with AgentCacheSession(loop_detection=True, max_tool_repeats=3) as session:
        await converse(intercepted([[CALL]] * 6, ping, swallows=False))
    assert session.loops == []
    assert calls == 6

"""LangChain and LangGraph: what is no result is never given out again, and whoever must be asked is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.tools import InjectedToolCallId, tool
from langchain_core.messages import ToolMessage
from langchain_core.tools import ToolException
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agent_cache import AgentCache, AgentCacheSession
from agent_cache.integrations import Rules
from agent_cache.integrations.langchain import AgentCacheMiddleware
from tests.frameworks import graphs
from tests.frameworks.shop import Customer, Turns

CALL: tuple[str, dict[str, Any]] = ("quote", {"item": "tea"})

#: An agent whose tool ``quote`` reads the resource, by the decorator or by the middleware.
Cached = Callable[..., Any]


def decorated(turns: Turns, quote: Any, *middleware: Any, **options: Any) -> Any:
    return graphs.agent(turns, [tool(AgentCache("prices", scope="session")(quote))], *middleware, **options)


def intercepted(turns: Turns, quote: Any, *middleware: Any, **options: Any) -> Any:
    cache = AgentCacheMiddleware(Rules(read={"quote": "prices"}))
    return graphs.agent(turns, [tool(quote)], *middleware, cache, **options)


both = pytest.mark.parametrize("cached", [decorated, intercepted])


async def resumed(agent: Any, given: Any, config: Any) -> Any:
    return await agent.ainvoke(given, config, context=Customer("ann"))


@both
async def test_an_error_is_told_and_not_kept(cached: Cached) -> None:
    executed: Counter[str] = Counter()

    async def quote(item: str) -> str:
        """The price of an item."""
        executed[item] += 1
        raise ValueError(item)

    async with AgentCacheSession():
        for _ in range(2):
            with pytest.raises(ValueError, match="tea"):
                await resumed(cached([[CALL]], quote), graphs.GO, graphs.thread())
    assert executed == {"tea": 2}


async def test_an_error_message_is_not_kept() -> None:
    executed: Counter[str] = Counter()

    @tool
    async def quote(item: str) -> str:
        """The price of an item."""
        executed[item] += 1
        raise ToolException(item)

    quote.handle_tool_error = True
    cache = AgentCacheMiddleware(Rules(read={"quote": "prices"}))
    async with AgentCacheSession():
        state = await resumed(graphs.agent([[CALL], [CALL]], [quote], cache), graphs.GO, graphs.thread())
    statuses = [message.status for message in state["messages"] if isinstance(message, ToolMessage)]
    assert statuses == ["error", "error"]
    assert executed == {"tea": 2}


async def test_errors_that_a_tool_node_handles_are_not_kept() -> None:
    executed: Counter[str] = Counter()

    @tool
    async def quote(item: str) -> str:
        """The price of an item."""
        executed[item] += 1
        raise ValueError(item)

    cache = AgentCacheMiddleware(Rules(read={"quote": "prices"}))
    graph = graphs.graph([[CALL], [CALL]], [quote], handle_tool_errors=True, awrap_tool_call=cache.awrap_tool_call)
    async with AgentCacheSession():
        state = await resumed(graph, graphs.GO, graphs.thread())
    assert len(graphs.answers(state["messages"])) == 2
    assert executed == {"tea": 2}


@both
async def test_arguments_that_do_not_fit_are_told_and_not_kept(cached: Cached) -> None:
    async def quote(item: int) -> str:
        """The price of an item."""
        raise AssertionError(item)

    async with AgentCacheSession() as session:
        state = await resumed(cached([[CALL], [CALL]], quote), graphs.GO, graphs.thread())
        assert session.get_metrics().get("quote", {"hits": 0})["hits"] == 0
    messages = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert [message.status for message in messages] == ["error", "error"]


@both
@pytest.mark.parametrize("several", [False, True])
async def test_a_command_steers_its_own_run_alone(cached: Cached, *, several: bool) -> None:
    executed: Counter[str] = Counter()

    async def quote(item: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """The price of an item."""
        executed[item] += 1
        command: Any = Command(update={"messages": [ToolMessage("5", tool_call_id=tool_call_id)]})
        return [command] if several else command

    async with AgentCacheSession():
        state = await resumed(cached([[CALL], [CALL]], quote), graphs.GO, graphs.thread())
    assert graphs.answers(state["messages"]) == [5, 5]
    assert executed == {"tea": 2}


@both
async def test_a_hit_waits_for_approval_as_a_miss_does(cached: Cached) -> None:
    executed: Counter[str] = Counter()

    async def quote(item: str) -> str:
        """The price of an item."""
        executed[item] += 1
        return "5"

    approval = HumanInTheLoopMiddleware(interrupt_on={"quote": True})
    agent, config = cached([[CALL], [CALL]], quote, approval), graphs.thread()
    async with AgentCacheSession():
        state = await resumed(agent, graphs.GO, config)
        for _ in range(2):
            assert state["__interrupt__"]
            state = await resumed(agent, Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert "__interrupt__" not in state
    assert graphs.answers(state["messages"]) == [5, 5]
    assert executed == {"tea": 1}


@both
async def test_a_rejected_call_runs_nothing_and_keeps_nothing(cached: Cached) -> None:
    executed: Counter[str] = Counter()

    async def quote(item: str) -> str:
        """The price of an item."""
        executed[item] += 1
        return "5"

    approval = HumanInTheLoopMiddleware(interrupt_on={"quote": True})
    agent, config = cached([[CALL], [CALL]], quote, approval), graphs.thread()
    async with AgentCacheSession():
        await resumed(agent, graphs.GO, config)
        await resumed(agent, Command(resume={"decisions": [{"type": "reject"}]}), config)
        state = await resumed(agent, Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert graphs.answers(state["messages"])[-1] == 5
    assert executed == {"tea": 1}


def asking(asked: list[str]) -> Any:
    """A tool that asks in its body; ``asked`` holds what it was answered."""

    async def quote(item: str) -> str:
        """The price of an item."""
        answer = interrupt({"may I tell the price of": item})
        asked.append(answer)
        return f"5, {answer}"

    return quote


@both
async def test_a_tool_that_asks_in_its_body_asks_each_time(cached: Cached) -> None:
    asked: list[str] = []
    agent, config = cached([[CALL], [CALL]], asking(asked)), graphs.thread()
    async with AgentCacheSession():
        state = await resumed(agent, graphs.GO, config)
        for answer in ("yes", "again"):
            assert state["__interrupt__"]
            state = await resumed(agent, Command(resume=answer), config)
    assert graphs.answers(state["messages"]) == ["5, yes", "5, again"]
    assert asked == ["yes", "again"]


@both
async def test_what_was_approved_in_another_process_is_not_kept_in_this_one(cached: Cached) -> None:
    saver, config = InMemorySaver(), graphs.thread()
    there: list[str] = []
    async with AgentCacheSession():
        await resumed(cached([[CALL]], asking(there), saver=saver), graphs.GO, config)
    here: list[str] = []
    agent = cached([[CALL]], asking(here), saver=saver)
    async with AgentCacheSession():
        state = await resumed(agent, Command(resume="yes"), config)
        assert graphs.answers(state["messages"]) == ["5, yes"]
        state = await resumed(agent, graphs.GO, config)
        assert state["__interrupt__"]
    assert (there, here) == ([], ["yes"])


def consulting(asked: list[str]) -> Any:
    """A tool that has another agent ask."""
    consulted = tool(asking(asked))

    async def quote(item: str) -> str:
        """The price of an item, as somebody else tells it."""
        agent = create_agent(graphs.Scripted(turns=[[("quote", {"item": item})]]), tools=[consulted])
        state = await agent.ainvoke(graphs.GO)
        return str(graphs.answers(state["messages"])[0])

    return quote


@both
@pytest.mark.parametrize("by_id", [False, True])
async def test_what_was_approved_to_an_agent_inside_a_tool_is_not_kept(cached: Cached, *, by_id: bool) -> None:
    saver, config = InMemorySaver(), graphs.thread()
    async with AgentCacheSession():
        state = await resumed(cached([[CALL]], consulting([]), saver=saver), graphs.GO, config)
    (asked,) = state["__interrupt__"]
    agent = cached([[CALL]], consulting([]), saver=saver)
    async with AgentCacheSession():
        state = await resumed(agent, Command(resume={asked.id: "yes"} if by_id else "yes"), config)
        assert graphs.answers(state["messages"]) == ["5, yes"]
        state = await resumed(agent, graphs.GO, config)
        assert state["__interrupt__"]


async def test_after_an_approval_the_rest_of_a_run_is_kept() -> None:
    executed: Counter[str] = Counter()

    async def quote(item: str) -> str:
        """The price of an item."""
        executed[item] += 1
        return "5"

    approval = HumanInTheLoopMiddleware(interrupt_on={"approve": True})
    cache = AgentCacheMiddleware(Rules(read={"quote": "prices"}))

    @tool
    async def approve() -> str:
        """Ask."""
        return "yes"

    agent, config = (
        graphs.agent([[("approve", {})], [CALL], [CALL]], [tool(quote), approve], approval, cache),
        graphs.thread(),
    )
    async with AgentCacheSession():
        await resumed(agent, graphs.GO, config)
        state = await resumed(agent, Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert graphs.answers(state["messages"]) == ["yes", 5, 5]
    assert executed == {"tea": 1}


@both
async def test_calls_that_wait_for_an_answer_are_no_loop(cached: Cached) -> None:
    agent = cached([[CALL]], asking([]))
    async with AgentCacheSession(loop_detection=True, max_tool_repeats=2) as session:
        for _ in range(4):
            state = await resumed(agent, graphs.GO, graphs.thread())
            assert state["__interrupt__"]
        assert session.loops == []


@both
async def test_an_answered_call_counts_once(cached: Cached) -> None:
    agent = cached([[CALL]], asking([]))
    async with AgentCacheSession(loop_detection=True, max_tool_repeats=3, on_loop="warn") as session:
        found = []
        for _ in range(3):
            config = graphs.thread()
            await resumed(agent, graphs.GO, config)
            await resumed(agent, Command(resume="yes"), config)
            found.append(len(session.loops))
    assert found == [0, 0, 1]

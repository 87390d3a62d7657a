"""Graphs: agents of LangChain and LangGraph with a scripted model, and what they have answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.tools import ToolRuntime, tool
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from pydantic import Field

from agent_cache import AgentCache, AgentCacheInvalidator
from agent_cache.integrations import Rules
from tests.frameworks.marks import Mark, unmarked
from tests.frameworks.shop import Customer, Shop, Turns

_ids = count(1)

GO: Any = {"messages": [{"role": "user", "content": "go"}]}


class Scripted(BaseChatModel):
    """A model that makes the calls of its script, one turn after the other, for each message of the user's."""

    turns: Turns
    bound: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Scripted:
        self.bound[:] = tools
        return self

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        asked = max(at for at, message in enumerate(messages) if isinstance(message, HumanMessage))
        turn = sum(isinstance(message, AIMessage) for message in messages[asked:])
        if turn >= len(self.turns):
            return AIMessage("done")
        calls = [{"name": name, "args": args, "id": f"call{next(_ids)}"} for name, args in self.turns[turn]]
        return AIMessage("", tool_calls=calls)

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        message = self._next(messages)
        calls = [
            tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=at)
            for at, call in enumerate(message.tool_calls)
        ]
        yield ChatGenerationChunk(message=AIMessageChunk(content=message.content, tool_call_chunks=calls))


def agent(
    turns: Turns,
    tools: Sequence[Any],
    *middleware: AgentMiddleware[Any, Any, Any],
    saver: InMemorySaver | Literal[False] | None = None,
) -> Any:
    """A ready-made agent, that can be interrupted: what it has done so far is in ``saver``."""
    return create_agent(
        Scripted(turns=turns),
        tools=tools,
        middleware=middleware,
        context_schema=Customer,
        checkpointer=InMemorySaver() if saver is None else saver,
    )


def graph(turns: Turns, tools: Sequence[Any], **options: Any) -> Any:
    """A graph made by hand around a ToolNode with these options."""
    model = Scripted(turns=turns)
    built: Any = StateGraph(MessagesState, context_schema=Customer)
    built.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    built.add_node("tools", ToolNode(tools, **options))
    built.add_edge(START, "model")
    built.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    built.add_edge("tools", "model")
    return built.compile(checkpointer=InMemorySaver())


def thread() -> RunnableConfig:
    """The config of a conversation of its own."""
    return {"configurable": {"thread_id": f"thread{next(_ids)}"}}


Messages = list[BaseMessage]
#: Runs an agent with an input: ``await run(agent, input, context, config)`` to the messages of the conversation.
Run = Callable[[Any, Any, Any, Any], Awaitable[Messages]]


async def awaited(agent: Any, given: Any, context: Any, config: Any) -> Messages:
    return messages_of(await agent.ainvoke(given, config, context=context))


async def streamed(agent: Any, given: Any, context: Any, config: Any) -> Messages:
    """Chunk by chunk: what the stream of updates shows of the tools is what the conversation holds."""
    told: list[ToolMessage] = []
    async for mode, chunk in agent.astream(given, config, context=context, stream_mode=["messages", "updates"]):
        if mode == "updates":
            told += [m for update in chunk.values() for m in update["messages"] if isinstance(m, ToolMessage)]
    messages = messages_of((await agent.aget_state(config)).values)
    held = [message for message in messages if isinstance(message, ToolMessage)]
    assert sorted(m.tool_call_id for m in told) == sorted(m.tool_call_id for m in held)
    return messages


async def told_by_events(agent: Any, given: Any, context: Any, config: Any) -> Messages:
    """Event by event, to the end of the graph itself."""
    events = [event async for event in agent.astream_events(given, config, context=context, version="v2")]
    assert events[-1]["event"] == "on_chain_end"
    return messages_of((await agent.aget_state(config)).values)


async def blocking(agent: Any, given: Any, context: Any, config: Any) -> Messages:
    """Without an event loop, in a thread."""
    return messages_of(await asyncio.to_thread(agent.invoke, given, config, context=context))


def messages_of(state: Any) -> Messages:
    messages: Messages = state["messages"]
    return messages


def answers(messages: Messages) -> list[Any]:
    """What the tools have answered, in the order of the calls.

    The conversation is well-formed: each call is answered once, after it was made and before the model speaks again,
    and no two messages are taken for one.
    """
    ids = [message.id for message in messages]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    found: list[Any] = []
    rest: Iterator[BaseMessage] = iter(messages)
    for message in rest:
        assert not isinstance(message, ToolMessage)
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        told: dict[str, ToolMessage] = {}
        for _ in calls:
            answer = next(rest)
            assert isinstance(answer, ToolMessage)
            told[answer.tool_call_id] = answer
        found += [_content(told[str(call["id"])]) for call in calls]
    return found


def _content(message: ToolMessage) -> Any:
    try:
        return json.loads(str(message.content))
    except ValueError:
        return message.content


# -- the tools of a shop ----------------------------------------------------------------------------------------

Runtime = ToolRuntime[Customer, Any]


def tools(shop: Shop, reads: Mark = unmarked, writes: Mark = unmarked) -> list[Any]:
    """The tools of a shop, decorated below ``@tool``."""

    @tool
    @reads
    async def get_cart(cart_id: int, runtime: Runtime) -> dict[str, Any]:
        """What is in a cart."""
        await shop.turn()
        return shop.get_cart(runtime.context.user_id, cart_id)

    @tool
    @writes
    async def add_item(cart_id: int, item: str, runtime: Runtime) -> str:
        """Put something into a cart."""
        await shop.turn()
        return shop.add_item(runtime.context.user_id, cart_id, item)

    @tool
    async def get_hours() -> str:
        """When the shop is open."""
        return shop.get_hours()

    return [get_cart, add_item, get_hours]


def blocking_tools(shop: Shop, reads: Mark = unmarked, writes: Mark = unmarked) -> list[Any]:
    """The same as plain functions."""

    @tool
    @reads
    def get_cart(cart_id: int, runtime: Runtime) -> dict[str, Any]:
        """What is in a cart."""
        return shop.get_cart(runtime.context.user_id, cart_id)

    @tool
    @writes
    def add_item(cart_id: int, item: str, runtime: Runtime) -> str:
        """Put something into a cart."""
        return shop.add_item(runtime.context.user_id, cart_id, item)

    @tool
    def get_hours() -> str:
        """When the shop is open."""
        return shop.get_hours()

    return [get_cart, add_item, get_hours]


def whose(runtime: Runtime) -> str:
    return runtime.context.user_id


def decorators(shop: Shop, make: Any = tools) -> list[Any]:
    resource = f"{shop.cart}:{{cart_id}}"
    made: list[Any] = make(shop, AgentCache(resource, vary=whose), AgentCacheInvalidator(resource, vary=whose))
    return made


def rules(shop: Shop, **options: Any) -> Rules:
    resource = f"{shop.cart}:{{cart_id}}"
    return Rules(read={"get_cart": resource}, write={"add_item": resource}, **options)


shared = partial(rules, scope="global", vary=whose)

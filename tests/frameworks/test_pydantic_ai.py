"""pydantic-ai: its agents, run offline by scripted models, with the decorators and with the adapter."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from fastmcp import FastMCP
from pydantic import BaseModel, Field
from pydantic_ai import (
    Agent,
    AgentRunResultEvent,
    ApprovalRequired,
    CallDeferred,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    RunContext,
    Tool,
)
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, CombinedToolset, DynamicToolset, FunctionToolset

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from agent_cache.integrations import Rules
from agent_cache.integrations.pydantic_ai import CachedTools, cached_toolset
from tests.frameworks.shop import (
    ADD,
    CONVERSATIONS,
    ENDLESS,
    GET,
    HOURS,
    Build,
    Customer,
    Play,
    Shop,
    Turns,
    a_write_leaves_other_carts_alone,
    cancellation_from_outside_stays_one,
    cart,
    is_ended_by_a_loop,
    reads_are_kept_until_something_is_written,
)

# -- a model that follows a script, and the ways to run it -------------------------------------------------------


def scripted(turns: Turns) -> FunctionModel:
    def turn(messages: list[ModelMessage]) -> list[tuple[str, dict[str, Any]]]:
        answered = sum(isinstance(message, ModelResponse) for message in messages)
        return turns[answered] if answered < len(turns) else []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        calls = [
            ToolCallPart(name, arguments, tool_call_id=f"{len(messages)}.{at}")
            for at, (name, arguments) in enumerate(turn(messages))
        ]
        return ModelResponse(parts=calls) if calls else ModelResponse(parts=[TextPart("done")])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        calls = turn(messages)
        if calls:
            yield {
                at: DeltaToolCall(name=name, json_args=json.dumps(arguments), tool_call_id=f"{len(messages)}.{at}")
                for at, (name, arguments) in enumerate(calls)
            }
        else:
            yield "done"

    return FunctionModel(answer, stream_function=stream)


Messages = list[ModelMessage]


async def run(agent: Agent[Customer, Any], turns: Turns, user_id: str = "ann", **options: Any) -> Messages:
    result = await agent.run("go", model=scripted(turns), deps=Customer(user_id), **options)
    return result.all_messages()


async def run_stream(agent: Agent[Customer, Any], turns: Turns, user_id: str = "ann", **options: Any) -> Messages:
    async with agent.run_stream("go", model=scripted(turns), deps=Customer(user_id), **options) as result:
        assert [text async for text in result.stream_text()][-1] == "done"
        return result.all_messages()


async def run_iter(agent: Agent[Customer, Any], turns: Turns, user_id: str = "ann", **options: Any) -> Messages:
    async with agent.iter("go", model=scripted(turns), deps=Customer(user_id), **options) as steps:
        async for _ in steps:
            pass
    assert steps.result is not None
    return steps.result.all_messages()


async def run_events(agent: Agent[Customer, Any], turns: Turns, user_id: str = "ann", **options: Any) -> Messages:
    async with agent.run_stream_events("go", model=scripted(turns), deps=Customer(user_id), **options) as events:
        last = [event async for event in events][-1]
    assert isinstance(last, AgentRunResultEvent)
    return last.result.all_messages()


async def run_sync(agent: Agent[Customer, Any], turns: Turns, user_id: str = "ann", **options: Any) -> Messages:
    """In a thread, with an event loop of its own, while its host waits."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> Messages:
        own = asyncio.new_event_loop()
        asyncio.set_event_loop(own)
        try:
            return agent.run_sync("go", model=scripted(turns), deps=Customer(user_id), **options).all_messages()
        finally:
            own.close()
            loop.call_soon_threadsafe(ended.set)

    try:
        return await asyncio.to_thread(work)
    finally:
        await ended.wait()  # the thread goes on where its host is cancelled


Run = Callable[..., Any]
RUNS: list[Run] = [run, run_stream, run_iter, run_events, run_sync]
by_name = lambda function: function.__name__  # noqa: E731 - the id of a parameter


def answers(messages: Messages) -> list[Any]:
    return [part.content for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]


# -- the shop's tools, and the ways to the cache -----------------------------------------------------------------


def async_tools(shop: Shop) -> list[Callable[..., Any]]:
    async def get_cart(ctx: RunContext[Customer], cart_id: int) -> dict[str, Any]:
        await shop.turn()
        return shop.get_cart(ctx.deps.user_id, cart_id)

    async def add_item(ctx: RunContext[Customer], cart_id: int, item: str) -> str:
        await shop.turn()
        return shop.add_item(ctx.deps.user_id, cart_id, item)

    async def get_hours() -> str:
        return shop.get_hours()

    return [get_cart, add_item, get_hours]


def plain_tools(shop: Shop) -> list[Callable[..., Any]]:
    def get_cart(ctx: RunContext[Customer], cart_id: int) -> dict[str, Any]:
        return shop.get_cart(ctx.deps.user_id, cart_id)

    def add_item(ctx: RunContext[Customer], cart_id: int, item: str) -> str:
        return shop.add_item(ctx.deps.user_id, cart_id, item)

    def get_hours() -> str:
        return shop.get_hours()

    return [get_cart, add_item, get_hours]


Tools = Callable[[Shop], list[Callable[..., Any]]]


def user_of(ctx: RunContext[Customer]) -> str:
    return ctx.deps.user_id


def rules_of(shop: Shop, **options: Any) -> Rules:
    resource = f"{shop.cart}:{{cart_id}}"
    return Rules(read={"get_cart": resource}, write={"add_item": resource}, **options)


def decorated_globally(tools: Tools, shop: Shop) -> Agent[Customer, str]:
    resource = f"{shop.cart}:{{cart_id}}"
    get_cart, add_item, get_hours = tools(shop)
    return Agent(
        deps_type=Customer,
        tools=[
            AgentCache(resource, vary=user_of)(get_cart),
            AgentCacheInvalidator(resource, vary=user_of)(add_item),
            get_hours,
        ],
    )


def decorated_in_sessions(tools: Tools, shop: Shop) -> Agent[Customer, str]:
    resource = f"{shop.cart}:{{cart_id}}"
    get_cart, add_item, get_hours = tools(shop)
    return Agent(
        deps_type=Customer,
        tools=[
            AgentCache(resource, scope="session")(get_cart),
            AgentCacheInvalidator(resource, scope="session")(add_item),
            get_hours,
        ],
    )


def adapted_globally(tools: Tools, shop: Shop) -> Agent[Customer, str]:
    rules = rules_of(shop, scope="global", vary=user_of)
    return Agent(deps_type=Customer, tools=tools(shop), capabilities=[CachedTools(rules)])


def adapted_in_sessions(tools: Tools, shop: Shop) -> Agent[Customer, str]:
    return Agent(deps_type=Customer, tools=tools(shop), capabilities=[CachedTools(rules_of(shop))])


def adapted_toolset(tools: Tools, shop: Shop) -> Agent[Customer, str]:
    toolset = FunctionToolset[Customer](tools(shop)).filtered(lambda *_: True)
    return Agent(deps_type=Customer, toolsets=[cached_toolset(toolset, rules_of(shop))])


def adapted_dynamic(tools: Tools, shop: Shop) -> Agent[Customer, str]:
    """Its toolset is made anew at each step of a run."""

    def make(_: RunContext[Customer]) -> AbstractToolset[Customer]:
        return CombinedToolset([FunctionToolset(tools(shop)).filtered(lambda *_: True)])

    rules = rules_of(shop)
    return Agent(deps_type=Customer, toolsets=[DynamicToolset(make)], capabilities=[CachedTools(rules)])


Way = Callable[[Tools, Shop], Agent[Customer, str]]
WAYS: list[Way] = [
    decorated_globally,
    decorated_in_sessions,
    adapted_globally,
    adapted_in_sessions,
    adapted_toolset,
    adapted_dynamic,
]
every_way = pytest.mark.parametrize("way", WAYS, ids=by_name)
both_kinds = pytest.mark.parametrize("tools", [async_tools, plain_tools], ids=by_name)


def build(way: Way, tools: Tools, run: Run = run) -> Build:
    def build(shop: Shop) -> Play:
        agent = way(tools, shop)

        async def play(turns: Turns, user_id: str = "ann") -> list[Any]:
            async with AgentCacheSession():
                return answers(await run(agent, turns, user_id))

        return play

    return build


# -- conversations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=by_name)
@both_kinds
@every_way
async def test_holds_the_conversation(way: Way, tools: Tools, conversation: Callable[[Build], Any]) -> None:
    await conversation(build(way, tools))


@pytest.mark.parametrize("run", RUNS[1:], ids=by_name)
@both_kinds
@every_way
async def test_holds_it_in_every_kind_of_run(way: Way, tools: Tools, run: Run) -> None:
    await reads_are_kept_until_something_is_written(build(way, tools, run))


async def test_without_rules_the_same_conversation_reads_each_time() -> None:
    shop = Shop()
    agent = Agent(deps_type=Customer, tools=async_tools(shop), capabilities=[CachedTools(Rules())])
    await run(agent, [[GET], [GET], [ADD], [GET]])
    assert shop.executed == {"get_cart": 3, "add_item": 1}


async def test_a_capability_of_one_run_covers_that_run() -> None:
    shop = Shop()
    agent = Agent(deps_type=Customer, tools=async_tools(shop))
    async with AgentCacheSession():
        await run(agent, [[GET], [GET]], capabilities=[CachedTools(rules_of(shop))])
    assert shop.executed == {"get_cart": 1}


async def test_a_toolset_that_is_not_made_this_time_has_no_tools() -> None:
    nothing: DynamicToolset[Customer] = DynamicToolset(lambda _: None)
    shop = Shop()
    agent = Agent(
        deps_type=Customer,
        tools=async_tools(shop),
        toolsets=[cached_toolset(nothing, rules_of(shop))],
        capabilities=[CachedTools(rules_of(shop))],
    )
    async with AgentCacheSession():
        assert answers(await run(agent, [[GET], [GET]])) == [cart("ann")] * 2
    assert shop.executed == {"get_cart": 1}


async def test_each_caller_has_a_copy_of_its_own() -> None:
    """What a hook does to one answer is not in the next."""
    for way in WAYS:
        shop = Shop()
        hooks: Hooks[Customer] = Hooks()

        @hooks.on.after_tool_execute
        async def sell(ctx: Any, *, call: Any, tool_def: Any, args: Any, result: Any) -> Any:
            result["items"].append("sold")
            return result

        agent = way(async_tools, shop)
        async with AgentCacheSession():
            messages = await run(agent, [[GET], [GET], [GET]], capabilities=[hooks])
        assert answers(messages) == [cart("ann", "sold")] * 3
        assert shop.executed == {"get_cart": 1}


async def test_tools_of_one_name_under_two_prefixes_stay_apart() -> None:
    def search_of(shelf: str) -> FunctionToolset[Customer]:
        def search(text: str) -> str:
            return f"{text} on the {shelf}"

        return FunctionToolset([search])

    rules = Rules(read={"books_search": "books", "toys_search": "toys"})
    agent = Agent(
        deps_type=Customer,
        toolsets=[search_of("book shelf").prefixed("books"), search_of("toy shelf").prefixed("toys")],
        capabilities=[CachedTools(rules)],
    )
    calls = [("books_search", {"text": "cat"}), ("toys_search", {"text": "cat"})]
    async with AgentCacheSession() as session:
        messages = await run(agent, [calls, calls])
        hits = {name: counted["hits"] for name, counted in session.get_metrics().items()}
    assert answers(messages) == ["cat on the book shelf", "cat on the toy shelf"] * 2
    assert hits == {"books_search": 1, "toys_search": 1}


class Query(BaseModel):
    text: str
    limit: int = 10


async def test_arguments_that_are_models_are_compared_by_value() -> None:
    seen = []

    async def search(query: Query, tags: list[str]) -> str:
        seen.append(query)
        return query.text

    same = [
        ("search", {"query": {"text": "tea"}, "tags": []}),
        ("search", {"query": {"limit": 10, "text": "tea"}, "tags": []}),
    ]
    for tools, capabilities in (
        ([search], [CachedTools[None](Rules(read={"search": "items"}))]),
        ([AgentCache("items", scope="session")(search)], []),
    ):
        seen.clear()
        async with AgentCacheSession():
            await Agent(scripted([same, same]), tools=tools, capabilities=capabilities).run("go")
        assert seen == [Query(text="tea")]


# -- what the model sees -------------------------------------------------------------------------------------------


class Item(BaseModel):
    """An item."""

    name: Annotated[str, Field(description="What it is called.")]
    price: float | None = None


async def full(
    ctx: RunContext[Customer],
    cart_id: Annotated[int, Field(ge=1, description="Which cart.")],
    kind: Literal["food", "toy"] = "food",
    note: str | None = None,
    *,
    limit: int = 10,
) -> dict[str, Any]:
    """Find items.

    Args:
        ctx: The run.
        cart_id: Which cart.
        kind: Of what kind.
        note: Whatever.
        limit: At most so many.
    """
    return {}


async def of_model(item: Item) -> Item:
    """Put an item."""
    return item


def plain(ctx: RunContext[Customer], items: list[Item], *tags: str) -> str:
    """Put items.

    Args:
        items: Those to put.
        tags: How to tag them.
    """
    return ""


def bare() -> None: ...


SCHEMAS: list[Callable[..., Any]] = [full, of_model, plain, bare]


@pytest.mark.parametrize("tool", SCHEMAS, ids=by_name)
def test_the_decorators_leave_the_schema_as_it_is(tool: Callable[..., Any]) -> None:
    read = AgentCache("items", scope="session")
    write = AgentCacheInvalidator("items")
    definition = Tool(tool).tool_def
    assert [Tool(decorated).tool_def for decorated in (read(tool), write(tool), write(read(tool)))] == [definition] * 3
    assert "ctx" not in definition.parameters_json_schema["properties"]


async def test_the_adapter_leaves_the_schemas_as_they_are() -> None:
    async def seen(**options: Any) -> list[ToolDefinition]:
        model = TestModel(call_tools=[])
        await Agent(model, deps_type=Customer, **options).run("go", deps=Customer("ann"))
        assert model.last_model_request_parameters is not None
        return model.last_model_request_parameters.function_tools

    rules = Rules(read={"full": "items"}, write={"plain": "items"})
    toolset: FunctionToolset[Customer] = FunctionToolset(SCHEMAS)
    plainly = await seen(tools=SCHEMAS)
    assert [tool.name for tool in plainly] == ["full", "of_model", "plain", "bare"]
    assert await seen(tools=SCHEMAS, capabilities=[CachedTools(rules)]) == plainly
    assert await seen(toolsets=[cached_toolset(toolset, rules)]) == await seen(toolsets=[toolset])
    dynamic: DynamicToolset[Customer] = DynamicToolset(lambda _: toolset)
    assert await seen(toolsets=[cached_toolset(dynamic, rules)]) == await seen(toolsets=[dynamic])


# -- approvals -------------------------------------------------------------------------------------------------------


class Vault:
    """Something to be approved each time that it is opened. ``asks`` says whether its own code does so."""

    def __init__(self) -> None:
        self.opened = 0
        self.asks = True
        self.rules = Rules(read={"open_vault": "vault"})

    def tool(self) -> Callable[..., Any]:
        async def open_vault(ctx: RunContext[Customer], number: int) -> str:
            if self.asks and not ctx.tool_call_approved:
                raise ApprovalRequired
            self.opened += 1
            return f"{number} is open"

        return open_vault


OPEN: Turns = [[("open_vault", {"number": 1})]]
read_vault = AgentCache("vault", scope="session")


def approved_by_the_framework(vault: Vault, *, decorated: bool) -> dict[str, Any]:
    vault.asks = False
    function = vault.tool()
    if decorated:
        return {"tools": [Tool(read_vault(function), requires_approval=True)]}
    return {"tools": [Tool(function, requires_approval=True)], "capabilities": [CachedTools(vault.rules)]}


def approved_in_its_body(vault: Vault, *, decorated: bool) -> dict[str, Any]:
    if decorated:
        return {"tools": [read_vault(vault.tool())]}
    return {"tools": [vault.tool()], "capabilities": [CachedTools(vault.rules)]}


def approved_by_a_toolset(vault: Vault, *, decorated: bool) -> dict[str, Any]:
    vault.asks = False
    if decorated:
        return {"toolsets": [FunctionToolset([read_vault(vault.tool())]).approval_required()]}
    return {"toolsets": [cached_toolset(FunctionToolset([vault.tool()]).approval_required(), vault.rules)]}


@pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "adapted"])
@pytest.mark.parametrize(
    "approved", [approved_by_the_framework, approved_in_its_body, approved_by_a_toolset], ids=by_name
)
async def test_each_call_is_approved_anew(approved: Callable[..., dict[str, Any]], decorated: bool) -> None:
    vault = Vault()
    agent: Agent[Customer, Any] = Agent(
        scripted(OPEN),
        deps_type=Customer,
        output_type=[str, DeferredToolRequests],
        **approved(vault, decorated=decorated),
    )
    ann = Customer("ann")
    async with AgentCacheSession():
        for round_ in range(3):
            asked = await agent.run("go", deps=ann)
            assert isinstance(asked.output, DeferredToolRequests)
            assert vault.opened == round_
            approvals: dict[str, Any] = {call.tool_call_id: True for call in asked.output.approvals}
            assert approvals
            told = await agent.run(
                deps=ann,
                message_history=asked.all_messages(),
                deferred_tool_results=DeferredToolResults(approvals=approvals),
            )
            assert told.output == "done"
            assert answers(told.all_messages()) == ["1 is open"]
            assert vault.opened == round_ + 1


def static(toolset: AbstractToolset[Customer]) -> AbstractToolset[Customer]:
    return toolset


def per_step(toolset: AbstractToolset[Customer]) -> AbstractToolset[Customer]:
    return DynamicToolset(lambda _: toolset)


def per_run(toolset: AbstractToolset[Customer]) -> AbstractToolset[Customer]:
    return DynamicToolset(lambda _: toolset, per_run_step=False)


@pytest.mark.parametrize("made", [static, per_step, per_run], ids=by_name)
async def test_a_toolset_that_asks_is_asked_before_a_hit(
    made: Callable[[AbstractToolset[Customer]], AbstractToolset[Customer]],
) -> None:
    """Though the same call was answered before, when nobody had to be asked."""
    vault = Vault()
    vault.asks = False
    strict = False
    toolset = FunctionToolset[Customer]([vault.tool()]).approval_required(lambda *_: strict)
    agent: Agent[Customer, Any] = Agent(
        scripted(OPEN * 2),
        deps_type=Customer,
        toolsets=[made(toolset)],
        capabilities=[CachedTools(vault.rules)],
        output_type=[str, DeferredToolRequests],
    )
    async with AgentCacheSession():
        assert (await agent.run("go", deps=Customer("ann"))).output == "done"
        assert vault.opened == 1
        strict = True
        asked = await agent.run("go", deps=Customer("ann"))
        assert isinstance(asked.output, DeferredToolRequests)
        assert len(asked.output.approvals) == 1


@pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "adapted"])
async def test_a_tool_that_has_asked_once_may_ask_again(decorated: bool) -> None:
    """Though it has not in between."""
    vault = Vault()
    agent: Agent[Customer, Any] = Agent(
        scripted(OPEN),
        deps_type=Customer,
        output_type=[str, DeferredToolRequests],
        **approved_in_its_body(vault, decorated=decorated),
    )
    outputs = []
    async with AgentCacheSession():
        for asks in (True, False, True):
            vault.asks = asks
            outputs.append((await agent.run("go", deps=Customer("ann"))).output)
    assert [isinstance(output, DeferredToolRequests) for output in outputs] == [True, False, True]
    assert vault.opened == 1


@pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "adapted"])
async def test_a_deferred_call_is_deferred_each_time(decorated: bool) -> None:
    async def ship(order: int) -> str:
        raise CallDeferred

    if decorated:
        options: dict[str, Any] = {"tools": [AgentCache("orders", scope="session")(ship)]}
    else:
        options = {"tools": [ship], "capabilities": [CachedTools(Rules(read={"ship": "orders"}))]}
    agent: Agent[None, Any] = Agent(
        scripted([[("ship", {"order": 1})]]), output_type=[str, DeferredToolRequests], **options
    )
    async with AgentCacheSession(loop_detection=True, max_tool_repeats=2) as session:
        for _ in range(4):
            asked = await agent.run("go")
            assert isinstance(asked.output, DeferredToolRequests)
            assert len(asked.output.calls) == 1
        assert session.loops == []


# -- errors ----------------------------------------------------------------------------------------------------------


def failing(error: Exception, *, decorated: bool, plain: bool) -> tuple[list[int], dict[str, Any]]:
    ran: list[int] = []

    async def look(at: int) -> str:
        ran.append(at)
        raise error

    def look_plainly(at: int) -> str:
        ran.append(at)
        raise error

    look_plainly.__name__ = "look"
    function = look_plainly if plain else look
    if decorated:
        return ran, {"tools": [AgentCache("sky", scope="session")(function)]}
    return ran, {"tools": [function], "capabilities": [CachedTools(Rules(read={"look": "sky"}))]}


LOOK: Turns = [[("look", {"at": 1})], [("look", {"at": 1})]]


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "async"])
@pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "adapted"])
class TestErrors:
    async def test_an_exception_comes_through_as_it_is_and_is_not_kept(self, decorated: bool, plain: bool) -> None:
        error = LookupError("clouds")
        ran, options = failing(error, decorated=decorated, plain=plain)
        agent = Agent(scripted(LOOK), **options)
        async with AgentCacheSession():
            for _ in range(2):
                with pytest.raises(LookupError) as caught:
                    await agent.run("go")
                assert caught.value is error
        assert ran == [1, 1]

    @pytest.mark.parametrize("error", [ModelRetry("look again"), ToolFailed("clouds")], ids=["retry", "failed"])
    async def test_what_the_model_is_told_in_its_place_is_not_kept(
        self, decorated: bool, plain: bool, error: Exception
    ) -> None:
        ran, options = failing(error, decorated=decorated, plain=plain)
        async with AgentCacheSession():
            result = await Agent(scripted(LOOK), retries=5, **options).run("go")
        assert result.output == "done"
        assert ran == [1, 1]

    async def test_a_hook_that_recovers_from_an_error_does_so_each_time(self, decorated: bool, plain: bool) -> None:
        ran, options = failing(LookupError("clouds"), decorated=decorated, plain=plain)
        options.setdefault("capabilities", []).append(swallowing())
        async with AgentCacheSession():
            messages = (await Agent(scripted(LOOK), **options).run("go")).all_messages()
        assert answers(messages) == ["failed: clouds"] * 2
        assert ran == [1, 1]


def swallowing() -> Hooks[Any]:
    """Tells the model of errors and goes on."""
    hooks: Hooks[Any] = Hooks()

    @hooks.on.tool_execute_error
    async def swallow(ctx: Any, *, call: Any, tool_def: Any, args: Any, error: Exception) -> str:
        return f"failed: {error}"

    return hooks


# -- loops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["raising", "swallowing"])
@pytest.mark.parametrize("run", RUNS, ids=by_name)
@both_kinds
@every_way
async def test_a_loop_ends_the_run(way: Way, tools: Tools, run: Run, policy: str) -> None:
    shop = Shop()
    agent = way(tools, shop)
    policies = [swallowing()] if policy == "swallowing" else []
    await is_ended_by_a_loop(shop, partial(run, agent, ENDLESS, capabilities=policies))


@both_kinds
@every_way
async def test_a_task_that_was_stopped_can_run_agents_again(way: Way, tools: Tools) -> None:
    stopped = Shop()
    await is_ended_by_a_loop(stopped, partial(run, way(tools, stopped), ENDLESS))
    await a_write_leaves_other_carts_alone(build(way, tools))


@pytest.mark.parametrize("run", RUNS[:4], ids=by_name)
@pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "adapted"])
async def test_a_cancellation_from_outside_stays_one(run: Run, decorated: bool) -> None:
    began = asyncio.Event()

    async def wait(ctx: RunContext[Customer]) -> str:
        began.set()
        await asyncio.Event().wait()
        return ""

    if decorated:
        agent = Agent(deps_type=Customer, tools=[AgentCache("it", scope="session")(wait)])
    else:
        agent = Agent(deps_type=Customer, tools=[wait], capabilities=[CachedTools(Rules(read={"wait": "it"}))])
    await cancellation_from_outside_stays_one(partial(run, agent, [[("wait", {})]]), began)


# -- MCP -------------------------------------------------------------------------------------------------------------


class Library:
    """An MCP server that says of its tools what they do."""

    def __init__(self) -> None:
        self.executed: list[str] = []
        self.books = ["Emma"]
        self.server = FastMCP("library")
        self.server.tool(self.list_books, annotations={"readOnlyHint": True})
        self.server.tool(self.lose_book, annotations={"readOnlyHint": True})
        self.server.tool(self.add_book)

    def list_books(self) -> list[str]:
        self.executed.append("list_books")
        return self.books

    def lose_book(self, title: str) -> str:
        self.executed.append("lose_book")
        raise LookupError(title)

    def add_book(self, title: str) -> str:
        self.executed.append("add_book")
        self.books.append(title)
        return "added"


LIST: tuple[str, dict[str, Any]] = ("list_books", {})
BOOK = ("add_book", {"title": "Persuasion"})
LOSE = ("lose_book", {"title": "Emma"})


async def visit(library: Library, rules: Rules, turns: Turns) -> list[Any]:
    agent = Agent(
        deps_type=Customer, toolsets=[MCPToolset(library.server, id="library")], capabilities=[CachedTools(rules)]
    )
    async with AgentCacheSession(), agent:
        return answers(await run(agent, turns))


async def test_tools_of_an_mcp_server_are_cached_by_its_hints() -> None:
    library = Library()
    told = await visit(library, Rules(hints="books"), [[LIST], [LIST], [BOOK], [LIST]])
    assert told == [["Emma"], ["Emma"], "added", ["Emma", "Persuasion"]]
    assert library.executed == ["list_books", "add_book", "list_books"]


async def test_hints_count_for_nothing_unless_they_are_asked_for() -> None:
    library = Library()
    await visit(library, Rules(), [[LIST], [LIST]])
    assert library.executed == ["list_books", "list_books"]


async def test_a_rule_goes_before_a_hint() -> None:
    library = Library()
    await visit(library, Rules(read={"add_book": "books"}, hints="books"), [[LIST], [BOOK], [BOOK], [LIST]])
    assert library.executed == ["list_books", "add_book"]


async def test_a_tool_that_no_server_speaks_for_is_not_touched_by_hints() -> None:
    shop = Shop()
    get_cart, _, get_hours = async_tools(shop)
    tools: list[Any] = [get_cart, Tool(get_hours, metadata={"since": 1999})]
    agent = Agent(deps_type=Customer, tools=tools, capabilities=[CachedTools(Rules(hints="all"))])
    async with AgentCacheSession():
        await run(agent, [[GET, HOURS], [GET, HOURS]])
    assert shop.executed == {"get_cart": 2, "get_hours": 2}


async def test_an_error_of_an_mcp_server_is_not_kept() -> None:
    library = Library()
    agent: Agent[Customer, str] = Agent(
        deps_type=Customer,
        toolsets=[MCPToolset(library.server, id="library", max_retries=5)],
        capabilities=[CachedTools(Rules(hints="books"))],
    )
    async with AgentCacheSession(), agent:
        await run(agent, [[LOSE], [LOSE]])
    assert library.executed == ["lose_book", "lose_book"]


# -- what is refused -------------------------------------------------------------------------------------------------


def test_what_are_no_rules_is_refused() -> None:
    no_rules: Any = {"get_cart": "cart"}
    with pytest.raises(TypeError, match=r"rules=\{'get_cart': 'cart'\}, of type dict: pass .*Rules"):
        CachedTools(no_rules)
    with pytest.raises(TypeError, match=r"rules=.*, of type dict"):
        cached_toolset(FunctionToolset(), no_rules)


def test_what_is_no_toolset_is_refused() -> None:
    no_toolset: Any = [bare]
    with pytest.raises(TypeError, match=r"toolset=\[.*\], of type list: pass a toolset"):
        cached_toolset(no_toolset, Rules())


def test_without_the_framework_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agent_cache.integrations.pydantic_ai")
    monkeypatch.setitem(sys.modules, "pydantic_ai.toolsets", None)
    with pytest.raises(ImportError, match=r"pip install 'async-cache\[pydantic-ai\]'"):
        importlib.import_module("agent_cache.integrations.pydantic_ai")

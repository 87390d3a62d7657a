"""openai-agents: its agents, run offline by scripted models, with the decorators and with the adapter."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import count
from typing import Annotated, Any, Literal

import pytest
from agents import (
    Agent,
    FunctionTool,
    Model,
    ModelResponse,
    RunContextWrapper,
    Runner,
    RunResult,
    RunResultStreaming,
    Tool,
    ToolOutputText,
    Usage,
    UserError,
    function_tool,
)
from agents.items import TResponseOutputItem
from agents.mcp import MCPServer, MCPToolMetaContext, MCPUtil
from agents.tool_context import ToolContext
from fastmcp import Client, FastMCP
from mcp.types import CallToolResult, GetPromptResult, ListPromptsResult
from mcp.types import Tool as MCPTool
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)
from pydantic import BaseModel, Field

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, AgentLoopDetectedError
from agent_cache.integrations import Rules
from agent_cache.integrations.openai_agents import cached_agent, cached_server, cached_tools
from tests.frameworks.shop import (
    ADD,
    CONVERSATIONS,
    ENDLESS,
    GET,
    REPEATS,
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

_ids = count(1)


class Scripted(Model):
    """Makes the calls of one turn after the other. ``tools`` are those that it was shown last."""

    def __init__(self, turns: Turns) -> None:
        self.tools: list[Tool] = []
        self._turns = iter(turns)

    def _answer(self, tools: list[Tool]) -> list[TResponseOutputItem]:
        self.tools = tools
        calls: list[TResponseOutputItem] = [
            ResponseFunctionToolCall(
                type="function_call", call_id=f"call{next(_ids)}", name=name, arguments=json.dumps(arguments)
            )
            for name, arguments in next(self._turns, ())
        ]
        return calls or [
            ResponseOutputMessage(
                type="message",
                id="message",
                role="assistant",
                status="completed",
                content=[ResponseOutputText(type="output_text", text="done", annotations=[])],
            )
        ]

    async def get_response(
        self,
        system_instructions: Any,
        input: Any,  # noqa: A002 - as of `Model`
        model_settings: Any,
        tools: list[Tool],
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        return ModelResponse(output=self._answer(tools), usage=Usage(), response_id=None)

    async def stream_response(
        self,
        system_instructions: Any,
        input: Any,  # noqa: A002 - as of `Model`
        model_settings: Any,
        tools: list[Tool],
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[ResponseCompletedEvent]:
        response = Response(
            id="response",
            created_at=0,
            model="scripted",
            object="response",
            output=self._answer(tools),
            tool_choice="none",
            tools=[],
            parallel_tool_calls=True,
        )
        yield ResponseCompletedEvent(type="response.completed", sequence_number=0, response=response)


async def run(agent: Agent[Customer], turns: Turns, user_id: str = "ann") -> RunResult:
    return await Runner.run(agent.clone(model=Scripted(turns)), "go", context=Customer(user_id))


async def run_streamed(agent: Agent[Customer], turns: Turns, user_id: str = "ann") -> RunResultStreaming:
    result = Runner.run_streamed(agent.clone(model=Scripted(turns)), "go", context=Customer(user_id))
    async for _ in result.stream_events():
        pass
    return result


async def run_sync(agent: Agent[Customer], turns: Turns, user_id: str = "ann") -> RunResult:
    """In a thread, with an event loop of its own, while its host waits."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work() -> RunResult:
        own = asyncio.new_event_loop()
        asyncio.set_event_loop(own)
        try:
            return Runner.run_sync(agent.clone(model=Scripted(turns)), "go", context=Customer(user_id))
        finally:
            own.run_until_complete(own.shutdown_default_executor())
            own.close()
            loop.call_soon_threadsafe(ended.set)

    try:
        return await asyncio.to_thread(work)
    finally:
        await ended.wait()  # the thread goes on where its host is cancelled


Run = Callable[..., Any]
RUNS: list[Run] = [run, run_streamed, run_sync]
by_name = lambda function: function.__name__  # noqa: E731 - the id of a parameter


def answers(result: RunResult | RunResultStreaming) -> list[Any]:
    return [item.output for item in result.new_items if item.type == "tool_call_output_item"]


# -- the shop's tools, and the ways to the cache -----------------------------------------------------------------


def async_tools(shop: Shop) -> list[Callable[..., Any]]:
    async def get_cart(ctx: RunContextWrapper[Customer], cart_id: int) -> dict[str, Any]:
        await shop.turn()
        return shop.get_cart(ctx.context.user_id, cart_id)

    async def add_item(ctx: ToolContext[Customer], cart_id: int, item: str) -> str:
        await shop.turn()
        return shop.add_item(ctx.context.user_id, cart_id, item)

    async def get_hours() -> str:
        return shop.get_hours()

    return [get_cart, add_item, get_hours]


def plain_tools(shop: Shop) -> list[Callable[..., Any]]:
    def get_cart(ctx: RunContextWrapper[Customer], cart_id: int) -> dict[str, Any]:
        return shop.get_cart(ctx.context.user_id, cart_id)

    def add_item(ctx: ToolContext[Customer], cart_id: int, item: str) -> str:
        return shop.add_item(ctx.context.user_id, cart_id, item)

    def get_hours() -> str:
        return shop.get_hours()

    return [get_cart, add_item, get_hours]


Tools = Callable[[Shop], list[Callable[..., Any]]]


def user_of(ctx: RunContextWrapper[Customer]) -> str:
    return ctx.context.user_id


def rules_of(shop: Shop, **options: Any) -> Rules:
    resource = f"{shop.cart}:{{cart_id}}"
    return Rules(read={"get_cart": resource}, write={"add_item": resource}, **options)


def agent_of(functions: list[Callable[..., Any]], **options: Any) -> Agent[Customer]:
    return Agent(name="shopper", tools=[function_tool(function, **options) for function in functions])


def decorated_globally(tools: Tools, shop: Shop, **options: Any) -> Agent[Customer]:
    resource = f"{shop.cart}:{{cart_id}}"
    get_cart, add_item, get_hours = tools(shop)
    read = AgentCache(resource, vary=user_of)
    write = AgentCacheInvalidator(resource, vary=user_of)
    return agent_of([read(get_cart), write(add_item), get_hours], **options)


def decorated_in_sessions(tools: Tools, shop: Shop, **options: Any) -> Agent[Customer]:
    resource = f"{shop.cart}:{{cart_id}}"
    get_cart, add_item, get_hours = tools(shop)
    read = AgentCache(resource, scope="session")
    write = AgentCacheInvalidator(resource, scope="session")
    return agent_of([read(get_cart), write(add_item), get_hours], **options)


def adapted_globally(tools: Tools, shop: Shop, **options: Any) -> Agent[Customer]:
    return cached_agent(agent_of(tools(shop), **options), rules_of(shop, scope="global", vary=user_of))


def adapted_in_sessions(tools: Tools, shop: Shop, **options: Any) -> Agent[Customer]:
    return cached_agent(agent_of(tools(shop), **options), rules_of(shop))


Way = Callable[..., Agent[Customer]]
WAYS: list[Way] = [decorated_globally, decorated_in_sessions, adapted_globally, adapted_in_sessions]
every_way = pytest.mark.parametrize("way", WAYS, ids=by_name)
both_kinds = pytest.mark.parametrize("tools", [async_tools, plain_tools], ids=by_name)
decorated_or_adapted = pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "adapted"])


def build(way: Way, tools: Tools, run: Run = run) -> Build:
    def build(shop: Shop) -> Play:
        agent = way(tools, shop)

        async def play(turns: Turns, user_id: str = "ann") -> list[Any]:
            async with AgentCacheSession():
                return answers(await run(agent, turns, user_id))

        return play

    return build


def one_tool(tool: Callable[..., Any], resource: str, *, decorated: bool, **options: Any) -> Agent[Customer]:
    """An agent whose only tool reads ``resource``."""
    if decorated:
        return agent_of([AgentCache(resource, scope="session")(tool)], **options)
    return cached_agent(agent_of([tool], **options), Rules(read={tool.__name__: resource}))


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
    await run(cached_agent(agent_of(async_tools(shop)), Rules()), [[GET], [GET], [ADD], [GET]])
    assert shop.executed == {"get_cart": 3, "add_item": 1}


@decorated_or_adapted
async def test_each_caller_has_a_copy_of_its_own(decorated: bool) -> None:
    ran = []

    async def look() -> list[ToolOutputText]:
        ran.append(1)
        return [ToolOutputText(text="sky")]

    agent = one_tool(look, "sky", decorated=decorated)
    async with AgentCacheSession():
        for _ in range(3):
            (answer,) = answers(await run(agent, [[("look", {})]]))
            assert answer == [ToolOutputText(text="sky")]
            answer[0].text = "grey"
            answer.append(ToolOutputText(text="rain"))
    assert ran == [1]


async def test_the_adapter_knows_arguments_as_the_tool_does() -> None:
    """By value and with defaults, however the model has put them."""
    shop = Shop()

    async def get_cart(ctx: RunContextWrapper[Customer], cart_id: int = 1) -> dict[str, Any]:
        return shop.get_cart(ctx.context.user_id, cart_id)

    functions = [get_cart, *async_tools(shop)[1:]]
    agent = cached_agent(agent_of(functions, strict_mode=False), rules_of(shop))
    async with AgentCacheSession():
        told = answers(await run(agent, [[GET], [("get_cart", {})], [("get_cart", {"cart_id": "1"})]]))
        assert told == [cart("ann")] * 3
        assert shop.executed == {"get_cart": 1}
        written = ("add_item", {"cart_id": "01", "item": "tea"})
        assert answers(await run(agent, [[written], [GET]])) == ["added tea", cart("ann", "tea")]


# -- what the model sees -------------------------------------------------------------------------------------------


class Item(BaseModel):
    """An item."""

    name: Annotated[str, Field(description="What it is called.")]
    price: float | None = None


async def full(
    ctx: RunContextWrapper[Customer],
    cart_id: Annotated[int, Field(ge=1, description="Which cart.")],
    kind: Literal["food", "toy"] = "food",
    note: str | None = None,
    *,
    limit: int = 10,
) -> str:
    """Find items.

    Args:
        ctx: The run.
        cart_id: Which cart.
        kind: Of what kind.
        note: Whatever.
        limit: At most so many.
    """
    return ""


async def of_model(ctx: ToolContext[Customer], item: Item) -> Item:
    """Put an item."""
    return item


def plain(ctx: Annotated[RunContextWrapper[Customer], "the run"], items: list[Item], *tags: str) -> str:
    """Put items.

    Args:
        items: Those to put.
        tags: How to tag them.
    """
    return ""


def bare() -> None: ...


SCHEMAS: list[Callable[..., Any]] = [full, of_model, plain, bare]


def seen(tool: Tool) -> tuple[Any, ...]:
    """What a model is told of a tool."""
    assert isinstance(tool, FunctionTool)
    return (tool.name, tool.description, tool.params_json_schema, tool.strict_json_schema, tool.output_json_schema)


@pytest.mark.parametrize("tool", SCHEMAS, ids=by_name)
def test_the_decorators_leave_the_schema_as_it_is(tool: Callable[..., Any]) -> None:
    read = AgentCache("items", scope="session")
    write = AgentCacheInvalidator("items")
    schema = seen(function_tool(tool))
    decorated = [read(tool), write(tool), write(read(tool))]
    assert [seen(function_tool(function)) for function in decorated] == [schema] * 3
    assert "ctx" not in schema[2]["properties"]


async def test_the_adapter_leaves_the_schemas_as_they_are() -> None:
    async def shown(agent: Agent[Customer]) -> list[tuple[Any, ...]]:
        model = Scripted([])
        await Runner.run(agent.clone(model=model), "go", context=Customer("ann"))
        return [seen(tool) for tool in model.tools]

    agent = agent_of(SCHEMAS)
    schemas = await shown(agent)
    assert [schema[0] for schema in schemas] == ["full", "of_model", "plain", "bare"]
    assert await shown(cached_agent(agent, Rules(read={"full": "items"}, write={"plain": "items"}))) == schemas


def test_the_adapter_keeps_all_else_of_a_tool() -> None:
    tool = function_tool(full, timeout=3.0, needs_approval=True, is_enabled=False, failure_error_function=None)
    (cached,) = cached_tools([tool], Rules())
    assert isinstance(cached, FunctionTool)
    assert cached is not tool
    assert cached.__wrapped__ is full
    for field in dataclasses.fields(FunctionTool):
        if field.name != "on_invoke_tool":
            assert getattr(cached, field.name) == getattr(tool, field.name)


async def test_the_adapter_leaves_the_original_as_it_was() -> None:
    shop = Shop()
    agent = agent_of(async_tools(shop))
    cached_agent(agent, rules_of(shop))
    async with AgentCacheSession():
        await run(agent, [[GET], [GET]])
    assert shop.executed == {"get_cart": 2}


async def test_a_copy_of_an_adapted_tool_is_adapted() -> None:
    shop = Shop()
    tools = cached_tools(agent_of(async_tools(shop)).tools, rules_of(shop))
    assert isinstance(tools[0], FunctionTool)
    agent: Agent[Customer] = Agent(name="shopper", tools=[dataclasses.replace(tools[0], description="Look.")])
    async with AgentCacheSession():
        await run(agent, [[GET], [GET]])
    assert shop.executed == {"get_cart": 1}


async def test_a_tool_made_by_hand_is_adapted_too() -> None:
    ran = []

    async def invoke(ctx: ToolContext[Any], text: str) -> str:
        ran.append(text)
        return "found"

    tool = FunctionTool(
        name="find", description="", params_json_schema={}, on_invoke_tool=invoke, strict_json_schema=False
    )
    agent: Agent[Customer] = Agent(name="finder", tools=cached_tools([tool], Rules(read={"find": "things"})))
    calls: Turns = [[("find", {"a": 1, "b": 2})], [("find", {"b": 2, "a": 1})]]
    async with AgentCacheSession():
        assert answers(await run(agent, calls)) == ["found", "found"]
    assert ran == ['{"a": 1, "b": 2}']


async def test_an_agent_that_is_a_tool_stays_as_it_is() -> None:
    tool = agent_of([bare]).as_tool("ask", "Ask somebody.")
    assert cached_tools([tool], Rules(read={"ask": "all"})) == [tool]


# -- approvals -------------------------------------------------------------------------------------------------------


async def small_numbers_are_open(ctx: RunContextWrapper[Any], arguments: dict[str, Any], call_id: str) -> bool:
    return bool(arguments.get("number", 0) > 5)


@decorated_or_adapted
@pytest.mark.parametrize("needs_approval", [True, small_numbers_are_open], ids=["always", "policy"])
async def test_each_call_is_approved_anew(decorated: bool, needs_approval: Any) -> None:
    opened = []

    async def open_vault(number: int) -> str:
        opened.append(number)
        return f"{number} is open"

    agent = one_tool(open_vault, "vault", decorated=decorated, needs_approval=needs_approval)
    async with AgentCacheSession():
        for _ in range(2):
            asked = await run(agent, [[("open_vault", {"number": 9})]])
            (item,) = asked.interruptions
            before = list(opened)
            state = asked.to_state()
            state.approve(item)
            assert answers(await Runner.run(asked.last_agent, state)) == ["9 is open"]
            asked = await run(agent, [[("open_vault", {"number": 9})]])
            (item,) = asked.interruptions
            state = asked.to_state()
            state.reject(item)
            assert answers(await Runner.run(asked.last_agent, state)) != ["9 is open"]
            assert opened in (before, [*before, 9])


async def test_a_policy_is_asked_as_of_the_tool_itself() -> None:
    """Here it cannot tell, since a default is filled in, and somebody has to be asked."""

    async def open_vault(number: int = 9) -> str:
        raise AssertionError("nobody was asked")

    agent = agent_of([open_vault], strict_mode=False, needs_approval=small_numbers_are_open)
    for each in (agent, cached_agent(agent, Rules(read={"open_vault": "vault"}))):
        assert len((await run(each, [[("open_vault", {})]])).interruptions) == 1


# -- errors ----------------------------------------------------------------------------------------------------------

LOOK: Turns = [[("look", {"at": 1})], [("look", {"at": 1})]]


def tell(ctx: RunContextWrapper[Any], error: Exception) -> str:
    return f"failed: {error}"


def failing(*, plain: bool) -> tuple[list[int], Callable[..., Any]]:
    ran: list[int] = []

    async def look(at: int) -> str:
        ran.append(at)
        raise LookupError("clouds")

    def look_plainly(at: int) -> str:
        ran.append(at)
        raise LookupError("clouds")

    look_plainly.__name__ = "look"
    return ran, look_plainly if plain else look


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "async"])
@decorated_or_adapted
class TestErrors:
    async def test_what_the_model_is_told_by_default_is_not_kept(self, decorated: bool, plain: bool) -> None:
        ran, tool = failing(plain=plain)
        async with AgentCacheSession():
            told = answers(await run(one_tool(tool, "sky", decorated=decorated), LOOK))
        assert told == answers(await run(agent_of([tool]), LOOK))
        assert ran == [1] * 4

    async def test_nor_is_what_it_is_told_by_a_function(self, decorated: bool, plain: bool) -> None:
        ran, tool = failing(plain=plain)
        agent = one_tool(tool, "sky", decorated=decorated, failure_error_function=tell)
        async with AgentCacheSession():
            assert answers(await run(agent, LOOK)) == ["failed: clouds"] * 2
        assert ran == [1, 1]

    async def test_an_exception_that_ends_the_run_is_not_kept(self, decorated: bool, plain: bool) -> None:
        ran, tool = failing(plain=plain)
        agent = one_tool(tool, "sky", decorated=decorated, failure_error_function=None)
        async with AgentCacheSession():
            for _ in range(2):
                with pytest.raises(UserError) as caught:
                    await run(agent, LOOK)
                assert isinstance(caught.value.__cause__, LookupError)
        assert ran == [1, 1]


@decorated_or_adapted
async def test_arguments_that_do_not_fit_are_told_of_by_the_tool(decorated: bool) -> None:
    ran, tool = failing(plain=False)
    calls: Turns = [[("look", {"at": "nowhere"})]]
    told = answers(await run(agent_of([tool], failure_error_function=tell), calls))
    async with AgentCacheSession():
        agent = one_tool(tool, "sky", decorated=decorated, failure_error_function=tell)
        assert answers(await run(agent, calls)) == told
    assert told == ["failed: Invalid JSON input for tool look"]
    assert ran == []


# -- loops -----------------------------------------------------------------------------------------------------------

POLICIES: dict[str, dict[str, Any]] = {
    "default": {},
    "swallowing": {"failure_error_function": tell},
    "raising": {"failure_error_function": None},
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("run", RUNS, ids=by_name)
@both_kinds
@every_way
async def test_a_loop_ends_the_run(way: Way, tools: Tools, run: Run, policy: str) -> None:
    shop = Shop()
    agent = way(tools, shop, **POLICIES[policy])
    await is_ended_by_a_loop(shop, partial(run, agent, ENDLESS))


@both_kinds
@every_way
async def test_a_loop_ends_a_stream_that_nobody_is_reading(way: Way, tools: Tools) -> None:
    """The host is elsewhere, and the run is a task of its own: it goes on, and is refused."""
    shop = Shop()
    agent = way(tools, shop).clone(model=Scripted(ENDLESS))
    results = []

    async def start_and_wait() -> None:
        results.append(Runner.run_streamed(agent, "go", context=Customer("ann")))
        await asyncio.Event().wait()

    await is_ended_by_a_loop(shop, start_and_wait)
    async for _ in results[0].stream_events():
        pass
    assert results[0].is_complete
    assert shop.executed == {"add_item": REPEATS}


@both_kinds
@every_way
async def test_a_task_that_was_stopped_can_run_agents_again(way: Way, tools: Tools) -> None:
    stopped = Shop()
    await is_ended_by_a_loop(stopped, partial(run, way(tools, stopped), ENDLESS))
    await a_write_leaves_other_carts_alone(build(way, tools))


@pytest.mark.parametrize("run", RUNS[:2], ids=by_name)
@decorated_or_adapted
async def test_a_cancellation_from_outside_stays_one(run: Run, decorated: bool) -> None:
    began = asyncio.Event()

    async def wait() -> str:
        began.set()
        await asyncio.Event().wait()
        return ""

    agent = one_tool(wait, "it", decorated=decorated)
    await cancellation_from_outside_stays_one(partial(run, agent, [[("wait", {})]]), began)


# -- MCP -------------------------------------------------------------------------------------------------------------


class Library(MCPServer):
    """A server in memory that says of its tools what they do."""

    def __init__(self, name: str = "library", **options: Any) -> None:
        super().__init__(**options)
        self._name = name
        self.executed: list[str] = []
        self.told: list[dict[str, Any] | None] = []
        self.books = ["Emma"]
        server = FastMCP(name)
        server.tool(self.list_books, annotations={"readOnlyHint": True})
        server.tool(self.lose_book, annotations={"readOnlyHint": True})
        server.tool(self.add_book)
        self._client = Client(server)
        self.is_connected = False

    def list_books(self) -> str:
        self.executed.append("list_books")
        return ", ".join(self.books)

    def lose_book(self, title: str) -> str:
        self.executed.append("lose_book")
        raise LookupError(title)

    def add_book(self, title: str) -> str:
        self.executed.append("add_book")
        self.books.append(title)
        return "added"

    @property
    def name(self) -> str:
        return self._name

    async def connect(self) -> None:
        await self._client.__aenter__()  # type: ignore[no-untyped-call]  # it has no types there
        self.is_connected = True

    async def cleanup(self) -> None:
        await self._client.__aexit__(None, None, None)  # type: ignore[no-untyped-call]  # nor here
        self.is_connected = False

    async def list_tools(self, run_context: Any = None, agent: Any = None) -> list[MCPTool]:
        return await self._client.list_tools()

    async def call_tool(
        self, tool_name: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None = None
    ) -> CallToolResult:
        self.told.append(meta)
        return await self._client.call_tool_mcp(tool_name, arguments or {}, meta=meta)

    async def list_prompts(self) -> ListPromptsResult:
        raise NotImplementedError

    async def get_prompt(self, name: str, arguments: dict[str, Any] | None = None) -> GetPromptResult:
        raise NotImplementedError


LIST: tuple[str, dict[str, Any]] = ("list_books", {})
BOOK = ("add_book", {"title": "Persuasion"})
LOSE = ("lose_book", {"title": "Emma"})


async def visit(library: Library, rules: Rules, turns: Turns, *users: str) -> list[Any]:
    """What an agent of the library is told, in one session."""
    agent: Agent[Customer] = cached_agent(Agent(name="reader", mcp_servers=[library]), rules)
    await library.connect()
    try:
        async with AgentCacheSession():
            results = [await run(agent, turns, user) for user in users or ("ann",)]
    finally:
        await library.cleanup()
    return [answer["text"] for result in results for answer in answers(result)]


async def test_tools_of_an_mcp_server_are_cached_by_its_hints() -> None:
    library = Library()
    told = await visit(library, Rules(hints="books"), [[LIST], [LIST], [BOOK], [LIST]])
    assert told == ["Emma", "Emma", "added", "Emma, Persuasion"]
    assert library.executed == ["list_books", "add_book", "list_books"]


async def test_tools_of_an_mcp_server_are_cached_by_rules() -> None:
    library = Library()
    rules = Rules(read={"list_books": "books"}, write={"add_book": "books"})
    told = await visit(library, rules, [[LIST], [LIST], [BOOK], [LIST]])
    assert told == ["Emma", "Emma", "added", "Emma, Persuasion"]
    assert library.executed == ["list_books", "add_book", "list_books"]


async def test_hints_count_for_nothing_unless_they_are_asked_for() -> None:
    library = Library()
    await visit(library, Rules(), [[LIST], [LIST]])
    assert library.executed == ["list_books", "list_books"]


async def test_hints_say_nothing_of_tools_of_no_server() -> None:
    shop = Shop()
    async with AgentCacheSession():
        await run(cached_agent(agent_of(async_tools(shop)), Rules(hints="all")), [[GET], [GET]])
    assert shop.executed == {"get_cart": 2}


async def test_an_error_of_an_mcp_server_is_not_kept() -> None:
    library = Library()
    told = await visit(library, Rules(hints="books"), [[LOSE], [LOSE]])
    assert len(told) == 2
    assert "Emma" in told[0]
    assert library.executed == ["lose_book", "lose_book"]


async def test_users_of_an_mcp_server_stay_apart() -> None:
    asked: list[str] = []

    def meta(context: MCPToolMetaContext) -> None:
        asked.append(context.run_context.context.user_id)

    library = Library(tool_meta_resolver=meta)
    rules = Rules(read={"list_books": "books"}, scope="global", vary=user_of)
    await visit(library, rules, [[LIST], [LIST]], "ann", "bob", "ann")
    assert library.executed == ["list_books"] * 2
    assert asked == ["ann", "ann", "bob", "bob", "ann", "ann"]


async def test_calls_with_other_meta_are_other_calls() -> None:
    library = Library()
    library.tool_meta_resolver = lambda context: {"user": context.run_context.context.user_id}
    await visit(library, Rules(hints="books"), [[LIST], [LIST]], "ann", "bob")
    assert library.executed == ["list_books"] * 2
    assert [meta and meta["user"] for meta in library.told] == ["ann", "bob"]


async def test_two_servers_with_tools_of_one_name_stay_apart() -> None:
    rules = Rules(hints="books")
    mine, yours = Library("mine"), Library("yours")
    yours.books = ["Ulysses"]
    async with AgentCacheSession():
        for library in (mine, yours, mine, yours):
            cached = cached_server(library, rules)
            await cached.connect()
            await cached.list_tools()
            result = await cached.call_tool("list_books", {})
            assert result.content == (await library.call_tool("list_books", {})).content
            await cached.cleanup()
    assert mine.executed == yours.executed == ["list_books"] * 3


async def test_a_tool_that_was_not_listed_is_taken_to_write() -> None:
    library = Library()
    cached = cached_server(library, Rules(read={"list_books": "books"}, hints="books"))
    await library.connect()
    async with AgentCacheSession():
        before = await cached.call_tool("list_books", {})
        await cached.call_tool("add_book", {"title": "Persuasion"})
        assert (await cached.call_tool("list_books", {})).content != before.content
    await library.cleanup()


async def test_a_cached_server_is_one_with_the_original() -> None:
    library = Library()
    cached = cached_server(library, Rules())
    assert isinstance(cached, Library)
    assert cached.name == "library"
    await cached.connect()
    assert library.is_connected
    library.books.append("Persuasion")
    assert cached.books == ["Emma", "Persuasion"]
    cached.use_structured_content = True
    assert library.use_structured_content
    cached.tool_meta_resolver = None
    assert library.tool_meta_resolver is None
    await library.cleanup()
    assert not cached.is_connected


async def test_a_loop_of_an_mcp_tool_ends_the_run() -> None:
    library = Library()
    task = asyncio.current_task()
    assert task is not None
    await library.connect()
    agent: Agent[Customer] = cached_agent(Agent(name="reader", mcp_servers=[library]), Rules(hints="books"))
    with pytest.raises(AgentLoopDetectedError):
        async with AgentCacheSession(loop_detection=True, max_tool_repeats=REPEATS):
            await run(agent, [[BOOK]] * 9)
    assert library.executed == ["add_book"] * REPEATS
    assert task.cancelling() == 0
    await library.cleanup()


# -- what is refused -------------------------------------------------------------------------------------------------


def test_what_are_no_rules_is_refused() -> None:
    no_rules: Any = {"get_cart": "cart"}
    says = r"rules=\{'get_cart': 'cart'\}, of type dict: pass .*Rules"
    with pytest.raises(TypeError, match=says):
        cached_agent(agent_of([bare]), no_rules)
    with pytest.raises(TypeError, match=says):
        cached_tools([], no_rules)
    with pytest.raises(TypeError, match=says):
        cached_server(Library(), no_rules)


def test_what_is_no_server_is_refused() -> None:
    no_server: Any = "library"
    with pytest.raises(TypeError, match=r"server='library', of type str: pass an agents\.mcp\.MCPServer"):
        cached_server(no_server, Rules())


async def test_a_tool_that_was_taken_from_an_mcp_server_is_refused() -> None:
    library = Library()
    await library.connect()
    tools = await MCPUtil.get_function_tools(library, False, RunContextWrapper(None), agent_of([]))
    await library.cleanup()
    with pytest.raises(TypeError, match=r"list_books is a tool of the MCP server 'library', .* cached_server"):
        cached_tools(tools, Rules())


def test_without_the_framework_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agent_cache.integrations.openai_agents")
    monkeypatch.setitem(sys.modules, "agents", None)
    with pytest.raises(ImportError, match=r"pip install 'async-cache\[openai-agents\]'"):
        importlib.import_module("agent_cache.integrations.openai_agents")

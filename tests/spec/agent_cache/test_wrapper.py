"""A decorated tool is what it was, to everybody who looks at it: inspect, type hints, frameworks."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, explain
from cache import cached
from cache._places import configured
from cache.testing import FakeClock
from tests.races.machine import Machine, Process
from tests.spec.agent_cache.people import InjectedToolCallId, RunContext
from tests.spec.refusal import refused

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers

READ = AgentCache("shop", vary=lambda: "all")
WRITE = AgentCacheInvalidator("shop")
both = pytest.mark.parametrize("decorator", [READ, WRITE], ids=["read", "write"])


class Item:
    pass


async def find(
    ctx: RunContext, name: str, /, *more: int, kind: Literal["a", "b"] = "a", limit: int | None = None, **rest: Item
) -> list[Item]:
    """Find items.

    Args:
        name: what to find
    """
    return []


def plain(name: Annotated[str, "a name"] = "x") -> str:
    return name


@both
@pytest.mark.parametrize("tool", [find, plain])
def test_name_doc_module_and_the_tool_itself_are_those_of_the_tool(decorator: Any, tool: Any) -> None:
    wrapped = decorator(tool)
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        assert getattr(wrapped, name) == getattr(tool, name)
    assert wrapped.__wrapped__ is tool
    assert inspect.isfunction(wrapped)


@both
def test_a_coroutine_function_stays_one_and_a_plain_one_plain(decorator: Any) -> None:
    assert inspect.iscoroutinefunction(decorator(find))
    assert not inspect.iscoroutinefunction(decorator(plain))
    assert not inspect.isawaitable(decorator(plain)())


@both
async def test_generators_stay_generators_and_pass_through(decorator: Any) -> None:
    closed = []

    def count(to: int) -> Any:
        try:
            received: Any = yield 0
            while True:
                received = yield received + to
        finally:
            closed.append("count")

    async def count_slowly(to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                yield number
        finally:
            closed.append("count_slowly")

    plain, slow = decorator(count), decorator(count_slowly)
    assert inspect.isgeneratorfunction(plain)
    assert inspect.isasyncgenfunction(slow)
    items = plain(3)
    assert [next(items), items.send(4), items.send(5)] == [0, 7, 8]
    items.close()
    assert [item async for item in slow(3)] == [0, 1, 2]
    broken_off = slow(3)
    async for _ in broken_off:
        break
    await broken_off.aclose()
    assert closed == ["count", "count_slowly", "count_slowly"]


@both
def test_what_a_generator_returns_is_passed_on(decorator: Any) -> None:
    @decorator  # type: ignore[untyped-decorator]  # one of two
    def answer() -> Any:
        yield 1
        return 2

    def caller() -> Any:
        return (yield from answer())

    items = caller()
    assert next(items) == 1
    with pytest.raises(StopIteration) as caught:
        next(items)
    assert caught.value.value == 2


@both
def test_the_signature_is_that_of_the_tool_with_annotations_that_are_objects(decorator: Any) -> None:
    parameters = inspect.signature(decorator(find)).parameters
    assert [(p.name, p.kind, p.default) for p in parameters.values()] == [
        (p.name, p.kind, p.default) for p in inspect.signature(find).parameters.values()
    ]
    assert parameters["ctx"].annotation is RunContext
    assert parameters["kind"].annotation == Literal["a", "b"]
    assert parameters["limit"].annotation == int | None
    assert inspect.signature(decorator(find)).return_annotation == list[Item]


@both
def test_type_hints_are_resolved_wherever_they_are_asked_for(decorator: Any) -> None:
    wrapped = decorator(plain)
    assert typing.get_type_hints(wrapped, include_extras=True) == {"name": Annotated[str, "a name"], "return": str}
    assert typing.get_type_hints(wrapped, globalns={}, include_extras=True)["name"] == Annotated[str, "a name"]
    assert wrapped.__annotations__ == {"name": Annotated[str, "a name"], "return": str}


@both
def test_a_name_for_type_checkers_only_stays_a_string_and_the_others_are_resolved(decorator: Any) -> None:
    def price(of: Item, at_most: OnlyForCheckers) -> OnlyForCheckers:
        return at_most

    assert decorator(price).__annotations__ == {"of": Item, "at_most": "OnlyForCheckers", "return": "OnlyForCheckers"}


@both
def test_a_tool_without_annotations_gets_none(decorator: Any) -> None:
    def bare(a, b=1):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - which is the case
        return a

    assert decorator(bare).__annotations__ == {}
    assert str(inspect.signature(decorator(bare))) == "(a, b=1)"


@both
def test_attributes_of_the_tool_are_kept(decorator: Any) -> None:
    def marked() -> None: ...

    marked.note = "kept"  # type: ignore[attr-defined]  # as decorators do
    assert decorator(marked).note == "kept"


@both
async def test_methods_bind_as_they_did(decorator: Any) -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @decorator  # type: ignore[untyped-decorator]  # one of two
        async def find(self, item: str) -> str:
            return f"{item} of {self.name}"

        @decorator  # type: ignore[untyped-decorator]  # one of two
        def find_now(self, item: str) -> str:
            return f"{item} of {self.name}"

    first, second = Shop("a"), Shop("b")
    assert [await first.find("x"), await second.find("x"), await Shop.find(first, "x")] == [
        "x of a",
        "x of b",
        "x of a",
    ]
    assert [first.find_now("x"), second.find_now("x")] == ["x of a", "x of b"]
    assert list(inspect.signature(first.find).parameters) == ["item"]


@both
async def test_class_and_static_methods_are_decorated_below(decorator: Any) -> None:
    class Shop:
        @classmethod
        @decorator  # type: ignore[untyped-decorator]  # one of two
        async def make(cls, item: str) -> str:
            return f"{item} of {cls.__name__}"

        @staticmethod
        @decorator  # type: ignore[untyped-decorator]  # one of two
        async def find(item: str) -> str:
            return item

    assert await Shop.make("x") == "x of Shop"
    assert await Shop.find("x") == "x"


@both
async def test_all_ways_of_passing_an_argument_reach_the_tool(decorator: Any) -> None:
    @decorator  # type: ignore[untyped-decorator]  # one of two
    async def echo(a: int, /, b: int, *c: int, d: int = 4, **e: int) -> Any:
        return a, b, c, d, e

    assert await echo(1, 2) == (1, 2, (), 4, {})
    assert await echo(1, b=2) == (1, 2, (), 4, {})
    assert await echo(1, 2, 3, d=5, f=6) == (1, 2, (3,), 5, {"f": 6})


@both
async def test_arguments_that_do_not_fit_are_refused_in_the_name_of_the_tool(decorator: Any) -> None:
    @decorator  # type: ignore[untyped-decorator]  # one of two
    async def look(a: int) -> int:
        return a

    with pytest.raises(TypeError, match=r"\ba\b"):
        await look()
    with pytest.raises(TypeError, match=r"\bb\b"):
        await look(1, b=2)
    assert await look(1) == 1


@both
def test_functions_from_elsewhere_are_tools_too(decorator: Any) -> None:
    assert decorator(len)("four") == 4
    assert decorator(lambda a: a + 1)(1) == 2
    assert decorator([1, 2].count)(1) == 1


async def test_a_read_below_another_decorator_is_still_a_read() -> None:
    def logged(tool: Callable[..., Any]) -> Any:
        @functools.wraps(tool)
        async def call(*args: Any) -> Any:
            return await tool(*args)

        return call

    @logged
    @READ
    async def look(a: int) -> int:
        return a

    assert explain(look, 1).startswith("miss: look was not executed")
    with refused(TypeError, "look", "cached already"):
        READ(look)


async def test_what_a_framework_fills_in_is_passed_on_and_makes_no_other_call_of_it() -> None:
    calls: list[str] = []

    @READ
    async def look(call_id: Annotated[str, InjectedToolCallId], a: int) -> int:
        calls.append(call_id)
        return a

    assert [await look("1", 5), await look("2", 5)] == [5, 5]
    assert calls == ["1"]


# -- what is no function any more --------------------------------------------------------------------------------


def tool_object(package: str, kind: str) -> Any:
    """An object as a framework makes it of a function."""
    return type(kind, (), {"__module__": f"{package}.tools", "name": "get_cart", "__call__": lambda self: 1})()


@both
@pytest.mark.parametrize(
    ("package", "kind"),
    [
        ("agents", "FunctionTool"),
        ("pydantic_ai", "Tool"),
        ("langchain_core", "StructuredTool"),
        ("fastmcp", "FunctionTool"),
        ("google", "FunctionTool"),
        ("autogen_core", "FunctionTool"),
    ],
)
def test_the_tool_object_of_a_framework_is_refused_with_what_to_do(decorator: Any, package: str, kind: str) -> None:
    called = "AgentCache" if decorator is READ else "AgentCacheInvalidator"
    with refused(TypeError, "get_cart", kind, package, f"put @{called} below", "next to the def"):
        decorator(tool_object(package, kind))


@both
def test_a_function_that_fastmcp_has_registered_is_refused(decorator: Any) -> None:
    def get_cart() -> None: ...

    get_cart.__fastmcp__ = object()  # type: ignore[attr-defined]  # as FastMCP marks it
    with refused(TypeError, "get_cart", "registered with FastMCP already", "below @mcp.tool"):
        decorator(get_cart)


@both
@pytest.mark.parametrize("given", [5, None, "get_cart", int, object, functools.partial(plain)], ids=repr)
def test_what_is_no_function_is_refused(decorator: Any, given: Any) -> None:
    with refused(TypeError, type(given).__name__, "not a function"):
        decorator(given)


@both
@pytest.mark.parametrize("kind", [classmethod, staticmethod])
def test_a_class_or_static_method_is_decorated_below_and_not_above(decorator: Any, kind: Any) -> None:
    with refused(TypeError, kind.__name__, f"put @{kind.__name__} above @AgentCache"):
        decorator(kind(plain))


async def test_a_function_that_is_cached_already_is_refused() -> None:
    @cached
    async def look(a: int) -> int:
        return a

    with refused(TypeError, "look", "cached already"):
        READ(look)
    with refused(TypeError, "plain", "cached already"):
        READ(READ(plain))


def test_a_write_below_a_read_is_refused() -> None:
    with refused(TypeError, "plain", "writes", "Put @AgentCacheInvalidator above @AgentCache"):
        READ(WRITE(plain))
    with refused(TypeError, "plain", "cached already"):
        READ(WRITE(READ(plain)))


def test_a_write_above_a_read_or_above_a_write_is_a_tool() -> None:
    assert WRITE(READ(plain))("a") == "a"
    assert WRITE(WRITE(plain))("a") == "a"


async def test_a_tool_that_is_known_to_this_process_alone_may_be_made_whatever_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Not by `configure`, which would move what other tests have left to the collector.
    monkeypatch.setattr(configured, "bus", Process(Machine(FakeClock())))

    @AgentCache("shop")
    async def nested(word: str) -> str:
        return word

    assert await nested("tea") == "tea"

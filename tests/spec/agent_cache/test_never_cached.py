"""What must never be given to another call: errors, signals, what was approved, what cannot be copied."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, explain
from cache.testing import FakeClock
from tests.spec.agent_cache.people import ApprovalRequired, ModelRetry, RunContext, Shop, counted
from tests.spec.steering import Loader, settle, start


class NotFoundError(Exception):
    """What is not there."""


class Command:
    """What steers the graph that it was returned in."""

    __module__ = "langgraph.types"


class InputRequiredResult:
    """What a server returns to be called again."""

    __module__ = "mcp.types"


async def test_an_error_is_raised_by_each_call_anew(shop: Shop) -> None:
    @AgentCache("cart")
    async def get_cart() -> int:
        raise NotFoundError(shop.read("cart"))

    for _ in range(3):
        with pytest.raises(NotFoundError):
            await get_cart()
    assert shop.reads["cart"] == 3


async def test_errors_of_the_classes_that_are_named_are_kept_for_so_long(shop: Shop, time: FakeClock) -> None:
    @AgentCache("cart", cache_errors={NotFoundError: 5})
    async def get_cart(cart_id: int) -> int:
        if shop.read(cart_id) == 0 and cart_id != 9:
            raise NotFoundError("kept")
        raise KeyError

    @AgentCacheInvalidator("cart")
    async def add_item() -> None:
        """Write."""

    for moment, reads in ((0, 1), (4, 1), (1, 2)):
        time.advance(moment)
        with pytest.raises(NotFoundError, match="kept"):
            await get_cart(7)
        assert shop.reads[7] == reads
    await add_item()
    with pytest.raises(NotFoundError):
        await get_cart(7)
    assert shop.reads[7] == 3
    for _ in range(2):
        with pytest.raises(KeyError):
            await get_cart(9)
    assert shop.reads[9] == 2


SIGNALS: list[Callable[[], Exception]] = [
    ApprovalRequired,
    ModelRetry,
    lambda: ExceptionGroup("tasks", [ValueError(), ExceptionGroup("inner", [ModelRetry()])]),
]


@pytest.mark.parametrize("make", SIGNALS, ids=["approval", "retry", "in a group"])
async def test_signals_are_never_kept_nor_shared(make: Callable[[], Exception], shop: Shop) -> None:
    gate = Loader()

    @AgentCache("cart", cache_errors={Exception: 5})
    async def get_cart() -> int:
        await gate()
        raise make()

    readers = [await start(get_cart()) for _ in range(3)]
    assert len(gate.calls) == 1
    gate.end(None)
    await settle()
    assert len(gate.calls) == 3, "each who has joined is asked for itself"
    for call in (1, 2):
        gate.end(None, call)
    errors = await asyncio.gather(*readers, return_exceptions=True)
    assert len({id(error) for error in errors}) == 3
    assert {type(error) for error in errors} == {type(make())}
    again = await start(get_cart())
    gate.end(None)
    with pytest.raises(type(make())):
        await again


async def test_a_tool_that_asks_for_approval_is_not_cached_from_then_on(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    @AgentCache("cart", scope="session")
    async def get_guarded_cart(ctx: RunContext, cart_id: int) -> int:
        if cart_id == 9 and not ctx.tool_call_approved:
            raise ApprovalRequired
        return shop.read(cart_id)

    async with AgentCacheSession():
        await get_guarded_cart(RunContext("ann"), 7), await get_guarded_cart(RunContext("ann"), 7)
        assert shop.reads == {7: 1}
        with pytest.raises(ApprovalRequired):
            await get_guarded_cart(RunContext("ann"), 9)
        assert counted("get_guarded_cart", "size") == 0
        for _ in range(2):
            await get_guarded_cart(RunContext("ann"), 7)
            await get_guarded_cart(RunContext("ann", approved=True), 9)
        assert shop.reads == {7: 3, 9: 2}
        assert "it has asked for approval before" in explain(get_guarded_cart, RunContext("ann"), 7)
    assert [record.message for record in caplog.records] == [
        "get_guarded_cart asks for approval in its body: its results are not cached any more"
    ]


async def test_an_approved_call_is_neither_kept_nor_answered_from_the_cache(shop: Shop) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart(ctx: RunContext) -> int:
        return shop.read("cart")

    async with AgentCacheSession():
        await get_cart(RunContext("ann", approved=True)), await get_cart(RunContext("ann"))
        await get_cart(RunContext("ann", approved=True)), await get_cart(RunContext("ann"))
    assert shop.reads["cart"] == 3


async def test_what_loads_while_its_tool_asks_for_approval_is_not_kept() -> None:
    gate = Loader()

    @AgentCache("cart")
    async def get_cart_that_asks(cart_id: int) -> int:
        if cart_id == 9:
            raise ApprovalRequired
        await gate()
        return cart_id

    reader, joined = await start(get_cart_that_asks(7)), await start(get_cart_that_asks(7))
    with pytest.raises(ApprovalRequired):
        await get_cart_that_asks(9)
    gate.end(None)
    await settle()
    assert len(gate.calls) == 2, "it was given after approval, perhaps: not to one who has joined"
    gate.end(None)
    assert [await reader, await joined] == [7, 7]
    assert counted("get_cart_that_asks", "size") == 0


async def test_a_pause_inside_guards_the_tools_around_it_too(shop: Shop) -> None:
    @AgentCache("cart")
    async def inner(ask: bool) -> int:
        if ask:
            raise ApprovalRequired
        return shop.read("inner")

    @AgentCache("summary")
    async def outer(ask: bool) -> int:
        return await inner(ask)

    await outer(False), await outer(False)
    assert shop.reads["inner"] == 1
    with pytest.raises(ApprovalRequired):
        await outer(True)
    await outer(False), await outer(False)
    assert shop.reads["inner"] == 3


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"is_error": True}, "it reports an error"),
        ({"isError": True}, "it reports an error"),
        ({"status": "error"}, "it reports an error"),
        ({"tool_call_id": "call 1"}, "it carries the id of its call"),
        ([{"text": "a"}, {"tool_call_id": "call 1"}], "it carries the id of its call"),
        (Command(), "a Command steers the run"),
        (["text", Command()], "a Command steers the run"),
        (InputRequiredResult(), "a InputRequiredResult steers the run"),
        (threading.Lock(), "a lock cannot be copied"),
        ({"lock": threading.Lock()}, "a dict cannot be copied"),
        ((n for n in (1, 2)), "a generator cannot be copied"),
    ],
    ids=[
        "is_error",
        "isError",
        "status",
        "tool_call_id",
        "tool_call_id in a list",
        "command",
        "command in a list",
        "input required",
        "lock",
        "lock in a dict",
        "generator",
    ],
)
async def test_results_that_are_for_one_call_alone_are_never_shared(result: Any, words: str) -> None:
    gate = Loader()

    @AgentCache("cart")
    async def get_cart() -> Any:
        await gate()
        return result

    readers = [await start(get_cart()) for _ in range(2)]
    assert len(gate.calls) == 1
    gate.end(None)
    await settle()
    gate.end(None)
    assert [await reader is result for reader in readers] == [True, True]
    third = await start(get_cart())
    if "Input" not in words:  # which guards the tool
        assert words in explain(get_cart)
    gate.end(None)
    assert await third is result


async def test_results_that_others_change_never_change_what_is_kept() -> None:
    made = {"items": ["tea"]}

    @AgentCache("cart")
    async def get_cart() -> dict[str, list[str]]:
        return made

    first = await get_cart()
    assert first is made
    for result in (first, await get_cart(), await get_cart()):
        result["items"].append("of mine")
    assert await get_cart() == {"items": ["tea"]}


async def test_those_who_joined_have_copies_of_their_own() -> None:
    load = Loader()

    @AgentCache("cart")
    async def get_cart() -> Any:
        return await load()

    readers = [await start(get_cart()) for _ in range(3)]
    load.end({"items": ["tea"]})
    for reader in readers:
        result = await reader
        assert result == {"items": ["tea"]}
        result["items"].append("of mine")
    assert await get_cart() == {"items": ["tea"]}


async def test_a_copy_of_ones_own(shop: Shop) -> None:
    copies = itertools.count()

    @AgentCache("cart", copy=lambda value: (value[0], next(copies)))
    async def get_cart() -> tuple[str, int]:
        return ("cart", shop.read("cart"))

    assert await get_cart() == ("cart", 0)
    assert [await get_cart(), await get_cart()] == [("cart", 1), ("cart", 2)]
    assert shop.reads["cart"] == 1


@pytest.mark.parametrize("copy", ["deep", 7])
def test_a_copy_that_is_no_function_is_refused(copy: Any) -> None:
    async def tool() -> None: ...

    with pytest.raises(TypeError, match="copy="):
        AgentCache("cart", copy=copy)(tool)


async def test_a_polled_tool_runs_at_each_call(shop: Shop) -> None:
    @AgentCache("job", poll=True)
    async def job_status() -> int:
        return shop.read("job")

    assert await asyncio.gather(*[job_status() for _ in range(3)]) == [0, 0, 0]
    assert shop.reads["job"] == 3
    assert counted("job_status", "bypassed") == 3


async def test_values_of_all_kinds_are_given_back_as_they_were(shop: Shop) -> None:
    values: list[Any] = [None, 0, "", b"x", 1.5, 2j, True, (), [], {"a": {1, 2}}, ("a", [1])]

    @AgentCache("value")
    async def value(n: int) -> Any:
        shop.read(n)
        return values[n]

    for n, expected in enumerate(values):
        for _ in range(3):
            result = await value(n)
            assert (type(result), result) == (type(expected), expected)
    assert set(shop.reads.values()) == {1}


async def test_an_argument_that_no_key_can_be_made_of_is_no_hindrance_to_a_write(shop: Shop) -> None:
    @AgentCacheInvalidator("cart")
    async def save(rows: Any) -> None:
        shop.write("cart")

    async with AgentCacheSession(loop_detection=True):
        for _ in range(3):
            await save(memoryview(bytearray(b"rows")))
    assert shop.versions["cart"] == 3


async def test_what_was_counted_before_a_tool_asked_for_approval_counts_on() -> None:
    @AgentCache("cart")
    async def get_counting_cart(cart_id: int) -> int:
        if cart_id == 9:
            raise ApprovalRequired
        return cart_id

    await get_counting_cart(7), await get_counting_cart(7)
    with pytest.raises(ApprovalRequired):
        await get_counting_cart(9)
    assert (counted("get_counting_cart", "hits"), counted("get_counting_cart", "misses")) == (1, 2)

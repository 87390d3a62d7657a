"""Runs that go round in circles are stopped, those that get on are not."""

# ruff: noqa: PT012 - what is raised at the end of a block is the case, and so the block is part of it
from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import pytest

from agent_cache import (
    AgentCache,
    AgentCacheInvalidator,
    AgentCacheSession,
    AgentLoopDetectedError,
    Loop,
    explain,
    get_metrics,
)
from tests.spec.agent_cache.people import ApprovalRequired, ModelRetry
from tests.spec.threads import HANGS, HeldLoader, a_crowd


@AgentCache("cart")
async def get_cart(user: str = "ada") -> dict[str, str]:
    return {"of": user}


@AgentCache("page")
async def search(query: str, page: int = 0) -> list[str]:
    return []


@AgentCacheInvalidator("unrelated")
async def save(text: str = "") -> str:
    return "saved"


@AgentCacheInvalidator("cart")
async def add_item(item: str = "tea") -> str:
    return "added"


def watched(**options: Any) -> AgentCacheSession:
    return AgentCacheSession("chat", loop_detection=True, **options)


def tool_of(answers: list[Any], **options: Any) -> Callable[..., Awaitable[Any]]:
    """A read tool whose executions answer as given, one after the other; an error is raised."""

    @AgentCache("answers", maxsize=0, name="ask", **options)
    async def ask(*question: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return ask


async def kinds_of(*calls: Awaitable[Any], **options: Any) -> list[str]:
    """What is found in a session in which these calls are made, one after the other."""
    async with watched(on_loop="warn", **options) as session:
        for call in calls:
            try:
                await call
            except (OSError, ModelRetry, ApprovalRequired):
                continue
    return [loop.kind for loop in session.loops]


@dataclass
class Page:
    number: int


class Plain:
    def __init__(self, number: int) -> None:
        self.number = number


# -- what is a loop ----------------------------------------------------------------------------------------------


async def test_without_detection_a_session_lets_everything_pass() -> None:
    async with AgentCacheSession() as session:
        for _ in range(100):
            await get_cart()
    assert session.loops == []


async def test_nothing_is_watched_outside_a_session() -> None:
    for _ in range(100):
        await get_cart()


async def test_the_fifth_equal_call_is_a_loop_by_default() -> None:
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched() as session:
            for number in range(1, 6):
                if number == 5:
                    with pytest.raises(AgentLoopDetectedError):
                        await get_cart()
                    await get_cart()
                await get_cart()
    assert session.loops == [Loop("repeat", "get_cart", 5)] == [caught.value.loop]
    assert caught.value.session_id == "chat"
    assert "get_cart was called 5 times" in str(caught.value)
    assert "'chat'" in str(caught.value)


@pytest.mark.parametrize("limit", [2, 3, 7])
async def test_the_limit_is_exact(limit: int) -> None:
    assert await kinds_of(*[get_cart() for _ in range(limit - 1)], max_tool_repeats=limit) == []
    assert await kinds_of(*[get_cart() for _ in range(limit)], max_tool_repeats=limit) == ["repeat"]


async def test_executions_hits_and_writes_count_alike() -> None:
    assert await kinds_of(*[save() for _ in range(5)]) == ["repeat"]
    assert await kinds_of(*[tool_of([1])() for _ in range(5)]) == ["repeat"]
    assert await kinds_of(*[get_cart() for _ in range(5)]) == ["repeat"]


async def test_a_read_and_the_write_that_answers_it_are_a_cycle() -> None:
    calls = [call for _ in range(3) for call in (get_cart(), add_item())]
    assert await kinds_of(*calls) == ["cycle"]


async def test_a_cycle_that_went_round_twice_is_none_yet() -> None:
    calls = [call for _ in range(2) for call in (get_cart(), add_item(), save())]
    assert await kinds_of(*calls) == []


async def test_three_failures_are_a_loop_whatever_they_say() -> None:
    ask = tool_of([OSError(number) for number in range(3)])
    assert await kinds_of(*[ask() for _ in range(3)]) == ["errors"]


async def test_three_failures_of_different_kinds_too() -> None:
    ask = tool_of([OSError(), TimeoutError(), ConnectionError()])
    assert await kinds_of(*[ask() for _ in range(3)]) == ["errors"]


@pytest.mark.parametrize("mark", [{"is_error": True}, {"isError": True}, {"status": "error"}])
async def test_a_result_that_says_that_it_is_an_error_is_a_failure(mark: dict[str, Any]) -> None:
    ask = tool_of([{**mark, "text": number} for number in range(3)])
    assert await kinds_of(*[ask() for _ in range(3)]) == ["errors"]


async def test_an_error_result_of_a_write_is_a_failure() -> None:
    answers = iter(range(9))

    @AgentCacheInvalidator("x")
    async def book() -> dict[str, Any]:
        return {"status": "error", "text": next(answers)}

    assert await kinds_of(*[book() for _ in range(3)]) == ["errors"]


async def test_a_request_to_be_called_again_is_a_failure() -> None:
    ask = tool_of([ModelRetry(number) for number in range(3)])
    assert await kinds_of(*[ask() for _ in range(3)]) == ["errors"]


async def test_a_request_for_approval_is_no_outcome() -> None:
    ask = tool_of([ApprovalRequired() for _ in range(9)])
    assert await kinds_of(*[ask() for _ in range(9)], max_tool_repeats=2) == []


async def test_an_error_that_is_kept_counts_each_time_that_it_is_raised() -> None:
    ask = tool_of([OSError()])
    kept = AgentCache("x", cache_errors={OSError: 60})(_unwrapped(ask))
    assert await kinds_of(*[kept() for _ in range(3)]) == ["errors"]


def _unwrapped(tool: Any) -> Any:
    return tool.__wrapped__


async def test_ever_new_results_of_one_call_are_warned_of_at_the_twentieth(caplog: pytest.LogCaptureFixture) -> None:
    clock = tool_of(list(range(50)))
    async with watched() as session:
        for number in range(1, 51):
            await clock()
            assert session.loops == ([Loop("runaway", "ask", 20)] if number >= 20 else [])
    assert len(caplog.records) == 1


async def test_the_error_of_the_call_that_completes_a_loop_is_the_cause() -> None:
    errors = [OSError(number) for number in range(3)]
    ask = tool_of(list(errors))
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched():
            for _ in range(2):
                with pytest.raises(OSError):  # noqa: PT011 - its message is its number
                    await ask()
            await ask()
    assert caught.value.__cause__ is errors[2]


# -- what is not -------------------------------------------------------------------------------------------------


async def test_paging_through_results_by_number_is_progress() -> None:
    assert await kinds_of(*[search("tea", page) for page in range(30)]) == []


@pytest.mark.parametrize(
    "kind",
    [Page, Plain, lambda number: [Plain(number)], lambda number: {"page": number}],
    ids=["a dataclass", "a plain object", "a list", "a dict"],
)
async def test_paging_through_results_with_a_cursor_that_the_tool_keeps_is_progress(kind: Any) -> None:
    next_page = tool_of([kind(number) for number in range(19)])
    assert await kinds_of(*[next_page() for _ in range(19)]) == []


async def test_polling_with_poll_is_never_a_loop() -> None:
    @AgentCache("job", poll=True)
    async def job_state() -> str:
        return "running"

    assert await kinds_of(*[job_state() for _ in range(200)]) == []


async def test_a_polled_tool_that_fails_is_never_a_loop() -> None:
    ask = tool_of([OSError() for _ in range(9)], poll=True)
    assert await kinds_of(*[ask() for _ in range(9)]) == []


async def test_edits_and_tests_whose_output_changes_are_progress() -> None:
    run_tests = tool_of([f"{number} failed" for number in range(15, 0, -1)])
    calls = [call for number in range(15) for call in (save(f"version {number}"), run_tests())]
    assert await kinds_of(*calls) == []


@pytest.mark.parametrize(
    "outcome",
    [lambda n: {"is_error": True, "text": f"{n} failed"}, lambda n: OSError(f"{n}")],
    ids=["an error result", "an exception"],
)
async def test_edits_and_tests_that_fail_in_ever_new_ways_are_progress(outcome: Any) -> None:
    run_tests = tool_of([outcome(number) for number in range(9)])
    calls = [call for number in range(9) for call in (save(f"version {number}"), run_tests())]
    assert await kinds_of(*calls) == []


async def test_the_same_edit_with_ever_new_failures_is_a_loop() -> None:
    run_tests = tool_of([OSError(f"{number}") for number in range(9)])
    calls = [call for _ in range(5) for call in (save(), run_tests())]
    assert await kinds_of(*calls) == ["repeat"]


async def test_seven_empty_answers_for_seven_different_arguments_are_batch_work() -> None:
    assert await kinds_of(*[search(word) for word in "abcdefg"], max_tool_repeats=2) == []


async def test_writes_of_many_things_are_batch_work() -> None:
    assert await kinds_of(*[save(f"{number}") for number in range(30)], max_tool_repeats=2) == []


async def test_a_success_after_two_failures_begins_anew() -> None:
    ask = tool_of([OSError(0), OSError(1), "fine", OSError(2), OSError(3), "fine again"])
    assert await kinds_of(*[ask() for _ in range(6)]) == []


async def test_failures_of_different_arguments_are_no_loop() -> None:
    ask = tool_of([OSError() for _ in range(7)])
    assert await kinds_of(*[ask(number) for number in range(7)]) == []


async def test_equal_calls_of_one_turn_count_once() -> None:
    async with watched(max_tool_repeats=2):
        assert await asyncio.gather(*[get_cart("bob") for _ in range(9)]) == [{"of": "bob"}] * 9


async def test_equal_calls_of_one_turn_that_all_hit_count_once() -> None:
    await get_cart("eve")
    async with watched(max_tool_repeats=2):
        assert await asyncio.gather(*[get_cart("eve") for _ in range(9)]) == [{"of": "eve"}] * 9


async def test_equal_failures_of_one_turn_count_once() -> None:
    ask = tool_of([OSError() for _ in range(9)])
    async with watched(max_tool_repeats=2):
        outcomes = await asyncio.gather(*[ask() for _ in range(9)], return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {OSError}


async def test_turns_that_are_all_the_same_are_a_loop() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with watched(max_tool_repeats=3):
            for _ in range(3):
                await asyncio.gather(get_cart(), get_cart())


def test_equal_calls_of_threads_that_overlap_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    load = HeldLoader()

    @AgentCache("x")
    def look() -> Any:
        return load()

    with watched(max_tool_repeats=2), a_crowd(monkeypatch) as crowd:
        calls = [crowd.start(look, context=copy_context())]
        load.begins()
        for _ in range(3):
            calls.append(crowd.start(look, context=copy_context()))
            crowd.sits_down()
        load.end("seen")
        assert [call.result() for call in calls] == ["seen"] * 4


def test_equal_calls_of_threads_one_after_the_other_are_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    @AgentCache("x")
    def look() -> str:
        return "seen"

    with pytest.raises(AgentLoopDetectedError), watched(max_tool_repeats=3), a_crowd(monkeypatch) as crowd:
        for _ in range(3):
            crowd.start(look, context=copy_context()).result()


async def test_a_call_that_was_cancelled_has_no_outcome() -> None:
    never = asyncio.Event()

    @AgentCache("x")
    async def wait() -> None:
        await never.wait()

    async with watched(max_tool_repeats=2) as session:
        for _ in range(9):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0)
    assert session.loops == []


async def test_streams_pass_through_unwatched() -> None:
    @AgentCache("x")
    async def stream() -> Any:
        yield 1

    async with watched(max_tool_repeats=2) as session:
        for _ in range(9):
            assert [item async for item in stream()] == [1]
    assert session.loops == []


async def test_an_argument_that_no_key_can_be_made_of_is_no_hindrance_to_a_write() -> None:
    @AgentCacheInvalidator("x")
    async def store(lock: Any) -> str:
        return "stored"

    class Sealed:
        __hash__ = None  # type: ignore[assignment]  # as of an array

        def __reduce__(self) -> Any:
            raise TypeError

    async with watched(max_tool_repeats=2) as session:
        for _ in range(3):
            assert await store(Sealed()) == "stored"
    assert session.loops == []


async def test_what_a_tool_looks_at_inside_is_no_repetition_of_the_agents() -> None:
    @AgentCache("line")
    async def look_at(item: str) -> str:
        return item

    @AgentCacheInvalidator("unrelated")
    async def visit(number: int) -> tuple[int, str, str]:
        return number, await look_at("a"), await look_at("b")

    assert await kinds_of(*[visit(number) for number in range(20)], max_tool_repeats=2) == []


async def test_what_goes_round_inside_one_call_is_a_loop() -> None:
    @AgentCacheInvalidator("unrelated")
    async def delegate() -> None:
        for _ in range(3):
            await get_cart()

    async with watched(max_tool_repeats=3) as session:
        with pytest.raises(AgentLoopDetectedError, match="get_cart"):
            await delegate()
    assert session.loops == [Loop("repeat", "get_cart", 3)]


async def test_calls_inside_do_not_hide_a_cycle_around_them() -> None:
    @AgentCacheInvalidator("unrelated")
    async def outer(name: str) -> str:
        await save(name)
        return name

    assert await kinds_of(*[outer(name) for name in "ababab"]) == ["cycle"]


async def test_calls_inside_a_polled_tool_are_no_repetition() -> None:
    @AgentCache("job", poll=True)
    async def job_state() -> str:
        return (await get_cart())["of"]

    assert await kinds_of(*[job_state() for _ in range(9)], max_tool_repeats=2) == []


async def test_short_circuit_inside_a_call_ends_with_it() -> None:
    @AgentCache("x", maxsize=0)
    async def ping() -> int | None:
        return 1

    @AgentCache("x", maxsize=0)
    async def outer(number: int) -> list[int | None]:
        return [await ping() for _ in range(3)]

    async with watched(on_loop="short_circuit", max_tool_repeats=2):
        assert [await outer(number) for number in range(2)] == [[1, 1, None]] * 2


# -- what is the same result -------------------------------------------------------------------------------------


class Equal:
    """Equal by value, and so without a hash, as the models of pydantic are."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal) and self.number == other.number

    __hash__ = None  # type: ignore[assignment]  # see above


class Slotted:
    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


ONE_FOR_A_NUMBER = [
    pytest.param(lambda number: number, id="a number"),
    pytest.param(lambda number: -number, id="a negative number"),
    pytest.param(lambda number: -1.0 * number, id="a negative float"),
    pytest.param(lambda number: f"{number}", id="a text"),
    pytest.param(lambda number: [number], id="a list"),
    pytest.param(lambda number: {"a": [{"b": number}]}, id="a nested dict"),
    pytest.param(lambda number: {number}, id="a set"),
    pytest.param(lambda number: (number, [number]), id="a tuple"),
    pytest.param(Page, id="a dataclass"),
    pytest.param(lambda number: [Page(number)], id="a list of dataclasses"),
    pytest.param(Equal, id="a model"),
    pytest.param(lambda number: [Equal(number)], id="a list of models"),
    pytest.param(Plain, id="a plain object"),
    pytest.param(lambda number: [Plain(number)], id="a list of plain objects"),
]


@pytest.mark.parametrize(
    "made",
    [
        *ONE_FOR_A_NUMBER,
        pytest.param(lambda _: None, id="nothing"),
        pytest.param(lambda _: True, id="yes"),
    ],
)
async def test_equal_results_are_a_repetition(made: Callable[[int], Any]) -> None:
    ask = tool_of([made(1) for _ in range(5)])
    assert await kinds_of(*[ask() for _ in range(5)]) == ["repeat"]


@pytest.mark.parametrize("made", [*ONE_FOR_A_NUMBER, pytest.param(Slotted, id="an object with slots")])
async def test_unequal_results_are_none(made: Callable[[int], Any]) -> None:
    ask = tool_of([made(number) for number in range(1, 11)])
    assert await kinds_of(*[ask() for _ in range(10)], max_tool_repeats=2) == []


@pytest.mark.parametrize(
    "made",
    [threading.Lock, lambda: iter([1]), object, lambda: lambda: None],
    ids=["a lock", "a stream", "an object", "a function"],
)
async def test_what_cannot_be_compared_is_like_nothing_else(made: Callable[[], Any]) -> None:
    ask = tool_of([made() for _ in range(9)])
    assert await kinds_of(*[ask() for _ in range(9)], max_tool_repeats=2) == []


async def test_a_result_that_refuses_to_be_compared_does_not_spoil_the_call() -> None:
    class Touchy:
        def __hash__(self) -> int:
            raise RuntimeError("no hash today")

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparison today")

    answers: list[Any] = [Touchy() for _ in range(3)]
    ask = tool_of(list(answers))
    async with watched(max_tool_repeats=2) as session:
        for answer in answers:
            assert await ask() is answer
    assert session.loops == []


# -- depth -------------------------------------------------------------------------------------------------------


@AgentCache("numbers", maxsize=0)
async def count_down(number: int) -> int:
    return 0 if number <= 1 else await count_down(number - 1)


@AgentCache("numbers", maxsize=0)
def count_down_blocking(number: int) -> int:
    return 0 if number <= 1 else count_down_blocking(number - 1)


async def test_fifty_calls_deep_is_allowed_and_one_more_is_a_loop() -> None:
    async with watched():
        assert await count_down(50) == 0
        assert count_down_blocking(50) == 0
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched():
            await count_down(51)
    assert caught.value.loop == Loop("depth", "count_down", 51)
    with pytest.raises(AgentLoopDetectedError), watched(max_execution_depth=3):
        count_down_blocking(4)


async def test_calls_one_after_the_other_are_not_deep() -> None:
    async with watched(max_execution_depth=1, max_tool_repeats=64):
        for number in range(60):
            await search("deep", number)


async def test_tools_of_all_kinds_count_as_depth() -> None:
    @AgentCache("x", poll=True)
    async def polled() -> str:
        return await save()

    @AgentCacheInvalidator("y")
    async def write() -> str:
        return await polled()

    assert await kinds_of(write(), max_execution_depth=3) == []
    assert await kinds_of(write(), max_execution_depth=2) == ["depth"]


async def test_depth_goes_on_in_tasks_and_threads_that_a_tool_starts() -> None:
    @AgentCache("x", maxsize=0)
    def inner() -> str:
        return "deep"

    @AgentCache("x", maxsize=0)
    async def outer() -> str:
        return await asyncio.create_task(asyncio.to_thread(inner))

    assert await kinds_of(outer(), max_execution_depth=1) == ["depth"]


async def test_a_tool_that_has_returned_is_not_around_what_it_has_started() -> None:
    started: list[asyncio.Task[Any]] = []
    may_call = asyncio.Event()

    async def later() -> Any:
        await may_call.wait()
        return await search("later")

    @AgentCache("x", maxsize=0)
    async def begin() -> None:
        started.append(asyncio.create_task(later()))

    async with watched(max_execution_depth=1) as session:
        await begin()
        may_call.set()
        await started[0]
    assert session.loops == []


async def test_a_fork_inside_a_tool_is_as_deep_as_the_tool() -> None:
    @AgentCache("x", maxsize=0)
    async def delegate() -> str:
        async with session.fork("helper"):
            return await save()

    with pytest.raises(AgentLoopDetectedError, match="2 calls deep"):
        async with watched(max_execution_depth=1) as session:
            await delegate()


# -- on_loop="warn" ----------------------------------------------------------------------------------------------


async def test_warn_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with watched(on_loop="warn") as session:
        for _ in range(7):
            assert await get_cart() == {"of": "ada"}
    assert session.loops == [Loop("repeat", "get_cart", 5)]
    assert [(record.name, record.levelno) for record in caplog.records] == [("agent_cache", logging.WARNING)]


# -- on_loop="short_circuit" -------------------------------------------------------------------------------------


class Counter:
    def __init__(self) -> None:
        self.executions = 0


async def test_short_circuit_answers_with_what_is_cached() -> None:
    async with watched(on_loop="short_circuit", max_tool_repeats=2) as session:
        answers = [await get_cart("zoe") for _ in range(5)]
    assert answers == [{"of": "zoe"}] * 5
    assert len(set(map(id, answers))) == 5
    assert [loop.calls for loop in session.loops] == [2]


async def test_short_circuit_does_not_run_a_write_again_until_something_else_is_written() -> None:
    counter = Counter()

    @AgentCacheInvalidator("x")
    async def ping() -> str | None:
        counter.executions += 1
        return "pong"

    async with watched(on_loop="short_circuit", max_tool_repeats=2):
        assert [await ping() for _ in range(5)] == ["pong", "pong", None, None, None]
        assert counter.executions == 2
        await get_cart()
        assert await ping() is None
        await save()
        assert await ping() == "pong"


def not_typed():  # type: ignore[no-untyped-def]  # noqa: ANN201 - what is not typed is the case
    return 1


def any_typed() -> Any:
    return 1


def none_typed() -> None:
    return None


def optional() -> int | None:
    return 1


@pytest.mark.parametrize("function", [not_typed, any_typed, none_typed, optional])
def test_short_circuit_answers_none_where_the_tool_might(function: Any) -> None:
    tool = AgentCacheInvalidator("x")(function)
    with watched(on_loop="short_circuit", max_tool_repeats=2):
        assert [tool() for _ in range(3)][-1] is None


def int_typed() -> int:
    return 1


def text_typed() -> str:
    return ""


@pytest.mark.parametrize("decorator", [AgentCacheInvalidator("x"), AgentCache("x", maxsize=0)], ids=["write", "read"])
@pytest.mark.parametrize("function", [int_typed, text_typed])
def test_short_circuit_raises_in_the_call_alone_where_none_is_no_answer(function: Any, decorator: Any) -> None:
    tool = decorator(function)
    with watched(on_loop="short_circuit", max_tool_repeats=2) as session:
        for _ in range(2):
            tool()
        for _ in range(3):
            with pytest.raises(AgentLoopDetectedError) as caught:
                tool()
            assert caught.value.loop is session.loops[0]
        another: Any = AgentCache("x", maxsize=0)(not_typed)
        for _ in range(2):
            another()
        with pytest.raises(AgentLoopDetectedError, match=function.__name__):
            tool()
    assert [loop.tool for loop in session.loops] == [function.__name__, "not_typed"]


async def test_short_circuit_of_a_polled_tool_never_happens() -> None:
    ask = tool_of(["running"] * 9, poll=True)
    async with watched(on_loop="short_circuit", max_tool_repeats=2):
        assert [await ask() for _ in range(9)] == ["running"] * 9


async def test_short_circuit_of_a_recursion_ends_it_with_none() -> None:
    @AgentCache("x", maxsize=0)
    async def dig(depth: int) -> Any:
        return await dig(depth + 1) or depth

    async with watched(on_loop="short_circuit", max_execution_depth=3):
        assert await dig(1) == 3


# -- everywhere --------------------------------------------------------------------------------------------------


async def test_loops_are_counted_for_the_tool_and_its_resource_and_in_the_session() -> None:
    @AgentCache("looping:{n}", name="looping tool")
    async def look(n: int) -> int:
        return n

    async with watched(on_loop="warn", max_tool_repeats=2) as session:
        for _ in range(4):
            await look(1)
        assert session.get_metrics()["looping tool"]["loops"] == 2
    metrics = get_metrics()
    assert metrics["tools"]["looping tool"]["loops"] == 2
    assert metrics["resources"]["looping:{n}"]["loops"] == 2


async def test_looking_is_no_call() -> None:
    async with watched(max_tool_repeats=2) as session:
        for _ in range(9):
            explain(get_cart)
    assert session.loops == []


async def test_the_arguments_that_an_error_shows_are_nobodys() -> None:
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched(max_tool_repeats=2):
            for _ in range(2):
                await get_cart("secret")
    assert "secret" not in str(caught.value)


def test_a_thread_that_waits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    @AgentCache("x", maxsize=0)
    def look(number: int) -> int:
        if number == 0:
            assert release.wait(HANGS)
        return 1

    with pytest.raises(AgentLoopDetectedError), watched(max_tool_repeats=2), a_crowd(monkeypatch) as crowd:
        slow = crowd.start(look, 0, context=copy_context())
        for _ in range(2):
            try:
                look(1)
            except AgentLoopDetectedError:
                release.set()
        assert slow.result() == 1
        look(0)


async def test_a_stopped_run_may_call_nothing_not_even_what_is_polled_or_passes_through() -> None:
    ran = []

    @AgentCache("job", poll=True)
    async def get_status() -> str:
        ran.append("status")
        return "running"

    @AgentCache("lines")
    async def read_lines() -> AsyncIterator[str]:
        ran.append("lines")
        yield "line"

    @AgentCacheInvalidator("lines")
    def write_lines() -> Iterator[str]:
        ran.append("written")
        yield "line"

    with pytest.raises(AgentLoopDetectedError):
        async with watched(max_tool_repeats=2):
            for _ in range(2):
                with suppress(AgentLoopDetectedError):
                    await search("the same", 1)
            with suppress(AgentLoopDetectedError):
                await get_status()
            with suppress(AgentLoopDetectedError):
                [line async for line in read_lines()]
            with suppress(AgentLoopDetectedError):
                list(write_lines())
    assert ran == []


async def test_more_repetitions_than_are_remembered_are_refused() -> None:
    with pytest.raises(ValueError, match="max_tool_repeats=65: pass 64 or less"):
        AgentCacheSession(max_tool_repeats=65)


async def test_a_fork_of_a_stopped_run_is_refused() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with watched(max_tool_repeats=2) as session:
            for _ in range(2):
                with suppress(AgentLoopDetectedError):
                    await search("the same", 1)
            with pytest.raises(
                RuntimeError, match="the fork 'chat/part' cannot be entered: session 'chat', whose results it shares"
            ):
                async with session.fork("part"):
                    pass
            await search("anything", 2)


async def test_writes_of_which_no_key_can_be_made_are_told_apart_by_how_they_show_themselves() -> None:
    @AgentCacheInvalidator("words")
    async def store(words: deque[str]) -> str:
        return "stored"

    async with watched(max_tool_repeats=3, on_loop="warn") as session:
        await store(deque("a")), await store(deque("ab"))
        assert session.loops == []
        await store(deque("a")), await store(deque("a"))
    assert [loop.kind for loop in session.loops] == ["repeat"]

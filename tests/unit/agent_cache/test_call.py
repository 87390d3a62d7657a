"""One call from its arrival to its end: how deep it is, who hears of what it is made from, what is recorded of it."""

# ruff: noqa: PT012 - what is raised at the end of a block is the case, and so the block is part of it
from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import Any

import pytest

from agent_cache import AgentCacheSession, AgentLoopDetectedError, Loop, _call
from agent_cache._audience import EVERYBODY, NOBODY, Audience, Partition
from agent_cache._call import Call, _executing


def call(session: AgentCacheSession | None = None, tool: str = "get") -> Call:
    return Call(tool, ("cart",), session)


def watched(**options: Any) -> AgentCacheSession:
    return AgentCacheSession("chat", loop_detection=True, max_tool_repeats=2, **options)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    spans: list[tuple[Any, ...]] = []
    monkeypatch.setattr(_call, "annotate", lambda *args: spans.append(args))
    return spans


# -- nesting -----------------------------------------------------------------------------------------------------


def test_a_call_is_one_deep_and_one_inside_it_is_two() -> None:
    outer = call()
    token = outer.enter()
    inner = call()
    assert (outer.depth, inner.depth) == (1, 2)
    assert inner.outer is outer
    outer.exit(token)
    assert call().outer is None


def test_a_call_that_has_ended_is_around_nothing() -> None:
    outer = call()
    token = outer.enter()
    context = copy_context()
    outer.exit(token)
    assert context.run(call).outer is None
    assert context.run(call).depth == 1


def test_a_call_that_ends_in_another_context_leaves_that_as_it_is() -> None:
    outer, other = call(), call()
    token = copy_context().run(outer.enter)
    mine = other.enter()
    outer.exit(token)
    assert _executing.get() is other
    other.exit(mine)
    assert _executing.get() is None


# -- who hears of it ---------------------------------------------------------------------------------------------

ADA = Audience(None, Partition.of("ada", None))
BOB = Audience(None, Partition.of("bob", None))
CHAT = Audience("chat", None)


@pytest.mark.parametrize(
    ("outer", "inner", "overheard"),
    [
        (EVERYBODY, EVERYBODY, False),
        (EVERYBODY, ADA, True),
        (EVERYBODY, CHAT, True),
        (ADA, EVERYBODY, False),
        (ADA, ADA, False),
        (ADA, BOB, True),
        (CHAT, CHAT, False),
        (CHAT, ADA, True),
        (EVERYBODY, NOBODY, True),
        (None, NOBODY, False),
    ],
)
def test_what_is_made_for_fewer_is_overheard_by_the_calls_around(
    outer: Audience | None, inner: Audience, overheard: bool
) -> None:
    around = call()
    around.audience = outer
    token = around.enter()
    middle = call()
    between = middle.enter()
    call().tell_outer(inner)
    assert around.overheard is overheard
    assert not middle.overheard
    middle.exit(between)
    around.exit(token)


# -- watching ----------------------------------------------------------------------------------------------------


def test_without_a_session_every_call_may_run_and_nothing_is_recorded(said: list[Any]) -> None:
    for _ in range(9):
        free = call()
        assert free.arrive(())
        free.finish(0, "hit")
        free.fail(OSError())
    assert {span[2] for span in said} == {"hit", "error"}


async def test_a_loop_is_raised_in_place_of_an_answer(said: list[Any]) -> None:
    with watched() as session:
        first, second = call(session), call(session)
        assert first.arrive(())
        first.finish(0, "miss")
        assert second.arrive(())
        with pytest.raises(AgentLoopDetectedError):
            second.finish(0, "hit")
    assert said == [("get", ("cart",), "miss", None), ("get", ("cart",), "hit", "repeat")]


async def test_a_loop_of_failures_is_raised_from_the_last(said: list[Any]) -> None:
    last = OSError(1)
    with watched() as session:
        first, second = call(session), call(session)
        first.arrive(())
        first.fail(OSError(1))
        second.arrive(())
        with pytest.raises(AgentLoopDetectedError) as caught:
            second.fail(last)
    assert caught.value.__cause__ is last
    assert said[-1] == ("get", ("cart",), "error", "repeat")


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        GeneratorExit(),
        AgentLoopDetectedError(Loop("repeat", "other", 5), "another"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_no_failure_of_the_tool_is_not_recorded(error: BaseException, said: list[Any]) -> None:
    with watched() as session:
        for _ in range(9):
            each = call(session)
            each.arrive(())
            each.fail(error)
    assert session.loops == []
    assert {span[2] for span in said} == {"error"}


async def test_a_pause_is_neither_an_answer_nor_a_failure(said: list[Any]) -> None:
    paused = type("ApprovalRequired", (Exception,), {"__module__": "pydantic_ai.exceptions"})
    with watched() as session:
        for _ in range(9):
            each = call(session)
            each.arrive(())
            each.fail(paused())
    assert session.loops == []
    assert {span[2] for span in said} == {"paused"}


async def test_what_ends_after_its_session_is_not_recorded() -> None:
    with watched() as session:
        first, late = call(session), call(session)
        first.arrive(())
        first.finish(0, "hit")
        late.arrive(())
    late.finish(0, "hit")
    assert session.loops == []


async def test_a_call_that_is_part_of_a_loop_gets_none_or_the_error_of_its_own_loop(said: list[Any]) -> None:
    with watched(on_loop="short_circuit") as session:
        for tool in ("get", "get", "other", "other"):
            each = call(session, tool)
            each.arrive(())
            each.finish(0, "hit")
        blocked = call(session)
        assert not blocked.arrive(())
        blocked.answer_short(may_be_none=True)
        with pytest.raises(AgentLoopDetectedError, match="get was called"):
            blocked.answer_short(may_be_none=False)


async def test_a_refused_call_says_so(said: list[Any]) -> None:
    with pytest.raises(AgentLoopDetectedError), watched(max_execution_depth=1) as session:
        outer = call(session)
        outer.arrive(())
        token = outer.enter()
        try:
            call(session, "deep").arrive(())
        finally:
            outer.exit(token)
    assert said == [("deep", ("cart",), "refused", "depth")]


async def test_what_a_call_makes_inside_its_own_session_has_a_history_of_its_own() -> None:
    with watched() as session:
        for _ in range(5):
            outer = call(session, "outer")
            outer.arrive(object())
            token = outer.enter()
            inner = call(session, "inner")
            inner.arrive(())
            inner.finish(0, "hit")
            outer.exit(token)
            assert outer.history is not None
    assert session.loops == []


async def test_what_it_makes_in_another_session_belongs_to_that() -> None:
    with watched() as session:
        outer = call(session, "outer")
        outer.arrive(())
        token = outer.enter()
        with session.fork("helper") as fork:
            inner = call(fork, "inner")
            inner.arrive(())
            inner.finish(0, "hit")
        outer.exit(token)
        assert outer.history is None
        assert inner.depth == 2

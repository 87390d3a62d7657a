"""What a session keeps of the task that has entered it, and how it tells its own errors from others'."""

# ruff: noqa: PT012 - what is raised at the end of a block is the case, and so the block is part of it
from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import Any

import pytest

from agent_cache import AgentCacheSession, AgentLoopDetectedError, Loop
from agent_cache._session import _holds, current_session
from tests.spec.steering import settle

TRIP = Loop("repeat", "get", 5)
TWIN = Loop("repeat", "get", 5)


def watched(**options: Any) -> AgentCacheSession:
    return AgentCacheSession("chat", loop_detection=True, **options)


def trip(session: AgentCacheSession, *, ignored: bool = False) -> None:
    assert session.watch is not None
    session.watch.trip = TRIP
    session.watch.ignored = ignored


# -- the current one ---------------------------------------------------------------------------------------------


def test_the_current_session_is_the_innermost_open_one() -> None:
    assert current_session() is None
    with AgentCacheSession() as outer:
        assert current_session() is outer
        with AgentCacheSession() as inner:
            assert current_session() is inner
        assert current_session() is outer
    assert current_session() is None


def test_a_closed_session_counts_as_none_unless_a_loop_has_ended_it() -> None:
    with watched() as session:
        context = copy_context()
    assert context.run(current_session) is None
    trip(session)
    assert context.run(current_session) is session


def test_a_closed_inner_session_does_not_uncover_the_outer() -> None:
    with AgentCacheSession():
        with AgentCacheSession():
            context = copy_context()
        assert context.run(current_session) is None


def test_a_session_that_is_left_in_another_context_leaves_that_as_it_is() -> None:
    session, mine = AgentCacheSession(), AgentCacheSession()
    Context().run(session.__enter__)
    with mine:
        session.__exit__(None, None, None)
        assert current_session() is mine


# -- stopping ----------------------------------------------------------------------------------------------------


async def test_the_host_is_cancelled_once_however_often_it_is_asked_for() -> None:
    async def host() -> None:
        async with session:
            trip(session, ignored=True)
            for _ in range(5):
                session._stop()
            await asyncio.Event().wait()

    session = watched()
    task = asyncio.create_task(host())
    await settle()
    assert isinstance(task.exception(), AgentLoopDetectedError)
    assert task.cancelling() == 0


async def test_the_cancellation_says_why() -> None:
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched() as session:
            trip(session, ignored=True)
            session._stop()
            await asyncio.Event().wait()
    assert "get was called 5 times" in str(caught.value.__cause__)


async def test_a_session_that_is_closed_before_its_turn_cancels_nobody() -> None:
    async with watched() as session:
        session._stop()
    host = asyncio.current_task()
    assert host is not None
    await settle()
    assert host.cancelling() == 0


def test_a_session_without_a_loop_cancels_nobody() -> None:
    with watched() as session:
        session._stop()
        session._cancel()
        assert not session._has_cancelled


async def test_only_a_loop_stops_a_session() -> None:
    with pytest.raises(RuntimeError, match="only a loop"):
        watched()._stopped()
    with pytest.raises(RuntimeError, match="only a loop"):
        AgentCacheSession()._stopped()


def test_a_loop_that_is_closed_is_asked_in_vain(caplog: pytest.LogCaptureFixture) -> None:
    session = watched()

    async def main() -> None:
        await session.__aenter__()

    with caplog.at_level("DEBUG", "agent_cache"):
        asyncio.run(main())
        session._stop()
    assert caplog.messages == ["the event loop of session 'chat' is closed"]


# -- whose error it is -------------------------------------------------------------------------------------------


def error(loop: Loop = TRIP) -> AgentLoopDetectedError:
    return AgentLoopDetectedError(loop, "chat")


def caused(by: BaseException, *, context: bool = False) -> Exception:
    made = RuntimeError("wrapped")
    if context:
        made.__context__ = by
    else:
        made.__cause__ = by
    return made


@pytest.mark.parametrize(
    "wrapped",
    [
        error(),
        caused(error()),
        caused(error(), context=True),
        caused(caused(error()), context=True),
        ExceptionGroup("two", [ValueError(), error()]),
        BaseExceptionGroup("two", [KeyboardInterrupt(), caused(error())]),
        RuntimeError(f"Error calling tool: {TRIP}"),
    ],
    ids=["itself", "cause", "context", "both", "group", "base group", "text"],
)
def test_an_error_that_came_of_the_trip_holds_it(wrapped: BaseException) -> None:
    assert _holds(wrapped, TRIP)


@pytest.mark.parametrize(
    "other", [None, ValueError("get was called"), caused(ValueError()), ExceptionGroup("one", [ValueError()])], ids=repr
)
def test_an_error_of_something_else_does_not(other: BaseException | None) -> None:
    assert not _holds(other, TRIP)


def test_an_error_in_a_ring_is_looked_at_once() -> None:
    ring = caused(ValueError())
    assert ring.__cause__ is not None
    ring.__cause__.__context__ = ring
    assert not _holds(ring, TRIP)


def test_an_error_without_a_text_holds_what_it_is_made_of() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise TypeError("no text")

    mute = Mute()
    assert not _holds(mute, TRIP)
    mute.__cause__ = error()
    assert _holds(mute, TRIP)


@pytest.mark.parametrize(("ending", "raises"), [(None, True), (ValueError(), True), (KeyboardInterrupt(), False)])
def test_a_run_that_was_refused_ends_with_the_error_unless_the_process_does(
    ending: BaseException | None, raises: bool
) -> None:
    session = watched()
    session.__enter__()
    trip(session, ignored=True)
    if raises:
        with pytest.raises(AgentLoopDetectedError) as caught:
            session.__exit__(None if ending is None else type(ending), ending, None)
        assert caught.value.__cause__ is ending
    else:
        assert ending is not None
        session.__exit__(type(ending), ending, None)


def test_the_error_of_the_trip_itself_is_not_raised_anew() -> None:
    session = watched()
    session.__enter__()
    trip(session, ignored=True)
    raised = error()
    session.__exit__(type(raised), raised, None)


def test_an_equal_loop_of_another_session_is_another() -> None:
    session = watched()
    session.__enter__()
    trip(session, ignored=True)
    raised = error(TWIN)
    with pytest.raises(AgentLoopDetectedError) as caught:
        session.__exit__(type(raised), raised, None)
    assert caught.value.__cause__ is raised


async def test_nobody_is_cancelled_by_a_session_that_is_being_closed() -> None:
    session = watched()
    await session.__aenter__()
    trip(session)
    session._close()
    session._cancel()
    host = asyncio.current_task()
    assert host is not None
    assert host.cancelling() == 0

"""Sessions: entered once, nested, forked, closed; and how a run that goes round in circles comes to its end."""

# ruff: noqa: PT012 - what is raised at the end of a block is the case, and so the block is part of it
from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, AgentLoopDetectedError, Loop
from cache import CacheError
from tests.spec.steering import settle
from tests.spec.threads import a_crowd


@AgentCache("note", scope="session")
async def read_note(name: str = "n") -> list[str]:
    return [name]


@AgentCache("cart")
async def get_cart() -> str:
    return "cart"


@AgentCache("cart", maxsize=0)
def look() -> str:
    return "seen"


@AgentCacheInvalidator("note", scope="session")
async def write_note() -> str:
    return "written"


def watched(**options: Any) -> AgentCacheSession:
    return AgentCacheSession("chat", loop_detection=True, max_tool_repeats=2, **options)


async def swallow(tool: Callable[[], Coroutine[Any, Any, Any]] = get_cart, times: int = 2) -> list[Exception]:
    """Call a tool as a framework does that tells the model of errors and goes on; the errors."""
    errors: list[Exception] = []
    for _ in range(times):
        try:
            await tool()
        except Exception as error:  # noqa: BLE001 - which is the point
            errors.append(error)
    return errors


async def go_round() -> None:
    """A run that never ends, whatever its tools raise."""
    while True:
        await swallow()
        await asyncio.sleep(0)


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def assert_nothing_leaks(before: int = 0) -> None:
    """No cancellation of this task is left behind, neither counted nor to be delivered."""
    assert cancelling() == before
    for _ in range(3):
        await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.sleep(0), 60)


async def left_by_a_task_group() -> int:
    """What a task group whose task fails leaves counted as a cancellation, before Python 3.13, by itself."""

    async def fail() -> None:
        raise ValueError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
    left = cancelling()
    task = asyncio.current_task()
    assert task is not None
    while task.uncancel():
        pass
    return left


async def cancel_host(task: asyncio.Task[Any]) -> None:
    task.cancel("from outside")
    await settle()


# -- one session -------------------------------------------------------------------------------------------------


async def test_a_session_keeps_results_until_it_is_closed() -> None:
    async with AgentCacheSession() as session:
        assert session.is_open
        await read_note()
        await read_note()
        assert session.get_metrics()["read_note"]["hits"] == 1
    assert not session.is_open
    assert session.get_metrics() == {}


async def test_a_session_is_its_own_though_it_has_the_same_name() -> None:
    for _ in range(2):
        async with AgentCacheSession("same") as session:
            await read_note("x")
            assert session.get_metrics()["read_note"]["misses"] == 1


async def test_a_session_without_a_name_has_a_random_one() -> None:
    assert AgentCacheSession().session_id != AgentCacheSession().session_id


async def test_a_session_is_entered_once() -> None:
    session = AgentCacheSession("chat")
    async with session:
        with pytest.raises(RuntimeError, match="session 'chat' has been entered before: make a new one"):
            await session.__aenter__()
    with pytest.raises(RuntimeError, match="has been entered before"):
        session.__enter__()


async def test_a_session_says_in_what_state_it_is() -> None:
    session = AgentCacheSession("chat")
    assert repr(session) == "<AgentCacheSession 'chat': not entered>"
    async with session:
        assert repr(session) == "<AgentCacheSession 'chat': open>"
    assert repr(session) == "<AgentCacheSession 'chat': closed>"


async def test_loops_are_a_copy_and_none_without_detection() -> None:
    async with watched(on_loop="warn") as session:
        await swallow()
        session.loops.clear()
        assert [loop.kind for loop in session.loops] == ["repeat"]
    assert AgentCacheSession().loops == []


async def test_an_inner_session_is_isolated_and_the_outer_goes_on_after_it() -> None:
    async with watched(on_loop="warn") as outer:
        await read_note()
        async with watched(on_loop="warn") as inner:
            await read_note()
            assert inner.get_metrics()["read_note"]["misses"] == 1
        await read_note()
        assert outer.get_metrics()["read_note"] | {"hits": 1, "misses": 1} == outer.get_metrics()["read_note"]
    assert [loop.kind for loop in outer.loops] == ["repeat"]
    assert inner.loops == []


async def test_what_goes_on_after_a_session_was_closed_bypasses_and_is_not_watched() -> None:
    may_go_on = asyncio.Event()

    async def later() -> None:
        await may_go_on.wait()
        for _ in range(9):
            assert await read_note("late") == ["late"]

    async with watched() as session:
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    may_go_on.set()
    await task
    assert session.loops == []
    assert session.get_metrics() == {}


async def test_a_call_in_progress_when_its_session_is_closed_is_not_recorded() -> None:
    going, may_end = asyncio.Event(), asyncio.Event()

    @AgentCacheInvalidator("x")
    async def slow() -> str:
        going.set()
        await may_end.wait()
        return "done"

    async with watched() as session:
        task = asyncio.create_task(slow())
        await going.wait()
    may_end.set()
    assert await task == "done"
    assert session.loops == []


# -- forks -------------------------------------------------------------------------------------------------------


async def test_a_fork_shares_the_results_and_has_loops_of_its_own() -> None:
    async with watched(on_loop="warn") as session:
        await read_note()
        async with session.fork("helper") as fork:
            assert fork.session_id == "chat/helper"
            await read_note()
            assert fork.loops == []
            await read_note()
            assert [loop.kind for loop in fork.loops] == ["repeat"]
        assert session.loops == []
        assert session.get_metrics()["read_note"]["hits"] == 2


async def test_what_a_fork_has_read_stays_when_it_is_closed() -> None:
    async with AgentCacheSession() as session:
        async with session.fork("helper"):
            await read_note()
        await read_note()
        assert session.get_metrics()["read_note"]["hits"] == 1


async def test_a_fork_inherits_the_options() -> None:
    async with AgentCacheSession("chat", True, 3, 4, "warn") as session:
        fork = session.fork("helper").fork("of the helper")
        assert fork.session_id == "chat/helper/of the helper"
        assert fork._options == (True, 3, 4, "warn")


async def test_a_fork_is_entered_while_its_session_is_open() -> None:
    session = AgentCacheSession("chat")
    with pytest.raises(RuntimeError, match=r"fork 'chat/early' cannot be entered: session 'chat'.*enter it inside"):
        async with session.fork("early"):
            pass
    async with session:
        pass
    with pytest.raises(RuntimeError, match="'chat/late'"):
        async with session.fork("late"):
            pass


async def test_a_fork_whose_session_was_closed_bypasses_and_is_watched_on() -> None:
    async with watched(on_loop="warn") as session:
        fork = session.fork("helper")
        await fork.__aenter__()
    assert await read_note() == ["n"]
    assert await read_note() == ["n"]
    assert [loop.kind for loop in fork.loops] == ["repeat"]
    await fork.__aexit__(None, None, None)


async def test_a_trip_in_a_fork_ends_the_task_that_entered_the_fork_and_no_other() -> None:
    async def helper() -> None:
        async with session.fork("helper"):
            await go_round()

    async with watched() as session:
        helping = asyncio.create_task(helper())
        with pytest.raises(AgentLoopDetectedError) as caught:
            await helping
        assert caught.value.session_id == "chat/helper"
        assert await get_cart() == "cart"
    await assert_nothing_leaks()


# -- the end of a run --------------------------------------------------------------------------------------------


async def test_an_error_that_nobody_swallows_leaves_the_block_as_it_is() -> None:
    raised: list[Exception] = []
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched() as session:
            await get_cart()
            try:
                await get_cart()
            except AgentLoopDetectedError as error:
                raised.append(error)
                raise
    assert [caught.value] == raised
    assert caught.value.loop is session.loops[0]
    assert session.is_stopped
    await assert_nothing_leaks()


async def test_a_trip_that_is_swallowed_with_no_call_after_it_ends_the_block_as_if_nothing_were() -> None:
    async with watched() as session:
        errors = await swallow()
    assert [type(error) for error in errors] == [AgentLoopDetectedError]
    assert session.is_stopped
    await assert_nothing_leaks()


async def test_a_run_that_swallows_the_trip_is_cancelled() -> None:
    reached = False
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched() as session:
            await go_round()
            reached = True
    assert not reached
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert session.loops == [caught.value.loop]
    await assert_nothing_leaks()


async def test_a_run_in_tasks_of_its_own_is_ended_with_the_task_that_entered() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with watched():
            await asyncio.gather(go_round(), go_round())
    await assert_nothing_leaks()


async def test_a_run_in_a_task_that_nobody_waits_for_is_refused_and_the_host_cancelled() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with watched():
            task = asyncio.create_task(go_round())
            await asyncio.Event().wait()
    task.cancel()
    await assert_nothing_leaks()


async def test_a_swallowed_trip_whose_cancellation_had_no_turn_yet_is_raised_at_the_end() -> None:
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched():
            errors = await swallow(times=3)
    assert len(errors) == 2
    assert caught.value.__cause__ is None
    await assert_nothing_leaks()


async def test_a_cancellation_that_is_requested_and_not_delivered_is_taken_back() -> None:
    host = asyncio.current_task()
    assert host is not None
    with pytest.raises(AgentLoopDetectedError):
        async with watched() as session:
            await swallow(times=3)
            session._cancel()  # as if the loop had its turn while the host was on its way out
            assert host.cancelling() == 1
    await assert_nothing_leaks()


async def test_a_cancellation_that_a_framework_swallows_ends_the_block_all_the_same() -> None:
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched():
            try:
                await go_round()
            except asyncio.CancelledError:
                assert cancelling() == 1
            await asyncio.sleep(0)
    assert caught.value.__cause__ is None
    await assert_nothing_leaks()


async def test_a_framework_that_takes_the_cancellation_back_itself_does_no_harm() -> None:
    host = asyncio.current_task()
    assert host is not None
    with pytest.raises(AgentLoopDetectedError):
        async with watched():
            try:
                await go_round()
            except asyncio.CancelledError:
                host.uncancel()
    await assert_nothing_leaks()


async def test_nor_where_an_earlier_cancellation_is_still_counted() -> None:
    async def main() -> int:
        host = asyncio.current_task()
        assert host is not None
        host.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        with pytest.raises(AgentLoopDetectedError):
            async with watched():
                try:
                    await go_round()
                except asyncio.CancelledError:
                    host.uncancel()
        await assert_nothing_leaks(1)
        return host.uncancel()

    assert await asyncio.create_task(main()) == 0


async def test_a_framework_that_cleans_up_while_it_is_cancelled_may_wait() -> None:
    cleaned = False
    with pytest.raises(AgentLoopDetectedError):
        async with watched():
            try:
                await go_round()
            finally:
                await asyncio.sleep(0)
                cleaned = True
    assert cleaned
    await assert_nothing_leaks()


async def test_calls_go_on_being_refused_while_the_run_is_cancelled() -> None:
    refused: list[Exception] = []
    with pytest.raises(AgentLoopDetectedError):
        async with watched():
            try:
                await go_round()
            except asyncio.CancelledError:
                refused = await swallow(times=5)
                raise
    assert [type(error) for error in refused] == [AgentLoopDetectedError] * 5
    await assert_nothing_leaks()


async def test_siblings_of_the_tripping_call_that_come_after_it_change_nothing_of_the_end() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with watched():
            await get_cart()
            await asyncio.gather(get_cart(), read_note(), write_note())
    await assert_nothing_leaks()


async def test_a_trip_in_a_task_group_ends_the_block_with_its_error() -> None:
    left = await left_by_a_task_group()
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched():
            await get_cart()
            async with asyncio.TaskGroup() as group:
                group.create_task(get_cart())
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    await assert_nothing_leaks(left)


async def test_a_run_in_a_task_group_inside_is_ended() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with watched(), asyncio.TaskGroup() as group:
            group.create_task(go_round())
            group.create_task(asyncio.Event().wait())
    await assert_nothing_leaks()


async def test_a_run_in_a_task_group_inside_that_then_raises_is_ended() -> None:
    async def run() -> None:
        try:
            await go_round()
        except asyncio.CancelledError:
            raise ValueError("clean-up has failed") from None

    with pytest.raises(AgentLoopDetectedError):
        async with watched(), asyncio.TaskGroup() as group:
            group.create_task(run())
    await assert_nothing_leaks()


async def test_a_task_group_around_gets_the_error_of_the_session() -> None:
    left = await left_by_a_task_group()

    async def run() -> None:
        async with watched():
            await go_round()

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(run())
    assert [type(error) for error in caught.value.exceptions] == [AgentLoopDetectedError]
    await assert_nothing_leaks(left)


async def test_a_deadline_around_or_inside_that_does_not_pass_changes_nothing() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with asyncio.timeout(60), watched(), asyncio.timeout(60):
            await go_round()
    await assert_nothing_leaks()


async def test_a_deadline_inside_that_passes_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with watched(), asyncio.timeout(0):
            await asyncio.sleep(60)
    await assert_nothing_leaks()


async def test_a_deadline_inside_that_passes_at_the_same_time_is_the_loop() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with watched() as session, asyncio.timeout(None) as deadline:
            await swallow(times=3)
            session._cancel()
            deadline.reschedule(asyncio.get_running_loop().time())
            await settle()
    await assert_nothing_leaks()


async def test_a_deadline_around_that_passes_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), watched():
            await swallow()
            await asyncio.sleep(60)
    await assert_nothing_leaks()


async def test_a_deadline_around_that_passes_at_the_same_time_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as deadline, watched() as session:
            await swallow(times=3)
            deadline.reschedule(asyncio.get_running_loop().time())
            try:
                await asyncio.sleep(60)
            finally:
                session._cancel()
    await assert_nothing_leaks()


# -- cancellations from outside ----------------------------------------------------------------------------------


async def _inside(body: Callable[[AgentCacheSession], Coroutine[Any, Any, None]]) -> None:
    async with watched() as session:
        await body(session)


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def body(_: AgentCacheSession) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(_inside(body))
    await settle()
    await cancel_host(task)
    assert task.cancelled()


async def test_also_after_a_trip_that_was_swallowed() -> None:
    async def body(_: AgentCacheSession) -> None:
        await swallow()
        await asyncio.Event().wait()

    task = asyncio.create_task(_inside(body))
    await settle()
    await cancel_host(task)
    assert task.cancelled()


@pytest.mark.parametrize("ours_first", [True, False])
async def test_also_together_with_ours(ours_first: bool) -> None:
    async def body(session: AgentCacheSession) -> None:
        host = asyncio.current_task()
        assert host is not None
        await swallow(times=3)
        if ours_first:
            session._cancel()
        host.cancel("from outside")
        session._cancel()
        assert host.cancelling() == 2
        await asyncio.Event().wait()

    task = asyncio.create_task(_inside(body))
    await settle()
    assert task.cancelled()
    assert task.cancelling() == 1


@pytest.mark.parametrize("ending", [None, ValueError("of its own")])
async def test_also_together_with_ours_when_neither_is_delivered_before_the_end(ending: Exception | None) -> None:
    async def body(session: AgentCacheSession) -> None:
        host = asyncio.current_task()
        assert host is not None
        await swallow(times=3)
        session._cancel()
        host.cancel("from outside")
        if ending is not None:
            raise ending

    task = asyncio.create_task(_inside(body))
    await settle()
    assert task.cancelled()
    assert task.cancelling() == 1


async def test_also_after_ours_was_delivered() -> None:
    async def body(_: AgentCacheSession) -> None:
        try:
            await go_round()
        finally:
            await asyncio.Event().wait()

    task = asyncio.create_task(_inside(body))
    await settle()
    assert task.cancelling() == 1
    await cancel_host(task)
    assert task.cancelled()
    assert task.cancelling() == 1


async def test_also_where_the_body_has_swallowed_both() -> None:
    async def body(session: AgentCacheSession) -> None:
        host = asyncio.current_task()
        assert host is not None
        await swallow(times=3)
        session._cancel()
        host.cancel("from outside")
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()

    task = asyncio.create_task(_inside(body))
    await settle()
    assert task.cancelled()


async def test_one_that_came_before_the_session_is_no_part_of_its_end() -> None:
    async def main() -> None:
        host = asyncio.current_task()
        assert host is not None
        host.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        with pytest.raises(AgentLoopDetectedError):
            async with watched():
                await go_round()
        await assert_nothing_leaks(1)

    task = asyncio.create_task(main())
    await settle()
    assert task.exception() is None


class Fatal(BaseException):
    """What is no business of anybody's but the interpreter's."""


async def test_what_ends_the_process_is_not_replaced() -> None:
    with pytest.raises(Fatal):
        async with watched() as session:
            await swallow(times=3)
            session._cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(0)
            raise Fatal
    await assert_nothing_leaks()


async def test_a_stream_that_is_thrown_away_in_a_stopped_session_ends() -> None:
    async def stream() -> AsyncIterator[int]:
        async with watched():
            await swallow(times=3)
            yield 1

    items: Any = stream()
    async for _ in items:
        break
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    await items.aclose()
    await assert_nothing_leaks()


# -- a trip that was wrapped -------------------------------------------------------------------------------------


async def wrapped_as_cause() -> None:
    try:
        await get_cart()
    except AgentLoopDetectedError as error:
        raise RuntimeError("tool failed") from error


async def wrapped_as_context() -> None:
    try:
        await get_cart()
    except AgentLoopDetectedError:
        raise RuntimeError("tool failed")  # noqa: B904 - as a context alone, which is the case


async def wrapped_in_a_group() -> None:
    try:
        await get_cart()
    except AgentLoopDetectedError as error:
        raise ExceptionGroup("tools failed", [ValueError(), ExceptionGroup("two", [error])]) from None


async def wrapped_as_text() -> None:
    try:
        await get_cart()
    except AgentLoopDetectedError as error:
        raise RuntimeError(f"Error calling tool 'get_cart': {error}") from None


async def wrapped_twice() -> None:
    try:
        await wrapped_in_a_group()
    except ExceptionGroup as error:
        raise RuntimeError("run failed") from error


async def wrapped_in_what_has_no_text() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise TypeError("no text")

    try:
        await get_cart()
    except AgentLoopDetectedError as error:
        raise Mute from error


async def wrapped_in_a_ring() -> None:
    try:
        await wrapped_as_cause()
    except RuntimeError as error:
        ring = ValueError()
        ring.__cause__, ring.__context__ = ring, error
        raise ring  # noqa: B904 - it has a cause: itself


@pytest.mark.parametrize(
    "run",
    [
        wrapped_as_cause,
        wrapped_as_context,
        wrapped_in_a_group,
        wrapped_as_text,
        wrapped_twice,
        wrapped_in_what_has_no_text,
        wrapped_in_a_ring,
    ],
)
async def test_a_trip_that_was_wrapped_is_raised_from_what_wraps_it(
    run: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    wrappers: list[Exception] = []
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched() as session:
            await get_cart()
            try:
                await run()
            except Exception as error:  # looked at, and passed on
                wrappers.append(error)
                raise
    assert [caught.value.__cause__] == wrappers
    assert caught.value.loop is session.loops[0]
    await assert_nothing_leaks()


async def test_an_error_that_has_nothing_to_do_with_the_trip_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="something else"):
        async with watched():
            await swallow()
            raise ValueError("something else")
    await assert_nothing_leaks()


async def test_an_error_after_a_refused_call_is_the_end_of_a_stopped_run() -> None:
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with watched():
            await swallow(times=3)
            raise ValueError("the model gave up")
    assert isinstance(caught.value.__cause__, ValueError)
    await assert_nothing_leaks()


async def test_the_loop_of_an_inner_session_is_not_the_outers() -> None:
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with AgentCacheSession("outer", loop_detection=True), watched():
            await go_round()
    assert caught.value.session_id == "chat"
    await assert_nothing_leaks()


async def test_sessions_that_both_stop_end_one_after_the_other() -> None:
    with pytest.raises(AgentLoopDetectedError) as caught:
        async with AgentCacheSession("outer", loop_detection=True, max_tool_repeats=2):
            await swallow(times=3)
            async with watched():
                await go_round()
    assert caught.value.session_id in ("outer", "chat")
    await assert_nothing_leaks()


# -- without an event loop, in threads, elsewhere ----------------------------------------------------------------


def test_a_plain_block_raises_a_swallowed_loop_at_its_end() -> None:
    with pytest.raises(AgentLoopDetectedError), watched():
        for _ in range(5):
            try:
                look()
            except AgentLoopDetectedError:
                continue


def test_a_plain_block_ends_as_its_body_does() -> None:
    with watched():
        assert look() == "seen"
    with pytest.raises(AgentLoopDetectedError), watched():
        look()
        look()
    with pytest.raises(KeyboardInterrupt), watched():
        for _ in range(3):
            try:
                look()
            except AgentLoopDetectedError:
                continue
        raise KeyboardInterrupt


async def test_a_plain_block_in_a_task_refuses_and_cancels_nobody() -> None:
    with pytest.raises(AgentLoopDetectedError), watched():
        await swallow(times=9)
        await settle()
    await assert_nothing_leaks()


async def test_a_tool_in_a_thread_ends_the_run_of_the_task_that_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None:
        for _ in range(5):
            try:
                look()
            except AgentLoopDetectedError:
                continue

    with pytest.raises(AgentLoopDetectedError), a_crowd(monkeypatch) as crowd:
        async with watched():
            crowd.start(run, context=copy_context()).end()
            await asyncio.Event().wait()
    await assert_nothing_leaks()


async def test_a_thread_that_goes_on_after_the_end_of_a_stopped_run_is_refused() -> None:
    with pytest.raises(AgentLoopDetectedError):
        async with watched() as session:
            context = copy_context()
            await swallow(times=3)
    for _ in range(3):
        with pytest.raises(AgentLoopDetectedError):
            context.run(look)
    assert look() == "seen"
    assert len(session.loops) == 1
    await assert_nothing_leaks()


async def test_a_task_that_goes_on_after_the_end_of_a_stopped_run_is_refused() -> None:
    refused: list[Exception] = []

    async def run() -> None:
        while len(refused) < 9:
            refused.extend(await swallow(times=1))
            await asyncio.sleep(0)

    with pytest.raises(AgentLoopDetectedError):
        async with watched():
            task = asyncio.create_task(run())
            await asyncio.Event().wait()
    before = len(refused)
    await task
    assert before < 9
    assert {type(error) for error in refused} == {AgentLoopDetectedError}


def test_a_loop_that_is_closed_is_cancelled_no_more() -> None:
    async def main() -> Context:
        await watched().__aenter__()
        await swallow()
        return copy_context()

    context = asyncio.run(main())
    for _ in range(3):
        with pytest.raises(AgentLoopDetectedError):
            context.run(look)


async def test_a_host_that_has_ended_is_cancelled_no_more() -> None:
    async def main() -> Context:
        await watched().__aenter__()
        await swallow()
        return copy_context()

    host = asyncio.create_task(main())
    context = await host
    with pytest.raises(AgentLoopDetectedError):
        context.run(look)
    await settle()
    assert not host.cancelled()
    assert host.cancelling() == 0


async def test_a_block_that_is_left_in_another_task_raises_what_was_swallowed_there() -> None:
    session = watched()
    context = copy_context()
    loop = asyncio.get_running_loop()
    await loop.create_task(session.__aenter__(), context=context)
    await loop.create_task(swallow(times=3), context=context)
    with pytest.raises(AgentLoopDetectedError):
        await session.__aexit__(None, None, None)
    await assert_nothing_leaks()


async def test_a_cancellation_of_the_task_that_leaves_is_not_taken_for_one_of_the_host() -> None:
    never = asyncio.Event()
    session = watched()

    async def host() -> None:
        await session.__aenter__()
        await swallow(times=3)
        await never.wait()

    async def leave() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("from outside")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            await session.__aexit__(type(error), error, None)
            raise

    hosting = asyncio.create_task(host())
    await settle()
    assert hosting.cancelled()
    leaving = asyncio.create_task(leave())
    await settle()
    assert leaving.cancelled()


async def test_a_stream_inside_a_session_is_entered_and_left_in_the_callers_context() -> None:
    async def stream() -> AsyncIterator[str]:
        async with AgentCacheSession():
            yield (await read_note())[0]

    async for item in stream():
        assert item == "n"
    await assert_nothing_leaks()


# -- the error ---------------------------------------------------------------------------------------------------


def an_error() -> AgentLoopDetectedError:
    return AgentLoopDetectedError(Loop("cycle", "b", 6, ("a", "b")), "chat")


def test_the_error_is_one_of_the_caches() -> None:
    assert isinstance(an_error(), CacheError)
    assert str(an_error()) == "the calls a -> b were repeated 3 times with the same results (session 'chat')"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301 - our own
def test_the_error_survives_a_copy(copied: Any) -> None:
    error = copied(an_error())
    assert (error.loop, error.session_id, str(error)) == (an_error().loop, "chat", str(an_error()))


async def test_the_end_of_a_run_does_not_hit_others_who_wait_for_the_same_execution() -> None:
    may_go_on = asyncio.Event()

    @AgentCache("inner", maxsize=0)
    async def inner() -> str:
        return "fine"

    @AgentCache("outer")
    async def outer() -> str:
        await may_go_on.wait()
        return await inner()

    async def stopped() -> str:
        async with AgentCacheSession("stopped", loop_detection=True, max_execution_depth=1):
            return await outer()

    ending, waiting = asyncio.create_task(stopped()), asyncio.create_task(outer())
    await settle()
    may_go_on.set()
    ended, fine = await asyncio.gather(ending, waiting, return_exceptions=True)
    assert isinstance(ended, AgentLoopDetectedError)
    assert fine == "fine"
    await assert_nothing_leaks()

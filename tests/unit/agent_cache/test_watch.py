"""The watch over the calls of one run: what counts, what becomes of a loop, and who is told."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Hashable
from typing import Any

import pytest

from agent_cache import AgentLoopDetectedError, Loop
from agent_cache._loops import History
from agent_cache._watch import MOST, OnLoop, Ticket, Watch
from tests.spec.threads import Crowd, a_crowd


class Eye:
    """A watch, and what it has told."""

    def __init__(self, on_loop: OnLoop = "raise", repeats: int = 3, depth: int = 4) -> None:
        self.told: list[Loop] = []
        self.stops = 0
        self.watch = Watch("chat", repeats, depth, on_loop, found=self.told.append, stop=self._stop)

    def _stop(self) -> None:
        self.stops += 1

    def arrive(self, tool: str = "get", args: Hashable = (), depth: int = 1) -> Ticket:
        ticket = self.watch.arrive((tool, args), depth)
        assert isinstance(ticket, Ticket)
        return ticket

    def call(self, tool: str = "get", outcome: Hashable = 0, **ending: Any) -> AgentLoopDetectedError | None:
        return self.finish(self.arrive(tool), outcome, **ending)

    def finish(
        self, ticket: Ticket, outcome: Hashable = 0, *, failed: bool = False, wrote: bool = False
    ) -> AgentLoopDetectedError | None:
        return self.watch.finish(ticket, outcome, failed=failed, wrote=wrote)

    def blocked(self, tool: str) -> Loop | None:
        answer = self.watch.arrive((tool, ()), 1)
        if isinstance(answer, Loop):
            return answer
        self.watch.leave(answer)
        return None

    def trip(self) -> AgentLoopDetectedError:
        while True:
            error = self.call()
            if error is not None:
                return error


# -- raise -------------------------------------------------------------------------------------------------------


def test_the_call_that_completes_a_loop_gets_its_error() -> None:
    eye = Eye()
    assert [eye.call(), eye.call()] == [None, None]
    error = eye.call()
    assert error is not None
    assert error.loop == Loop("repeat", "get", 3)
    assert error.loop is eye.watch.trip
    assert eye.told == [error.loop] == list(eye.watch.loops)
    assert error.session_id == "chat"
    assert not eye.watch.ignored
    assert eye.stops == 0


def test_every_later_call_is_refused_with_an_error_of_its_own() -> None:
    eye = Eye()
    first = eye.trip()
    errors = [first]
    for tool in ("get", "other"):
        with pytest.raises(AgentLoopDetectedError) as caught:
            eye.arrive(tool)
        errors.append(caught.value)
    assert eye.watch.ignored
    assert eye.stops == 2
    assert len(set(map(id, errors))) == 3
    assert {id(error.loop) for error in errors} == {id(eye.watch.trip)}
    assert eye.told == [first.loop]


def test_a_call_in_progress_at_the_trip_ends_as_it_ends_and_is_not_recorded() -> None:
    eye = Eye()
    for number in range(2):
        eye.call("late", number, failed=True)
    late = eye.arrive("late")
    error = eye.trip()
    assert eye.finish(late, 2, failed=True) is None
    assert eye.watch.trip is error.loop
    assert eye.told == [error.loop]


def test_a_run_away_is_warned_of_only(caplog: pytest.LogCaptureFixture) -> None:
    eye = Eye()
    for number in range(40):
        assert eye.call("now", number) is None
    assert [loop.kind for loop in eye.told] == ["runaway"]
    assert [record.message for record in caplog.records] == [f"{eye.told[0]} (session 'chat')"]
    assert eye.watch.trip is None


def test_a_trip_that_is_raised_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    Eye().trip()
    assert not caplog.records


# -- warn --------------------------------------------------------------------------------------------------------


def test_warn_logs_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    eye = Eye("warn")
    assert [eye.call() for _ in range(6)] == [None] * 6
    assert [loop.calls for loop in eye.told] == [3, 6]
    assert [(record.name, record.levelno) for record in caplog.records] == [("agent_cache", logging.WARNING)] * 2
    assert "get was called 3 times" in caplog.messages[0]
    assert "'chat'" in caplog.messages[0]


def test_the_loops_that_are_remembered_are_bounded() -> None:
    eye = Eye("warn", repeats=2)
    for _ in range(MOST * 2 + 10):
        eye.call()
    assert len(eye.told) == MOST + 5
    assert len(eye.watch.loops) == MOST


# -- short_circuit -----------------------------------------------------------------------------------------------


def test_a_loop_blocks_its_call_and_no_other() -> None:
    eye = Eye("short_circuit")
    assert [eye.call() for _ in range(3)] == [None] * 3
    assert eye.blocked("get") is eye.told[0]
    assert eye.blocked("other") is None


def test_a_cycle_blocks_all_calls_of_the_round() -> None:
    eye = Eye("short_circuit", repeats=5)
    for tool in "abcabcabc":
        assert eye.call(tool) is None
    assert [eye.blocked(tool) is eye.told[0] for tool in "abcd"] == [True, True, True, False]


def test_each_blocked_call_knows_its_own_loop() -> None:
    eye = Eye("short_circuit")
    for tool in "aaabbb":
        eye.call(tool)
    for tool, loop in zip("ab", eye.told, strict=True):
        found = eye.blocked(tool)
        assert found is loop
        assert found.tool == tool


def test_a_write_of_something_else_releases_them_all() -> None:
    eye = Eye("short_circuit", repeats=5)
    for tool in "ababab":
        eye.call(tool)
    for _ in range(5):
        eye.call("c")
    assert eye.call("save", wrote=True) is None
    assert [eye.blocked(tool) for tool in "abc"] == [None] * 3


def test_a_read_releases_nothing() -> None:
    eye = Eye("short_circuit")
    for _ in range(3):
        eye.call()
    eye.call("other")
    assert eye.blocked("get") is not None


def test_a_write_does_not_release_itself() -> None:
    eye = Eye("short_circuit")
    for _ in range(3):
        eye.call("save", wrote=True)
    assert eye.blocked("save") is not None


def test_nor_does_the_same_write_that_was_in_progress() -> None:
    eye = Eye("short_circuit")
    eye.call("save", wrote=True)
    eye.call("save", wrote=True)
    third, beside = eye.arrive("save"), eye.arrive("save")
    eye.finish(third, wrote=True)
    assert eye.blocked("save") is not None
    eye.finish(beside, wrote=True)
    assert eye.blocked("save") is not None


def test_a_write_that_counts_for_nothing_releases_all_the_same() -> None:
    eye = Eye("short_circuit")
    for _ in range(3):
        eye.call()
    first, second = eye.arrive("save"), eye.arrive("save")
    eye.watch.leave(first)
    eye.finish(second, wrote=True)
    assert eye.blocked("get") is None


def test_a_write_that_runs_away_releases_all_the_same() -> None:
    eye = Eye("short_circuit")
    for number in range(19):
        eye.call("save", number, wrote=True)
    for _ in range(3):
        eye.call()
    eye.call("save", 19, wrote=True)
    assert [loop.kind for loop in eye.told] == ["repeat", "runaway"]
    assert eye.blocked("get") is None


def test_what_was_released_is_blocked_again_if_it_still_goes_round() -> None:
    eye = Eye("short_circuit")
    for _ in range(3):
        eye.call()
    eye.call("save", wrote=True)
    for _ in range(3):
        assert eye.blocked("get") is None
        eye.call()
    assert eye.blocked("get") is eye.told[1]


def test_what_was_released_and_has_left_the_window_is_forgotten() -> None:
    eye = Eye("short_circuit")
    for _ in range(3):
        eye.call()
    for number in range(64):
        eye.finish(eye.arrive("other", number), number)
    assert eye.blocked("get") is not None
    eye.call("save", wrote=True)
    assert ("get", ()) not in eye.watch._history._tracks


# -- depth -------------------------------------------------------------------------------------------------------


def test_the_deepest_call_allowed_is_the_limit_itself() -> None:
    eye = Eye(depth=4)
    eye.arrive(depth=4)
    with pytest.raises(AgentLoopDetectedError, match="5 calls deep"):
        eye.arrive(depth=5)
    assert eye.watch.trip == Loop("depth", "get", 5)
    assert eye.stops == 0


def test_warn_lets_a_call_that_is_too_deep_run() -> None:
    eye = Eye("warn", depth=1)
    eye.arrive(depth=2)
    assert eye.told == [Loop("depth", "get", 2)]


def test_short_circuit_answers_a_call_that_is_too_deep_and_blocks_nothing() -> None:
    eye = Eye("short_circuit", depth=1)
    assert eye.watch.arrive(("get", ()), 2) == Loop("depth", "get", 2)
    eye.arrive(depth=1)


# -- calls inside calls ------------------------------------------------------------------------------------------


class Outer:
    history: History | None = None


def test_calls_inside_different_calls_are_judged_apart() -> None:
    eye = Eye(repeats=2)
    for _ in range(9):
        inside = eye.watch.arrive(("get", ()), 2, Outer())
        assert isinstance(inside, Ticket)
        assert inside.counts
        assert eye.finish(inside) is None
    assert eye.watch._history._tracks == {}


def test_calls_inside_one_call_are_judged_together() -> None:
    eye, outer = Eye(repeats=2), Outer()
    errors = []
    for _ in range(2):
        inside = eye.watch.arrive(("get", ()), 2, outer)
        assert isinstance(inside, Ticket)
        errors.append(eye.finish(inside))
    assert errors[0] is None
    assert errors[1] is not None
    with pytest.raises(AgentLoopDetectedError):
        eye.arrive("other")


def test_what_is_blocked_inside_one_call_is_released_by_a_write_anywhere() -> None:
    eye, outer = Eye("short_circuit", repeats=2), Outer()
    for _ in range(2):
        inside = eye.watch.arrive(("get", ()), 2, outer)
        assert isinstance(inside, Ticket)
        eye.finish(inside)
    assert isinstance(eye.watch.arrive(("get", ()), 2, outer), Loop)
    assert eye.blocked("get") is None
    eye.call("save", wrote=True)
    assert isinstance(eye.watch.arrive(("get", ()), 2, outer), Ticket)


# -- one turn ----------------------------------------------------------------------------------------------------


def test_calls_that_overlap_count_once() -> None:
    eye = Eye(repeats=2)
    tickets = [eye.arrive() for _ in range(9)]
    assert [eye.finish(ticket) for ticket in tickets] == [None] * 9
    assert [ticket.counts for ticket in tickets] == [True] + [False] * 8


def test_calls_of_other_arguments_that_overlap_all_count() -> None:
    eye = Eye()
    assert all(eye.arrive("get", number).counts for number in range(9))


def test_a_call_without_an_outcome_leaves_no_trace() -> None:
    eye = Eye(repeats=2)
    for _ in range(9):
        eye.watch.leave(eye.arrive())
    assert eye.watch._history._tracks == {}


async def test_different_tasks_that_make_the_same_call_in_one_turn_of_the_loop_count_once() -> None:
    eye = Eye(repeats=2)

    async def call() -> AgentLoopDetectedError | None:
        return eye.call()

    assert await asyncio.gather(*[call() for _ in range(9)]) == [None] * 9
    assert len(eye.watch._history._recent) == 1


async def test_those_of_the_next_turn_count_anew() -> None:
    eye = Eye(repeats=9)

    async def call() -> None:
        eye.call()

    for _ in range(4):
        await asyncio.gather(call(), call())
    assert len(eye.watch._history._recent) == 4


async def test_one_task_that_makes_a_call_again_without_a_pause_goes_round_in_circles() -> None:
    eye = Eye(repeats=3)
    assert [eye.call(), eye.call()] == [None, None]
    assert eye.call() is not None


def test_a_turn_that_its_loop_did_not_live_to_end_hides_nothing_from_the_next_loop() -> None:
    eye = Eye(repeats=3)
    loop = asyncio.new_event_loop()
    loop.call_soon(lambda: (eye.call(), loop.stop()))
    loop.run_forever()
    loop.close()
    assert asyncio.run(_called(eye)) is None
    assert asyncio.run(_called(eye)) is not None


async def _called(eye: Eye) -> AgentLoopDetectedError | None:
    return eye.call()


def test_calls_of_threads_that_overlap_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    eye = Eye(repeats=2)
    tickets: list[Ticket] = []
    with a_crowd(monkeypatch) as crowd:
        _all(crowd, 8, lambda: tickets.append(eye.arrive()))
        _all(crowd, 8, lambda: eye.finish(tickets.pop()))
    assert len(eye.watch._history._recent) == 1
    assert eye.told == []


def test_calls_of_one_thread_after_another_are_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    eye = Eye(repeats=3)
    with a_crowd(monkeypatch) as crowd:
        errors = [crowd.start(eye.call).result() for _ in range(3)]
    assert [error is None for error in errors] == [True, True, False]


def _all(crowd: Crowd, times: int, function: Any) -> None:
    for call in [crowd.start(function) for _ in range(times)]:
        call.result()


# -- memory ------------------------------------------------------------------------------------------------------


async def test_a_hundred_thousand_calls_with_ever_new_arguments_leave_no_more_than_a_window() -> None:
    eye = Eye()

    class Argument:
        pass

    first = Argument()
    remembered = weakref.ref(first)
    eye.finish(eye.arrive("get", first), 0)
    del first
    for number in range(100_000):
        eye.finish(eye.arrive("get", number), number % 3)
        if number % 1000 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert remembered() is None
    assert len(eye.watch._history._tracks) == 64
    assert eye.watch._turn == {}
    assert eye.told == []

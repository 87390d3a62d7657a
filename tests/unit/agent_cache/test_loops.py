"""The detector alone: which histories are loops, and which are not."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_cache import Loop
from agent_cache._loops import FAILURES, LONGEST, RESULTS, ROUNDS, WINDOW, History


class Run:
    """A history, written down as words: ``"a1"`` is a call of ``a`` that gave 1."""

    def __init__(self, max_repeats: int = 5) -> None:
        self.history = History(max_repeats)
        self.found: list[Loop] = []

    def call(self, tool: str, outcome: Hashable = 0, *, args: Hashable = (), **ending: bool) -> Loop | None:
        track = self.history.track((tool, args))
        track.running += 1
        track.running -= 1
        loop = self.history.record(track, outcome, **ending)
        if loop is not None:
            self.found.append(loop)
        return loop

    def calls(self, words: str) -> list[Loop]:
        for word in words.split():
            self.call(word[0], word[1:])
        return self.found

    def elsewhere(self, times: int) -> None:
        """Calls that have nothing to do with one another."""
        for number in range(times):
            self.call("other", number, args=(object(), number))


# -- repeat ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [2, 3, 5, 10])
def test_the_same_call_with_the_same_outcome_is_a_loop_at_the_limit_and_not_before(limit: int) -> None:
    run = Run(limit)
    assert [run.call("get") for _ in range(limit - 1)] == [None] * (limit - 1)
    assert run.call("get") == Loop("repeat", "get", limit)


def test_the_repetitions_need_not_follow_one_another() -> None:
    run = Run(3)
    for _ in range(2):
        run.call("get")
        run.elsewhere(10)
    assert run.call("get") == Loop("repeat", "get", 3)


def test_the_first_and_the_last_repetition_may_be_64_calls_apart() -> None:
    run = Run(2)
    run.call("get")
    run.elsewhere(WINDOW - 2)
    assert run.call("get") == Loop("repeat", "get", 2)


def test_what_is_65_calls_ago_is_forgotten() -> None:
    run = Run(2)
    run.call("get")
    run.elsewhere(WINDOW - 1)
    assert run.call("get") is None
    assert run.call("get") == Loop("repeat", "get", 2)


def test_other_outcomes_between_do_not_hide_a_repetition() -> None:
    assert Run(3).calls("g1 g2 g1 g3 g1") == [Loop("repeat", "g", 3)]


def test_the_same_result_for_different_arguments_is_batch_work() -> None:
    run = Run(2)
    for number in range(7):
        assert run.call("search", "", args=(number,)) is None


def test_pages_are_progress() -> None:
    run = Run(2)
    for page in range(19):
        assert run.call("next_page", f"page {page}") is None


def test_equal_arguments_of_two_tools_are_two_calls() -> None:
    assert Run(2).calls("a1 b1") == []


def test_a_loop_that_goes_on_is_reported_whenever_it_went_on_as_long() -> None:
    run = Run(5)
    for _ in range(200):
        run.call("get")
    assert len(run.found) == 40
    assert {loop.kind for loop in run.found} == {"repeat"}
    assert run.found[-1].calls == WINDOW


@pytest.mark.parametrize("limit", [2, 4, 21, 22, 64])
def test_a_full_window_of_one_call_does_not_make_each_further_call_a_report(limit: int) -> None:
    run = Run(limit)
    for _ in range(WINDOW * 4):
        run.call("get")
    assert len(run.found) == WINDOW * 4 // limit


# -- cycle -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tools", ["ab", "abc", "abcd"])
def test_a_cycle_of_two_to_four_is_a_loop_when_it_went_round_three_times(tools: str) -> None:
    run = Run(10)
    for tool in tools * ROUNDS:
        assert run.found == []
        run.call(tool)
    assert run.found == [Loop("cycle", tools[-1], ROUNDS * len(tools), tuple(tools))]


def test_a_cycle_of_five_is_none() -> None:
    run = Run(10)
    for tool in "abcde" * 4:
        assert run.call(tool) is None


def test_a_cycle_begins_anywhere() -> None:
    run = Run(10)
    run.elsewhere(7)
    for tool in "ab" * ROUNDS:
        run.call(tool)
    assert [loop.tools for loop in run.found] == [("a", "b")]


def test_calls_between_break_a_cycle() -> None:
    assert Run(10).calls("a1 b1 a1 b1 c1 a1 b1") == []


def test_a_cycle_that_gives_something_new_in_each_round_is_progress() -> None:
    assert Run(10).calls("e1 t1 e1 t2 e1 t3 e1 t4 e1 t5") == []


def test_a_cycle_may_use_one_tool_twice_in_a_round() -> None:
    found = Run(10).calls("a1 a1 b1 " * ROUNDS)
    assert found == [Loop("cycle", "b", 9, ("a", "a", "b"))]


def test_one_call_again_and_again_is_no_cycle() -> None:
    run = Run(20)
    for _ in range(ROUNDS * LONGEST):
        assert run.call("get") is None


def test_a_cycle_of_four_that_is_one_of_two_is_reported_as_that() -> None:
    run = Run(20)
    for tool in "ab" * 6:
        run.call(tool)
    assert [loop.tools for loop in run.found] == [("a", "b"), ("a", "b")]


def test_a_cycle_is_reported_anew_when_it_went_round_three_times_more() -> None:
    run = Run(64)
    lengths = []
    for tool in "abc" * 9:
        run.call(tool)
        lengths.append(len(run.found))
    assert [lengths.index(number) + 1 for number in (1, 2, 3)] == [9, 18, 27]


def test_rounds_whose_arguments_differ_are_no_cycle() -> None:
    run = Run(10)
    for number in range(12):
        run.call("edit", args=(number,))
        run.call("view")
        if number == 8:
            break
    assert run.found == []


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_a_cycle_is_found_exactly_where_the_definition_says(tools: list[str]) -> None:
    run = Run(1000)
    for at, tool in enumerate(tools, 1):
        run.history._patience = 0
        loop = run.call(tool)
        periods = [
            period
            for period in range(2, LONGEST + 1)
            if at >= ROUNDS * period and tools[at - ROUNDS * period : at] == tools[at - period : at] * ROUNDS
        ]
        primitive = [period for period in periods if len(set(tools[at - period : at])) > 1]
        assert (loop is None) == (not primitive)
        if loop is not None:
            assert loop.calls == ROUNDS * primitive[0]


# -- errors ------------------------------------------------------------------------------------------------------


def test_a_call_that_fails_again_and_again_is_a_loop_whatever_the_message() -> None:
    run = Run()
    assert run.call("get", "no", failed=True) is None
    assert run.call("get", "not now", failed=True) is None
    assert run.call("get", "never", failed=True) == Loop("errors", "get", FAILURES)


def test_a_success_between_begins_the_count_anew() -> None:
    run = Run()
    for number in range(8):
        assert run.call("get", number, failed=number % 3 != 2) is None


def test_failures_of_other_arguments_do_not_count() -> None:
    run = Run()
    for number in range(9):
        assert run.call("get", "no", args=(number,), failed=True) is None


def test_reads_between_do_not_begin_the_count_anew() -> None:
    run = Run()
    for number in range(FAILURES):
        run.call("look", number)
        run.call("get", number, failed=True)
    assert [loop.kind for loop in run.found] == ["errors"]


def test_a_failure_after_something_was_written_is_the_first_of_a_new_count() -> None:
    run = Run()
    for number in range(9):
        run.call("edit", "done", args=(number,), wrote=True)
        run.call("test", f"{number} failures", failed=True)
    assert run.found == []


def test_a_write_that_fails_changes_nothing_for_other_failures() -> None:
    run = Run()
    for number in range(FAILURES):
        run.call("edit", number, args=(number,), failed=True, wrote=True)
        run.call("test", number, failed=True)
    assert [loop.tool for loop in run.found] == ["test"]


def test_a_write_that_fails_again_and_again_is_a_loop() -> None:
    run = Run()
    for number in range(FAILURES):
        run.call("edit", number, failed=True, wrote=True)
    assert run.found == [Loop("errors", "edit", FAILURES)]


def test_the_same_failure_is_a_repetition_too() -> None:
    assert (Run(2).call("get", "no", failed=True)) is None
    run = Run(2)
    run.call("get", "no", failed=True)
    assert run.call("get", "no", failed=True) == Loop("repeat", "get", 2)


def test_failures_that_have_left_the_window_are_forgotten() -> None:
    run = Run()
    for number in range(FAILURES):
        assert run.call("get", number, failed=True) is None
        run.elsewhere(WINDOW)


def test_failures_that_go_on_are_reported_at_every_third() -> None:
    run = Run()
    for number in range(9):
        run.call("get", number, failed=True)
    assert [loop.calls for loop in run.found] == [3, 6, 9]


# -- runaway -----------------------------------------------------------------------------------------------------


def test_one_call_with_ever_new_results_runs_away_at_the_twentieth() -> None:
    run = Run()
    for number in range(RESULTS - 1):
        assert run.call("now", number) is None
    assert run.call("now", RESULTS) == Loop("runaway", "now", RESULTS)


def test_it_is_said_once() -> None:
    run = Run()
    for number in range(500):
        run.call("now", number)
        if number % 7 > 3:  # so that the number of its results in the window goes up and down
            run.elsewhere(number % 5)
    assert [loop.kind for loop in run.found] == ["runaway"]


def test_it_is_said_again_of_a_call_that_was_forgotten_meanwhile() -> None:
    run = Run()
    for _ in range(2):
        for number in range(RESULTS):
            run.call("now", number)
        run.elsewhere(WINDOW)
    assert [loop.kind for loop in run.found] == ["runaway", "runaway"]


def test_a_call_that_ran_away_may_still_repeat_itself() -> None:
    run = Run()
    for number in range(RESULTS):
        run.call("now", number)
    for _ in range(5):
        run.call("now", "noon")
    assert [loop.kind for loop in run.found] == ["runaway", "repeat"]


# -- memory ------------------------------------------------------------------------------------------------------


def test_memory_is_bounded_whatever_was_called() -> None:
    run = Run()
    for number in range(5_000):
        run.call("search", number % 7, args=(number,))
    assert run.found == []
    assert len(run.history._tracks) == WINDOW == len(run.history._recent)


def test_a_call_in_progress_is_not_forgotten() -> None:
    run = Run(2)
    run.call("slow")
    track = run.history.track(("slow", ()))
    track.running += 1
    run.elsewhere(WINDOW)
    assert run.history.track(("slow", ())) is track
    track.running -= 1
    run.history.forget(track)
    assert run.history.track(("slow", ())) is not track


def test_a_blocked_call_is_not_forgotten() -> None:
    run = Run(2)
    run.call("get")
    run.call("get")
    track = run.history.track(("get", ()))
    track.blocked = run.found[0]
    run.elsewhere(WINDOW)
    assert run.history.track(("get", ())) is track
    track.blocked = None
    run.history.forget(track)
    assert run.history.track(("get", ())) is not track


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.booleans()), max_size=200))
def test_what_is_counted_is_what_is_in_the_window(calls: list[tuple[str, int, bool]]) -> None:
    run = Run(3)
    for tool, outcome, failed in calls:
        run.call(tool, outcome, failed=failed)
    window: dict[str, dict[Any, int]] = {}
    for tool, outcome, _ in calls[-WINDOW:]:
        outcomes = window.setdefault(tool, {})
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert {track.tool: track.outcomes for track in run.history._tracks.values()} == window


# -- who is to blame, and how it is said -------------------------------------------------------------------------


def test_the_calls_of_a_round_are_to_blame_for_a_cycle_and_the_last_one_for_all_else() -> None:
    run = Run()
    run.elsewhere(3)
    for tool in "ab" * ROUNDS:
        run.call(tool)
    assert {track.tool for track in run.history.blame(run.found[0])} == {"a", "b"}
    assert [track.tool for track in run.history.blame(Loop("repeat", "b", 5))] == ["b"]


@pytest.mark.parametrize(
    ("loop", "said"),
    [
        (Loop("repeat", "get", 5), "get was called 5 times with the same arguments and the same result"),
        (Loop("cycle", "b", 6, ("a", "b")), "the calls a -> b were repeated 3 times with the same results"),
        (Loop("errors", "get", 3), "get failed 3 times in a row with the same arguments"),
        (Loop("depth", "get", 51), "get was called 51 calls deep: do the tools call one another without end?"),
        (Loop("runaway", "now", 20), "now was called 20 times with the same arguments and gave ever new results"),
    ],
)
def test_a_loop_says_what_it_is(loop: Loop, said: str) -> None:
    assert str(loop) == said

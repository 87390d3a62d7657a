"""How schedules are enumerated, sampled, written down and run again."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import weakref
from collections.abc import Callable
from math import comb
from typing import Any

import pytest

from cache.testing import KINDS, Outcome, Race, Report, Row, explore, replay

Scenario = Callable[[Race], None]


def independent(*gates: int) -> Scenario:
    """Actors that have nothing to do with each other, with so many gates besides their starts."""

    def scenario(race: Race) -> None:
        async def walk(steps: int) -> None:
            for step in range(steps):
                await race.checkpoint(str(step))

        for steps in gates:
            race.actor(walk, steps)

    return scenario


def naive(race: Race) -> None:
    """Store on completion, invalidate first: the pattern that the explorer is there to convict."""
    users = race.source("users")
    store: dict[int, Row] = {}

    async def get_user(uid: int) -> Row:
        if uid not in store:
            store[uid] = await users.load(uid)
        return store[uid]

    async def update(uid: int) -> None:
        store.pop(uid, None)
        await users.write(uid)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)


@pytest.mark.parametrize(
    ("gates", "schedules"),
    [
        ((0,), 1),
        ((5,), 1),
        ((1, 1), comb(4, 2)),
        ((2, 3), comb(7, 3)),
        ((1, 1, 1), comb(6, 2) * comb(4, 2)),
        ((4, 4), comb(10, 5)),
    ],
)
def test_every_interleaving_of_independent_actors_is_run_once(gates: tuple[int, ...], schedules: int) -> None:
    report = explore(independent(*gates))
    assert (report.schedules, report.complete) == (schedules, True)
    report.check()


def test_every_schedule_shows_another_order() -> None:
    orders: list[str] = []

    def scenario(race: Race) -> None:
        order: list[str] = []

        async def walk(name: str) -> None:
            order.append(name)
            await race.checkpoint(name)
            order.append(name)

        race.actor(walk, "a")
        race.actor(walk, "b")
        race.at_quiet(lambda: orders.append("".join(order)))

    explore(scenario)
    assert sorted(orders) == sorted({"".join(order) for order in itertools.permutations("aabb")})


def test_a_tree_that_does_not_fit_is_sampled_and_called_incomplete() -> None:
    report = explore(independent(4, 4), max_schedules=10, samples=20)
    assert (report.schedules, report.complete) == (30, False)
    assert "not all" in str(report)


def test_a_tree_that_just_fits_is_complete() -> None:
    assert explore(independent(1, 1), max_schedules=6, samples=0).complete
    assert not explore(independent(1, 1), max_schedules=5, samples=0).complete


def test_samples_depend_on_the_seed_alone() -> None:
    def sampled(seed: int) -> Report:
        return explore(naive, max_schedules=0, samples=100, seed=seed, stop_on_first=False)

    assert sampled(1) == sampled(1)
    assert sampled(1).counts != sampled(2).counts


def test_a_search_ends_with_the_first_schedule_that_shows_a_violation() -> None:
    assert explore(naive).schedules == 1
    assert explore(naive, stop_on_first=False).schedules > 1000
    assert explore(naive, max_schedules=0, allow={"stuck", "stale-commit"}).schedules < 2000


def test_a_report_counts_the_schedules_that_show_each_kind() -> None:
    report = explore(naive, stop_on_first=False)
    assert report.complete
    assert set(report.counts) == {"stuck", "stale-commit", "stale-after"}
    assert report.counts["stuck"] > report.counts["stale-commit"] > report.counts["stale-after"] > 0
    assert {violation.kind for violation in report.violations} == set(report.counts)
    assert f"stuck in {report.counts['stuck']}" in str(report)


def test_a_report_tells_how_often_each_row_was_loaded() -> None:
    report = explore(naive, stop_on_first=False)
    loads = report.loads["users", 1]
    assert (loads.maximum, loads.concurrent) == (2, 2)
    assert 1 < loads.mean < 2


def test_a_failed_check_shows_what_happened_and_how_to_see_it_again() -> None:
    with pytest.raises(AssertionError) as caught:
        explore(naive, max_schedules=0, samples=500).check()
    text = str(caught.value)
    assert text.startswith("stuck: with all quiet, get_user(1) returned users[1] v0, not v1")
    assert "reader-1: users.load(1) reads" in text
    assert "users[1] v1 is committed" in text
    schedule = explore(naive, max_schedules=0, samples=500).violations[0].schedule
    assert f"replay(scenario, {schedule!r})" in text


def test_a_replay_shows_the_same_each_time() -> None:
    for violation in explore(naive, stop_on_first=False).violations:
        first, second = replay(naive, violation.schedule), replay(naive, violation.schedule)
        assert first == second
        assert first.trace == violation.trace
        assert violation in first.violations


def test_a_replay_tells_what_each_actor_returned() -> None:
    outcome = replay(naive, "0.0.0.0.0.0.0.0")
    assert outcome.results == {
        "reader-1": Row("users", 1, 0),
        "reader-2": Row("users", 1, 0),
        "mutation-1": None,
    }
    assert outcome.loads == {("users", 1): 2}
    with pytest.raises(AssertionError, match="stuck"):
        outcome.check()


def test_a_replay_of_a_scenario_without_choices_has_an_empty_schedule() -> None:
    outcome = replay(independent(3), "")
    assert (outcome.schedule, outcome.violations) == ("", ())
    outcome.check()


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("0", "ends too early"),
        ("0.0.0.0.0.0", "is too long"),
        ("0.7.0", "choice number 2 is 7, and there are 2 options"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(schedule: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replay(independent(2, 2), schedule)


@pytest.mark.parametrize("schedule", ["a", "0..1", ".", "0.1/", "0.-1", "/x", "0 1", "\u00b2", "0/1/2"])
def test_a_schedule_that_is_none_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="is no schedule"):
        replay(independent(1, 1), schedule)


def hops(race: Race) -> None:
    """A flag set and looked at between two hops of the loop, where no gate is."""
    state = {"ready": False, "seen": False}

    async def writer() -> None:
        state["ready"] = True
        await asyncio.sleep(0)
        state["ready"] = False

    async def reader() -> None:
        state["seen"] = state["ready"]

    race.actor(writer)
    race.actor(reader)

    def check() -> None:
        assert not state["seen"], "the reader came in between"

    race.at_quiet(check)


def test_what_happens_between_two_gates_is_atomic_without_preemptions() -> None:
    explore(hops).check()


def test_preemptions_reach_the_hops_between_two_gates() -> None:
    report = explore(hops, preemptions=1)
    (violation,) = report.violations
    assert violation.kind == "check"
    assert violation.text.startswith("the reader came in between")
    assert violation.schedule.endswith("/1")
    assert replay(hops, violation.schedule).violations == (violation,)


def test_preemptions_are_sampled_too() -> None:
    report = explore(hops, preemptions=1, max_schedules=0)
    assert set(report.counts) == {"check"}
    assert report.violations[0].schedule.endswith("/1")


def test_sampled_preemptions_come_late_as_well_as_early() -> None:
    places: list[int] = []

    def scenario(race: Race) -> None:
        hops_done = [0]

        async def hop() -> None:
            for _ in range(20):
                hops_done[0] += 1
                await asyncio.sleep(0)

        race.actor(hop)
        race.call(lambda: places.append(hops_done[0]))

    explore(scenario, preemptions=1, max_schedules=0, samples=200).check()
    assert max(place for place in places if place < 20) > 10


@pytest.mark.parametrize("preemptions", [0, 1, 2])
def test_as_many_preemptions_are_made_as_asked_for(preemptions: int) -> None:
    together: set[int] = set()

    def scenario(race: Race) -> None:
        steps: list[str] = []

        async def actor() -> None:
            steps.append("start")
            await asyncio.sleep(0)
            steps.append("hop")

        for _ in range(4):
            race.actor(actor)
        race.at_quiet(lambda: together.add(steps.index("hop")))

    assert explore(scenario, preemptions=preemptions, max_schedules=100_000).complete
    assert max(together) == preemptions + 1


def test_a_search_with_preemptions_includes_the_one_without() -> None:
    coarse, fine = explore(independent(1, 1)), explore(independent(1, 1), preemptions=2)
    assert fine.complete
    assert fine.schedules > coarse.schedules


def test_a_sampled_violation_is_made_simpler() -> None:
    def odd(schedule: str) -> int:
        return sum(pick != "0" for pick in schedule.split("."))

    def scenario(race: Race) -> None:
        order: list[int] = []

        async def walk(number: int) -> None:
            for _ in range(3):
                await race.checkpoint(str(number))
            order.append(number)

        for number in range(4):
            race.actor(walk, number)

        def check() -> None:
            assert order[0] == 0, "another was faster"

        race.at_quiet(check)

    (violation,) = explore(scenario, max_schedules=0, samples=100).violations
    assert odd(violation.schedule) <= 3
    assert replay(scenario, violation.schedule).violations == (violation,)


@pytest.mark.parametrize("then", [(1, 1, 1), (1,)])
def test_a_scenario_that_is_not_deterministic_is_found_out(then: tuple[int, ...]) -> None:
    calls = itertools.count()

    def scenario(race: Race) -> None:
        independent(*(then if next(calls) else (1, 1)))(race)

    told = f"not deterministic: after the choices .* there were 2 ways to go on before, and {len(then)} now"
    with pytest.raises(RuntimeError, match=told):
        explore(scenario)


def test_a_violation_that_a_replay_does_not_show_is_told_with_a_remark() -> None:
    calls = itertools.count()

    def scenario(race: Race) -> None:
        first = next(calls) == 0

        def check() -> None:
            assert not first, "only once"

        race.at_quiet(check)

    (violation,) = explore(scenario).violations
    assert violation.text.startswith("only once")
    assert "not again" in violation.trace[-1]


def test_kinds_that_are_allowed_are_not_reported() -> None:
    explore(naive, allow=KINDS).check()
    explore(naive, allow={"stuck", "stale-commit", "stale-after"}).check()
    with pytest.raises(AssertionError, match="stale-commit"):
        explore(naive, allow={"stuck"}).check()
    assert replay(naive, "0.0.0.0.0.0.0.0", allow="stuck").violations == ()


@pytest.mark.parametrize("name", ["max_schedules", "samples", "preemptions"])
def test_a_negative_count_is_refused(name: str) -> None:
    options: dict[str, Any] = {name: -1}
    with pytest.raises(ValueError, match=f"{name}=-1"):
        explore(naive, **options)


def test_a_search_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="leave nothing to run"):
        explore(naive, max_schedules=0, samples=0)


def test_an_unknown_kind_to_allow_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\['stal'\] is no kind of violation; these are: stale-after"):
        explore(naive, allow={"stal"})


async def no_scenario(race: Race) -> None:
    del race


@pytest.mark.parametrize("search", [explore, lambda scenario: replay(scenario, "")])
def test_an_async_scenario_is_refused(search: Callable[[Any], Report | Outcome]) -> None:
    with pytest.raises(TypeError, match="is no plain function"):
        search(no_scenario)


def test_a_search_inside_a_running_loop_is_refused() -> None:
    async def main() -> None:
        explore(naive)

    with pytest.raises(RuntimeError, match="outside any running event loop"):
        asyncio.run(main())


def test_a_search_leaves_the_thread_as_it_was() -> None:
    hooks = sys.get_asyncgen_hooks()
    explore(naive)
    assert sys.get_asyncgen_hooks() == hooks
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_an_error_in_the_scenario_itself_is_raised() -> None:
    def scenario(race: Race) -> None:
        race.read(race.source("users").load, 1)
        raise LookupError("mistaken")

    with pytest.raises(LookupError, match="mistaken"):
        explore(scenario)


def test_a_run_leaves_nothing_behind_for_the_garbage_collector() -> None:
    """Otherwise a lost exception would come to light during another run."""
    marks: list[weakref.ref[asyncio.Event]] = []
    survivors: list[asyncio.Event] = []

    def scenario(race: Race) -> None:
        survivors.extend(event for mark in marks if (event := mark()) is not None)
        event = asyncio.Event()
        marks.append(weakref.ref(event))
        users = race.source("users")

        async def fail() -> None:
            event.set()
            await users.write(1)
            raise LookupError

        async def get() -> Row:
            await event.wait()
            return await users.load(1)

        race.read(get, hits=False)
        race.mutate(fail, expect=(LookupError,))
        race.call(event.is_set)
        race.at_quiet(event.is_set)

    gc.collect()
    gc.disable()
    try:
        explore(scenario).check()
    finally:
        gc.enable()
    assert len(marks) > 10
    assert not survivors

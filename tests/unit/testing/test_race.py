"""How actors are declared, cancelled, and placed on loops."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from cache.testing import Race, Row, explore, replay


def test_actors_have_names_of_their_own_or_are_numbered() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")
        race.read(users.load, 1, hits=False)
        race.read(users.load, 1, hits=False, name="reader-2")
        race.read(users.load, 1, hits=False)
        race.mutate(users.write, 1, name="writer")
        race.actor(users.load, 1)
        race.call(users.committed, 1)

        race.actor(asyncio.Event().wait)

    (violation,) = explore(scenario).violations
    names = "reader-1", "reader-2", "reader-3", "writer", "actor-1", "call-1", "actor-2"
    for name in names:
        assert any(line.startswith(f"  {name} starts: ") for line in violation.trace)


def test_two_actors_of_one_name_are_refused() -> None:
    def scenario(race: Race) -> None:
        race.actor(asyncio.sleep, 0, name="a")
        race.call(print, name="a")

    with pytest.raises(ValueError, match="there is an actor 'a' already"):
        explore(scenario)


@pytest.mark.parametrize("declare", ["read", "mutate", "actor", "call"])
def test_what_cannot_be_called_is_refused(declare: str) -> None:
    async def load() -> None: ...

    coroutine = load()
    with pytest.raises(TypeError, match="cannot be called: give a function, then its arguments"):
        explore(lambda race: getattr(race, declare)(coroutine))
    coroutine.close()


@pytest.mark.parametrize("declare", ["read", "mutate", "actor"])
def test_a_plain_function_that_returns_nothing_to_await_is_refused(declare: str) -> None:
    def load(key: int) -> int:
        return key

    with pytest.raises(TypeError, match=r"load\(1\) returned 1, which cannot be awaited: .* use race.call\(\)"):
        explore(lambda race: getattr(race, declare)(load, 1))


def test_a_mistake_is_raised_even_if_the_code_under_test_swallows_it() -> None:
    def scenario(race: Race) -> None:
        async def swallow() -> None:
            try:
                bad: Any = len
                await race.observe(bad, "abc")
            except TypeError:
                return

        race.actor(swallow)

    with pytest.raises(TypeError, match=r"len\('abc'\) returned 3"):
        explore(scenario)


@pytest.mark.parametrize("check", [asyncio.sleep, None])
def test_a_check_that_must_be_awaited_is_refused(check: Any) -> None:
    with pytest.raises(TypeError, match="at quiet nothing may be awaited"):
        explore(lambda race: race.at_quiet(check))


def test_an_actor_is_cancelled_at_every_moment_of_its_life_and_at_most_once() -> None:
    fates: list[str] = []

    def scenario(race: Race) -> None:
        async def walk() -> None:
            step = "start"
            try:
                for step in ("first", "second"):
                    await race.checkpoint(step)
                step = "end"
            except asyncio.CancelledError:
                await race.checkpoint("clean up")
                raise
            finally:
                fates.append(step)

        race.actor(walk, cancel=True)

    report = explore(scenario)
    report.check()
    assert report.complete
    assert sorted(fates) == ["end", "first", "second"]


def test_an_actor_may_survive_its_cancellation() -> None:
    def scenario(race: Race) -> None:
        async def survive() -> str:
            try:
                await race.checkpoint("wait")
            except asyncio.CancelledError:
                return "survived"
            return "unhurt"

        race.actor(survive, name="a", cancel=True)

    explore(scenario).check()
    assert {replay(scenario, schedule).results["a"] for schedule in ("0", "1")} == {"survived", "unhurt"}


def test_an_actor_may_be_declared_while_the_race_runs() -> None:
    def scenario(race: Race) -> None:
        async def first() -> None:
            race.actor(asyncio.sleep, 0, name="second")

        race.actor(first)

    outcome = replay(scenario, "")
    outcome.check()
    assert "second" in outcome.results


def test_the_clock_moves_only_by_choice_while_anything_else_can_happen() -> None:
    def scenario(race: Race) -> None:
        async def patient() -> str:
            try:
                async with asyncio.timeout(1):
                    await race.checkpoint("slow")
            except TimeoutError:
                return f"timed out at {race.clock()}"
            return f"in time at {race.clock()}"

        race.actor(patient, name="a")

    explore(scenario).check()
    assert {replay(scenario, schedule).results["a"] for schedule in ("0", "1")} == {
        "in time at 0.0",
        "timed out at 1.0",
    }
    assert "  the clock moves to 1 s" in replay(scenario, "1").trace


def test_a_scenario_may_move_the_clock_itself() -> None:
    def scenario(race: Race) -> None:
        async def sleeper() -> float:
            await asyncio.sleep(1)
            return race.clock()

        race.actor(sleeper, name="a")
        race.call(race.clock.advance, 5)

    explore(scenario).check()
    results = {replay(scenario, schedule).results["a"] for schedule in ("0.0", "0.1", "1")}
    assert results == {1.0, 5.0, 6.0}


def test_a_timer_that_is_due_fires_before_anything_else_is_chosen() -> None:
    def scenario(race: Race) -> None:
        asleep: list[float] = []

        async def sleeper() -> None:
            asleep.append(race.clock() + 1)
            await asyncio.sleep(1)
            asleep.clear()

        def look() -> None:
            assert all(due > race.clock() for due in asleep)

        race.actor(sleeper)
        race.call(race.clock.advance, 5)
        race.call(look)

    explore(scenario).check()


def test_a_timer_may_fire_between_two_hops() -> None:
    orders: set[str] = set()

    def scenario(race: Race) -> None:
        order: list[str] = []

        async def hop() -> None:
            for _ in range(4):
                order.append("h")
                await asyncio.sleep(0)

        race.actor(hop)
        race.loop().call_later(1, order.append, "w")
        race.at_quiet(lambda: orders.add("".join(order)))

    explore(scenario, preemptions=1).check()
    assert orders == {"whhhh", "hwhhh", "hhwhh", "hhhwh", "hhhhw", "hhhh"}


def test_actors_do_not_see_the_context_variables_of_others() -> None:
    name = ContextVar("name", default="nobody")
    seen: set[tuple[str, str]] = set()

    def scenario(race: Race) -> None:
        name.set("scenario")

        async def actor(own: str) -> None:
            before = name.get()
            name.set(own)
            await race.checkpoint("wait")
            seen.add((before, name.get()))

        race.actor(actor, "a")
        race.actor(actor, "b")
        race.call(lambda: seen.add((name.get(), "thread")))

    explore(scenario).check()
    assert seen == {("scenario", "a"), ("scenario", "b"), ("nobody", "thread")}
    assert name.get() == "nobody"


def test_a_checkpoint_of_another_race_is_refused() -> None:
    kept: list[Race] = []
    explore(kept.append).check()

    def scenario(race: Race) -> None:
        async def misled() -> None:
            await kept[0].checkpoint("of a race that is over")

        race.actor(misled)

    (violation,) = explore(scenario).violations
    assert "outside its race" in violation.text


def test_a_cache_that_awaits_the_future_of_another_loop_is_found_out() -> None:
    def scenario(race: Race) -> None:
        users, loads = race.source("users"), dict[int, asyncio.Future[Row]]()

        async def get(uid: int) -> Row:
            if uid not in loads:
                loads[uid] = asyncio.ensure_future(users.load(uid))
            return await loads[uid]

        race.read(get, 1, loop="a")
        race.read(get, 1, loop="b")

    report = explore(scenario)
    (violation, *_) = report.violations
    assert "attached to a different loop" in violation.text


def test_each_declared_read_is_repeated_on_its_own_loop_when_all_is_quiet() -> None:
    calls: list[str] = []

    def scenario(race: Race) -> None:
        users, rows = race.source("users"), dict[int, Row]()

        async def get(uid: int) -> Row:
            calls.append(repr(asyncio.get_running_loop()))
            return rows.get(uid) or rows.setdefault(uid, await users.load(uid))

        race.read(get, 1, loop="a")
        race.read(get, 1, loop="b")
        race.read(get, 1, loop="b")

    explore(scenario, max_schedules=1, samples=0).check()
    assert calls == [*["<RaceLoop 'a'>"], *["<RaceLoop 'b'>"] * 2, *["<RaceLoop 'a'>"] * 2, *["<RaceLoop 'b'>"] * 2]

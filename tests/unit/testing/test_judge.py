"""What is a violation, and what is none."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from cache.testing import CommitRefused, Race, Report, Row, Source, explore

Scenario = Callable[[Race], None]


def kinds(scenario: Scenario, **options: Any) -> set[str]:
    report = explore(scenario, stop_on_first=False, **options)
    assert report.complete
    return set(report.counts)


class Store:
    """A cache that can be as wrong as a test wants it."""

    def __init__(self, users: Source) -> None:
        self.users = users
        self.rows: dict[int, Row] = {}

    async def get(self, uid: int) -> Row:
        if uid not in self.rows:
            self.rows[uid] = await self.users.load(uid)
        return self.rows[uid]


def test_no_cache_at_all_is_innocent() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")
        race.read(users.load, 1, hits=False)
        race.read(users.load, 1, hits=False)
        race.mutate(users.write, 1)

    report = explore(scenario)
    assert report.complete
    report.check()


def test_a_reader_that_never_hits_has_no_liveness() -> None:
    def scenario(race: Race) -> None:
        race.read(race.source("users").load, 1)

    (violation,) = explore(scenario).violations
    assert (violation.kind, violation.text) == ("liveness", "load(1) loads again at every call")


def test_a_row_kept_out_of_the_cache_for_a_while_is_no_lack_of_liveness() -> None:
    def scenario(race: Race) -> None:
        users, rows = race.source("users"), dict[int, Row]()

        async def get(uid: int) -> Row:
            row = rows.get(uid) or await users.load(uid)
            if race.clock() >= 1.0:
                rows[uid] = row
            return row

        race.read(get, 1)

    explore(scenario).check()


def test_a_value_that_stays_old_for_ever_is_stuck() -> None:
    def scenario(race: Race) -> None:
        store = Store(race.source("users"))

        async def warm_up() -> None:
            await store.get(1)
            await store.users.write(1)

        race.actor(warm_up)
        race.read(store.get, 1)

    assert kinds(scenario) == {"stuck"}


def test_a_value_that_is_only_old_while_the_mutation_runs_is_stale_after_its_commit() -> None:
    def scenario(race: Race) -> None:
        store = Store(race.source("users"))

        async def update() -> None:
            await store.users.write(1)
            store.rows.clear()

        store.rows[1] = store.users.committed(1)
        race.read(store.get, 1)
        race.mutate(update)

    assert kinds(scenario) == {"stale-commit"}


def test_a_value_that_is_old_when_the_mutation_is_over_is_stale_after_it() -> None:
    def scenario(race: Race) -> None:
        store = Store(race.source("users"))

        async def forget() -> None:
            await asyncio.sleep(1)
            store.rows.clear()

        async def update() -> None:
            await store.users.write(1)
            keep.append(asyncio.create_task(forget()))

        keep: list[asyncio.Task[None]] = []
        store.rows[1] = store.users.committed(1)
        race.read(store.get, 1)
        race.mutate(update)

    assert kinds(scenario) == {"stale-after", "stale-commit"}


def test_what_nobody_declared_is_not_promised_to_be_fresh_at_once() -> None:
    def scenario(race: Race) -> None:
        store = Store(race.source("users"))

        async def update() -> None:
            await store.users.write(1)
            store.rows.clear()

        store.rows[1] = store.users.committed(1)
        race.read(store.get, 1)
        race.actor(update)

    assert "stale-commit" not in kinds(scenario)


@pytest.mark.parametrize("rolls_back", [True, False])
def test_an_uncommitted_value_that_gets_out_is_dirty(rolls_back: bool) -> None:
    def scenario(race: Race) -> None:
        store = Store(race.source("users"))

        async def update() -> None:
            async with store.users.transaction() as transaction:
                store.rows[1] = await transaction.write(1)
                if rolls_back:
                    await transaction.rollback()
            store.rows.clear()

        race.read(store.get, 1)
        race.mutate(update)

    assert "dirty" in kinds(scenario)


def test_a_value_that_was_rolled_back_and_stays_is_stuck() -> None:
    def scenario(race: Race) -> None:
        store = Store(race.source("users"))

        async def update() -> None:
            async with store.users.transaction() as transaction:
                store.rows[1] = await transaction.write(1)
                await transaction.rollback()

        race.read(store.get, 1)
        race.mutate(update)

    assert kinds(scenario) == {"stuck", "dirty"}


def test_a_mutation_may_see_what_it_wrote_itself() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")

        async def update() -> None:
            async with users.transaction(ending="refused") as transaction:
                await transaction.write(1)
                assert (await race.observe(users.load, 1)).version == 1

        race.mutate(update, expect=(CommitRefused,))

    explore(scenario).check()


def test_a_read_inside_a_mutation_after_its_commit_is_judged() -> None:
    def scenario(race: Race) -> None:
        store = Store(race.source("users"))
        store.rows[1] = store.users.committed(1)

        async def update() -> Row:
            await store.users.write(1)
            row: Row = await race.observe(store.get, 1)
            return row

        race.mutate(update)

    assert kinds(scenario) == {"stale-commit"}


def test_a_commit_that_lands_late_counts_from_when_it_lands() -> None:
    def scenario(race: Race, reads: int = 1) -> None:
        store = Store(race.source("users"))

        async def update() -> None:
            try:
                await store.users.write(1, ending="late")
            finally:
                store.rows.clear()

        for _ in range(reads):
            race.read(store.get, 1)
        race.mutate(update, expect=(TimeoutError,))

    assert kinds(scenario) == {"stuck"}
    assert kinds(lambda race: scenario(race, reads=2)) == {"stuck", "stale-after", "stale-commit"}


def test_nothing_is_quiet_before_late_commits_have_landed() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")
        race.mutate(lambda: users.write(1, ending="late", delay=100), expect=(TimeoutError,))

        def check() -> None:
            assert users.committed(1).version == 1

        race.at_quiet(check)

    explore(scenario).check()


def test_what_a_thread_without_a_loop_commits_is_promised() -> None:
    def scenario(race: Race) -> None:
        store = Store(race.source("users"))
        store.rows[1] = store.users.committed(1)

        def update() -> None:
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            store.users.write_now(1)

        race.read(store.get, 1)
        race.call(update)

    assert kinds(scenario) == {"stale-after", "stale-commit", "stuck"}


def test_the_rows_of_a_result_are_found_in_containers() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")

        async def page() -> dict[str, object]:
            return {"all": [(await users.load(1),), {await users.load(2)}], "title": "users"}

        stale: list[object] = []

        async def get_page() -> object:
            if not stale:
                stale.append(await page())
            return stale[0]

        race.read(get_page)
        race.mutate(users.write, 2)

    report = explore(scenario, stop_on_first=False)
    assert "users[2] v0, not v1" in str({violation.text for violation in report.violations})


def test_a_plain_version_is_judged_as_that_of_the_row_it_is_said_to_be_of() -> None:
    def scenario(race: Race) -> None:
        users, versions = race.source("users"), list[int]()

        async def get_version() -> int:
            if not versions:
                versions.append((await users.load(1)).version)
            return versions[0]

        race.read(get_version, of=(users, 1))
        race.mutate(users.write, 1)

    (violation,) = explore(scenario).violations
    assert violation.text == "with all quiet, get_version() returned users[1] v0, not v1"


def test_any_result_is_judged_by_the_rows_it_is_mapped_to() -> None:
    def scenario(race: Race) -> None:
        users, names = race.source("users"), list[str]()

        async def get_name() -> str:
            if not names:
                names.append(f"v{(await users.load(1)).version}")
            return names[0]

        for _ in range(2):
            race.read(get_name, of=lambda name: [Row("users", 1, int(name[1:]))])
        race.mutate(users.write, 1)

    assert kinds(scenario) == {"stuck", "stale-commit", "stale-after"}


def test_a_row_of_another_key_is_wrong() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")
        race.read(users.load, 2, of=(users, 1), hits=False)

    report = explore(scenario)
    (violation,) = report.violations
    assert (violation.kind, violation.text) == ("wrong", "load(2) returned users[2] v0, which is no row of users[1]")


@pytest.mark.parametrize("of", [None, lambda result: [result]])
def test_a_result_in_which_there_is_nothing_to_judge_is_a_mistake_of_the_scenario(of: Any) -> None:
    def scenario(race: Race) -> None:
        async def get_name() -> str:
            return "Ada"

        race.read(get_name, of=of)

    with pytest.raises(TypeError, match=r"get_name\(\) returned 'Ada', in which there is no Row to judge"):
        explore(scenario)


def test_a_reader_hurt_by_the_cancellation_of_another_is_an_innocent() -> None:
    """Naive coalescing: whoever comes second awaits the task of whoever came first."""

    def scenario(race: Race) -> None:
        users, loads = race.source("users"), dict[int, asyncio.Future[Row]]()

        async def get(uid: int) -> Row:
            if uid not in loads:
                loads[uid] = asyncio.ensure_future(users.load(uid))
            return await loads[uid]

        race.read(get, 1, cancel=True)
        race.read(get, 1, name="second")

    report = explore(scenario, stop_on_first=False)
    assert "innocents" in report.counts
    hurt = next(violation for violation in report.violations if violation.kind == "innocents")
    assert hurt.text == "second ended with CancelledError(), though nobody had cancelled it"
    assert "  reader-1 is cancelled" in hurt.trace


def test_an_error_that_an_actor_does_not_expect_is_reported_with_its_traceback() -> None:
    def scenario(race: Race) -> None:
        async def divide() -> float:
            return 1 / 0

        race.actor(divide)

    (violation,) = explore(scenario).violations
    assert violation.kind == "innocents"
    assert violation.text == "actor-1 ended with ZeroDivisionError('division by zero'), which it does not expect"
    assert any("in divide" in line for line in violation.trace)


def test_an_error_that_an_actor_expects_is_none() -> None:
    def scenario(race: Race) -> None:
        async def fail() -> Row:
            raise LookupError

        race.read(fail, expect=(LookupError,))
        race.call(int, "x", expect=(ValueError,))

    explore(scenario).check()


def test_a_read_that_fails_when_all_is_quiet_is_reported() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")
        calls: list[int] = []

        async def get() -> Row:
            calls.append(1)
            if len(calls) > 1:
                raise LookupError
            return await users.load(1)

        race.read(get)

    (violation,) = explore(scenario).violations
    assert (violation.kind, violation.text) == ("innocents", "with all quiet, get() ended with LookupError()")


def test_an_actor_that_waits_for_nothing_hangs() -> None:
    def scenario(race: Race) -> None:
        async def wait() -> None:
            await asyncio.Event().wait()

        race.actor(wait, name="patient", cancel=True)

    report = explore(scenario)
    (violation,) = report.violations
    assert violation.kind == "hang"
    assert "these have not ended: patient" in violation.text


@pytest.mark.parametrize("pause", [0, 1])
def test_a_run_that_never_comes_to_rest_hangs(pause: float) -> None:
    def scenario(race: Race) -> None:
        async def spin() -> None:
            while True:  # noqa: ASYNC110 - that it waits for nothing is the point
                await asyncio.sleep(pause)

        race.actor(spin)

    (violation,) = explore(scenario).violations
    assert (violation.kind, violation.text[:8]) == ("hang", "livelock")


@pytest.mark.parametrize("wait", [asyncio.Event().wait, lambda: asyncio.sleep(0)])
def test_a_read_that_never_ends_when_all_is_quiet_hangs(wait: Callable[[], Any]) -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")
        calls: list[int] = []

        async def get() -> Row:
            calls.append(1)
            while len(calls) > 1:
                await wait()
            return await users.load(1)

        race.read(get)

    (violation,) = explore(scenario).violations
    assert violation.kind == "hang"


def test_a_task_that_is_left_is_a_leak_unless_it_ends_soon() -> None:
    def scenario(seconds: float) -> Scenario:
        def leave(race: Race) -> None:
            tasks: list[asyncio.Task[None]] = []

            async def begin() -> None:
                tasks.append(asyncio.create_task(asyncio.sleep(seconds), name="sleeper"))

            race.actor(begin)

        return leave

    explore(scenario(9)).check()
    (violation,) = explore(scenario(11)).violations
    assert (violation.kind, violation.text) == ("leaks", "task 'sleeper' is still pending")
    explore(scenario(11), allow={"leaks"}).check()


def test_time_stands_still_once_the_actors_have_ended_unless_only_time_helps() -> None:
    def scenario(race: Race) -> None:
        tasks: list[asyncio.Task[None]] = []

        async def finish() -> None:
            async with asyncio.timeout(1):
                await race.checkpoint("in time")

        async def begin() -> None:
            tasks.append(asyncio.create_task(finish()))

        def check() -> None:
            assert race.clock() == 0.0
            assert tasks[0].exception() is None

        race.actor(begin)
        race.at_quiet(check)

    report = explore(scenario)
    report.check()
    assert report.schedules == 1


def test_a_timer_that_no_task_waits_for_is_not_waited_for_either() -> None:
    def scenario(race: Race) -> None:
        async def begin() -> None:
            asyncio.get_running_loop().call_later(1, print, "never")

        def check() -> None:
            assert race.clock() == 0.0

        race.actor(begin)
        race.at_quiet(check)

    explore(scenario).check()


def test_what_a_last_read_leaves_running_is_waited_for() -> None:
    def scenario(race: Race) -> None:
        users, rows = race.source("users"), dict[int, Row]()
        tasks: list[asyncio.Task[None]] = []

        async def store(row: Row) -> None:
            await asyncio.sleep(5)
            if race.clock() > 60:
                rows[1] = row

        async def get() -> Row:
            if 1 not in rows:
                row = await users.load(1)
                tasks.append(asyncio.create_task(store(row)))
                return row
            return rows[1]

        race.read(get)

    explore(scenario).check()


def test_what_is_cut_off_is_cancelled_and_not_blamed_for_how_it_ends() -> None:
    ends: list[str] = []

    def scenario(race: Race) -> None:
        tasks: list[asyncio.Task[None]] = []

        async def linger() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as exc:
                ends.append("cancelled")
                raise LookupError from exc

        async def begin() -> None:
            tasks.append(asyncio.create_task(linger()))

        race.actor(begin)

    assert kinds(scenario) == {"leaks"}
    assert set(ends) == {"cancelled"}


def test_a_task_that_refuses_its_cancellation_does_not_keep_the_search_from_going_on() -> None:
    def scenario(race: Race) -> None:
        tasks: list[asyncio.Task[None]] = []

        async def stubborn() -> None:
            while True:
                try:
                    await asyncio.sleep(1_000)
                except asyncio.CancelledError:
                    await race.checkpoint("no")

        async def begin() -> None:
            tasks.append(asyncio.create_task(stubborn()))

        race.actor(begin)

    assert kinds(scenario) == {"leaks"}


@pytest.mark.parametrize("cyclic", [True, False])
def test_an_exception_that_nobody_retrieves_is_reported_with_its_schedule(cyclic: bool) -> None:
    def scenario(race: Race) -> None:
        async def fail() -> None:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(LookupError("lost"))
            if cyclic:
                circle: list[object] = [future]
                circle.append(circle)

        race.actor(fail)
        race.actor(asyncio.sleep, 0)

    gc.disable()  # so that only the collection at the end can find what is lost in a circle
    try:
        report = explore(scenario, stop_on_first=False)
    finally:
        gc.enable()
    (violation,) = report.violations
    assert violation.kind == "unhandled"
    assert "LookupError('lost')" in violation.text
    assert report.counts == {"unhandled": 2}
    assert "not again" not in violation.trace[-1]
    explore(scenario, allow={"unhandled"}).check()


def test_an_error_in_a_callback_is_reported() -> None:
    def scenario(race: Race) -> None:
        async def begin() -> None:
            asyncio.get_running_loop().call_soon(lambda: 1 // 0)

        race.actor(begin)

    (violation,) = explore(scenario).violations
    assert violation.kind == "unhandled"
    assert "ZeroDivisionError" in violation.text


def test_a_check_that_fails_when_all_is_quiet_is_reported_as_its_kind() -> None:
    def scenario(race: Race) -> None:
        def check(text: str) -> None:
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            if text:
                raise AssertionError(text)
            raise AssertionError

        race.actor(asyncio.sleep, 0)
        race.at_quiet(lambda: check("crooked"))
        race.at_quiet(lambda: check(""), kind="leaks")

    report: Report = explore(scenario)
    assert [violation.kind for violation in report.violations] == ["check", "leaks"]
    assert report.violations[0].text == "crooked"
    assert report.violations[1].text == "AssertionError without a text"


def test_an_error_of_another_kind_in_a_check_is_a_mistake_of_the_scenario() -> None:
    def scenario(race: Race) -> None:
        race.at_quiet(lambda: int("x"))

    with pytest.raises(ValueError, match="'x'"):
        explore(scenario)

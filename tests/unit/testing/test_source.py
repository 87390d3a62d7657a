from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, get_args

import pytest

from cache.testing import CommitRefused, Outcome, Race, Row, Source, Transaction, explore, replay
from cache.testing._source import Ending


def alone(main: Callable[[Source, Race], Awaitable[object]]) -> Any:
    """Return what one actor returns."""

    def scenario(race: Race) -> None:
        users = race.source("users")
        race.actor(lambda: main(users, race), name="main")

    outcome: Outcome = replay(scenario, "")
    outcome.check()
    return outcome.results["main"]


def versions(rows: list[Row]) -> list[int]:
    return [row.version for row in rows]


def test_a_row_says_what_it_is() -> None:
    row = Row("users", 1, 2)
    assert row == ("users", 1, 2)
    assert str(row) == repr(row) == "users[1] v2"


def test_every_write_is_a_new_version_of_its_row_alone() -> None:
    async def main(users: Source, race: Race) -> list[Row]:
        return [
            await users.load("x"),
            await users.write("x"),
            await users.write("x"),
            users.write_now("x"),
            await users.load("x"),
            await users.load("y"),
        ]

    assert versions(alone(main)) == [0, 1, 2, 3, 3, 0]


def test_several_rows_are_read_at_once() -> None:
    async def main(users: Source, race: Race) -> tuple[object, ...]:
        users.write_now(2)
        rows = await users.load_many([1, 2])
        return rows, users.loads(1), users.loads(3), users.committed(2).version

    assert alone(main) == ({1: Row("users", 1, 0), 2: Row("users", 2, 1)}, 1, 0, 1)


def test_a_load_reads_between_its_two_gates() -> None:
    seen: set[tuple[int, int]] = set()

    def scenario(race: Race) -> None:
        users = race.source("users")

        async def load() -> None:
            before = users.committed(1).version
            seen.add((before, (await users.load(1)).version))

        race.actor(load)
        race.call(users.write_now, 1)

    explore(scenario).check()
    assert seen == {(0, 0), (0, 1), (1, 1)}


def test_the_greatest_number_of_loads_at_once_is_counted() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")

        async def load() -> None:
            await asyncio.gather(users.load(1), users.load_many([1, 2]))
            await users.load(1)

        race.actor(load)

    report = explore(scenario)
    assert report.loads["users", 1] == (3, 3.0, 2)
    assert report.loads["users", 2] == (1, 1.0, 1)


def test_what_a_transaction_wrote_is_seen_in_its_context_alone() -> None:
    async def main(users: Source, race: Race) -> list[Row]:
        async def child() -> Row:
            return await users.load(1)

        outside = asyncio.Event()

        async def stranger() -> Row:
            await outside.wait()
            return await users.load(1)

        other = asyncio.create_task(stranger())
        async with users.transaction() as transaction:
            await transaction.write(1)
            inside = await asyncio.create_task(child())
            own = await users.load(1)
            outside.set()
            seen = [inside, own, await other, users.committed(1)]
        return [*seen, users.committed(1), await users.load(1)]

    assert versions(alone(main)) == [1, 1, 0, 0, 1, 1]


def test_a_transaction_inside_another_sees_both() -> None:
    async def main(users: Source, race: Race) -> list[Row]:
        teams = race.source("teams")
        async with users.transaction() as outer, teams.transaction() as inner:
            await outer.write(1)
            await inner.write(1)
            return [await users.load(1), await teams.load(1), await users.load(2)]

    assert versions(alone(main)) == [1, 1, 0]


def test_an_error_in_the_body_rolls_back() -> None:
    async def fail(users: Source) -> None:
        async with users.transaction() as transaction:
            await transaction.write(1)
            raise LookupError

    async def main(users: Source, race: Race) -> list[Row]:
        async with users.transaction() as transaction:
            rolled_back = await transaction.write(1)
            await transaction.rollback()
        with pytest.raises(LookupError):
            await fail(users)
        return [rolled_back, users.committed(1), await users.write(1)]

    assert versions(alone(main)) == [1, 0, 3]


def test_a_commit_takes_effect_before_it_is_acknowledged() -> None:
    seen: set[int] = set()

    def scenario(race: Race) -> None:
        users = race.source("users")

        async def update() -> None:
            async with users.transaction() as transaction:
                await transaction.write(1)
                await transaction.commit()
                assert users.committed(1).version == 1

        race.actor(update)
        race.call(lambda: seen.add(users.committed(1).version))

    report = explore(scenario)
    report.check()
    assert report.schedules == 5
    assert seen == {0, 1}


def test_two_transactions_cannot_hold_one_row() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")
        holders: list[int] = []

        async def update(number: int) -> None:
            async with users.transaction() as transaction:
                await transaction.write(1)
                holders.append(number)
                await race.checkpoint("holds")
                assert holders == [number]
                holders.clear()

        race.actor(update, 1)
        race.actor(update, 2)

    explore(scenario).check()
    explore(scenario, preemptions=2, max_schedules=2_000, samples=500).check()


def test_two_transactions_that_wait_for_each_other_hang() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")

        async def update(*keys: int) -> None:
            async with users.transaction() as transaction:
                for key in keys:
                    await transaction.write(key)

        race.mutate(update, 1, 2)
        race.mutate(update, 2, 1)

    (violation,) = explore(scenario).violations
    assert violation.kind == "hang"


@pytest.mark.parametrize("ending", get_args(Ending))
@pytest.mark.parametrize("whole", [True, False])
def test_a_commit_ends_as_it_is_told_to(ending: Ending, whole: bool) -> None:
    errors = {"refused": CommitRefused, "unacknowledged": ConnectionError, "late": TimeoutError}

    async def main(users: Source, race: Race) -> tuple[object, ...]:
        error = None
        try:
            if whole:
                async with users.transaction(ending=ending, delay=2.0) as transaction:
                    await transaction.write(1)
            else:
                await users.write(1, ending=ending, delay=2.0)
        except (CommitRefused, OSError) as exc:
            error = type(exc)
        at_once = users.committed(1).version
        await asyncio.sleep(1.9)
        before = users.committed(1).version
        await asyncio.sleep(0.2)
        return error, at_once, before, users.committed(1).version, (await users.write(1)).version

    expected = {
        "commits": (1, 1, 1),
        "refused": (0, 0, 0),
        "unacknowledged": (1, 1, 1),
        "late": (0, 0, 1),
    }
    assert alone(main) == (errors.get(ending), *expected[ending], 2)


def test_a_row_is_held_until_a_late_commit_has_landed() -> None:
    async def main(users: Source, race: Race) -> tuple[float, int]:
        with pytest.raises(TimeoutError, match="may still land"):
            await users.write(1, ending="late", delay=4)
        with pytest.raises(RuntimeError, match=r"users\[1\] v0 is held by an open transaction"):
            users.write_now(1)
        row = await users.write(1)
        return race.clock(), row.version

    assert alone(main) == (4.0, 2)


@pytest.mark.parametrize("step", ["write", "commit", "rollback"])
def test_a_transaction_that_is_over_refuses_more(step: str) -> None:
    async def main(users: Source, race: Race) -> None:
        async with users.transaction() as transaction:
            pass
        arguments = (1,) if step == "write" else ()
        with pytest.raises(RuntimeError, match="this transaction of 'users' is over"):
            await getattr(transaction, step)(*arguments)

    alone(main)


def test_a_cancelled_transaction_lets_go_of_its_rows() -> None:
    committed: set[int] = set()

    def scenario(race: Race) -> None:
        users = race.source("users")

        async def update() -> None:
            async with users.transaction() as transaction:
                await transaction.write(1)

        race.mutate(update, cancel=True)
        race.mutate(users.write, 1, cancel=True)
        race.at_quiet(lambda: users.write_now(1))
        race.at_quiet(lambda: committed.add(users.committed(1).version))

    explore(scenario).check()
    assert committed == {1, 2, 3}


def test_wrong_arguments_are_refused() -> None:
    def scenario(race: Race) -> None:
        users = race.source("users")
        assert repr(users) == "<Source 'users'>"
        bad: Any = "explodes"
        with pytest.raises(ValueError, match="ending='explodes' is unknown: give one of commits, refused"):
            users.transaction(ending=bad)
        with pytest.raises(ValueError, match="delay=-1 is no duration"):
            users.transaction(ending="late", delay=-1)
        with pytest.raises(ValueError, match="a source 'users' already"):
            race.source("users")
        assert isinstance(users.transaction(), Transaction)

    explore(scenario).check()


def test_a_source_cannot_be_awaited_outside_its_race() -> None:
    kept: list[Source] = []
    explore(lambda race: kept.append(race.source("users"))).check()
    with pytest.raises(RuntimeError, match="outside its race"):
        asyncio.run(kept[0].load(1))

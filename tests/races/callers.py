"""Callers that are cancelled, loads that fail, and what that does to the others: nothing."""

from __future__ import annotations

import asyncio

from cache import AsyncLRU, LoadCancelled, cached
from cache.testing import Race, Row
from tests.races.catalogue import cache_of, end_quietly, outer_of, scenario, update_of, users_of


class Unavailable(Exception):
    """The error of a loader."""


@scenario()
def any_of_three_readers_is_cancelled(race: Race) -> None:
    _, get_user = users_of(race)

    race.read(get_user, 1, cancel=True)
    race.read(get_user, 1)
    race.read(get_user, 1, cancel=True)


@scenario(small=False)
def cancelled_readers_and_a_mutation(race: Race) -> None:
    users, get_user = users_of(race)
    update = update_of(users, get_user)

    race.read(get_user, 1, cancel=True)
    race.read(get_user, 1, cancel=True)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario()
def a_load_dies_with_its_last_reader(race: Race) -> None:
    users = race.source("users")
    ended: list[str] = []

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        try:
            row = await users.load(uid)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("done")
        return row

    async def give_up(uid: int) -> None:
        reading = asyncio.ensure_future(get_user(uid))
        await race.checkpoint("give up")
        reading.cancel()
        await asyncio.wait([reading])
        await asyncio.sleep(0)
        assert ended, "nobody waits, and the load goes on"

    race.actor(give_up, 1)
    end_quietly(race, get_user)


@scenario(small=False)
def a_cancelled_outer_leaves_its_inner_to_others(race: Race) -> None:
    _, get_user = users_of(race)
    get_page = outer_of(race, "page", get_user)

    race.read(get_page, 1, cancel=True)
    race.read(get_user, 1)
    race.read(get_page, 1)


def a_load_that_raises_once(race: Race, error: BaseException, *, seen: type[Exception]) -> None:
    """``error`` is what the loader raises, ``seen`` what its readers may be given."""
    users = race.source("users")
    errors = [error]

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        row = await users.load(uid)
        if errors:
            raise errors.pop()
        return row

    race.read(get_user, 1, expect=(seen,))
    race.read(get_user, 1, expect=(seen,), cancel=True)
    end_quietly(race, get_user)


@scenario()
def a_load_that_fails(race: Race) -> None:
    a_load_that_raises_once(race, Unavailable("once"), seen=Unavailable)


@scenario()
def a_load_cancelled_from_inside(race: Race) -> None:
    a_load_that_raises_once(race, asyncio.CancelledError("once"), seen=LoadCancelled)


@scenario(small=False)
def an_error_that_is_kept_and_a_mutation(race: Race) -> None:
    users = race.source("users")

    @cached(cache_errors={Unavailable: 30.0}, clock=race.clock)
    async def get_user(uid: int) -> Row:
        row = await users.load(uid)
        if row.version == 0:
            raise Unavailable
        return row

    create = update_of(users, get_user)

    race.read(get_user, 1, expect=(Unavailable,))
    race.read(get_user, 1, expect=(Unavailable,))
    race.mutate(create, 1)
    end_quietly(race, get_user)


@scenario(small=False)
def a_timeout_of_one_reader(race: Race) -> None:
    _, get_user = users_of(race)

    async def impatient(uid: int) -> Row:
        async with asyncio.timeout(1):
            return await get_user(uid)

    race.read(get_user, 1)
    race.read(impatient, 1, expect=(TimeoutError,))


@scenario(small=False)
def closing_under_readers(race: Race) -> None:
    _, cache, get_user = cache_of(race)

    race.read(get_user, 1, expect=(LoadCancelled,))
    race.read(get_user, 1, expect=(LoadCancelled,), cancel=True)
    race.actor(cache.aclose)
    race.actor(cache.aclose)

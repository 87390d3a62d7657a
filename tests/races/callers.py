"""Callers that are cancelled, loads that fail, and what that does to the others: nothing."""

from __future__ import annotations

import asyncio

from cache import AsyncCache, AsyncLRU, AsyncLRUInvalidator, LoadCancelled, cached
from cache.testing import Race, Row
from tests.races.catalogue import end_quietly, scenario


class Unavailable(Exception):
    """The error of a loader."""


@scenario()
def any_of_three_readers_is_cancelled(race: Race) -> None:
    users = race.source("users")

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    race.read(get_user, 1, cancel=True)
    race.read(get_user, 1)
    race.read(get_user, 1, cancel=True)
    end_quietly(race, get_user)


@scenario(small=False)
def cancelled_readers_and_a_mutation(race: Race) -> None:
    users = race.source("users")

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1, cancel=True)
    race.read(get_user, 1, cancel=True)
    race.read(get_user, 1)
    race.mutate(update, 1)
    end_quietly(race, get_user)


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
    users = race.source("users")

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, Row]:
        return ("page", await get_user(uid))

    race.read(get_page, 1, cancel=True)
    race.read(get_user, 1)
    race.read(get_page, 1)
    end_quietly(race, get_user, get_page)


@scenario()
def a_load_that_fails(race: Race) -> None:
    users = race.source("users")
    failures = [Unavailable("once")]

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        row = await users.load(uid)
        if failures:
            raise failures.pop()
        return row

    race.read(get_user, 1, expect=(Unavailable,))
    race.read(get_user, 1, expect=(Unavailable,), cancel=True)
    end_quietly(race, get_user)


@scenario()
def a_load_cancelled_from_inside(race: Race) -> None:
    users = race.source("users")
    cancellations = [asyncio.CancelledError("once")]

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        row = await users.load(uid)
        if cancellations:
            raise cancellations.pop()
        return row

    race.read(get_user, 1, expect=(LoadCancelled,))
    race.read(get_user, 1, expect=(LoadCancelled,), cancel=True)
    end_quietly(race, get_user)


@scenario(small=False)
def an_error_that_is_kept_and_a_mutation(race: Race) -> None:
    users = race.source("users")

    @cached(cache_errors={Unavailable: 30.0}, clock=race.clock)
    async def get_user(uid: int) -> Row:
        row = await users.load(uid)
        if row.version == 0:
            raise Unavailable
        return row

    @AsyncLRUInvalidator(get_user)
    async def create(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1, expect=(Unavailable,))
    race.read(get_user, 1, expect=(Unavailable,))
    race.mutate(create, 1)
    end_quietly(race, get_user)


@scenario(small=False)
def a_timeout_of_one_reader(race: Race) -> None:
    users = race.source("users")

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    async def impatient(uid: int) -> Row:
        async with asyncio.timeout(1):
            return await get_user(uid)

    race.read(get_user, 1)
    race.read(impatient, 1, expect=(TimeoutError,))
    end_quietly(race, get_user)


@scenario(small=False)
def closing_under_readers(race: Race) -> None:
    users = race.source("users")
    cache = AsyncCache(clock=race.clock)

    async def get_user(uid: int) -> Row:
        row: Row = await cache.get(uid, lambda: users.load(uid))
        return row

    race.read(get_user, 1, expect=(LoadCancelled,))
    race.read(get_user, 1, expect=(LoadCancelled,), cancel=True)
    race.actor(cache.aclose)
    race.actor(cache.aclose)
    end_quietly(race, cache)

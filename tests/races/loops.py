"""Several event loops, and threads that have none."""

from __future__ import annotations

from cache import AsyncCache, AsyncLRU, AsyncLRUInvalidator
from cache.testing import Race, Row
from tests.races.catalogue import end_quietly, scenario


@scenario(small=False)
def readers_and_a_mutation_on_two_loops(race: Race) -> None:
    users = race.source("users")

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1, loop="a")
    race.read(get_user, 1, loop="b")
    race.mutate(update, 1, loop="b")
    end_quietly(race, get_user)


@scenario(small=False)
def readers_on_two_loops_and_a_mutation_on_a_third(race: Race) -> None:
    users = race.source("users")

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, Row]:
        return ("page", await get_user(uid))

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_page, 1, loop="a")
    race.read(get_page, 1, loop="b", cancel=True)
    race.mutate(update, 1, loop="c")
    end_quietly(race, get_user, get_page)


@scenario(allow={"stale-commit"})
def a_delete_from_a_thread_without_a_loop(race: Race) -> None:
    users = race.source("users")
    cache = AsyncCache(clock=race.clock)

    async def get_user(uid: int) -> Row:
        row: Row = await cache.get(uid, lambda: users.load(uid))
        return row

    def update(uid: int) -> None:
        users.write_now(uid)
        cache.delete(uid)

    race.read(get_user, 1)
    race.read(get_user, 1, loop="b")
    race.call(update, 1)
    end_quietly(race, cache)


@scenario(small=False)
def a_mutation_in_a_thread_without_a_loop(race: Race) -> None:
    """The end of the mutation starts, on another loop, the load that was queued behind it."""
    users = race.source("users")
    cache = AsyncCache(clock=race.clock)

    async def get_user(uid: int) -> Row:
        row: Row = await cache.get(uid, lambda: users.load(uid))
        return row

    def finish() -> None:
        with cache.mutating(1):
            users.write_now(1)

    race.read(get_user, 1)
    race.read(get_user, 1, loop="b")
    race.call(finish)
    race.call(finish)
    end_quietly(race, cache)


@scenario(small=False)
def a_batch_on_two_loops(race: Race) -> None:
    users = race.source("users")
    cache = AsyncCache(clock=race.clock, batch_window_ms=0)

    async def get_user(uid: int) -> Row | None:
        row: Row | None = await cache.get(uid, batch_loader=users.load_many)
        return row

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)

    race.read(get_user, 1, loop="a")
    race.read(get_user, 1, loop="b")
    race.read(get_user, 2, loop="b")
    race.mutate(update, 1, loop="a")
    end_quietly(race, cache)

"""Several processes: a mutation in one, and reads in another, of keys, tags, everything, and what was computed."""

from __future__ import annotations

from typing import Any

from cache import AsyncLRU, cached, invalidates, mutating
from cache.testing import Race, Row
from tests.races.catalogue import end_quietly, scenario, update_of
from tests.races.machine import two_processes


@scenario()
def a_read_here_and_a_mutation_there(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user = here.function(race, users)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, there.function(race, users)), 1)


@scenario(small=False)
def reads_and_mutations_in_both(race: Race) -> None:
    users = race.source("users")
    here, there = (process.function(race, users) for process in two_processes(race))

    for get_user in (here, there):
        race.read(get_user, 1, cancel=True)
        race.read(get_user, 1)
        race.mutate(update_of(users, get_user, linger=0), 1, cancel=True)


@scenario(small=False)
def a_mutation_there_that_dies_after_its_commit(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user, cache = here.cache(race), there.cache(race)

    async def read(uid: int) -> Row:
        row: Row = await get_user.get(uid, lambda: users.load(uid))
        return row

    async def update(uid: int) -> None:
        window = cache.mutating(uid)
        window.__enter__()
        await users.write(uid)
        there.die()

    race.read(read, 1)
    race.read(read, 1)
    race.mutate(update, 1)


@scenario(allow={"stale-commit"})
def a_delete_there_after_the_write(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    reading, writing = here.cache(race), there.cache(race)

    async def read(uid: int) -> Row:
        row: Row = await reading.get(uid, lambda: users.load(uid))
        return row

    async def update(uid: int) -> None:
        await users.write(uid)
        await writing.delete(uid)

    race.read(read, 1)
    race.read(read, 1)
    race.mutate(update, 1)


@scenario(allow={"stale-commit"})
def a_set_there_after_the_write(race: Race) -> None:
    users = race.source("users")
    caches = [process.cache(race) for process in two_processes(race)]

    async def update(uid: int) -> None:
        await users.write(uid)
        await caches[1].set(uid, users.committed(uid))

    for cache in caches:

        async def read(uid: int, cache: Any = cache) -> Row:
            row: Row = await cache.get(uid, lambda: users.load(uid))
            return row

        race.read(read, 1)
    race.mutate(update, 1)


@scenario(small=False)
def a_set_inside_a_mutation_and_a_mutation_there(race: Race) -> None:
    users = race.source("users")
    here, there = (process.cache(race) for process in two_processes(race))

    async def read(uid: int) -> Row:
        row: Row = await here.get(uid, lambda: users.load(uid))
        return row

    async def update_and_set(uid: int) -> None:
        async with here.mutating(uid):
            await users.write(uid)
            row = users.committed(uid)
            await race.checkpoint("between the commit and the set")
            here.set(uid, row)

    async def update(uid: int) -> None:
        async with there.mutating(uid):
            await users.write(uid)

    race.read(read, 1)
    race.mutate(update_and_set, 1)
    race.mutate(update, 1)


@scenario()
def everything_changes_there(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user = here.function(race, users)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, there.function(race, users), clear_all=True), 1)


@scenario()
def a_tag_changes_there(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user = here.function(race, users, tags=("user:{uid}",))
    there.function(race, users)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, tags=("user:{uid}",), namespace=there.name), 1)


@scenario()
def a_tag_computed_from_the_result_changes_there(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user = here.function(race, users, tags=lambda row, uid: (f"user:{uid}",))
    there.function(race, users)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, tags=("user:{uid}",), namespace=there.name), 1)


@scenario(small=False)
def a_computed_tag_changes_there_by_a_mutation_that_dies(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user = here.function(race, users, tags=lambda row, uid: (f"user:{uid}",))
    cache = there.cache(race)

    async def update(uid: int) -> None:
        mutating(tags=(f"user:{uid}",), namespace=there.name).__enter__()
        await users.write(uid)
        there.die()
        cache._namespace.windows.clear()

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario(small=False)
def a_commit_there_that_lands_after_its_error(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user, changed = here.function(race, users), there.function(race, users, quiet=False)

    @invalidates(changed)
    async def update(uid: int) -> None:
        await users.write(uid, ending="late", delay=0.5)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1, expect=(TimeoutError,))


@scenario(small=False)
def an_outer_of_this_process_over_what_changes_there(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user = here.function(race, users)

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, Row]:
        row = await get_user(uid)
        await race.checkpoint("the page computes")
        return ("page", row)

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, there.function(race, users)), 1)
    end_quietly(race, get_page)


@scenario(small=False)
def three_levels_over_what_changes_there(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user = here.function(race, users, tags=lambda row, uid: (f"user:{uid}",))
    there.function(race, users)

    @AsyncLRU(clock=race.clock)
    async def get_card(uid: int) -> tuple[str, Row]:
        return ("card", await get_user(uid))

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, Any]:
        return ("page", await get_card(uid))

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, tags=("user:{uid}",), namespace=there.name), 1)
    end_quietly(race, get_page, get_card)


@scenario()
def a_refresh_here_and_a_mutation_there(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    get_user = here.function(race, users)

    race.read(get_user, 1)
    race.actor(get_user.refresh, 1)
    race.mutate(update_of(users, there.function(race, users)), 1)


@scenario()
def a_batch_here_and_a_mutation_there(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    cache = here.cache(race, batch_window_ms=0)

    async def load_batch(uids: list[int]) -> list[Row]:
        return [await users.load(uid) for uid in uids]

    async def read(uid: int) -> Row:
        row: Row = await cache.get(uid, batch_loader=load_batch)
        return row

    changed = there.cache(race)

    async def update(uid: int) -> None:
        async with changed.mutating(uid):
            await users.write(uid)

    race.read(read, 1)
    race.read(read, 1)
    race.mutate(update, 1)


@scenario()
def a_wildcard_that_only_the_other_process_knows(race: Race) -> None:
    users = race.source("users")
    here, there = two_processes(race)
    functions = []
    for process in (here, there):

        @cached(clock=race.clock, bus=process, name="get_user", namespace=process.name)
        async def get_user(uid: int, page: int = 0) -> Row:
            return await users.load(uid)

        functions.append(get_user)
        end_quietly(race, get_user)

    race.read(functions[0], 1)
    race.read(functions[0], 1)
    race.mutate(update_of(users, functions[1]), 1)

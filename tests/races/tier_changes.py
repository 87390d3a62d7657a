"""Set, delete, refresh, batches and preloading, where there is a tier."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cache.testing import Race, Row
from tests.races.catalogue import scenario, update_of
from tests.races.shelf import Host, Shelf
from tests.races.tiers import a_user_and_a_page, after_a_restart


def change_after_the_write(race: Race, change: Callable[[Any, Row], Awaitable[object]]) -> None:
    users = race.source("users")
    host = Host(race, Shelf(race.clock))
    cache = host.cache()
    host.shelve(cache, 1, users.committed(1))

    async def read(uid: int) -> Any:
        return await cache.get(uid, lambda: users.load(uid))

    async def update(uid: int) -> None:
        await users.write(uid)
        await change(cache, users.committed(uid))

    race.read(read, 1, cancel=True)
    race.read(read, 1)
    race.mutate(update, 1)
    after_a_restart(race, host, read)


@scenario(small=False, allow={"stale-commit"})
def a_delete_and_a_tier(race: Race) -> None:
    change_after_the_write(race, lambda cache, row: cache.delete(row.key))


@scenario(small=False, allow={"stale-commit"})
def a_clear_and_a_tier(race: Race) -> None:
    change_after_the_write(race, lambda cache, _: cache.clear())


@scenario(small=False, allow={"stale-commit"})
def a_set_and_a_tier(race: Race) -> None:
    change_after_the_write(race, lambda cache, row: cache.set(row.key, row))


@scenario(small=False, allow={"stale-commit"})
def a_delete_on_another_loop_and_a_tier(race: Race) -> None:
    users = race.source("users")
    host = Host(race, Shelf(race.clock))
    cache = host.cache()
    host.shelve(cache, 1, users.committed(1))

    async def read(uid: int) -> Any:
        return await cache.get(uid, lambda: users.load(uid))

    async def update(uid: int) -> None:
        await users.write(uid)
        await cache.delete(uid)

    race.read(read, 1, loop="b")
    race.read(read, 1)
    race.mutate(update, 1)
    after_a_restart(race, host, read)


@scenario(small=False)
def a_set_inside_a_mutation_and_a_tier(race: Race) -> None:
    users = race.source("users")
    host = Host(race, Shelf(race.clock))
    cache = host.cache()
    host.shelve(cache, 1, users.committed(1))

    async def read(uid: int) -> Any:
        return await cache.get(uid, lambda: users.load(uid))

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)
            cache.set(uid, users.committed(uid))

    race.read(read, 1)
    race.read(read, 1)
    race.mutate(update, 1)
    after_a_restart(race, host, read)


@scenario(small=False)
def a_refresh_and_a_mutation_with_the_value_in_the_tier(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    race.read(get_page, 1)
    race.actor(get_user.refresh, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False, allow={"stale-after", "stale-commit"})
def a_refresh_that_sees_what_nobody_declared_and_a_tier(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)

    async def change_and_refresh(uid: int) -> None:
        await users.write(uid)
        await get_user.refresh(uid)

    race.read(get_page, 1)
    race.read(get_user, 1)
    race.actor(change_and_refresh, 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def a_batch_of_which_one_key_is_in_the_tier(race: Race) -> None:
    users = race.source("users")
    host = Host(race, Shelf(race.clock))
    cache = host.cache(batch_window_ms=0)
    host.shelve(cache, 1, users.committed(1), ("#tags", "users"))

    async def read(uid: int) -> Any:
        return await cache.get(uid, batch_loader=users.load_many, tags=("users",))

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)

    race.read(read, 1, cancel=True)
    race.read(read, 2, cancel=True)
    race.read(read, 1)
    race.mutate(update, 1)
    after_a_restart(race, host, read)


@scenario(small=False)
def a_page_is_preloaded_during_a_mutation(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    race.actor(get_page.cache.load_from_backup)
    race.actor(get_user.cache.load_from_backup)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def threads_without_a_loop_and_a_tier(race: Race) -> None:
    users = race.source("users")
    host = Host(race, Shelf(race.clock))
    cache = host.cache()
    host.shelve(cache, 1, users.committed(1))

    async def read(uid: int) -> Any:
        return await asyncio.to_thread(cache.get_blocking, uid, lambda: users.committed(uid))

    def update(uid: int) -> None:
        with cache.mutating(uid):
            users.write_now(uid)

    race.read(read, 1)
    race.read(read, 1)
    race.call(update, 1)
    after_a_restart(race, host, read)

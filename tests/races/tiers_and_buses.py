"""Processes that share a bus and a tier: what one changes, and what the tier has just told the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cache import AsyncCache
from cache.testing import Race, Row, Source
from tests.races.catalogue import scenario, update_of
from tests.races.machine import two_processes
from tests.races.shelf import Host, Shelf
from tests.races.tiers import after_a_restart


def two_hosts(race: Race) -> tuple[Source, Host, Host]:
    """Users, and two processes with one bus and one shelf."""
    shelf = Shelf(race.clock)
    here, there = (Host(race, shelf, process) for process in two_processes(race))
    return race.source("users"), here, there


@scenario(small=False)
def a_value_in_the_tier_and_a_mutation_there(race: Race) -> None:
    users, here, there = two_hosts(race)
    get_user = here.reader(users)
    here.shelve(get_user, 1, users.committed(1))
    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, there.reader(users)), 1)
    after_a_restart(race, here, get_user)


@scenario(small=False)
def a_value_in_the_tier_and_mutations_on_both_sides(race: Race) -> None:
    users, here, there = two_hosts(race)
    for host in (here, there):
        get_user = host.reader(users)
        host.shelve(get_user, 1, users.committed(1))
        race.read(get_user, 1, cancel=True)
        race.mutate(update_of(users, get_user, linger=0), 1, cancel=True)
        after_a_restart(race, host, get_user)


@scenario(small=False)
def a_value_in_the_tier_and_a_mutation_of_its_tag_there(race: Race) -> None:
    users, here, there = two_hosts(race)
    get_user = here.reader(users, tags=lambda row, uid: (f"user:{uid}",))
    there.reader(users)
    here.shelve(get_user, 1, users.committed(1), ("#tags", "user:1"))
    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, tags=("user:{uid}",), namespace=there.name), 1)
    after_a_restart(race, here, get_user)


@scenario(small=False)
def a_page_in_the_tier_and_a_mutation_there(race: Race) -> None:
    users, here, there = two_hosts(race)
    get_user = here.reader(users)
    get_page = here.outer(get_user)
    here.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)))
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, there.reader(users)), 1)
    after_a_restart(race, here, get_page)


@scenario(small=False)
def a_page_without_a_bus_over_what_changes_there(race: Race) -> None:
    users, here, there = two_hosts(race)
    get_user = here.reader(users)
    get_page = here.outer(get_user, bus=None)
    here.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)))
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, there.reader(users)), 1)
    after_a_restart(race, here, get_page)


@scenario(small=False)
def a_page_is_preloaded_during_a_mutation_there(race: Race) -> None:
    users, here, there = two_hosts(race)
    get_user = here.reader(users)
    get_page = here.outer(get_user)
    here.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)))
    race.actor(get_page.cache.load_from_backup)
    race.read(get_page, 1)
    race.mutate(update_of(users, there.reader(users)), 1)
    after_a_restart(race, here, get_page)


def change_there_after_the_write(race: Race, change: Callable[[AsyncCache, Row], Awaitable[object]]) -> None:
    users, here, there = two_hosts(race)
    cache, changed = here.cache(), there.cache()
    here.shelve(cache, 1, users.committed(1), ("#tags", "user:1"))

    async def read(uid: int) -> Any:
        return await cache.get(uid, lambda: users.load(uid), tags=(f"user:{uid}",))

    async def update(uid: int) -> None:
        await users.write(uid)
        await change(changed, users.committed(uid))

    race.read(read, 1)
    race.read(read, 1)
    race.mutate(update, 1)
    after_a_restart(race, here, read)


@scenario(small=False, allow={"stale-commit"})
def a_value_in_the_tier_and_a_delete_there(race: Race) -> None:
    change_there_after_the_write(race, lambda cache, row: cache.delete(row.key))


@scenario(small=False, allow={"stale-commit"})
def a_value_in_the_tier_and_a_clear_there(race: Race) -> None:
    change_there_after_the_write(race, lambda cache, _: cache.clear())


@scenario(small=False, allow={"stale-commit"})
def a_value_in_the_tier_and_an_invalidation_of_its_tag_there(race: Race) -> None:
    change_there_after_the_write(race, lambda cache, row: cache.invalidate(f"user:{row.key}"))


@scenario(small=False, allow={"stale-commit"})
def a_value_in_the_tier_and_a_set_there(race: Race) -> None:
    change_there_after_the_write(race, lambda cache, row: cache.set(row.key, row, tags=(f"user:{row.key}",)))


@scenario(small=False)
def a_process_dies_there_after_its_commit_with_a_tier(race: Race) -> None:
    users, here, there = two_hosts(race)
    cache, changed = here.cache(), there.cache()
    here.shelve(cache, 1, users.committed(1))

    async def read(uid: int) -> Any:
        return await cache.get(uid, lambda: users.load(uid))

    async def update(uid: int) -> None:
        window = changed.mutating(uid)
        await window.__aenter__()
        await users.write(uid)
        there.die()

    race.read(read, 1)
    race.read(read, 1)
    race.mutate(update, 1)
    after_a_restart(race, here, read)


@scenario(small=False)
def a_process_dies_there_after_its_commit_under_a_page(race: Race) -> None:
    users, here, there = two_hosts(race)
    get_user, changed = here.reader(users), there.reader(users)
    get_page = here.outer(get_user)
    here.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)))

    async def update(uid: int) -> None:
        window = changed.cache.mutating(changed.cache_key(uid))
        await window.__aenter__()
        await users.write(uid)
        there.die()

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)
    after_a_restart(race, here, get_page)

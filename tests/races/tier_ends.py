"""Processes that know of one another by the tier alone, and the end of one of them."""

from __future__ import annotations

import asyncio
from typing import Any

from cache import invalidates
from cache.testing import Race
from tests.races.catalogue import scenario, update_of
from tests.races.shelf import Host, Shelf
from tests.races.tiers import after_a_restart


@scenario(small=False, allow={"stale-after", "stale-commit"})
def a_load_here_and_a_mutation_there_with_nothing_but_a_tier(race: Race) -> None:
    """What is in memory here may be old; what is in the tier is not."""
    users = race.source("users")
    shelf = Shelf(race.clock)
    here, there = Host(race, shelf), Host(race, shelf)
    get_user = here.reader(users)

    race.actor(get_user, 1)
    race.mutate(update_of(users, there.reader(users)), 1)
    after_a_restart(race, here, get_user)


@scenario(small=False)
def a_process_dies_after_its_commit_and_another_goes_on(race: Race) -> None:
    """What it was about to tell is never told; what it has told before it wrote is enough."""
    users = race.source("users")
    shelf = Shelf(race.clock)
    first, second = Host(race, shelf), Host(race, shelf)
    old, new = first.cache(), second.cache()
    first.shelve(old, 1, users.committed(1))
    dead = asyncio.Event()

    async def update(uid: int) -> None:
        window = old.mutating(uid)
        await window.__aenter__()
        await users.write(uid)
        first.die()
        dead.set()

    async def load(uid: int) -> None:
        await old.get(uid, lambda: users.load(uid))

    async def read(uid: int) -> Any:
        await dead.wait()
        return await new.get(uid, lambda: users.load(uid))

    race.actor(load, 1)
    race.actor(load, 1)
    race.mutate(update, 1)
    race.read(read, 1)
    after_a_restart(race, second, read)


@scenario(small=False)
def a_process_dies_in_a_mutation_of_what_another_is_loading(race: Race) -> None:
    """Nobody tells the other, which may have loaded what was there before: that must not stay in the tier."""
    users = race.source("users")
    shelf = Shelf(race.clock)
    first, second = Host(race, shelf), Host(race, shelf)
    get_user, changed = second.reader(users), first.reader(users)

    async def update(uid: int) -> None:
        window = changed.cache.mutating(changed.cache_key(uid))
        await window.__aenter__()
        await users.write(uid)
        first.die()

    async def load(uid: int) -> None:
        second.forget()
        await get_user(uid)

    race.actor(load, 1)
    race.actor(load, 1)
    race.mutate(update, 1)
    after_a_restart(race, second, get_user)


@scenario(small=False)
def a_process_dies_in_a_mutation_below_a_page_that_another_is_loading(race: Race) -> None:
    users = race.source("users")
    shelf = Shelf(race.clock)
    first, second = Host(race, shelf), Host(race, shelf)
    get_user, changed = second.reader(users), first.reader(users)
    get_page = second.outer(get_user)

    async def update(uid: int) -> None:
        window = changed.cache.mutating(everything=True)
        await window.__aenter__()
        await users.write(uid)
        first.die()

    async def load(uid: int) -> None:
        second.forget()
        await get_page(uid)

    race.actor(load, 1)
    race.actor(load, 1)
    race.mutate(update, 1)
    after_a_restart(race, second, get_page)


@scenario(small=False)
def a_commit_there_that_lands_after_its_error_with_nothing_but_a_tier(race: Race) -> None:
    """It lingers in the tier, too: what is loaded elsewhere before it has landed must not stay there."""
    users = race.source("users")
    shelf = Shelf(race.clock)
    first, second = Host(race, shelf), Host(race, shelf)
    get_user, changed = second.reader(users), first.reader(users, quiet=False)

    @invalidates(changed)
    async def update(uid: int) -> None:
        await users.write(uid, ending="late", delay=0.5)

    race.actor(get_user, 1)
    race.mutate(update, 1, expect=(TimeoutError,))
    after_a_restart(race, second, get_user)


@scenario(small=False)
def a_process_dies_after_a_delete_that_it_has_awaited(race: Race) -> None:
    users = race.source("users")
    shelf = Shelf(race.clock)
    first, second = Host(race, shelf), Host(race, shelf)
    old, new = first.cache(), second.cache()
    pages, new_pages = first.cache("pages"), second.cache("pages")
    first.shelve(old, 1, users.committed(1))
    first.shelve(pages, 1, users.committed(1), ("cache", 1))
    dead = asyncio.Event()

    async def update(uid: int) -> None:
        await users.write(uid)
        await old.delete(uid)
        first.die()
        dead.set()

    async def load(uid: int) -> None:
        await pages.get(uid, lambda: old.get(uid, lambda: users.load(uid)))

    async def read(uid: int) -> Any:
        await dead.wait()
        return await new_pages.get(uid, lambda: new.get(uid, lambda: users.load(uid)))

    race.actor(load, 1)
    race.actor(load, 1)
    race.actor(update, 1)
    race.read(read, 1)
    after_a_restart(race, second, read)

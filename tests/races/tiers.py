"""A tier behind the cache: what it holds is read, written and told of in every order that it may answer in.

Each scenario begins with the values in the tier and nothing in memory. The last of its readers has forgotten what is in
memory, as after a restart, so that what the tier would serve is judged as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cache import AsyncLRU, cached, invalidates
from cache.testing import Race, Row, Source
from tests.races.catalogue import end_quietly, scenario, update_of
from tests.races.shelf import Host, Shelf

Read = Callable[[int], Awaitable[Any]]


def after_a_restart(race: Race, host: Host, read: Read) -> None:
    """When all is quiet, what the tier has is as good as what memory has."""

    async def read_with_nothing_in_memory(uid: int) -> Any:
        host.forget()
        return await read(uid)

    race.read(read_with_nothing_in_memory, 1)


def one_user(race: Race, **options: Any) -> tuple[Source, Host, Any]:
    """Users, and the function that reads one; the first is in the tier."""
    users = race.source("users")
    host = Host(race, Shelf())
    get_user = host.reader(users, **options)
    return users, host, get_user


def a_user_and_a_page(race: Race, **options: Any) -> tuple[Source, Host, Any, Any]:
    """The same with a page that is computed from it; both are in the tier."""
    users, host, get_user = one_user(race, **options)
    get_page = host.outer(get_user)
    host.shelve(get_user, 1, users.committed(1))
    host.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)))
    return users, host, get_user, get_page


# -- one function --------------------------------------------------------------------------------------------------


@scenario(small=False)
def a_value_in_the_tier_and_a_mutation_of_its_key(race: Race) -> None:
    users, host, get_user = one_user(race)
    host.shelve(get_user, 1, users.committed(1))
    race.read(get_user, 1, cancel=True)
    race.read(get_user, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_value_in_the_tier_and_two_mutations(race: Race) -> None:
    users, host, get_user = one_user(race)
    host.shelve(get_user, 1, users.committed(1))
    race.read(get_user, 1)
    for _ in range(2):
        race.mutate(update_of(users, get_user, linger=0), 1, cancel=True)
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_value_in_the_tier_and_a_mutation_of_its_tag(race: Race) -> None:
    users, host, get_user = one_user(race, tags=("user:{uid}",))
    host.shelve(get_user, 1, users.committed(1), ("#tags", "user:1"))
    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, tags=("user:{uid}",), namespace=host.name), 1)
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_value_in_the_tier_and_a_mutation_of_a_tag_computed_from_it(race: Race) -> None:
    users, host, get_user = one_user(race, tags=lambda row, uid: (f"user:{uid}",))
    host.shelve(get_user, 1, users.committed(1), ("#tags", "user:1"))
    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, tags=("user:{uid}",), namespace=host.name), 1)
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_value_in_the_tier_and_a_mutation_of_everything(race: Race) -> None:
    users, host, get_user = one_user(race)
    host.shelve(get_user, 1, users.committed(1))
    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, get_user, clear_all=True), 1)
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_value_in_the_tier_and_a_wildcard(race: Race) -> None:
    users = race.source("users")
    host = Host(race, Shelf())

    @cached(name="get_user", **host.options())
    async def get_user(uid: int, page: int = 0) -> Row:
        return await users.load(uid)

    host.meet(get_user.cache)
    host.shelve(get_user, 1, users.committed(1))
    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_value_in_the_tier_and_a_commit_that_lands_after_its_error(race: Race) -> None:
    users, host, get_user = one_user(race, quiet=False)
    host.shelve(get_user, 1, users.committed(1))

    @invalidates(get_user)
    async def update(uid: int) -> None:
        await users.write(uid, ending="late", delay=0.5)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1, expect=(TimeoutError,))
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_mutation_that_the_tier_refuses_and_one_that_it_does_not(race: Race) -> None:
    users, host, get_user = one_user(race)
    host.shelve(get_user, 1, users.committed(1))
    tell, refusals = host.view.invalidate, iter([True])

    def invalidate(*args: Any) -> Any:
        if next(refusals, False):
            return asyncio.ensure_future(_refused(race))
        return tell(*args)

    host.view.invalidate = invalidate  # type: ignore[assignment, method-assign]  # it is this very tier that is busy
    race.read(get_user, 1)
    for _ in range(2):
        race.mutate(update_of(users, get_user), 1, expect=(Busy,))
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_mutation_of_which_the_tier_cannot_be_told(race: Race) -> None:
    """It must not write: another process has the tier too, and goes by what it says."""
    users = race.source("users")
    shelf = Shelf()
    first, second = Host(race, shelf), Host(race, shelf)
    get_user, there = first.reader(users), second.reader(users)
    first.shelve(get_user, 1, users.committed(1))
    first.view.invalidate = lambda *_: asyncio.ensure_future(_refused(race))  # type: ignore[method-assign]  # busy

    race.read(get_user, 1)
    race.mutate(update_of(users, get_user), 1, expect=(Busy,))
    after_a_restart(race, second, there)


class Busy(Exception):
    """The tier cannot be told."""


async def _refused(race: Race) -> None:
    await race.checkpoint("the tier refuses")
    raise Busy


# -- functions of functions ----------------------------------------------------------------------------------------


@scenario(small=False)
def a_page_in_the_tier_and_a_mutation_of_what_it_was_computed_from(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def a_page_in_the_tier_and_a_mutation_of_all_that_it_was_computed_from(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user, clear_all=True), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False, allow={"stale-commit"})
def a_page_in_the_tier_and_a_clear_of_what_it_was_computed_from(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)

    async def update(uid: int) -> None:
        await users.write(uid)
        await get_user.clear_cache()

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def a_page_in_the_tier_and_a_wildcard_of_what_it_was_computed_from(race: Race) -> None:
    users = race.source("users")
    host = Host(race, Shelf())

    @cached(name="get_user", **host.options())
    async def get_user(uid: int, page: int = 0) -> Row:
        return await users.load(uid)

    host.meet(get_user.cache)
    get_page = host.outer(get_user)
    host.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)))
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def a_page_in_the_tier_whose_tags_only_the_record_tells(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race, tags=lambda row, uid: (f"user:{uid}",))
    host.shelve(get_user, 1, users.committed(1), ("#tags", "user:1"))
    host.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)), ("#tags", "user:1"))
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, tags=("user:{uid}",), namespace=host.name), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def three_levels_of_which_the_middle_is_in_the_tier(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    get_site = host.outer(get_page, "get_site")
    race.read(get_site, 1)
    race.read(get_site, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_site)


@scenario(small=False)
def three_levels_in_the_tier(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    get_site = host.outer(get_page, "get_site")
    row = users.committed(1)
    grounds = ("get_user", get_user.cache_key(1)), ("get_page", get_page.cache_key(1))
    host.shelve(get_site, 1, ("get_site", ("get_page", row)), *grounds)
    race.read(get_site, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_site)


@scenario(small=False)
def a_page_of_this_process_over_a_value_in_the_tier(race: Race) -> None:
    users, host, get_user = one_user(race)
    host.shelve(get_user, 1, users.committed(1))

    @AsyncLRU(clock=race.clock, bus=None, backup=None)
    async def get_page(uid: int) -> tuple[str, Row]:
        row = await get_user(uid)
        await race.checkpoint("the page computes")
        return ("page", row)

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user), 1)
    end_quietly(race, get_page)


# -- set, delete, refresh, batches, in bulk ------------------------------------------------------------------------


def change_after_the_write(race: Race, change: Callable[[Any, Row], Awaitable[object]]) -> None:
    users = race.source("users")
    host = Host(race, Shelf())
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
    host = Host(race, Shelf())
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
    host = Host(race, Shelf())
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
    host = Host(race, Shelf())
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
    host = Host(race, Shelf())
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


# -- several processes that know of each other by the tier alone ----------------------------------------------------


@scenario(small=False, allow={"stale-after", "stale-commit"})
def a_load_here_and_a_mutation_there_with_nothing_but_a_tier(race: Race) -> None:
    """What is in memory here may be old; what is in the tier is not."""
    users = race.source("users")
    shelf = Shelf()
    here, there = Host(race, shelf), Host(race, shelf)
    get_user = here.reader(users)

    race.actor(get_user, 1)
    race.mutate(update_of(users, there.reader(users)), 1)
    after_a_restart(race, here, get_user)


# -- the end of a process ------------------------------------------------------------------------------------------


@scenario(small=False)
def a_process_dies_after_its_commit_and_another_goes_on(race: Race) -> None:
    """What it was about to tell is never told; what it has told before it wrote is enough."""
    users = race.source("users")
    shelf = Shelf()
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
def a_process_dies_after_a_delete_that_it_has_awaited(race: Race) -> None:
    users = race.source("users")
    shelf = Shelf()
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

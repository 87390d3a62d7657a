"""A tier behind the cache: what it holds is read, written and told of in every order that it may answer in.

Each scenario begins with the values in the tier and nothing in memory. The last of its readers has forgotten what is in
memory, as after a restart, so that what the tier would serve is judged as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cache import cached, invalidates
from cache._tier import Covering
from cache.testing import Race, Row, Source
from tests.races.catalogue import scenario, update_of
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
    host = Host(race, Shelf(race.clock))
    get_user = host.reader(users, **options)
    return users, host, get_user


def a_user_and_a_page(race: Race, **options: Any) -> tuple[Source, Host, Any, Any]:
    """The same with a page that is computed from it; both are in the tier."""
    users, host, get_user = one_user(race, **options)
    get_page = host.outer(get_user)
    host.shelve(get_user, 1, users.committed(1))
    host.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)))
    return users, host, get_user, get_page


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
    host = Host(race, Shelf(race.clock))

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
    tell, refusals = host.view.begin, iter([True])

    def begin(covering: Covering) -> Any:
        if next(refusals, False):
            return asyncio.ensure_future(_refused(race))
        return tell(covering)

    host.view.begin = begin  # type: ignore[method-assign]  # it is this very tier that is busy
    race.read(get_user, 1)
    for _ in range(2):
        race.mutate(update_of(users, get_user), 1, expect=(Busy,))
    after_a_restart(race, host, get_user)


@scenario(small=False)
def a_mutation_of_which_the_tier_cannot_be_told(race: Race) -> None:
    """It must not write: another process has the tier too, and goes by what it says."""
    users = race.source("users")
    shelf = Shelf(race.clock)
    first, second = Host(race, shelf), Host(race, shelf)
    get_user, there = first.reader(users), second.reader(users)
    first.shelve(get_user, 1, users.committed(1))
    first.view.begin = lambda *_: asyncio.ensure_future(_refused(race))  # type: ignore[method-assign]  # it is busy, and so refuses
    first.view.end = first.view.begin  # type: ignore[assignment, method-assign]  # the same

    race.read(get_user, 1)
    race.mutate(update_of(users, get_user), 1, expect=(Busy,))
    after_a_restart(race, second, there)


class Busy(Exception):
    """The tier cannot be told."""


async def _refused(race: Race) -> None:
    await race.checkpoint("the tier refuses")
    raise Busy

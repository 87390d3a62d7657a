"""The list of scenarios, and what they are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cache import AsyncCache, cached, invalidates
from cache._protocols import CachedFunction
from cache.testing import Race, Row, Source, assert_quiet

Scenario = Callable[[Race], None]


@dataclass(frozen=True)
class Entry:
    """A scenario, and how it is explored: ``small`` ones completely, the others by random schedules.

    It is ``costly`` if much has to be built for each: then there are fewer of them.
    """

    name: str
    scenario: Scenario
    small: bool
    allow: frozenset[str]
    costly: bool


SCENARIOS: dict[str, Entry] = {}


def scenario(
    *, small: bool = True, allow: frozenset[str] | set[str] = frozenset(), costly: bool = False
) -> Callable[[Scenario], Scenario]:
    """Put a scenario on the list. ``allow`` are the kinds of violations that it does not promise to be free of."""

    def add(function: Scenario) -> Scenario:
        name = function.__name__
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Entry(name, function, small, frozenset(allow), costly)
        return function

    return add


def end_quietly(race: Race, *cached: Any) -> None:
    """When all is quiet, nothing may be left inside these cached functions or caches, not even a linger."""

    def check() -> None:
        for one in cached:
            cache: AsyncCache = one if isinstance(one, AsyncCache) else one.cache
            assert_quiet(cache)

    race.at_quiet(check, kind="leaks")


# What most scenarios are made of. Each of these ends quietly.


def users_of(race: Race, **options: Any) -> tuple[Source, CachedFunction[[int], Row]]:
    """Users, and the function that reads one of them, cached with ``options``."""
    users = race.source("users")

    @cached(clock=race.clock, **options)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    end_quietly(race, get_user)
    return users, get_user


def update_of(users: Source, *changed: Any, **options: Any) -> Callable[[int], Awaitable[None]]:
    """A mutation that writes a user, and that is declared: ``invalidates(*changed, **options)``."""

    @invalidates(*changed, **options)
    async def update(uid: int) -> None:
        await users.write(uid)

    return update


def outer_of(
    race: Race, name: str, inner: Callable[[int], Awaitable[Any]], **options: Any
) -> CachedFunction[[int], tuple[str, Any]]:
    """A cached function that computes its result, ``(name, row)``, from that of another."""

    @cached(clock=race.clock, **options)
    async def outer(uid: int) -> tuple[str, Any]:
        return (name, await inner(uid))

    end_quietly(race, outer)
    return outer


def cache_of(race: Race, **options: Any) -> tuple[Source, AsyncCache, Callable[[int], Awaitable[Row]]]:
    """Users, a cache, and a read of one of them: ``cache.get(uid, load, **options)``."""
    users = race.source("users")
    cache = AsyncCache(clock=race.clock)

    async def get_user(uid: int) -> Row:
        row: Row = await cache.get(uid, lambda: users.load(uid), **options)
        return row

    end_quietly(race, cache)
    return users, cache, get_user


def batch_of(race: Race, **options: Any) -> tuple[Source, AsyncCache, Callable[[int], Awaitable[Row | None]]]:
    """Users, a cache made with ``options``, and a read of one of them in a batch."""
    users = race.source("users")
    cache = AsyncCache(clock=race.clock, **options)

    async def get_user(uid: int) -> Row | None:
        row: Row | None = await cache.get(uid, batch_loader=users.load_many)
        return row

    end_quietly(race, cache)
    return users, cache, get_user

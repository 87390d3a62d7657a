"""The list of scenarios, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cache import AsyncCache
from cache.testing import Race, assert_quiet

Scenario = Callable[[Race], None]


@dataclass(frozen=True)
class Entry:
    """A scenario, and how it is explored: ``small`` ones completely, the others by random schedules."""

    name: str
    scenario: Scenario
    small: bool
    allow: frozenset[str]


SCENARIOS: dict[str, Entry] = {}


def scenario(*, small: bool = True, allow: frozenset[str] | set[str] = frozenset()) -> Callable[[Scenario], Scenario]:
    """Put a scenario on the list. ``allow`` are the kinds of violations that it does not promise to be free of."""

    def add(function: Scenario) -> Scenario:
        name = function.__name__
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Entry(name, function, small, frozenset(allow))
        return function

    return add


def end_quietly(race: Race, *cached: Any) -> None:
    """When all is quiet, nothing may be left inside these cached functions or caches, except a linger."""

    def check() -> None:
        for one in cached:
            cache: AsyncCache = one if isinstance(one, AsyncCache) else one.cache
            assert_quiet(cache)

    race.at_quiet(check, kind="leaks")

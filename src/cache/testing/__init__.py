"""Tools for tests: a race explorer, a clock, a switch, and checks.

`explore` runs a scenario, which says who races whom, under all orders in which things can happen, and `replay` runs it
under one of them. `FakeClock` is a clock that moves when it is told to, `disabled` turns caching off, `assert_sound`
checks the inner structure of every cache, and `assert_quiet` that nothing is left behind.

    def scenario(race: Race) -> None:
        users = race.source("users")

        @AsyncLRU(clock=race.clock)
        async def get_user(uid: int) -> Row:
            return await users.load(uid)

        @AsyncLRUInvalidator(get_user)
        async def update(uid: int) -> None:
            await users.write(uid)

        race.read(get_user, 1)
        race.mutate(update, 1)

    explore(scenario).check()
"""

from __future__ import annotations

from ._clock import FakeClock
from ._disabled import disabled
from ._explore import explore, replay
from ._judge import KINDS
from ._oracle import assert_quiet, assert_sound
from ._race import Race
from ._report import Loads, Outcome, Report, Violation
from ._source import CommitRefused, Source, Transaction
from ._table import Row

__all__ = [
    "KINDS",
    "CommitRefused",
    "FakeClock",
    "Loads",
    "Outcome",
    "Race",
    "Report",
    "Row",
    "Source",
    "Transaction",
    "Violation",
    "assert_quiet",
    "assert_sound",
    "disabled",
    "explore",
    "replay",
]

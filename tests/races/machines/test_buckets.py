"""Every order of what two servers of a cluster do and tell: nothing is stale, and each rule for several is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.races.machines.buckets import Buckets, Rules
from tests.races.processes.search import explore

FIRST, SECOND = (0,), (1,)

#: As many states as there are: a model that has become smaller proves less.
WORLDS = {
    "a value of both, a change of both": (Buckets(), 26_000),
    "a value of both, a change of what it is made of": (Buckets(changes=SECOND), 3_300),
    "a value of one, a change of both": (Buckets(rests=SECOND), 20_000),
    "and lost lines": (Buckets(changes=SECOND, losses=1), 11_000),
}
DEEP_WORLDS = {
    "a value of both, a change of both, and lost lines": (Buckets(losses=1), 100_000),
    "a value of the first, a change of both, and lost lines": (Buckets(rests=FIRST, losses=1), 82_000),
    "a value of the second, a change of both, and lost lines": (Buckets(rests=SECOND, losses=1), 82_000),
    "lines that are lost twice": (Buckets(changes=SECOND, losses=2), 18_000),
}


@pytest.mark.parametrize("name", [*WORLDS, *DEEP_WORLDS])
def test_nothing_is_served_that_is_older_than_its_proof(name: str, deep: bool) -> None:
    if name in DEEP_WORLDS and not deep:
        pytest.skip("explored with --deep")
    world, states = (WORLDS | DEEP_WORLDS)[name]
    found = explore(world)
    assert found.violation is None, str(found)
    assert found.states >= states


#: What is switched off, and where it shows.
BROKEN = {
    "begins_everywhere": Buckets(rests=SECOND),
    "proves_everywhere": Buckets(changes=SECOND),
    "has_all_stamps": Buckets(changes=SECOND),
    "asks_everywhere": Buckets(changes=SECOND),
    "syncs_everywhere": Buckets(changes=SECOND, losses=1),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_that_is_switched_off_shows(rule: str) -> None:
    found = explore(replace(BROKEN[rule], rules=Rules(**{rule: False})))
    assert found.violation is not None, f"without {rule}: not noticed in {found.states:,} states"


def test_every_rule_is_needed() -> None:
    assert BROKEN.keys() == vars(Rules()).keys()

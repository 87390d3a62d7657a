"""How the tests of leases change what loads rest on, and what they ask of a load."""

from __future__ import annotations

from collections.abc import Callable

from cache._domain import Domain
from cache._lease import Lease
from cache._window import Window
from cache.testing import FakeClock

Begin = Callable[..., Lease]


def mutate(domain: Domain, name: object, clock: FakeClock) -> Window:
    window = Window(((domain, name),), clock)
    window.begin()
    return window


def answers(lease: Lease) -> tuple[bool, bool, bool]:
    return lease.clean, lease.joinable, lease.chained


FINE = (True, True, False)
DETACHED = (True, False, False)
DIRTIED = (False, False, False)
SPOILED = (False, False, True)

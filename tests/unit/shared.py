"""Two processes of one machine, and domains that both know, for the tests of what is shared."""

from __future__ import annotations

from typing import Any

from cache._key import WILDCARD
from cache._keyspace import Keyspace
from cache._share import Share
from cache.testing import FakeClock
from tests.races.machine import Machine, Process

KIND = (WILDCARD, (0,), ("a",))
Processes = tuple[Process, Process]


def two_processes() -> Processes:
    machine = Machine(FakeClock())
    return machine.process(), machine.process()


def keyspace(*tiers: Any, bus: Process | None = None, space: str = "c") -> Keyspace:
    domain = Keyspace(space, FakeClock())
    domain.join(Share(space, bus, tiers))
    return domain

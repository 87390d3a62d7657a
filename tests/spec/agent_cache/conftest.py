"""What the tests of tools begin with."""

from __future__ import annotations

from typing import Any

import pytest

from agent_cache import _decorators
from cache import AsyncCache
from cache.testing import FakeClock
from tests.spec.agent_cache.people import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> FakeClock:
    """The time of the results of tools that are decorated from here on."""

    class Timed(AsyncCache):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, clock=clock, **options)

    monkeypatch.setattr(_decorators, "AsyncCache", Timed)
    return clock

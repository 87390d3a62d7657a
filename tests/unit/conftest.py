"""Every test ends at the structural oracle: no load, no mutation, no tag is left of what has ended."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any
from weakref import WeakSet

import pytest

from cache import AsyncCache
from cache._cache import living
from cache._lease import running
from cache._step import step
from cache.testing import FakeClock, assert_quiet
from tests.spec.steering import settle


@pytest.fixture
async def settled() -> AsyncIterator[None]:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    yield
    await settle()
    assert not unhandled


@pytest.fixture(autouse=True)
def _quiet_end(request: pytest.FixtureRequest) -> Iterator[None]:
    before: WeakSet[AsyncCache] = WeakSet(living())
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("settled")  # only a test that has a loop needs one to end on
    yield
    # What an earlier test has left behind is that one's failure.
    made = [cache for cache in living() if cache not in before]
    if made:
        assert_quiet(*made)
    left = set(running)
    running.clear()
    assert not left
    assert not step.launches
    assert not step.doomed


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()

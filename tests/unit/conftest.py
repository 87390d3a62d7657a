"""What the tests of the rooms begin with; and each ends at the structural oracle, nothing left of what has ended."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any
from weakref import WeakSet

import pytest

from cache import AsyncCache
from cache._cache import living
from cache._keyspace import Keyspace
from cache._lease import Lease, running
from cache._step import step
from cache._store import Store
from cache.testing import FakeClock, assert_quiet
from tests.spec.steering import Loader, settle
from tests.unit.leases import Begin
from tests.unit.stores import make_store


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
    assert not step.heaps


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache() -> AsyncCache:
    return AsyncCache(name="users")


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def store(clock: FakeClock) -> Store:
    return make_store(clock)


@pytest.fixture
def in_step() -> Iterator[None]:
    """A store is changed inside a step only."""
    with step:
        yield


@pytest.fixture
def space(clock: FakeClock) -> Keyspace:
    return Keyspace("cache", clock)


@pytest.fixture
def begin(space: Keyspace) -> Iterator[Begin]:
    """Begins loads, and ends those that the test leaves."""
    begun: list[Lease] = []

    def begin(key: object = "k", *, within: Keyspace = space, **options: Any) -> Lease:
        lease = Lease(within, key, **options)
        lease.start()
        begun.append(lease)
        return lease

    yield begin
    for lease in begun:
        lease.close()

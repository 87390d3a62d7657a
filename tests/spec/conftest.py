from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from cache.testing import FakeClock
from tests.spec.steering import Elsewhere, ends_quiet


@pytest.fixture(autouse=True)
async def _quiet_end() -> AsyncIterator[None]:
    async with ends_quiet():
        yield


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    loop = Elsewhere()
    yield loop
    loop.stop()

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cache import DiskBackend
from cache.testing import FakeClock
from tests.spec.backed import Open
from tests.spec.sides import Side
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


@pytest.fixture
async def open_file(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Open]:
    """Opens the one file of this test, as this process and others would; all are closed at the end."""
    opened: list[DiskBackend] = []

    def open_file(kind: type[DiskBackend] = DiskBackend, **options: Any) -> DiskBackend:
        opened.append(kind(tmp_path / "cache.db", clock=clock, **options))
        return opened[-1]

    yield open_file
    for backend in opened:
        assert await backend.aclose()


@pytest.fixture
def disk(open_file: Open) -> DiskBackend:
    return open_file()


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """This process, and what stands for another."""
    both = Side(tmp_path), Side(tmp_path)
    yield both
    for side in both:
        side.bus.close()

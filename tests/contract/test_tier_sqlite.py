from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cache.testing import FakeClock
from cache.tiers._disk import DiskBackend
from tests.contract.tier import TierContract, View
from tests.unit.tiers.files import let_go


class TestDiskBackend(TierContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock(1_000_000.0)

    @pytest.fixture
    def view(self, tmp_path: Path, clock: FakeClock) -> Iterator[View]:
        made: list[DiskBackend] = []

        def view() -> DiskBackend:
            made.append(DiskBackend(tmp_path / "cache.db", clock=clock))
            return made[-1]

        yield view
        for backend in made:
            assert backend.close()
            let_go(backend._thread._worker.file)

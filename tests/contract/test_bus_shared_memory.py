from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.contract.bus import BusContract

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)


class TestSharedMemoryBus(BusContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> str:
        return f"{{'bus': cache.SharedMemoryBus('contract', directory={str(tmp_path)!r})}}"

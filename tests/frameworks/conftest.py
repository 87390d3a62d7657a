"""What the tests on real frameworks begin with: no network, and nothing left in any cache at the end."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

# Before a framework is imported: none of them may report to anybody.
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["FASTMCP_CHECK_FOR_UPDATES"] = "off"

from tests.spec.steering import ends_quiet


@pytest.fixture(autouse=True)
async def _quiet_end() -> AsyncIterator[None]:
    async with ends_quiet():
        yield


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_: socket.socket, address: Any) -> None:
        raise AssertionError(f"a test has tried to reach {address!r}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)

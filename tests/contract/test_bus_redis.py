from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.contract.bus import BusContract
from tests.redis_server import RedisServer, need_redis

need_redis()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.end()


class TestRedisBus(BusContract):
    @pytest.fixture
    def make(self, server: RedisServer) -> str:
        return f"{{'remote_cache': cache.RedisBackend({server.url!r}, prefix={secrets.token_hex(8)!r}, lease=0.5)}}"

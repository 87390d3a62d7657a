from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.contract.bus import BusContract
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer, need_redis

need_redis()


@pytest.fixture(scope="module", params=[RedisServer, RedisCluster], ids=["server", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer | RedisCluster]:
    server: RedisServer | RedisCluster = request.param()
    yield server
    server.end()


class TestRedisBus(BusContract):
    @pytest.fixture
    def make(self, server: RedisServer | RedisCluster) -> str:
        prefix = secrets.token_hex(8)
        return f"{{'remote_cache': cache.RedisBackend({server.make()}, prefix={prefix!r}, lease=0.5)}}"

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from cache.testing import FakeClock
from tests.contract.tier import TierContract, View
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer, need_redis

need_redis()

from cache import RedisBackend  # noqa: E402 - it needs what was just looked for


@pytest.fixture(scope="module", params=[RedisServer, RedisCluster], ids=["server", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer | RedisCluster]:
    server: RedisServer | RedisCluster = request.param()
    yield server
    server.end()


class TestRedisBackend(TierContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock(1_000_000.0)

    @pytest.fixture
    def view(self, server: RedisServer | RedisCluster, clock: FakeClock) -> Iterator[View]:
        made: list[RedisBackend] = []
        prefix = secrets.token_hex(8)
        server.empty()

        def view() -> RedisBackend:
            made.append(RedisBackend(server.place(), prefix=prefix, clock=clock))
            return made[-1]

        yield view
        for backend in made:
            assert backend.close()

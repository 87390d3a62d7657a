from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from cache.testing import FakeClock
from tests.contract.tier import TierContract, View
from tests.redis_server import RedisServer, need_redis

need_redis()

from cache import RedisBackend  # noqa: E402 - it needs what was just looked for


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.end()


class TestRedisBackend(TierContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock(1_000_000.0)

    @pytest.fixture
    def view(self, server: RedisServer, clock: FakeClock) -> Iterator[View]:
        made: list[RedisBackend] = []
        prefix = secrets.token_hex(8)

        def view() -> RedisBackend:
            made.append(RedisBackend(server.url, prefix=prefix, clock=clock))
            return made[-1]

        yield view
        for backend in made:
            assert backend.close()

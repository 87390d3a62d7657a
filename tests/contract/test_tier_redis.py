from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from cache.testing import FakeClock
from tests.contract.redis_kinds import KINDS, Servers, begun
from tests.contract.tier import TierContract, View
from tests.redis_server import need_redis

need_redis()

from cache import RedisBackend  # noqa: E402 - it needs what was just looked for


@pytest.fixture(scope="module", params=KINDS)
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    yield from begun(request.param, request)


class TestRedisBackend(TierContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock(1_000_000.0)

    @pytest.fixture
    def view(self, servers: Servers, clock: FakeClock) -> Iterator[View]:
        made: list[RedisBackend] = []
        prefix = secrets.token_hex(8)
        servers.empty()

        def view() -> RedisBackend:
            made.append(RedisBackend(servers.place(), prefix=prefix, clock=clock))
            return made[-1]

        yield view
        for backend in made:
            assert backend.close()

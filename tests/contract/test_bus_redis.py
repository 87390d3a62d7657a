from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.contract.bus import BusContract
from tests.contract.redis_kinds import KINDS, Servers, begun
from tests.redis_server import need_redis

need_redis()


@pytest.fixture(scope="module", params=KINDS)
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    yield from begun(request.param, request)


class TestRedisBus(BusContract):
    @pytest.fixture
    def make(self, servers: Servers) -> str:
        prefix = secrets.token_hex(8)
        return f"{{'remote_cache': cache.RedisBackend({servers.make()}, prefix={prefix!r}, lease=0.5)}}"

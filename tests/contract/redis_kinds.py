"""The kinds of servers that a backend may be given, each started for the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import pytest

from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer, need_valkey

Servers: TypeAlias = RedisServer | RedisCluster

KINDS: Final[dict[str, Callable[[], Servers]]] = {
    "redis": RedisServer,
    "redis cluster": RedisCluster,
    "valkey": lambda: RedisServer(program=need_valkey()),
    "valkey cluster": lambda: RedisCluster(program=need_valkey()),
}


def begun(kind: str, request: Any) -> Iterator[Servers]:
    """Servers of a kind, until the end of the module; the rarest only in a deep run."""
    if kind == "valkey cluster" and not request.config.getoption("deep"):
        pytest.skip("tried with --deep")
    servers = KINDS[kind]()
    yield servers
    servers.end()

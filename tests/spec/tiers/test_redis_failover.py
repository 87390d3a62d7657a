"""What becomes of what was deleted while another server was the primary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from cache._tier import Address, Moment, Record
from cache.tiers._redis._line import Line, LineLost
from cache.tiers._redis._tally import Tally
from tests.redis_server import RedisServer, need_redis
from tests.spec.tiers.redis_sides import Machine, done, until

need_redis()

from redis.asyncio import Connection, ConnectionPool, Redis  # noqa: E402 - it needs what was just looked for

A = Address("users", b"a")


@pytest.fixture
def one() -> Iterator[RedisServer]:
    server = RedisServer("--repl-diskless-sync-delay", "0")
    yield server
    server.end()


@pytest.fixture
def other(one: RedisServer) -> Iterator[RedisServer]:
    """A replica of the one."""
    server = RedisServer("--replicaof", f"127.0.0.1 {one.port}", "--repl-diskless-sync-delay", "0")
    yield server
    server.end()


class Primary:
    """Where clients are told that it is, as sentinels do; and a machine that asks."""

    def __init__(self, server: RedisServer) -> None:
        self.server = primary = server

        class Asking(Connection):
            @property
            def port(self) -> int:
                return place.server.port

            @port.setter
            def port(self, port: int) -> None:
                """Whatever it was made with."""

        place = self
        pool: Any = ConnectionPool(connection_class=Asking, host="127.0.0.1", port=primary.port)
        self.machine = Machine(Redis(connection_pool=pool), "test", max_staleness=0.2)

    async def move(self, to: RedisServer) -> None:
        """A planned failover: nothing is lost, and nobody begins anew."""
        before = self.server
        await until(lambda: offset(to) == offset(before))
        connections = self.machine.backend.metrics().connections
        self.server = to
        to.ask("REPLICAOF", "NO", "ONE")
        before.ask("REPLICAOF", "127.0.0.1", str(to.port))
        await until(lambda: self.machine.backend.metrics().connections > connections and self.machine.is_proven)
        await until(lambda: b"master_link_status:up" in before.ask("INFO", "replication"))


def offset(server: RedisServer) -> bytes:
    """How much it has of what was written."""
    lines = server.ask("INFO", "replication").splitlines()
    is_replica = b"role:slave" in lines
    name = b"slave_repl_offset:" if is_replica else b"master_repl_offset:"
    assert not is_replica or b"master_link_status:up" in lines or b"master_link_status:down" in lines
    return next(line for line in lines if line.startswith(name)).partition(b":")[2]


@pytest.fixture
async def primary(one: RedisServer, other: RedisServer) -> AsyncIterator[Primary]:
    # Before it is used: with its first replica the history of a server begins.
    await until(lambda: b"master_link_status:up" in other.ask("INFO", "replication"))
    primary = Primary(one)
    await primary.machine.begin()
    yield primary
    assert await primary.machine.backend.aclose(1.0)


async def test_what_was_deleted_at_another_primary_does_not_come_back_with_the_first_one(
    primary: Primary, one: RedisServer, other: RedisServer
) -> None:
    backend = primary.machine.backend
    await done(backend.assign(Record(A, b"old")))
    assert await backend.read([A]) == [Record(A, b"old")]
    await primary.move(other)
    (found,) = await backend.read([A])
    assert isinstance(found, Moment)
    backend.release({A: found})
    await done(backend.invalidate([A]))
    await primary.move(one)
    assert one.keys("*:v*")  # what was deleted is there again, or still
    (found,) = await backend.read([A])
    assert isinstance(found, Moment)


async def test_a_server_that_has_lost_everything_begins_another_incarnation(primary: Primary, one: RedisServer) -> None:
    backend, there = primary.machine.backend, await Machine(one.url, "test").begin()
    await done(backend.assign(Record(A, b"old")))
    (marker,) = one.keys("*:i")
    before = one.ask("GET", marker)
    one.ask("FLUSHALL")
    await until(lambda: backend.metrics().connections == there.backend.metrics().connections == 2)
    assert one.ask("GET", marker)[:16] != before[:16]
    assert one.ask("GET", marker)[16:] == before[16:]
    await until(lambda: primary.machine.is_proven and there.is_proven)
    await done(backend.assign(Record(A, b"new")))
    await there.hear()
    assert await there.backend.read([A]) == [Record(A, b"new")]
    assert await there.backend.aclose()


async def test_a_server_that_was_another_meanwhile_is_known_by_the_next_heartbeat(one: RedisServer) -> None:
    machine = await Machine(one.url, "test", max_staleness=60.0).begin()
    backend = machine.backend
    await done(backend.assign(Record(A, b"old")))
    (marker,) = one.keys("*:i")
    # As one finds it whose history went on elsewhere, though its connections, and all that it has, are still there.
    one.ask("SETRANGE", marker, "16", "0" * 80)
    await machine.hear()
    await machine.hear()
    assert backend.metrics().connections == 2
    assert isinstance((await backend.read([A]))[0], Moment)
    assert await backend.aclose()


async def test_a_line_whose_two_connections_lead_to_two_servers_does_not_open(
    one: RedisServer, other: RedisServer
) -> None:
    ports = iter([one.port, other.port])
    line = Line(lambda: Connection(port=next(ports)), lambda _, __: None, lambda _, __: None, Tally())
    with pytest.raises(LineLost, match="two connections led to two servers"):
        await line.open()

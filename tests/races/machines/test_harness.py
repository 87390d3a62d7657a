"""What the fault tests are made of does what it says."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.races.machines.proxy import DOWN, TOLD, UP, Switchboard, Wire
from tests.redis_cluster import PRIMARIES, RedisCluster
from tests.redis_server import RedisServer, need_redis

need_redis()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.end()


@pytest.fixture
def wire(server: RedisServer) -> Iterator[Wire]:
    board = Switchboard()
    yield board.wire(server.port)
    board.close()


def connected(wire: Wire) -> socket.socket:
    return socket.create_connection(("127.0.0.1", wire.port), timeout=10)


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(0.1)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(10)
    return False


def settled(wire: Wire) -> None:
    """What the wire was told is in force."""
    with connected(wire):
        time.sleep(0.05)


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_what_is_held_arrives_when_it_is_let_go(wire: Wire, direction: int) -> None:
    with connected(wire) as connection:
        wire.hold(direction)
        settled(wire)
        connection.sendall(b"PING\r\n")
        assert is_silent(connection)
        wire.let_go()
        assert connection.recv(64) == b"+PONG\r\n"


def test_what_is_held_when_the_wire_is_cut_is_lost(wire: Wire, server: RedisServer) -> None:
    with connected(wire) as connection:
        wire.hold(UP)
        settled(wire)
        connection.sendall(b"SET lost 1\r\n")
        assert is_silent(connection)
        wire.cut()
        assert connection.recv(64) == b""
        wire.let_go()
    assert server.ask("EXISTS", "lost") == b"0"


def test_who_has_subscribed_can_be_told_nothing_while_others_are_answered(wire: Wire, server: RedisServer) -> None:
    with connected(wire) as ear, connected(wire) as other:
        ear.sendall(b"SUBSCRIBE news\r\n")
        assert ear.recv(64).endswith(b":1\r\n")
        wire.hold(TOLD)
        settled(wire)
        assert server.ask("PUBLISH", "news", "hear") == b"1"
        assert is_silent(ear)
        other.sendall(b"PING\r\n")
        assert other.recv(64) == b"+PONG\r\n"
        wire.let_go()
        assert b"hear" in ear.recv(64)


def test_a_wire_can_lead_to_another_server(wire: Wire) -> None:
    other = RedisServer()
    try:
        other.ask("SET", "where", "there")
        wire.lead_to(other.port)
        with connected(wire) as connection:
            connection.sendall(b"GET where\r\n")
            assert connection.recv(64).endswith(b"there\r\n")
    finally:
        other.end()


def test_three_servers_of_a_cluster_find_each_other_and_give_each_other_what_they_have() -> None:
    cluster = RedisCluster()
    try:
        names = [b"%d" % number for number in range(30)]
        assert {cluster.of(name) for name in names} == set(cluster.primaries)
        assert len(cluster.primaries) == PRIMARIES
        for name in names:
            assert cluster.of(name).ask("SET", name, "x") == b"OK"
        before = cluster.of(b"1")
        cluster.move(b"1", next(server for server in cluster.primaries if server is not before))
        assert cluster.of(b"1").ask("GET", "1") == b"x"
        assert before.ask("GET", "1").startswith(b"MOVED")
        replica = cluster.add_replica(before)
        cluster.fail_over(replica, before)
        (there, *_) = (name for name in names if cluster.of(name) is replica)
        assert replica.ask("GET", there) == b"x"
    finally:
        cluster.end()

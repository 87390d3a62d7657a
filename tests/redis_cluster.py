"""A cluster of the tests' own: three servers of which each has a third of the slots, and replicas where asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.redis_server import PATIENCE, RedisServer, free_port

PRIMARIES = 3
SLOTS = 16_384


class RedisCluster:
    """Servers that have found each other; ``primaries`` are those that had slots when it began."""

    def __init__(self, *, program: str = "redis-server") -> None:
        self._program = program
        self._bus_ports: dict[RedisServer, int] = {}
        #: All of them, with the replicas.
        self.servers: list[RedisServer] = []
        #: Who has each slot.
        self._owners: list[RedisServer] = []
        try:
            self._begin()
        except BaseException:  # whatever it is, nothing is left behind
            self.end()
            raise

    def _begin(self) -> None:
        for number in range(1, PRIMARIES + 1):
            server, first = self._server(), len(self._owners)
            # No two of the same, over which they would have to agree before they can elect anybody.
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number))
            self._meet(server)
            self._owners += [server] * (SLOTS * number // PRIMARIES - first)
            server.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(len(self._owners) - 1))
        self.primaries = tuple(self.servers)
        self.settle()

    def client(self, **options: Any) -> Any:
        """A client of the kind that a backend is made with."""
        from redis.asyncio import RedisCluster as Client  # noqa: PLC0415 - it is an extra

        return Client(host="127.0.0.1", port=self.servers[0].port, **options)

    def place(self) -> Any:
        """What a backend is told of it."""
        return self.client()

    def make(self) -> str:
        """What makes that in any process."""
        return f"__import__('redis.asyncio').asyncio.RedisCluster(host='127.0.0.1', port={self.servers[0].port})"

    def empty(self) -> None:
        """Let all of them forget everything."""
        for server in self.servers:
            server.ask("FLUSHALL")

    def of(self, key: bytes) -> RedisServer:
        """The primary that has a key."""
        return self._owners[slot_of(key)]

    def add_replica(self, server: RedisServer) -> RedisServer:
        """A new replica of this primary, which has all that it has."""
        replica, name = self._server(), server.ask("CLUSTER", "MYID")
        self._meet(replica)
        until(lambda: name in replica.ask("CLUSTER", "NODES"))
        until(lambda: replica.ask("CLUSTER", "REPLICATE", name.decode()) == b"OK")
        until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        self.settle()  # those who do not know of it would not elect it
        return replica

    def move(self, key: bytes, to: RedisServer) -> None:
        """Give the slot of a key, and all that is in it, to another primary."""
        slot, before = slot_of(key), self.of(key)
        name = to.ask("CLUSTER", "MYID")
        to.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", before.ask("CLUSTER", "MYID"))
        before.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", name)
        while int(before.ask("CLUSTER", "COUNTKEYSINSLOT", str(slot))):  # others may make more meanwhile
            for each in before.keys("*"):
                if slot_of(each) == slot:
                    before.ask("MIGRATE", "127.0.0.1", str(to.port), each, "0", "5000")
        for server in (to, before):
            server.ask("CLUSTER", "SETSLOT", str(slot), "NODE", name)
        self._owners[slot] = to

    def fail_over(self, replica: RedisServer, of: RedisServer) -> None:
        """A planned failover, after which both go on: nothing is lost."""
        until(lambda: replica.ask("CLUSTER", "FAILOVER") and is_primary(replica), pause=0.5)  # it may lose an election
        self.promoted(replica, of)

    def promoted(self, replica: RedisServer, of: RedisServer) -> None:
        """Wait until it has taken the place of this primary."""
        until(lambda: is_primary(replica))
        self._owners = [replica if each is of else each for each in self._owners]

    def settle(self) -> None:
        """Wait until all of them agree."""
        until(lambda: all(b"cluster_state:ok" in server.ask("CLUSTER", "INFO") for server in self.servers))
        until(lambda: all(self._is_connected(server) for server in self.servers))

    def end(self) -> None:
        for server in self.servers:
            server.let_go()
            server.end()

    def _is_connected(self, server: RedisServer) -> bool:
        lines = server.ask("CLUSTER", "NODES").splitlines()
        return len(lines) == len(self.servers) and all(b" connected" in line for line in lines)

    def _server(self) -> RedisServer:
        port = free_port()
        options = ("--cluster-enabled", "yes", "--cluster-port", str(port), "--cluster-node-timeout", "1000")
        server = RedisServer(*options, "--repl-diskless-sync-delay", "0", program=self._program)
        self._bus_ports[server] = port
        self.servers.append(server)
        return server

    def _meet(self, server: RedisServer) -> None:
        first = self.servers[0]
        if server is not first:
            server.ask("CLUSTER", "MEET", "127.0.0.1", str(first.port), str(self._bus_ports[first]))


def slot_of(key: bytes) -> int:
    from redis.crc import key_slot  # noqa: PLC0415 - it is an extra

    return key_slot(key)


def is_primary(server: RedisServer) -> bool:
    return b"role:master" in server.ask("INFO", "replication")


def until(true: Callable[[], object], pause: float = 0.02) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "the cluster does not agree"
        time.sleep(pause)

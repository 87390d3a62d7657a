"""A cluster of the tests' own: three servers of which each has a third of the slots, and replicas where asked for."""

from __future__ import annotations

import time
from typing import Any

from redis.asyncio import RedisCluster as Client
from redis.crc import key_slot

from tests.redis_server import PATIENCE, RedisServer, free_port

SLOTS = 16_384


class RedisCluster:
    """The primaries, in the order of their slots."""

    def __init__(self) -> None:
        self._bus_ports: dict[RedisServer, int] = {}
        self.servers = [self._server() for _ in range(3)]
        first = 0
        for number, server in enumerate(self.servers, 1):
            last = SLOTS * number // 3 - 1
            server.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            first = last + 1
            self._meet(server)
        self.settle()

    def client(self, **options: Any) -> Any:
        """A client of the kind that a backend is made with."""
        return Client(host="127.0.0.1", port=self.servers[0].port, **options)

    def place(self) -> Any:
        """What a backend is told of it."""
        return self.client()

    def make(self) -> str:
        """What makes that in any process."""
        return f"__import__('redis.asyncio').asyncio.RedisCluster(host='127.0.0.1', port={self.servers[0].port})"

    def keys(self) -> list[bytes]:
        """All that there are."""
        return [key for server in self.servers for key in server.keys()]  # noqa: SIM118 - a server is no mapping

    def empty(self) -> None:
        """Let all of them forget everything."""
        for server in self.servers:
            server.ask("FLUSHALL")

    def of(self, key: bytes) -> RedisServer:
        """The primary that has a key, if none was moved."""
        return self.servers[key_slot(key) * 3 // SLOTS]

    def add_replica(self, server: RedisServer) -> RedisServer:
        """A new replica of this primary, which has all that it has."""
        replica = self._server()
        self._meet(replica)
        until(lambda: server.ask("CLUSTER", "MYID") in replica.ask("CLUSTER", "NODES"))
        replica.ask("CLUSTER", "REPLICATE", server.ask("CLUSTER", "MYID"))
        until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        self.servers.append(replica)
        return replica

    def move(self, key: bytes, to: RedisServer) -> None:
        """Give the slot of a key, and all that is in it, to another primary."""
        slot, before = str(key_slot(key)), self.of(key)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", before.ask("CLUSTER", "MYID"))
        before.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.ask("CLUSTER", "MYID"))
        for each in before.keys("{*"):
            if key_slot(each) == int(slot):
                before.ask("MIGRATE", "127.0.0.1", str(to.port), each, "0", "5000")
        for server in (to, before):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", to.ask("CLUSTER", "MYID"))

    def settle(self) -> None:
        """Wait until all of them agree."""
        until(lambda: all(b"cluster_state:ok" in server.ask("CLUSTER", "INFO") for server in self.servers))
        until(lambda: all(server.ask("CLUSTER", "NODES").count(b"connected") >= 3 for server in self.servers))

    def end(self) -> None:
        for server in self.servers:
            server.let_go()
            server.end()

    def _server(self) -> RedisServer:
        port = free_port()
        options = ("--cluster-enabled", "yes", "--cluster-port", str(port), "--cluster-node-timeout", "1000")
        server = RedisServer(*options, "--repl-diskless-sync-delay", "0")
        self._bus_ports[server] = port
        return server

    def _meet(self, server: RedisServer) -> None:
        first = self.servers[0]
        if server is not first:
            server.ask("CLUSTER", "MEET", "127.0.0.1", str(first.port), str(self._bus_ports[first]))


def until(true: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "the cluster does not agree"
        time.sleep(0.05)

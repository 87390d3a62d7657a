"""A Cluster of three nodes of the tests' own."""

from __future__ import annotations

import socket
import time
from itertools import pairwise
from typing import Final

from tests.redis_server import RedisServer

NODES: Final = 3
SLOTS: Final = 16_384
#: Seconds in which they must have found each other.
PATIENCE: Final = 30.0


class Cluster:
    """Three primaries that share the slots; each can be held up, killed and begun anew as any server."""

    def __init__(self) -> None:
        self.nodes: list[RedisServer] = []
        try:
            for _ in range(NODES):
                self.nodes.append(_node())
            self._meet()
        except BaseException:  # whatever it is, nothing is left behind
            self.end()
            raise

    def owner(self, key: str) -> RedisServer:
        """The node where a key is."""
        slot = int(self.nodes[0].ask("CLUSTER", "KEYSLOT", key))
        return self.nodes[slot * NODES // SLOTS]

    def end(self) -> None:
        for node in self.nodes:
            node.end()

    def _meet(self) -> None:
        bounds = [-(-SLOTS * number // NODES) for number in range(NODES + 1)]
        for node, (first, after) in zip(self.nodes, pairwise(bounds), strict=True):
            assert node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(after - 1)) == b"OK"
        first_node, *others = self.nodes
        for node in others:
            first_node.ask("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(_bus_ports[node.port]))
        deadline = time.monotonic() + PATIENCE
        while not all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes):
            assert time.monotonic() < deadline, "the nodes do not find each other"
            time.sleep(0.05)


#: The ports at which nodes talk to each other, by those at which they are asked.
_bus_ports: dict[int, int] = {}


def _node() -> RedisServer:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    node = RedisServer("--cluster-enabled", "yes", "--cluster-port", str(port), "--cluster-node-timeout", "2000")
    _bus_ports[node.port] = port
    return node

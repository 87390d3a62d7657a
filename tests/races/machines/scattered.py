"""Machines that share a cluster: what may happen to its servers, each of which has a replica."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.races.machines.crew import BOUND, Crew
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer

#: The buckets whose hash slots are moved.
BUCKETS = 256


class Scattered(Crew):
    """Of each pair of servers one is a primary, and the other takes its place if that is killed."""

    def __init__(self, folder: Path, *, program: str = "redis-server", **options: Any) -> None:
        self.cluster = RedisCluster(program=program)
        #: Primaries, and their replicas.
        self._pairs = [(each, self.cluster.add_replica(each)) for each in self.cluster.primaries]
        super().__init__(folder, **options)

    def place(self, number: int) -> dict[str, Any]:
        return {"cluster": [server.port for server in self.cluster.servers]}

    def _any(self) -> RedisServer:
        return self.chance.choice(self._pairs)[0]

    def _change_places(self, change: Callable[[RedisServer, RedisServer], None]) -> None:
        """The replica of some primary takes its place."""
        at = self.chance.randrange(len(self._pairs))
        primary, replica = self._pairs[at]
        if b"master_link_status:up" not in replica.ask("INFO", "replication"):
            return  # it has nothing yet, or not what is new
        change(primary, replica)
        self._pairs[at] = (replica, primary)

    # -- what happens to servers ---------------------------------------------------------------------------------------

    def kill_a_primary(self) -> None:
        """And nobody has told its replica that it would be."""

        def killed(primary: RedisServer, replica: RedisServer) -> None:
            primary.kill()
            self.cluster.promoted(replica, primary)
            primary.start()

        self._change_places(killed)

    def fail_over(self) -> None:
        self._change_places(lambda primary, replica: self.cluster.fail_over(replica, primary))

    def move_a_slot(self) -> None:
        """All of one bucket goes to another server."""
        tag = b"{shop:0:%d}" % self.chance.randrange(BUCKETS)
        before = self.cluster.of(tag)
        self.cluster.move(tag, self.chance.choice([each for each, _ in self._pairs if each is not before]))

    def stop_a_primary(self) -> None:
        """For so short that no other is elected: there is one at a time."""
        primary = self._any()
        primary.hold()
        self.wait(0.6 * BOUND)
        primary.let_go()

    def end_connections(self) -> None:
        with suppress(OSError):
            self._any().ask("CLIENT", "KILL", "TYPE", self.chance.choice(["pubsub", "normal"]), "SKIPME", "yes")

    def evict(self) -> None:
        """Some server makes room: for one key of those that it has."""
        server = self._any()
        if (key := server.ask("RANDOMKEY")) and not key.startswith((b"-1", b"$")):
            server.ask("DEL", key)

    # -- the end -------------------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        try:
            super().abandon()
        finally:
            self.cluster.end()

"""Machines that share one server: what may happen to it, and to the wires that lead there."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from shutil import copyfile
from typing import Any, Final

from tests.races.machines.crew import BOUND, Crew
from tests.races.machines.proxy import DIRECTIONS, TOLD, Switchboard
from tests.redis_server import RedisServer

WIRES: Final = 4


class Fleet(Crew):
    """Whoever dies is replaced, and leads to the server over the next wire."""

    def __init__(self, folder: Path, *, program: str = "redis-server", **options: Any) -> None:
        self._program = program
        self.server = RedisServer(program=program)
        self._standby: RedisServer | None = None
        self._board = Switchboard()
        self.wires = [self._board.wire(self.server.port) for _ in range(WIRES)]
        super().__init__(folder, **options)

    def place(self, number: int) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.wires[number % WIRES].port}

    # -- what happens to wires -----------------------------------------------------------------------------------------

    def hold_a_wire(self) -> None:
        """One direction is silent for a while, and what was held arrives, or is lost."""
        wire = self.chance.choice(self.wires)
        wire.hold(self.chance.choice(DIRECTIONS))
        self.wait(1.6 * BOUND)
        if self.chance.random() < 0.5:
            wire.cut()
        wire.let_go()

    def hold_what_is_told(self) -> None:
        """A machine hears nothing for longer than anybody may be late, though all else goes on."""
        wire = self.chance.choice(self.wires)
        wire.hold(TOLD)
        self.woken.wait(2.5 * BOUND)
        wire.cut()
        wire.let_go()

    def miss_what_is_told(self) -> None:
        """And for so short that it serves meanwhile what it has."""
        wire = self.chance.choice(self.wires)
        wire.hold(TOLD)
        self.woken.wait(0.6 * BOUND)
        wire.cut()
        wire.let_go()

    def delay_a_wire(self) -> None:
        wire = self.chance.choice(self.wires)
        wire.delay(self.chance.choice(DIRECTIONS), self.chance.random() * BOUND / 4)
        self.wait(BOUND)
        wire.let_go()

    def cut_a_wire(self) -> None:
        self.chance.choice(self.wires).cut()

    def end_subscriptions(self) -> None:
        with suppress(OSError):
            self.server.ask("CLIENT", "KILL", "TYPE", "pubsub")

    # -- to the server -------------------------------------------------------------------------------------------------

    def stop_the_server(self) -> None:
        self.server.hold()
        self.wait(1.6 * BOUND)
        self.server.let_go()

    def evict(self) -> None:
        """The server makes room: for one key of those that it has."""
        key = self.server.ask("RANDOMKEY")
        if not key.startswith((b"-1", b"$")):
            self.server.ask("DEL", key)

    def restart_empty(self) -> None:
        self.server.kill()
        self.server.saved().unlink(missing_ok=True)
        self.wait(BOUND)
        self.server.start()

    def restart_from_a_snapshot(self) -> None:
        """What it is begun anew with is from before what happens until then."""
        self.server.ask("SAVE")
        old = self.server.saved().with_suffix(".old")
        copyfile(self.server.saved(), old)
        self.wait(3 * BOUND)
        self.server.kill()
        copyfile(old, self.server.saved())
        self.server.start()

    def fail_over(self) -> None:
        """A replica takes the place of the server, and the server that of the replica: neither is begun anew."""
        if self._standby is None:
            self._standby = RedisServer("--replicaof", f"127.0.0.1 {self.server.port}", program=self._program)
        primary, replica = self.server, self._standby
        deadline = time.monotonic() + 5
        while b"master_link_status:up" not in replica.ask("INFO", "replication") and time.monotonic() < deadline:
            self.woken.wait(0.05)
        replica.ask("REPLICAOF", "NO", "ONE")
        primary.ask("REPLICAOF", "127.0.0.1", str(replica.port))
        for wire in self.wires:
            wire.lead_to(replica.port)
        self.server, self._standby = replica, primary
        self.wait(3 * BOUND)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        for wire in self.wires:
            wire.let_go()
        super().finish()

    def abandon(self) -> None:
        try:
            super().abandon()
        finally:
            self._board.close()
            for server in (self.server, self._standby):
                if server is not None:
                    server.end()

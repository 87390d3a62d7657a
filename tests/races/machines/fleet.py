"""Keeps several machines alive on one server, and does to them, to it and to the wires what happens to them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import copyfile
from typing import Any, Final

from tests.races.machines import verdict, worker
from tests.races.machines.proxy import DIRECTIONS, TOLD, Switchboard
from tests.races.processes.driver import Run
from tests.redis_server import RedisServer

#: Seconds for which others may be late, and for which a mutation covers what it changes if its process dies. Nothing
#: that happens keeps a machine from renewing that for so long: if it then died, what it has changed would be served.
BOUND: Final = 1.0
LEASE: Final = 6.0
WIRES: Final = 4


class Fleet(Run):
    """A number of machines for some seconds. Whoever dies is replaced, and leads to the server over the next wire."""

    def __init__(self, folder: Path, *, troubles: tuple[str, ...], **options: Any) -> None:
        self.server = RedisServer()
        self._standby: RedisServer | None = None
        self._board = Switchboard()
        self.wires = [self._board.wire(self.server.port) for _ in range(WIRES)]
        self._troubles: list[Callable[[], None]] = [getattr(self, trouble) for trouble in troubles]
        super().__init__(folder, **options)

    def command(self, number: int) -> list[str]:
        server = {
            "host": "127.0.0.1",
            "port": self.wires[number % WIRES].port,
            "prefix": "shop",
            "max_staleness": BOUND,
            "lease": LEASE,
        }
        told = {
            "folder": str(self.folder),
            "number": number,
            "seed": self.seed,
            "suicides": self.suicides,
            "switch": self.switch,
            "server": server,
        }
        return [worker.__name__, json.dumps(told)]

    def fault(self) -> None:
        trouble = self.chance.choice(self._troubles)
        self.faults[trouble.__name__.replace("_", " ")] += 1
        trouble()
        self.wait(BOUND)  # for a while all is well, so that something is served that may become stale

    def wait(self, longest: float) -> None:
        self.woken.wait(self.chance.random() * longest)

    # -- what happens to machines --------------------------------------------------------------------------------------

    def _victim(self) -> Any:
        with self._lock:
            return self.chance.choice(self._alive).process if self._alive else None

    def kill_a_machine(self) -> None:
        if (victim := self._victim()) is not None:
            victim.kill()

    def stop_a_machine(self) -> None:
        if (victim := self._victim()) is not None:
            victim.send_signal(signal.SIGSTOP)
            self.wait(1.6 * BOUND)
            victim.send_signal(signal.SIGCONT)

    # -- to wires ------------------------------------------------------------------------------------------------------

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
            self._standby = RedisServer("--replicaof", f"127.0.0.1 {self.server.port}")
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

    def judged(self) -> verdict.Verdict:
        return verdict.judge(verdict.by_process(self.folder), verdict.commits(self.source), BOUND)

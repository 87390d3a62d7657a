"""Keeps several machines alive on servers that they share, and does to machines what happens to them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.races.machines import verdict, worker
from tests.races.processes.driver import Run

#: Seconds for which others may be late, and for which a mutation covers what it changes if its process dies. Nothing
#: that happens keeps a machine from renewing that for so long: if it then died, what it has changed would be served.
BOUND: Final = 1.0
LEASE: Final = 6.0


class Crew(Run):
    """A number of machines for some seconds; each trouble is one of its methods."""

    def __init__(self, folder: Path, *, troubles: tuple[str, ...], **options: Any) -> None:
        self._troubles: list[Callable[[], None]] = [getattr(self, trouble) for trouble in troubles]
        self._coming: list[Callable[[], None]] = []
        super().__init__(folder, **options)

    def place(self, number: int) -> dict[str, Any]:
        """How a machine is told of the servers."""
        raise NotImplementedError

    def command(self, number: int) -> list[str]:
        server = {
            **self.place(number),
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
        if not self._coming:  # each of them once, before any comes again
            self._coming = self.chance.sample(self._troubles, len(self._troubles))
        trouble = self._coming.pop()
        self.faults[trouble.__name__.replace("_", " ")] += 1
        trouble()
        self.wait(BOUND)  # for a while all is well, so that something is served that may become stale

    def wait(self, longest: float) -> None:
        self.woken.wait(self.chance.random() * longest)

    def judged(self) -> verdict.Verdict:
        return verdict.judge(verdict.by_process(self.folder), verdict.commits(self.source), BOUND)

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

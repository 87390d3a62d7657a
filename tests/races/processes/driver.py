"""Keeps several workers alive on one source, and does to them what happens to processes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from tests.races.processes import source, worker
from tests.races.processes.ledger import DEATH, Ledger, Verdict, judge, now, recorded
from tests.races.processes.shop import ROWS
from tests.races.processes.switches import INTACT

TOP: Final = Path(__file__).resolve().parents[3]
LONG: Final = 60.0  # seconds after which a run that hangs fails
DRIVER: Final = 0  # the process number of who writes about the deaths


class Living:
    """A worker, from its start to the death of the last of its children, which all hold its standard output."""

    def __init__(self, run: Run, number: int) -> None:
        command = [sys.executable, "-m", *run.command(number)]
        self.number = number
        self.process = subprocess.Popen(  # noqa: S603 - the command is written here
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP
        )
        self.lines: SimpleQueue[str] = SimpleQueue()
        self._run = run
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._reap, self._listen)]
        for thread in self._threads:
            thread.start()

    def say(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(LONG)
            assert not thread.is_alive(), f"worker {self.number} or a child of it is still there"
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what it was told, it has not lived to read
                pipe.close()

    def _reap(self) -> None:
        self.process.wait()
        self._run.died(self)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self._run.died_out(self)


class Run:
    """A number of workers for some seconds. Whoever dies is replaced."""

    def __init__(
        self, folder: Path, *, workers: int = 4, seed: int = 1, switch: str = INTACT, suicides: float = 0.01
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.switch = switch
        self.suicides = suicides
        self.faults: Counter[str] = Counter()
        self.chance = random.Random(seed)
        self._lock = threading.RLock()
        self._ledger = Ledger(folder, DRIVER)
        self._is_open = True
        self.woken = threading.Event()
        self._count = 0
        self._all: list[Living] = []
        self._alive: list[Living] = []
        self._failures: list[str] = []
        self.survivors = 0
        source.create(self.source, ROWS)
        for _ in range(workers):
            self._start()

    @property
    def source(self) -> Path:
        return self.folder / "source.db"

    def command(self, number: int) -> list[str]:
        """The module of a worker, and what it is told."""
        return [worker.__name__, str(self.folder), str(number), str(self.seed), self.switch, str(self.suicides)]

    # -- deaths --------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            self._count += 1
            living = Living(self, self._count)
            self._all.append(living)
            if living.process.returncode is None:
                self._alive.append(living)

    def died(self, living: Living) -> None:
        """It is dead, with all that it had not finished."""
        self._ledger.write(DEATH, 0, living.number, 0, now())
        status = living.process.returncode
        with self._lock:
            if living in self._alive:
                self._alive.remove(living)
            if status not in {0, -signal.SIGKILL}:
                self._failures.append(f"worker {living.number} has failed with {status}")
                self.woken.set()
            elif self._is_open:
                self._start()

    def died_out(self, living: Living) -> None:
        """Its children are dead as well, and there is nobody left who has seen when they died."""
        for path in self.folder.glob("*.ledger"):
            if int(path.stem) // worker.MANY == living.number:
                self._ledger.write(DEATH, 0, int(path.stem), 0, now())

    # -- faults --------------------------------------------------------------------------------------------------------

    def work(self, seconds: float, *, enough: Callable[[Verdict], bool], most: float = LONG) -> None:
        """Let them work, and do things to them, for so long and until that is enough; in any case no longer than that.

        On an idle machine it is enough at the first look.
        """
        began = looked = now()
        while not self._failures and now() < began + most * 1e9:
            self.woken.wait(self.chance.expovariate(6))
            self.fault()
            if now() > max(began + seconds * 1e9, looked + 0.3e9):
                if enough(self.verdict()):
                    return
                looked = now()

    def fault(self) -> None:
        """Do something to somebody."""
        with self._lock:
            victim = self.chance.choice(self._alive) if self._alive else None
        if victim is None:
            return
        if self.chance.random() < 0.25:
            self.faults["killed"] += 1
            victim.process.kill()
        else:
            self.faults["stopped"] += 1
            victim.process.send_signal(signal.SIGSTOP)
            self.woken.wait(self.chance.random() * 0.15)
            victim.process.send_signal(signal.SIGCONT)

    def finish(self) -> None:
        """When all is quiet, and nobody is left of those who have died, have everything read that there is."""
        with self._lock:
            self._is_open = False
            last = list(self._alive)
        for living in self._all:
            if living not in last:
                living.join()
        for living in last:
            living.say()
        quiet = [living for living in last if self._is_quiet(living)]
        for living in last:
            if living not in quiet:
                living.join()
        for living in quiet:
            living.say()
        for living in quiet:
            living.join()
        self.survivors = len(quiet)
        assert not self._failures, self._failures

    def _is_quiet(self, living: Living) -> bool:
        """Whether it has come to rest, and has not died on the way."""
        end = now() + int(LONG * 1e9)
        while now() < end:
            with suppress(Empty):
                return living.lines.get(timeout=0.05) == "quiet\n"
            if living.process.returncode is not None and living.lines.empty():
                return False
        raise AssertionError(f"worker {living.number} does not come to rest")

    def abandon(self) -> None:
        """Kill whoever is alive; nothing is left behind."""
        with self._lock:
            self._is_open = False
            everybody = list(self._all)
        for living in everybody:
            living.process.kill()
        for living in everybody:
            living.join()
        self._ledger.close()
        assert not self._failures, self._failures

    def verdict(self) -> Verdict:
        return judge(recorded(self.folder), source.commits(self.source))

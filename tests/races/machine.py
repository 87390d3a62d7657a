"""Several processes of one machine, played in one: each has a bus of its own, and all tell one another through this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from weakref import WeakSet
from zlib import crc32

from cache import AsyncCache, cached
from cache._protocols import CachedFunction
from cache._share import Share
from cache.testing import Race, Row, Source
from tests.races.catalogue import end_quietly

#: Slots, above that of slot 0.
SLOTS = 4096

_numbers = count()


class Machine:
    """The stamps that processes share, what their mutations cover, and the lingers that have yet to run out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.stamps = [0] * (SLOTS + 1)
        self.stamped = count(1)
        self.declared: Counter[str] = Counter()
        self.processes: list[Process] = []

    def process(self) -> Process:
        """One more process."""
        process = Process(self)
        self.processes.append(process)
        return process


class Process:
    """A process: it is its bus, and what it has cached."""

    def __init__(self, machine: Machine) -> None:
        self.name = self.address = f"process {next(_numbers)}"
        self.machine = machine
        self.stamps: Sequence[int] = machine.stamps
        self.covered: Counter[int] = Counter()
        self.lingering: list[tuple[float, int]] = []
        self.caches: WeakSet[AsyncCache] = WeakSet()

    # -- the bus -----------------------------------------------------------------------------------------------

    closed = False
    tier = None

    def slot(self, space: str, code: bytes) -> int:
        return 1 + crc32(space.encode() + code) % SLOTS

    def stamp(self, slots: Sequence[int]) -> int:
        stamp = next(self.machine.stamped)
        for slot in (*slots, 0):
            self.machine.stamps[slot] = stamp
        return stamp

    def begin(self, slots: Sequence[int]) -> None:
        self.covered.update(slots)

    def end(self, slots: Sequence[int], linger: float) -> None:
        self.covered.subtract(slots)
        if linger:
            until = self.machine.clock() + linger
            self.lingering += [(until, slot) for slot in slots]

    def forget(self, slots: Sequence[int]) -> None:
        self.covered.subtract(slots)

    def covers(self, slot: int) -> bool:
        now = self.machine.clock()
        return self.covered[slot] > 0 or any(one == slot and until > now for until, one in self.lingering)

    def is_changing(self, slots: Sequence[int]) -> bool:
        others = [process for process in self.machine.processes if process is not self]
        return any(process.covers(slot) for process in others for slot in slots)

    def declare(self, space: str, bits: int) -> None:
        self.machine.declared[space] |= bits

    def declared(self, space: str) -> int:
        return self.machine.declared[space]

    def mark(self) -> bytes:
        return b"%d" % self.machine.stamps[0]  # which is the latest of them all

    def unchanged(self, mark: bytes, slots: Sequence[int]) -> bool:
        return all(self.stamps[slot] <= int(mark) for slot in slots)

    def die(self) -> None:
        """Killed: what it has covered is covered no longer, and nobody has said a word."""
        self.covered.clear()
        for cache in self.caches:
            cache._store.windows.clear()

    # -- what it caches ----------------------------------------------------------------------------------------

    def cache(self, race: Race, **options: Any) -> AsyncCache:
        """A cache that all processes call the same."""
        cache = AsyncCache(clock=race.clock, bus=self, name="cache", namespace=self.name, **options)
        self._meet(cache)
        end_quietly(race, cache)
        return cache

    def function(self, race: Race, users: Source, *, quiet: bool = True, **options: Any) -> CachedFunction[[int], Row]:
        """The function that reads one user, which all processes call the same."""

        @cached(clock=race.clock, bus=self, name="get_user", namespace=self.name, **options)
        async def get_user(uid: int) -> Row:
            return await users.load(uid)

        self._meet(get_user.cache)
        if quiet:
            end_quietly(race, get_user)
        return get_user

    def _meet(self, cache: AsyncCache) -> None:
        """The tags of all processes are the same, though in this one each has a namespace of its own."""
        cache._namespace.join(Share("#tags", self))
        self.caches.add(cache)


def two_processes(race: Race) -> tuple[Process, Process]:
    """Two processes of one machine."""
    machine = Machine(race.clock)
    return machine.process(), machine.process()

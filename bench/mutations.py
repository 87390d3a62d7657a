"""Mutations: what it costs to declare that a write changes one key. Lives in the worker."""

from __future__ import annotations

from typing import Any

from bench import timers
from bench.cases import Case
from bench.contenders import Contender, impossible
from bench.floor import cycle
from bench.hits import KEYS


class Mutation(Case):
    """A mutation of a key that is stored, whose body does nothing. Without a cache: that body."""

    def __init__(self, contender: Contender, *, clock: str = "processor") -> None:
        self._settle = contender.settle
        self._version = 0
        self._time = timers.fresh(timers.one_argument, clock)
        self._time_bare = timers.fresh(timers.one_argument, clock)

        async def load(uid: int) -> int:
            return uid + self._version

        async def write(uid: int) -> int:
            return uid

        self._write = write
        self._read = (contender.lru or impossible)(2 * len(KEYS))(load)
        self._mutate = (contender.mutation or impossible)(self._read)(write)

    async def answers(self) -> Any:
        """Each key's value, which is kept though another would be loaded, and that other after a mutation.

        Raises:
            ValueError: a value was not kept, or its mutation has not ended it.

        """
        before = [await self._read(key) for key in KEYS]
        self._version = 1000
        kept = [await self._read(key) for key in KEYS]
        mutated = [await self._mutate(key) for key in KEYS]
        after = [await self._read(key) for key in KEYS]
        if (before, after) != (kept, [value + self._version for value in before]):
            raise ValueError(f"{before} were to be kept and then to change, and were {kept} and then {after}")
        return [before, mutated, after]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many mutations, each of a key that was stored just before."""
        nanoseconds = 0
        for begin in range(0, count, len(KEYS)):
            keys = cycle(KEYS, min(len(KEYS), count - begin))
            for key in keys:
                await self._read(key)
            if self._settle is not None:
                await self._settle()
            nanoseconds += await self._time(self._mutate, keys)
        return nanoseconds

    async def bare(self, count: int) -> int | None:
        """Nanoseconds of as many calls of the body."""
        nanoseconds: int = await self._time_bare(self._write, cycle(KEYS, count))
        return nanoseconds

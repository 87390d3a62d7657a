"""Loads: misses, herds of callers who want one key, and batches of keys. Lives in the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import process_time_ns
from typing import Any

from bench import timers
from bench.cases import Case
from bench.contenders import Contender, impossible

#: Entries that are kept where all keys are new, so that every load also evicts.
SMALL = 512


class Miss(Case):
    """A load that suspends once, of a key that is always new, so many at once. Without a cache: the same in a task."""

    def __init__(self, contender: Contender, *, at_once: int = 1, clock: str = "processor") -> None:
        self._loads = 0
        self._next = 0
        self._at_once = at_once
        timer = timers.gathered if at_once > 1 else timers.one_argument
        self._time: Any = timers.fresh(timer, clock)
        self._time_bare: Any = timers.fresh(timer, clock)

        async def load(uid: int) -> int:
            self._loads += 1
            await asyncio.sleep(0)
            return uid

        self._load = load
        self._call = (contender.lru or impossible)(SMALL)(load)

    async def answers(self) -> Any:
        """The values of new keys, as many as evict, and that each was loaded once."""
        return [[await self._call(key) for key in self._new_keys(SMALL + 100)], self._loads]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many misses, or groups of them."""
        nanoseconds: int = await self._time(self._call, self._asked(count))
        return nanoseconds

    async def bare(self, count: int) -> int:
        """Nanoseconds of so many tasks that load, or groups of them."""
        create_task, load = asyncio.get_running_loop().create_task, self._load
        nanoseconds: int = await self._time_bare(lambda uid: create_task(load(uid)), self._asked(count))
        return nanoseconds

    def _asked(self, count: int) -> Iterable[Any]:
        size = self._at_once
        return self._new_keys(count) if size == 1 else [self._new_keys(size) for _ in range(count)]

    def _new_keys(self, count: int) -> range:
        begin, self._next = self._next, self._next + count
        return range(begin, self._next)


class WrittenBehind(Miss):
    """A miss, with all that is written of it behind the caller's back, if anything is."""

    def __init__(self, contender: Contender, *, at_once: int = 1, clock: str = "processor") -> None:
        super().__init__(contender, at_once=at_once, clock=clock)
        self._settle = contender.settle
        self._now = timers.CLOCKS[clock]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many misses, until the last of them is written."""
        nanoseconds = await super().run(count)
        if self._settle is None:
            return nanoseconds
        began = self._now()
        await self._settle()
        return nanoseconds + self._now() - began


class Herd(Case):
    """``size`` callers of one new key at once. Without a cache: as many that wait each for a future of its own."""

    def __init__(self, contender: Contender, *, size: int) -> None:
        self._size = size
        self._loads = 0
        self._next = 0

        async def load(uid: int) -> int:
            self._loads += 1
            await asyncio.sleep(0)
            return uid

        self._call = (contender.lru or impossible)(SMALL)(load)

    async def answers(self) -> Any:
        """That fifty callers get one value, and cause one load."""
        call = self._call
        first = call(-1)
        if not asyncio.iscoroutine(first):  # `gather` would make one task of callers that are given one object

            async def ask(key: int) -> Any:
                return await call(key)

            self._call = ask
        await first
        return [await asyncio.gather(*[self._call(-2) for _ in range(50)]), self._loads]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many herds; each loads exactly once."""
        return sum([await self._herd() for _ in range(count)])

    async def _herd(self) -> int:
        self._next += 1
        loads, call, key = self._loads, self._call, self._next
        began = process_time_ns()
        values = await asyncio.gather(*[call(key) for _ in range(self._size)])
        nanoseconds = process_time_ns() - began
        if self._loads != loads + 1 or values != [key] * self._size:
            raise AssertionError(f"{self._size} callers of one key caused {self._loads - loads} loads")
        return nanoseconds

    async def bare(self, count: int) -> int:
        """Nanoseconds of as many ``gather`` of callers that wait for futures."""
        return sum([await self._bare_herd() for _ in range(count)])

    async def _bare_herd(self) -> int:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[int]] = []

        async def load() -> None:
            await asyncio.sleep(0)
            for future in futures:
                future.set_result(0)

        async def wait() -> int:
            future: asyncio.Future[int] = loop.create_future()
            futures.append(future)
            return await future

        began = process_time_ns()
        task = loop.create_task(load())
        await asyncio.gather(*[wait() for _ in range(self._size)])
        nanoseconds = process_time_ns() - began
        await task
        return nanoseconds


class Batch(Case):
    """``size`` new keys at once, of a cache that collects them for a batch loader; they fill a batch, so it is sent."""

    def __init__(self, contender: Contender, *, size: int, **options: Any) -> None:
        self._size = size
        self._cache = (contender.core or impossible)(maxsize=SMALL, **options)
        self._batches: list[int] = []
        self._next = 0

    async def _load(self, keys: list[int]) -> dict[int, int]:
        self._batches.append(len(keys))
        await asyncio.sleep(0)
        return {key: key for key in keys}

    async def answers(self) -> Any:
        """The values of new keys, and that they were one batch."""
        keys = range(-self._size, 0)
        found = await asyncio.gather(*[self._cache.get(key, batch_loader=self._load) for key in keys])
        return [found, self._batches]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many batches."""
        return sum([await self._batch() for _ in range(count)])

    async def _batch(self) -> int:
        get, load = self._cache.get, self._load
        keys = range(self._next, self._next + self._size)
        self._next += self._size
        began = process_time_ns()
        await asyncio.gather(*[get(key, batch_loader=load) for key in keys])
        return process_time_ns() - began

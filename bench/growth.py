"""Growth: what each operation costs in caches of a thousand to millions of entries. Lives in the worker."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from time import process_time_ns
from typing import Any

from bench.contenders import Contender, impossible

#: Operations that are timed together.
BATCH = 500
#: How many tags all entries carry, to be invalidated one after the other; how often a cache is cleared.
TAGS, CLEARS = 5, 3


class Grown:
    """A full cache of some size, and the operations on it. Each returns nanoseconds of one."""

    def __init__(self, contender: Contender, size: int) -> None:
        self._cache = (contender.core or impossible)(maxsize=size)
        self._size = size
        self._random = random.Random(size)
        self._next = size
        for key in range(size):
            self._cache.set(key, key)

    async def hit(self) -> float:
        """`get` of keys chosen by chance."""
        keys, get = self._stored(), self._cache.get
        began = process_time_ns()
        for key in keys:
            await get(key)
        return (process_time_ns() - began) / BATCH

    async def insert(self) -> float:
        """`set` of new keys, with nine hits for each, as in use: an eviction puts right what hits have left undone."""
        keys, put, get = self._new(), self._cache.set, self._cache.get
        used = [self._stored() for _ in range(9)]
        for chosen in used:
            for key in chosen:
                await get(key)
        began = process_time_ns()
        for key in keys:
            put(key, key)
        return (process_time_ns() - began) / BATCH

    async def load(self) -> float:
        """`get` of new keys with a loader."""
        keys, get = self._new(), self._cache.get
        began = process_time_ns()
        for key in keys:
            await get(key, loader=_load)
        return (process_time_ns() - began) / BATCH

    async def delete(self) -> float:
        """`delete` of keys that are stored."""
        keys, delete = list(dict.fromkeys(self._stored())), self._cache.delete
        began = process_time_ns()
        for key in keys:
            delete(key)
        nanoseconds = process_time_ns() - began
        for key in keys:
            self._cache.set(key, key)
        return nanoseconds / len(keys)

    async def metrics(self) -> float:
        """`get_metrics`."""
        began = process_time_ns()
        for _ in range(BATCH):
            self._cache.get_metrics()
        return (process_time_ns() - began) / BATCH

    async def invalidate(self) -> list[float]:
        """`invalidate` of tags that all entries carry, one tag after the other."""
        tags = [f"tag {number}" for number in range(TAGS)]
        self._cache.clear()
        for key in range(self._size):
            self._cache.set(key, key, tags=tags)
        await _quiet()
        return [_time(partial(self._cache.invalidate, tag)) for tag in tags]

    async def clear(self) -> list[float]:
        """`clear`, of a cache that was filled anew each time."""
        times = []
        for _ in range(CLEARS):
            for key in range(self._size):
                self._cache.set(key, key)
            times.append(_time(self._cache.clear))
            await _quiet(self._size)
        return times

    def _stored(self) -> list[int]:
        newest, choose = self._next - 1, self._random.randrange
        return [newest - choose(self._size // 2) for _ in range(BATCH)]

    def _new(self) -> range:
        begin, self._next = self._next, self._next + BATCH
        return range(begin, self._next)


#: Operations that are timed in turns, with how they are called in the report.
STEADY: dict[str, Callable[[Grown], Awaitable[float]]] = {
    "hit": Grown.hit,
    "insert at capacity": Grown.insert,
    "load at capacity": Grown.load,
    "delete": Grown.delete,
    "get_metrics": Grown.metrics,
}
DROPPING: dict[str, Callable[[Grown], Awaitable[list[float]]]] = {
    "invalidate a tag of all": Grown.invalidate,
    "clear": Grown.clear,
}


async def growth(contender: Contender, *, sizes: list[int], rounds: int) -> dict[str, list[float]]:
    """Nanoseconds of each operation at each size, the sizes taken in turn."""
    grown = [Grown(contender, size) for size in sizes]
    gc.collect()
    gc.freeze()
    found: dict[str, list[float]] = {}
    for name, operation in STEADY.items():
        times = [[await operation(cache) for cache in grown] for _ in range(rounds)]
        found[name] = [median(of_size) for of_size in zip(*times, strict=True)]
    for name, dropping in DROPPING.items():
        found[name] = [median(await dropping(cache)) for cache in grown]
    return found


def _time(operation: Callable[[], Any]) -> float:
    began = process_time_ns()
    operation()
    return process_time_ns() - began


async def _quiet(entries: int = 0) -> None:
    """Let the loop turn until what was dropped is freed."""
    for _ in range(16 + entries // 256):
        await asyncio.sleep(0)


async def _load() -> int:
    return 0

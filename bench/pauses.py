"""Pauses: for how long operations on a large cache hold up the event loop. Lives in the worker."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable
from itertools import count
from time import thread_time_ns
from types import TracebackType
from typing import Any, Self

from bench.contenders import Contender, impossible
from bench.memory import resident

#: What takes microseconds, and is done very often, is done so many times in each turn of the loop.
AT_ONCE = 8
#: How often what may take long is done, once in each turn.
FEW = 3_000


class Probe:
    """A callback in every turn of the loop that notes how long the turn before took; use it with ``with``.

    Time is that of this thread: that the machine does something else meanwhile is nobody's pause. What the garbage
    collector of Python takes is counted apart.
    """

    def __init__(self) -> None:
        self.longest = 0
        self.collection = 0
        self.stopped = False
        self._loop = asyncio.get_running_loop()
        self._last = 0
        self._collecting = 0
        self._began_collecting = 0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._on_collection)
        self._last = thread_time_ns()
        self._loop.call_soon(self._turn)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stopped = True
        gc.callbacks.remove(self._on_collection)

    def _turn(self) -> None:
        now = thread_time_ns()
        self.longest = max(self.longest, now - self._last - self._collecting)
        self._last, self._collecting = now, 0
        if not self.stopped:
            self._loop.call_soon(self._turn)

    def _on_collection(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "start":
            self._began_collecting = thread_time_ns()
        else:
            taken = thread_time_ns() - self._began_collecting
            self._collecting += taken
            self.collection = max(self.collection, taken)


class Time:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class Pauses:
    """Milliseconds of the longest turn of the loop, and of the longest collection, while something is done."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.found: dict[str, list[float]] = {}

    async def measure(
        self, what: str, operation: Callable[[int], object], keys: Iterable[int], *, at_once: int = 1
    ) -> None:
        """Do it with each of the keys, and let everything be freed that was dropped."""
        await _free(self._size)
        gc.collect()
        with Probe() as probe:
            await asyncio.sleep(0)
            for done, key in enumerate(keys):
                operation(key)
                if done % at_once == 0:
                    await asyncio.sleep(0)
            await _free(self._size)
        self.found[what] = [probe.longest / 1e6, probe.collection / 1e6]


FILL, INSERT, CLEAR = "fill an empty cache", "insert at capacity", "clear, and free a full cache"


async def pauses(contender: Contender, *, size: int, inserts: int) -> dict[str, list[float]]:
    """The pauses of every operation, in an order in which each finds the cache full."""
    core, time, newest = contender.core or impossible, Time(), count()
    paused, few = Pauses(size), min(FEW, inserts)
    cache = core(maxsize=size, default_ttl=1.0, clock=time)

    def insert(_: int) -> None:
        key = next(newest)
        cache.set(key, key)

    async def refill(**options: Any) -> None:
        for done in range(size):
            key = next(newest)
            cache.set(key, key, **options)
            if done % 1024 == 0:
                await asyncio.sleep(0)

    await paused.measure(FILL, insert, range(size), at_once=AT_ONCE)
    time.now += 2.0
    await paused.measure("insert after every entry has expired", insert, range(few))
    cache = core(maxsize=size)
    await refill()
    await paused.measure(INSERT, insert, range(inserts), at_once=AT_ONCE)
    last = next(newest)
    for key in range(last - size, last):
        await cache.get(key)
    await paused.measure("insert after every entry was used", insert, range(few))
    await paused.measure("delete", cache.delete, range(last - few, last))
    await paused.measure("get_metrics", lambda _: cache.get_metrics(), range(few))
    await paused.measure(CLEAR, lambda _: cache.clear(), [0])
    await refill(tags=("all",))
    await paused.measure("invalidate a tag of every entry", lambda _: cache.invalidate("all"), [0])
    await paused.measure("insert after that", insert, range(few))
    await cache.aclose()
    return paused.found


async def bare_pauses(_: Contender, *, size: int, inserts: int) -> dict[str, list[float]]:
    """What a plain dict of the same size takes, where it can do the same."""
    paused = Pauses(size)
    data: dict[int, int] = {}

    def replace(key: int) -> None:
        del data[key]
        data[key + size] = key

    await paused.measure(FILL, lambda key: data.__setitem__(key, key), range(size), at_once=AT_ONCE)
    await paused.measure(INSERT, replace, range(inserts), at_once=AT_ONCE)
    await paused.measure(CLEAR, lambda _: data.clear(), [0])
    return paused.found


async def given_back(contender: Contender, *, size: int) -> dict[str, float]:
    """Bytes that a full cache adds to the process, and those of them that are left after `clear`."""
    cache = (contender.core or impossible)(maxsize=size)
    cache.set(0, 0)
    gc.collect()
    before = resident()
    for key in range(size):
        cache.set(key, str(key))
    full = resident()
    cache.clear()
    await _free(size)
    gc.collect()
    return {"full": full - before, "left": resident() - before}


async def _free(entries: int) -> None:
    """Turns enough for all that was dropped to be freed."""
    for _ in range(64 + entries // 128):
        await asyncio.sleep(0)

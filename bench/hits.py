"""Hits: calls whose result is stored, in every shape that a call can have. Lives in the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import timers
from bench.cases import Case
from bench.contenders import Contender, impossible
from bench.floor import Floor, cycle

#: Few enough to stay in the processor's caches, as the keys of hot functions do.
KEYS = range(100)


@dataclass(frozen=True)
class Subject:
    """``load(key)`` awaits the value, stored or not; ``timed`` is what the timer is given."""

    load: Callable[[int], Any]
    timed: Any


#: The keys that were loaded, in their order.
Loads = list[int]


def _one_argument(decorate: Any, loads: Loads) -> Subject:
    async def load(uid: int) -> int:
        loads.append(uid)
        return uid

    cached = decorate(load)
    return Subject(cached, cached)


def _two_arguments(decorate: Any, loads: Loads) -> Subject:
    async def load(uid: int, other: int) -> int:
        loads.append(uid)
        return other

    cached = decorate(load)
    return Subject(lambda key: cached(key, key), cached)


def _keyword(decorate: Any, loads: Loads) -> Subject:
    load = _one_argument(decorate, loads).timed
    return Subject(lambda key: load(uid=key), load)


def _method(decorate: Any, loads: Loads) -> Subject:
    class Repository:
        async def load(self, uid: int) -> int:
            loads.append(uid)
            return uid

    Repository.load = decorate(Repository.load)  # type: ignore[method-assign]  # what the decorator gives is a method
    repository = Repository()
    return Subject(repository.load, repository)


def _peek(decorate: Any, loads: Loads) -> Subject:
    call = _one_argument(decorate, loads).timed

    async def load(key: int) -> Any:
        await call(key)
        return call.peek(key)

    return Subject(load, call.peek)


def _core(cache: Any, loads: Loads) -> Subject:
    async def load(key: int) -> int:
        loads.append(key)
        return key

    return Subject(lambda key: cache.get(key, loader=partial(load, key)), cache.get)


def _core_peek(cache: Any, loads: Loads) -> Subject:
    stored = _core(cache, loads)

    async def load(key: int) -> Any:
        await stored.load(key)
        return cache.peek(key)

    return Subject(load, cache.peek)


SHAPES: dict[str, tuple[Callable[[Any, Loads], Subject], Any]] = {
    "one argument": (_one_argument, timers.one_argument),
    "two arguments": (_two_arguments, timers.two_arguments),
    "keyword": (_keyword, timers.keyword),
    "method": (_method, timers.method),
    "peek": (_peek, timers.synchronous),
    "core": (_core, timers.with_loader),
    "core peek": (_core_peek, timers.synchronous),
}


class Hit(Case):
    """A hit, in one of the `SHAPES`. Without a cache: the floor."""

    def __init__(self, contender: Contender, *, shape: str, keep: str = "lru") -> None:
        build, timer = SHAPES[shape]
        make = (contender.core or impossible) if shape.startswith("core") else getattr(contender, keep) or impossible
        size = 2 * len(KEYS)
        self._loads: Loads = []
        self._subject = build(make(maxsize=size) if shape.startswith("core") else make(size), self._loads)
        self._time = timers.fresh(timer)
        self._floor = Floor(KEYS)

    async def answers(self) -> Any:
        """Each key's value, twice, and that it was loaded once."""
        found = [[await self._subject.load(key) for key in KEYS] for _ in range(2)]
        return [found, self._loads]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many hits."""
        nanoseconds: int = await self._time(self._subject.timed, cycle(KEYS, count))
        return nanoseconds

    async def bare(self, count: int) -> int:
        """Nanoseconds of so many looks into a dict."""
        return await self._floor.run(cycle(KEYS, count))

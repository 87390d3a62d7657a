"""Hit ratios: how many requests of a trace each policy can serve. Lives in the worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any

from bench.contenders import Contender, impossible
from bench.reference import PlainS3FIFO
from bench.traces import TRACES

_ABSENT = object()

#: The room, as a part of the catalogue: small and ample.
ROOMS = (1_000, 10_000)

Serve = Callable[[Contender, Iterable[int], int], Awaitable[int]]


def _ours(policy: str) -> Serve:
    async def hits(contender: Contender, trace: Iterable[int], room: int) -> int:
        cache = (contender.core or impossible)(maxsize=room, policy=policy)
        for key in trace:
            if await cache.get(key, default=_ABSENT) is _ABSENT:
                cache.set(key, key)
        found: int = cache.get_metrics()["hits"]
        return found

    return hits


async def _cachetools(_: Contender, trace: Iterable[int], room: int) -> int:
    cache = import_module("cachetools").LRUCache(room)
    hits = 0
    for key in trace:
        if cache.get(key, _ABSENT) is _ABSENT:
            cache[key] = key
        else:
            hits += 1
    return hits


async def _plain(_: Contender, trace: Iterable[int], room: int) -> int:
    cache = PlainS3FIFO(room)
    return sum([cache.ask(key) for key in trace])


def _simulated(policy: str) -> Serve:
    async def hits(_: Contender, trace: Iterable[int], room: int) -> int:
        library: Any = import_module("libcachesim")
        cache = getattr(library, policy)(cache_size=room, hashpower=17)
        request = library.Request()
        found = 0
        for key in trace:
            request.obj_id, request.obj_size = key, 1
            found += cache.get(request)
        return found

    return hits


POLICIES: dict[str, Serve] = {
    "lru": _ours("lru"),
    "s3fifo": _ours("s3fifo"),
    "LRU of cachetools": _cachetools,
    "LRU of libCacheSim": _simulated("LRU"),
    "S3-FIFO of libCacheSim": _simulated("S3FIFO"),
    "S3-FIFO by the paper": _plain,
}


async def ratios(contender: Contender, *, policies: list[str], requests: int) -> dict[str, dict[str, float]]:
    """Per cent of the requests that are hits: of each trace with each room, for each policy."""
    found: dict[str, dict[str, float]] = {}
    for name, trace in TRACES.items():
        for room in ROOMS:
            keys = list(trace(requests, room))
            found[f"{name}, room for {room:,}"] = {
                policy: 100 * await POLICIES[policy](contender, keys, room) / len(keys) for policy in policies
            }
    return found

"""Contenders: the caches that are compared, each behind the same few functions. Lives in the worker."""

from __future__ import annotations

import shutil
import sys
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from bench.redis_server import server

#: Seconds after which nothing in a benchmark expires.
LIFE = 3600

Decorate = Callable[[Any], Any]


@dataclass(frozen=True)
class Contender:
    """What one library offers.

    ``lru``, ``ttl`` and ``method`` make, for a number of entries, a decorator of ``async def`` functions; ``core``
    makes a cache with ``get(key, loader=..., batch_loader=...)``. ``mutation`` makes, for a cached function, a
    decorator of what changes its results; ``settle`` waits until nothing more is written behind the back of those who
    load. ``keep`` stores bytes in the tier, below all caches, and gives what reads them there by their numbers; ``end``
    has to be awaited when nothing more is asked of any of them. ``tool`` makes a decorator of tools of agents, and
    ``session`` what their calls are watched in. None is what the library does not have.
    """

    lru: Callable[[int], Decorate] | None = None
    ttl: Callable[[int], Decorate] | None = None
    method: Callable[[int], Decorate] | None = None
    core: Callable[..., Any] | None = None
    mutation: Callable[[Any], Decorate] | None = None
    settle: Callable[[], Awaitable[object]] | None = None
    keep: Callable[[Sequence[bytes]], Awaitable[Callable[[int], Any]]] | None = None
    end: Callable[[], Awaitable[object]] | None = None
    tool: Callable[..., Decorate] | None = None
    session: Callable[..., Any] | None = None


def _ours() -> Contender:
    # The former version has the same names, as far as it goes.
    cache = import_module("cache")
    return Contender(
        lru=lambda size: cache.AsyncLRU(maxsize=size),
        ttl=lambda size: cache.AsyncTTL(time_to_live=LIFE, maxsize=size),
        method=lambda size: cache.AsyncLRU(maxsize=size),
        core=cache.AsyncCache,
        mutation=getattr(cache, "invalidates", None),
    )


#: Whatever is shared needs a name of its own.
_names = (f"bench {number}" for number in count())


def _on_a_bus() -> Contender:
    cache = import_module("cache")
    folder = mkdtemp(prefix="async-cache-bench-", dir="/dev/shm")
    bus = cache.SharedMemoryBus("bench", directory=folder)
    weakref.finalize(bus, shutil.rmtree, folder, ignore_errors=True)
    shared = {"bus": bus, "namespace": folder}
    return Contender(
        lru=lambda size: cache.AsyncLRU(maxsize=size, name=next(_names), **shared),
        ttl=lambda size: cache.AsyncTTL(time_to_live=LIFE, maxsize=size, name=next(_names), **shared),
        mutation=cache.invalidates,
    )


def _before_a_disk() -> Contender:
    cache = import_module("cache")
    folder = mkdtemp(prefix="async-cache-bench-")
    tier = cache.DiskBackend(Path(folder) / "cache.db")
    weakref.finalize(tier, shutil.rmtree, folder, ignore_errors=True)
    return Contender(
        lru=lambda size: cache.AsyncLRU(maxsize=size, name=next(_names), backup=tier, namespace=folder),
        mutation=cache.invalidates,
        settle=tier.flush,
        keep=lambda values: _keep_in(tier, values),
    )


def _before_redis() -> Contender:
    cache = import_module("cache")
    tier = cache.RedisBackend(host="127.0.0.1", port=server().port)
    if tier.moment_blocking() is None:  # what is loaded before it is connected would not be stored
        raise OSError("the server of the benchmark does not answer")
    shared = {"remote_cache": tier, "namespace": "bench"}
    return Contender(
        lru=lambda size: cache.AsyncLRU(maxsize=size, name=next(_names), **shared),
        ttl=lambda size: cache.AsyncTTL(time_to_live=LIFE, maxsize=size, name=next(_names), **shared),
        core=lambda **options: cache.AsyncCache(name=next(_names), **shared, **options),
        mutation=cache.invalidates,
        settle=tier.flush,
        keep=lambda values: _keep_in(tier, values),
        end=tier.aclose,
    )


async def _keep_in(tier: Any, values: Sequence[bytes]) -> Callable[[int], Any]:
    parts = import_module("cache._tier")  # what is measured is the tier as a cache sees it, with no cache before it
    space = next(_names)
    addresses = [parts.Address(space, str(key).encode()) for key in range(len(values))]
    moment = await tier.moment()
    for address, value in zip(addresses, values, strict=True):
        tier.write(parts.Record(address, value), moment)
    await tier.flush()
    read, asked = tier.read, [[address] for address in addresses]
    return lambda key: read(asked[key])


def _redis_py(*, hiredis: bool) -> Contender:
    if not hiredis:
        sys.modules["hiredis"] = None  # type: ignore[assignment]  # as Python itself marks what cannot be imported
    client = import_module("redis.asyncio").Redis(port=server().port)
    by_hand = import_module("bench.read_through")
    values = partial(by_hand.ReadThrough, client)
    return Contender(
        lru=lambda _: partial(by_hand.Cached, values(next(_names))),
        core=lambda **_: values(next(_names)),
        mutation=lambda read: read.invalidated_by,
        keep=lambda kept: values(next(_names)).keep(kept),
        end=client.aclose,
    )


def _untracked() -> Contender:
    cache = import_module("cache")
    return Contender(
        lru=lambda size: cache.AsyncLRU(maxsize=size, track=False),
        ttl=lambda size: cache.AsyncTTL(time_to_live=LIFE, maxsize=size, track=False),
        method=lambda size: cache.AsyncLRU(maxsize=size, track=False),
        core=lambda **options: cache.AsyncCache(track=False, **options),
    )


def _s3fifo() -> Contender:
    cache = import_module("cache")
    return Contender(
        lru=lambda size: cache.AsyncLRU(maxsize=size, policy="s3fifo"),
        ttl=lambda size: cache.AsyncTTL(time_to_live=LIFE, maxsize=size, policy="s3fifo"),
        core=lambda **options: cache.AsyncCache(policy="s3fifo", **options),
    )


def _agents() -> Contender:
    agent_cache = import_module("agent_cache")
    return Contender(tool=agent_cache.AgentCache, session=agent_cache.AgentCacheSession)


def _async_lru() -> Contender:
    decorator = import_module("async_lru").alru_cache
    return Contender(
        lru=lambda size: decorator(maxsize=size),
        ttl=lambda size: decorator(maxsize=size, ttl=LIFE),
        method=lambda size: decorator(maxsize=size),
    )


def _cachetools_async() -> Contender:
    stores, decorators = import_module("cachetools"), import_module("cachetools_async")

    def method(size: int) -> Decorate:
        store = stores.LRUCache(size)
        decorate: Decorate = decorators.cachedmethod(lambda _: store)
        return decorate

    return Contender(
        lru=lambda size: decorators.cached(stores.LRUCache(size)),
        ttl=lambda size: decorators.cached(stores.TTLCache(size, LIFE)),
        method=method,
    )


def _cachebox() -> Contender:
    library = import_module("cachebox")
    return Contender(
        lru=lambda size: library.cached(library.LRUCache(size)),
        ttl=lambda size: library.cached(library.TTLCache(size, LIFE)),
    )


def _aiocache() -> Contender:
    # It knows no bound, and loads once for each caller unless it is told that a load takes at most so long.
    decorator = import_module("aiocache").cached
    return Contender(lru=lambda _: decorator(), ttl=lambda _: decorator(ttl=LIFE))


def _cashews() -> Contender:
    library = import_module("cashews")

    def decorate(size: int, ttl: int | None) -> Decorate:
        cache = library.Cache()
        cache.setup(f"mem://?size={size}")
        decorator: Decorate = cache(ttl=ttl)
        return decorator

    return Contender(lru=lambda size: decorate(size, None), ttl=lambda size: decorate(size, LIFE))


def _theine() -> Contender:
    library = import_module("theine")
    return Contender(
        lru=lambda size: library.Memoize(size, None),
        ttl=lambda size: library.Memoize(size, timedelta(seconds=LIFE)),
    )


OURS = "async-cache"
UNTRACKED = "async-cache, track=False"
S3FIFO = 'async-cache, policy="s3fifo"'
ON_BUS = "async-cache on a bus"
ON_DISK = "async-cache before a disk tier"
ON_REDIS = "async-cache before Redis"
REDIS_PY = "redis-py"
PLAIN_REDIS_PY = "redis-py without hiredis"
AGENTS = "agent_cache"
FORMER = "async-cache 2.0.3"
REFERENCES = "reference implementations"

CONTENDERS: dict[str, Callable[[], Contender]] = {
    OURS: _ours,
    UNTRACKED: _untracked,
    S3FIFO: _s3fifo,
    ON_BUS: _on_a_bus,
    ON_DISK: _before_a_disk,
    ON_REDIS: _before_redis,
    REDIS_PY: lambda: _redis_py(hiredis=True),
    PLAIN_REDIS_PY: lambda: _redis_py(hiredis=False),
    AGENTS: _agents,
    "async-lru": _async_lru,
    "cachetools-async": _cachetools_async,
    "cachebox": _cachebox,
    "theine": _theine,
    "aiocache": _aiocache,
    "cashews": _cashews,
    FORMER: _ours,
    REFERENCES: Contender,
}

#: Every other library, but for our own former version.
PEERS = ("async-lru", "cachetools-async", "cachebox", "theine", "aiocache", "cashews")


def imports_of(name: str) -> str:
    """What a contender needs to see beside the installed packages: which of those called ``cache``, or what else."""
    special = {FORMER: "former", REFERENCES: "references"}
    return special.get(name, "none" if name in (*PEERS, REDIS_PY, PLAIN_REDIS_PY) else "ours")


def impossible(*_: object, **__: object) -> Any:
    """Stands for what a library does not have.

    Raises:
        LookupError: always.

    """
    raise LookupError("it has nothing of the kind")

"""An asyncio cache whose invalidation can be trusted.

call      -> key -> entry (a hit returns here) -> a load in progress, if its result will be good for this caller
          -> else a new one, which takes a lease -> the loader -> stored if the lease allows -> all who wait
mutation  -> its window opens: what it covers is dropped, and loads in progress are fenced -> the write
          -> the window closes, however it ended: the same once more
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cache._applied import Applied
from cache._arguments import DEFAULT
from cache._bus import Bus
from cache._cache import AsyncCache
from cache._decorators import AsyncLRU, AsyncTTL, cached
from cache._invalidators import AsyncLRUInvalidator, AsyncTTLInvalidator, invalidates
from cache._mutation import Mutating
from cache._places import Remote
from cache._protocols import CachedFunction
from cache._shared_names import shared_name
from cache._spanning import configure, invalidate, mutating, shutdown
from cache._stable import stable_key
from cache._tier import Tier
from cache.errors import BusError, CacheCycleError, CacheError, LoadCancelled

__all__ = [
    "DEFAULT",
    "Applied",
    "AsyncCache",
    "AsyncLRU",
    "AsyncLRUInvalidator",
    "AsyncTTL",
    "AsyncTTLInvalidator",
    "Bus",
    "BusError",
    "CacheCycleError",
    "CacheError",
    "CachedFunction",
    "DiskBackend",
    "FileBusy",
    "FileClosed",
    "LoadCancelled",
    "Mutating",
    "RedisBackend",
    "Remote",
    "SharedMemoryBus",
    "Tier",
    "cached",
    "configure",
    "invalidate",
    "invalidates",
    "mutating",
    "shared_name",
    "shutdown",
    "stable_key",
]


if TYPE_CHECKING:
    from cache.tiers._disk import DiskBackend
    from cache.tiers._file_errors import FileBusy, FileClosed
    from cache.tiers._redis._backend import RedisBackend
    from cache.tiers._shared_memory import SharedMemoryBus

#: What is loaded when it is first touched: not every program needs it.
_LATER = {
    "DiskBackend": "cache.tiers._disk",
    "FileBusy": "cache.tiers._file_errors",
    "FileClosed": "cache.tiers._file_errors",
    "RedisBackend": "cache.tiers._redis._backend",
    "SharedMemoryBus": "cache.tiers._shared_memory",
}


def __getattr__(name: str) -> Any:
    """`cache.testing`, and what few programs need, is loaded when it is first touched."""
    if name == "testing":
        return importlib.import_module("cache.testing")
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

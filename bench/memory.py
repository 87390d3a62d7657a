"""Memory: what an entry takes beyond its key and its value, and what is given back. Lives in the worker."""

from __future__ import annotations

import gc
import os
import resource
import sys
import tracemalloc
from pathlib import Path

from bench.contenders import Contender, impossible

_STATM = Path("/proc/self/statm")


def resident() -> int:
    """Bytes of memory that this process has now; where that is not known, the most it has had."""
    if _STATM.is_file():
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def per_entry(contender: Contender, *, entries: int, keep: str, exact: bool) -> float:
    """Bytes of each entry, resident, or with ``exact`` as the allocator of Python counts them.

    Keys and values are one list of integers that is there before.
    """
    make = (contender.lru if keep == "lru" else contender.ttl) or impossible

    async def load(uid: int) -> int:
        return uid

    call = make(entries)(load)
    keys = list(range(1_000_000, 1_000_000 + entries))
    for key in range(100):  # what is made on first use belongs to no entry
        await call(key)
    gc.collect()
    if exact:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0] if exact else resident()
    for key in keys:
        await call(key)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0] if exact else resident()
    tracemalloc.stop()
    return (after - before) / entries

"""Reclaim: give back the memory of what was dropped, without stopping the event loop for as long as it takes."""

from __future__ import annotations

import asyncio
import math

from cache._entry import Entry
from cache._policy import Policy
from cache._shards import Contents

#: Entries freed in one turn of the loop, some tenths of a millisecond.
SLICE = 512


def reclaim(heaps: list[tuple[Contents[Entry], Policy]]) -> None:
    """Let go of the whole contents of caches; of a large one in slices, where a loop is running."""
    loop = asyncio._get_running_loop()
    for data, policy in heaps:
        _free_slice(loop, data, policy)
    heaps.clear()


def _free_slice(loop: asyncio.AbstractEventLoop | None, data: Contents[Entry], policy: Policy) -> None:
    """Empty the contents first, and then the order, which is about that in which all was allocated.

    So the memory that entries lie in becomes free piece by piece, and goes back to the system piece by piece.
    """
    for _ in range(len(data) if loop is None else min(SLICE, len(data))):
        _, entry = data.popitem()
        # The one link in the circle of entries and buckets, which only a full collection would undo otherwise.
        entry.bucket = None
    left = math.inf if loop is None else SLICE
    while not data and left > 0 and (shed := policy.shed()):
        left -= shed
    if loop is not None and (data or left < SLICE):
        loop.call_soon(_free_slice, loop, data, policy)

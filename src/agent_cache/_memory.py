"""Memory: the results of one session, shared by its forks, in a cache for each tool."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from agent_cache._loops import Loop
from agent_cache._metrics import count_loop, summed, with_rate
from cache import AsyncCache


class Reader(Protocol):
    """A read tool, as far as a session needs it."""

    name: str

    def make_cache(self) -> AsyncCache: ...
    def retire(self, cache: AsyncCache) -> None: ...


class Memory:
    """The results of one session. ``label`` names it among all sessions of the process."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.is_open: bool = True
        self._caches: dict[Reader, AsyncCache] = {}
        self._loops: Counter[str] = Counter()

    def cache_of(self, reader: Reader) -> AsyncCache | None:
        """Where the results of a tool are; None once the session has been closed."""
        cache = self._caches.get(reader)
        if cache is None and self.is_open:
            # Of two threads that make one at once, both use the same.
            cache = self._caches.setdefault(reader, reader.make_cache())
            if not self.is_open:  # closed meanwhile by another thread
                self.close()
                return None
        return cache

    def close(self) -> None:
        """Drop all results. Loads in progress end for those who wait for them, and are not kept."""
        self.is_open = False
        while True:
            try:
                reader, cache = self._caches.popitem()
            except KeyError:  # at once, not after a look: another thread may be closing, too
                return
            reader.retire(cache)
            cache.clear()

    def count_loop(self, loop: Loop) -> None:
        """A loop was found in this session."""
        self._loops[loop.tool] += 1
        count_loop(loop.tool)

    def metrics(self) -> dict[str, dict[str, int | float]]:
        """By tool, what happened in this session."""
        totals: dict[str, Counter[str]] = {}
        for reader, cache in tuple(self._caches.items()):
            totals.setdefault(reader.name, Counter()).update(summed(cache))
        for tool, loops in self._loops.items():
            totals.setdefault(tool, Counter())["loops"] += loops
        return {tool: with_rate(total) for tool, total in totals.items()}

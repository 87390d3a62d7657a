"""Two buses of one name in one process, which are as strange to each other as those of two processes are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from cache import AsyncCache, SharedMemoryBus, cached
from cache._share import Share
from tests.spec.steering import Table

_numbers = count()


class Side:
    """One of them, with caches that both call the same."""

    def __init__(self, folder: Path) -> None:
        self.bus = SharedMemoryBus("shop", directory=folder)
        self.namespace = f"side {next(_numbers)}"

    def options(self) -> dict[str, Any]:
        return {"bus": self.bus, "namespace": self.namespace}

    def cache(self, name: str = "c", **options: Any) -> AsyncCache:
        cache = AsyncCache(name=name, **self.options(), **options)
        self._share_tags(cache)
        return cache

    def cached(self, name: str, **options: Any) -> Callable[[Any], Any]:
        """As `cached`, with the bus of this side."""

        def decorate(function: Any) -> Any:
            wrapper: Any = cached(name=name, **self.options(), **options)(function)
            self._share_tags(wrapper.cache)
            return wrapper

        return decorate

    def reader(self, table: Table, **options: Any) -> Any:
        """The function that reads one row."""

        @self.cached("read", **options)
        async def read(key: str) -> int:
            return await table.read(key)

        return read

    def _share_tags(self, cache: AsyncCache) -> None:
        """Both sides have one namespace, though in this process each must have a name of its own for it."""
        space = cache._namespace
        if space.share is None or space.share.space != "#tags":
            space.join(Share("#tags", self.bus))

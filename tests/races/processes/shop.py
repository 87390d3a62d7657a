"""What one process caches of the source, and how it changes it: each row in one way."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, TypeAlias

from cache import AsyncCache, AsyncLRU, AsyncLRUInvalidator, mutating
from tests.races.processes.source import Source

#: Rows by what is invalidated when they change. A view reads all that are cached by key.
BY_KEY, BY_WILDCARD, BY_TAG, BY_COMPUTED_TAG, BY_HAND, WHOLE = (0, 1, 2), (3,), (4, 5), (6, 7), (8, 9), (10,)
CLEARED, DELETED = (11,), (12,)
ROWS = 13

#: The version of each row that was read.
Versions: TypeAlias = dict[int, int]


class RaisedAfterCommit(Exception):
    """The mutation has failed, and what it has committed stays."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


#: The rows that the read of this context has had to load.
loading: ContextVar[list[int]] = ContextVar("loading")


Read: TypeAlias = Callable[[int, int], Awaitable[Versions]]
Write: TypeAlias = Callable[[int], Awaitable[int]]


class Shop:
    """The caches of one process, and of those it forks: on a bus, and whatever else ``where`` says.

    Of its mutations, ``suicides`` kill the process between their commit and their end, as no kill from outside would
    hit it often enough.
    """

    def __init__(self, where: dict[str, Any], source: Source, chance: random.Random, suicides: float) -> None:
        self.source = source
        self.chance = chance
        self.suicides = suicides
        self._reads: dict[int, Read] = {}
        self._writes: dict[int, Write] = {}
        self._open_by_key(where)
        self._open_by_tag(where)
        self._open_caches(where)
        self._open_without_windows(where)

    async def read(self, row: int, variant: int) -> tuple[Versions, bool]:
        """The versions of some rows, this one among them, and whether it took no load to read them."""
        loads: list[int] = []
        loading.set(loads)
        return await self._reads[row](row, variant), not loads

    async def mutate(self, row: int) -> int:
        """Change a row; the version that was committed."""
        try:
            return await self._writes[row](row)
        except RaisedAfterCommit as error:
            return error.version

    async def _load(self, row: int) -> int:
        loading.get().append(row)
        return await self.source.read(row)

    async def _write(self, row: int) -> int:
        version = await self.source.write(row, has_window=True)
        if self.chance.random() < self.suicides:
            os.kill(os.getpid(), signal.SIGKILL)
        await self.source.way()
        if self.chance.random() < 0.1:
            raise RaisedAfterCommit(version)
        return version

    def _offer(self, rows: Iterable[int], read: Read, write: Write) -> None:
        self._reads.update(dict.fromkeys(rows, read))
        self._writes.update(dict.fromkeys(rows, write))

    # -- what it offers ------------------------------------------------------------------------------------------------

    def _open_by_key(self, where: dict[str, Any]) -> None:
        @AsyncLRU(maxsize=64, name="by_key", **where)
        async def by_key(row: int) -> int:
            return await self._load(row)

        @AsyncLRU(maxsize=64, name="view", **where)
        async def view() -> Versions:
            return {row: await by_key(row) for row in BY_KEY}

        @AsyncLRU(maxsize=64, name="by_wildcard", **where)
        async def by_wildcard(row: int, detail: int = 0) -> int:
            return await self._load(row)

        async def read_by_key(row: int, variant: int) -> Versions:
            return {row: await by_key(row)} if variant else await view()

        async def read_by_wildcard(row: int, variant: int) -> Versions:
            return {row: await by_wildcard(row, variant)}

        async def write(row: int) -> int:
            return await self._write(row)

        self._offer(BY_KEY, read_by_key, AsyncLRUInvalidator(by_key)(write))
        self._offer(BY_WILDCARD, read_by_wildcard, AsyncLRUInvalidator(by_wildcard)(write))

    def _open_by_tag(self, where: dict[str, Any]) -> None:
        @AsyncLRU(maxsize=64, name="by_tag", tags=("row:{row}",), **where)
        async def by_tag(row: int) -> int:
            return await self._load(row)

        @AsyncLRU(maxsize=64, name="by_computed_tag", tags=lambda found, _: (f"row:{min(found)}",), **where)
        async def by_computed_tag(row: int) -> Versions:
            return {row: await self._load(row)}

        async def read_by_tag(row: int, _: int) -> Versions:
            return {row: await by_tag(row)}

        async def read_by_computed_tag(row: int, _: int) -> Versions:
            return await by_computed_tag(row)

        async def write(row: int) -> int:
            async with mutating(tags=(f"row:{row}",)):
                return await self._write(row)

        self._offer(BY_TAG, read_by_tag, write)
        self._offer(BY_COMPUTED_TAG, read_by_computed_tag, write)

    def _open_caches(self, where: dict[str, Any]) -> None:
        cache = AsyncCache(64, name="by hand", **where)

        @AsyncLRU(maxsize=64, name="whole", **where)
        async def whole(row: int) -> int:
            return await self._load(row)

        async def read_by_hand(row: int, _: int) -> Versions:
            return {row: await cache.get(row, lambda: self._load(row))}

        async def read_whole(row: int, _: int) -> Versions:
            return {row: await whole(row)}

        async def write_by_hand(row: int) -> int:
            async with cache.mutating(row):
                return await self._write(row)

        async def write(row: int) -> int:
            return await self._write(row)

        self._offer(BY_HAND, read_by_hand, write_by_hand)
        self._offer(WHOLE, read_whole, AsyncLRUInvalidator(whole, clear_all=True)(write))

    def _open_without_windows(self, where: dict[str, Any]) -> None:
        cleared = AsyncCache(64, name="cleared", **where)
        deleted = AsyncCache(64, name="deleted", **where)

        async def read_cleared(row: int, _: int) -> Versions:
            return {row: await cleared.get(row, lambda: self._load(row))}

        async def read_deleted(row: int, _: int) -> Versions:
            return {row: await deleted.get(row, lambda: self._load(row))}

        async def write_and_clear(row: int) -> int:
            version = await self.source.write(row, has_window=False)
            await cleared.clear()
            return version

        async def write_and_delete(row: int) -> int:
            version = await self.source.write(row, has_window=False)
            await deleted.delete(row)
            return version

        self._offer(CLEARED, read_cleared, write_and_clear)
        self._offer(DELETED, read_deleted, write_and_delete)

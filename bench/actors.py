"""Actors: what the soak does to one set of caches, again and again, many at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from cache import AsyncCache, cached, invalidates

#: Entries of each cache; keys, of which the low ones are asked for more often; groups of them that share a tag.
ROOM, KEYS, GROUPS = 2_000, 20_000, 50
#: Seconds that pass on the caches' clock with each operation.
TICK = 0.001

Operation = Callable[[int], Coroutine[Any, Any, object]]


class Town:
    """Caches that rest on one another, and every kind of thing that happens to them."""

    def __init__(self, seed: int, room: int = ROOM) -> None:
        self.now = 0.0
        self.life = room * TICK  # long enough for some to be evicted, and short enough for others to expire
        self.chance = random.Random(seed)
        self.versions = [0] * KEYS
        self.core = AsyncCache(maxsize=room, default_ttl=self.life, batch_window_ms=0, clock=self.clock, name="core")
        decorate = cached(maxsize=room, ttl=self.life, tags=("group:{group}",), clock=self.clock)
        self.person = decorate(self._person)
        self.page = cached(maxsize=room, policy="s3fifo", clock=self.clock)(self._page)
        self.rename = invalidates(self.person)(self._rename)
        #: Each with how often it is done in a thousand operations.
        self.operations: dict[Operation, int] = {
            self.read_page: 350,
            self.read_person: 250,
            self.read_core: 100,
            self.read_batch: 20,
            self.write_core: 90,
            self.change: 50,
            self.forget_key: 70,
            self.forget_tag: 4,
            self.give_up: 50,
            self.crowd: 15,
            self.forget_all: 1,
        }

    def clock(self) -> float:
        """Seconds."""
        return self.now

    async def act(self) -> None:
        """One operation, chosen by chance."""
        self.now += TICK
        chance = self.chance
        operation = chance.choices(list(self.operations), weights=list(self.operations.values()))[0]
        await operation(int(KEYS * chance.random() ** 8))

    # -- what is cached ----------------------------------------------------------------------------------------

    async def _person(self, uid: int, group: int) -> bytes:
        if uid % 2:
            await asyncio.sleep(0)
        return b"%d of %d, version %d" % (uid, group, self.versions[uid]) * (uid % 40 + 1)

    async def _page(self, uid: int) -> list[bytes]:
        return [await self.person(other, other % GROUPS) for other in (uid, uid // 2)]

    async def _rename(self, uid: int, group: int) -> int:
        await asyncio.sleep(0)
        self.versions[uid] += 1
        return group

    async def _load(self) -> bytes:
        await asyncio.sleep(0)
        return bytes(100)

    async def _load_all(self, keys: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
        await asyncio.sleep(0)
        return {key: key[1] for key in keys}

    # -- what is done ------------------------------------------------------------------------------------------

    async def read_page(self, key: int) -> object:
        """Of a function that calls another."""
        return await self.page(key)

    async def read_person(self, key: int) -> object:
        """Of a function with a tag."""
        return await self.person(key, key % GROUPS)

    async def read_core(self, key: int) -> object:
        """Through the core."""
        return await self.core.get(key, loader=self._load)

    async def read_batch(self, key: int) -> object:
        """Five neighbours at once."""
        names = [("batch", key + more) for more in range(5)]
        return await asyncio.gather(*[self.core.get(name, batch_loader=self._load_all) for name in names])

    async def write_core(self, key: int) -> object:
        """With a tag, for a while."""
        return self.core.set(key, bytes(key % 500), ttl=self.life / 5, tags=(f"group:{key % GROUPS}",))

    async def change(self, key: int) -> object:
        """By a function that invalidates."""
        return await self.rename(key, key % GROUPS)

    async def forget_key(self, key: int) -> object:
        """In the core, and of a function."""
        self.core.delete(key)
        return self.person.invalidate_cache(key, key % GROUPS)

    async def forget_tag(self, key: int) -> object:
        """Of all that carries it, in every cache."""
        return self.core.invalidate(f"group:{key % GROUPS}")

    async def forget_all(self, _: int) -> object:
        """Of one cache."""
        return self.core.clear()

    async def give_up(self, key: int) -> None:
        """As a caller who is cancelled while they wait."""
        caller = asyncio.ensure_future(self.page(key))
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        caller.cancel()
        with suppress(asyncio.CancelledError):
            await caller

    async def crowd(self, key: int) -> object:
        """As ten callers at once, of whom some are cancelled."""
        callers = [asyncio.ensure_future(self.page(key)) for _ in range(10)]
        await asyncio.sleep(0)
        for caller in callers[::3]:
            caller.cancel()
        return await asyncio.gather(*callers, return_exceptions=True)

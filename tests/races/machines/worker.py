"""A machine: one process that shares nothing with the others but a server and a source.

It reads and changes the source through its caches until it is told to stop, or dies of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster

from cache import RedisBackend
from cache.errors import CacheError
from tests.races.machines.switches import switched
from tests.races.processes.ledger import INVALIDATION, LAST, MUTATION, READ, Ledger, now
from tests.races.processes.shop import CLEARED, DELETED, ROWS, Shop
from tests.races.processes.source import Source

READERS, EDITORS = 6, 2
WITHOUT_WINDOW = {*CLEARED, *DELETED}
#: For how many seconds what nobody reads again may still be covered by a mutation whose process has died.
LONGEST = 30.0


class Far(Source):
    """A source that is as far away as the server."""

    async def way(self) -> None:
        await asyncio.sleep(self._chance.random() * 0.02)

    async def write(self, row: int, *, has_window: bool) -> int:
        # There is time for others to read what is about to change, which they must not keep.
        await asyncio.sleep(self._chance.random() * 0.2)
        return await super().write(row, has_window=has_window)


class Worker:
    """One process: it reads and changes."""

    def __init__(self, folder: Path, number: int, seed: int, suicides: float, backend: RedisBackend) -> None:
        self._chance = random.Random(f"{seed} {number}")
        self._ledger = Ledger(folder, number)
        self._is_open = True
        source = Far(folder / "source.db", number, self._chance)
        self._shop = Shop({"remote_cache": backend}, source, self._chance, suicides)

    async def read(self, row: int, variant: int, kind: int = READ) -> bool:
        """Whether it took no load."""
        began = now()
        found, was_hit = await self._shop.read(row, variant)
        for each, version in found.items():
            self._ledger.write(kind, each, version, began, now() if was_hit else 0)
        return was_hit

    async def mutate(self, row: int) -> None:
        began = now()
        try:
            version = await self._shop.mutate(row)
        except CacheError:  # the server is away: it was not run, or nobody was told, and nothing is owed yet
            return
        self._ledger.write(INVALIDATION if row in WITHOUT_WINDOW else MUTATION, row, version, began, now())

    async def _again_and_again(self, rate: float, work: Callable[[], Awaitable[object]]) -> None:
        while self._is_open:
            await asyncio.sleep(self._chance.expovariate(rate))
            await work()

    async def _read_any(self) -> None:
        await self.read(self._chance.randrange(ROWS), self._chance.randrange(2))

    async def _change_any(self) -> None:
        await self.mutate(self._chance.randrange(ROWS))

    async def run(self) -> None:
        """Work until there is a line, answer with one when all is quiet, and read everything at the next."""
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(self._again_and_again(100, self._read_any))
            for _ in range(EDITORS):
                group.create_task(self._again_and_again(2, self._change_any))
            await lines.readline()
            self._is_open = False
        print("quiet", flush=True)  # noqa: T201 - to the driver
        await lines.readline()
        everything = list(product(range(ROWS), range(2)))
        end = now() + LONGEST * 1e9
        while now() < end:
            if all([await self.read(*each) for each in everything]):
                break
            await asyncio.sleep(0.1)  # until more leases have lapsed
        for each in everything:
            await self.read(*each, LAST)


async def work(folder: str, number: int, seed: int, suicides: float, server: dict[str, Any]) -> None:
    if ports := server.pop("cluster", ()):
        server["client"] = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", port) for port in ports])
    async with RedisBackend(**server) as backend:
        await Worker(Path(folder), number, seed, suicides, backend).run()


def main(told: str) -> None:
    logging.getLogger("cache").setLevel(logging.CRITICAL)  # what the server does is the driver's doing
    options = json.loads(told)
    with switched(options.pop("switch")):
        asyncio.run(work(**options))


if __name__ == "__main__":
    main(*sys.argv[1:])

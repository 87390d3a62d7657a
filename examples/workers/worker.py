"""One worker: a process with an event loop of its own, which serves the catalogue and changes it.

It is told what to do on standard input, a line of JSON, and says ``ready`` once it could begin; the next line is when
to stop. When its standard input ends, so does the process: nobody is left who would stop it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import cache
from cache.codec import PickleCodec
from examples.catalogue.database import Database
from examples.catalogue.ours import CachedCatalogue
from examples.catalogue.shop import Partners, Shop
from examples.catalogue.workload import HABITS, Habits, Pass
from examples.workers.log import Log

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKERS: Final = 4
SHARE: Final = replace(
    HABITS, visitors=HABITS.visitors // WORKERS, staff=HABITS.staff // WORKERS, staff_pause=4 * HABITS.staff_pause
)
"""The people of the first act, divided between the workers; the staff change something less often."""
READY: Final = "ready"


@dataclass(frozen=True, slots=True)
class Sharing:
    """What workers share but the database."""

    memory: str
    """The folder of the bus."""
    disk: str | None
    """The file of the entries."""
    key: str
    """What the values in it are signed with, in hexadecimal digits."""

    async def begin(self, stack: AsyncExitStack) -> None:
        """Let the caches of this process be those of all workers."""
        cache.configure(bus=cache.SharedMemoryBus("workers", directory=self.memory))
        if self.disk is not None:
            codec = PickleCodec(key=bytes.fromhex(self.key))
            cache.configure(backup=await stack.enter_async_context(cache.DiskBackend(self.disk, codec=codec)))


@dataclass(frozen=True, slots=True)
class Task:
    """What one worker is to do."""

    database: str
    log: str
    seed: str
    sharing: Sharing | None

    @classmethod
    def read(cls, line: str | bytes) -> Self:
        """Understand a line of JSON."""
        told = json.loads(line)
        return cls(**told | {"sharing": told["sharing"] and Sharing(**told["sharing"])})


class LoggedPass(Pass):
    """The work of one worker: that of the first act, with the end of each mutation put down."""

    def __init__(self, catalogue: CachedCatalogue, log: Log, seed: str, until: float, habits: Habits) -> None:
        super().__init__(catalogue, log, seed, until, habits)
        self._log = log

    async def _write(self, rng: random.Random, product_id: int) -> None:
        with self._log.mutation():
            await super()._write(rng, product_id)


async def work(task: Task, orders: asyncio.StreamReader) -> None:
    """Open the shop, say so, serve until the time that is told then, and close it."""
    async with AsyncExitStack() as stack:
        if task.sharing is not None:
            await task.sharing.begin(stack)
        log = stack.enter_context(Log(Path(task.log), lambda: _counts(database)))
        database = await stack.enter_async_context(Database(Path(task.database), log))
        catalogue = CachedCatalogue(Shop(database, Partners(random.Random(task.seed), SHARE.unpublished)))
        stack.push_async_callback(cache.shutdown)
        print(READY, flush=True)
        until = await orders.readline()
        if not until:
            return
        left = float(until) - time.monotonic()
        lifeline = asyncio.create_task(_end_with(orders), name="lifeline")
        stack.callback(lifeline.cancel)
        await LoggedPass(catalogue, log, task.seed, time.perf_counter() + left, SHARE).run()
        log.flush()


def _counts(database: Database) -> Mapping[str, int]:
    counts = Counter({"loads": database.sessions})
    for served in (CachedCatalogue.product, CachedCatalogue.category):
        metrics = served.get_metrics()
        counts.update({name: int(metrics.get(name, 0)) for name in ("hits", "misses", "backup_hits", "backup_misses")})
    return counts


async def _end_with(orders: asyncio.StreamReader) -> None:
    """End the process when whoever gives the orders has gone, in whatever way."""
    await orders.read()
    os._exit(1)


async def main() -> None:
    """Do what standard input says."""
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    task = await orders.readline()
    if task:
        await work(Task.read(task), orders)


if __name__ == "__main__":
    asyncio.run(main())

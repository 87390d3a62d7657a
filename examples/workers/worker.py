"""One worker: a process with an event loop of its own, which serves the catalogue and changes it.

It is told what to do on standard input, a line of JSON, and says ``ready`` once it could begin; the next line is when
to stop. When its standard input ends, so does the process: nobody is left who would stop it.

Where processes may be behind one another for a while, each looks again, some time after the end, at whatever was
changed by anybody: what is still old then will stay so.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

import cache
from examples.catalogue.database import Database
from examples.catalogue.ours import CachedCatalogue
from examples.catalogue.shop import Partners, Shop
from examples.catalogue.workload import HABITS, Habits, Pass
from examples.workers.log import Log
from examples.workers.sharing import Sharing, told, understood

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKERS: Final = 4
SHARE: Final = replace(
    HABITS, visitors=HABITS.visitors // WORKERS, staff=HABITS.staff // WORKERS, staff_pause=4 * HABITS.staff_pause
)
"""The people of the first act, divided between the workers; the staff change something less often."""
READY: Final = "ready"

CHANGED_PRODUCTS: Final = """
SELECT products.id FROM products JOIN suppliers ON suppliers.id = supplier_id
WHERE products.version > 0 OR suppliers.version > 0
"""
CHANGED_CATEGORIES: Final = """
SELECT id FROM categories WHERE version > 0
UNION SELECT category_id FROM products WHERE version > 0
"""
"""The pages that show anything that was ever changed, but for the names of suppliers on the pages of categories."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one worker is to do."""

    database: str
    log: str
    seed: str
    sharing: Sharing | None
    look_again: float | None = None
    """How many seconds after the end it looks at what was changed; None: not at all."""

    @classmethod
    def read(cls, line: str | bytes) -> Self:
        """Understand a line of JSON."""
        said = json.loads(line)
        return cls(**said | {"sharing": understood(said["sharing"])})

    def line(self) -> str:
        """The line of JSON that is understood."""
        return json.dumps(asdict(self) | {"sharing": told(self.sharing)})


class LoggedPass(Pass):
    """The work of one worker: that of the first act, with the end of each mutation put down."""

    outcomes: ClassVar[Mapping[type[Exception], str]] = {**Pass.outcomes, cache.BusError: "refused"}

    def __init__(self, catalogue: CachedCatalogue, log: Log, seed: str, until: float, habits: Habits) -> None:
        super().__init__(catalogue, log, seed, until, habits)
        self._log = log

    async def _write(self, rng: random.Random, product_id: int) -> None:
        with self._log.mutation():
            await super()._write(rng, product_id)

    async def look_again(self, database: Database) -> None:
        """Look at each page that shows anything that was ever changed."""
        async with database.session() as session:
            products, categories = await session.fetch(CHANGED_PRODUCTS), await session.fetch(CHANGED_CATEGORIES)
        for (number,) in products:
            await self._read(self._catalogue.product, number)
        for (number,) in categories:
            await self._read(self._catalogue.category, number)


async def serve(task: Task, orders: asyncio.StreamReader) -> None:
    """Open the shop, say so, serve until the time that is told then, and close it."""
    async with AsyncExitStack() as stack:
        logging.basicConfig(filename=f"{task.log}.messages")
        shared = await task.sharing.begin(stack) if task.sharing is not None else dict
        log = stack.enter_context(Log(Path(task.log), lambda: {**_counts(database, work.writes), **shared()}))
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
        work = LoggedPass(catalogue, log, task.seed, time.perf_counter() + left, SHARE)
        await work.run()
        log.flush()
        if task.look_again is not None:
            await asyncio.sleep(float(until) + task.look_again - time.monotonic())
            await work.look_again(database)
            log.flush()


def _counts(database: Database, writes: Mapping[str, int]) -> Mapping[str, int]:
    counts = Counter({"loads": database.sessions, "refused": writes.get("refused", 0)})
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
        await serve(Task.read(task), orders)


if __name__ == "__main__":
    asyncio.run(main())

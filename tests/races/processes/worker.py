"""A process that reads and changes the source through its caches until it is told to stop, or dies of it.

What it does, it writes into its ledger. Now and then it forks children that do the same for a short while.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import traceback
from itertools import product
from pathlib import Path

from cache import SharedMemoryBus
from tests.races.processes.ledger import DEATH, INVALIDATION, LAST, MUTATION, READ, Ledger, now
from tests.races.processes.shop import CLEARED, DELETED, ROWS, Shop
from tests.races.processes.source import Source
from tests.races.processes.switches import switched

READERS, EDITORS = 4, 2
CHILDREN = 3
#: How many of the mutations of a child kill it between their commit and their end.
CHILD_SUICIDES = 0.4
#: More than the children of anybody, so that the numbers of a family are told from those of others.
MANY = 10_000
WITHOUT_WINDOW = {*CLEARED, *DELETED}


class Worker:
    """One process: it reads and changes, and forks others."""

    def __init__(self, folder: Path, number: int, seed: int, suicides: float) -> None:
        self._folder = folder
        self._seed = seed
        self._bus = SharedMemoryBus("shop", directory=folder)
        self._children = 0
        self._is_open = True
        self._be(number)
        self._shop = Shop({"bus": self._bus}, self._source, self._chance, suicides)

    def _be(self, number: int) -> None:
        """From here on this process goes by the number: what is its own is opened."""
        self._number = number
        self._chance = random.Random(f"{self._seed} {number}")
        self._ledger = Ledger(self._folder, number)
        self._source = Source(self._folder / "source.db", number, self._chance)

    # -- what it does --------------------------------------------------------------------------------------------------

    async def read(self, row: int, variant: int, kind: int = READ) -> None:
        began = now()
        found, was_hit = await self._shop.read(row, variant)
        for each, version in found.items():
            self._ledger.write(kind, each, version, began, now() if was_hit else 0)

    async def mutate(self, row: int) -> None:
        began = now()
        version = await self._shop.mutate(row)
        self._ledger.write(INVALIDATION if row in WITHOUT_WINDOW else MUTATION, row, version, began, now())

    async def _pause(self, rate: float) -> bool:
        """Until the next one comes, of so many a second; False if none will."""
        await asyncio.sleep(self._chance.expovariate(rate))
        return self._is_open

    async def read_any(self) -> None:
        await self.read(self._chance.randrange(ROWS), self._chance.randrange(2))

    async def clients(self) -> None:
        while await self._pause(800):
            await self.read_any()

    async def editors(self) -> None:
        while await self._pause(25):
            await self.mutate(self._chance.randrange(ROWS))

    async def families(self) -> None:
        """Have several children at once, again and again, and wait for their death."""
        while await self._pause(4):
            await asyncio.gather(*[self._have_child() for _ in range(self._chance.randint(1, CHILDREN))])

    async def _have_child(self) -> None:
        self._children += 1
        number = self._number * MANY + self._children
        pid = os.fork()
        if not pid:
            self._live_as(number)
        loop, died = asyncio.get_running_loop(), asyncio.Event()
        watch = os.pidfd_open(pid)
        loop.add_reader(watch, died.set)
        try:
            await died.wait()
        finally:
            loop.remove_reader(watch)
            os.close(watch)
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 - it has died, and so this does not wait
        self._ledger.write(DEATH, 0, number, 0, now())
        if os.waitstatus_to_exitcode(status) not in {0, -signal.SIGKILL}:
            raise RuntimeError(f"the child {number} has failed")

    def _live_as(self, number: int) -> None:
        """The life of a child. It never comes back into the loop of its parent."""
        try:
            # The connection of the parent is not touched: SQLite's are not for children.
            self._be(number)
            self._shop.source = self._source
            self._shop.chance, self._shop.suicides = self._chance, CHILD_SUICIDES
            asyncio.run(self._childhood())
        except BaseException:  # noqa: BLE001 - this is the end of the process, and its parent tells of it
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    async def _childhood(self) -> None:
        for _ in range(2):
            await asyncio.gather(*[self.read_any() for _ in range(READERS)])
            await self.mutate(self._chance.randrange(ROWS))

    # -- what it is told -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until there is a line, answer with one when all is quiet, and read everything at the next."""
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        async with asyncio.TaskGroup() as group:
            for work in (*[self.clients] * READERS, *[self.editors] * EDITORS, self.families):
                group.create_task(work())
            await lines.readline()
            self._is_open = False
        print("quiet", flush=True)  # noqa: T201 - to the driver
        await lines.readline()
        for kind in (READ, LAST):
            for row, variant in product(range(ROWS), range(2)):
                await self.read(row, variant, kind)


def main(folder: str, number: str, seed: str, switch: str, suicides: str) -> None:
    with switched(switch):
        asyncio.run(Worker(Path(folder), int(number), int(seed), float(suicides)).run())


if __name__ == "__main__":
    main(*sys.argv[1:])

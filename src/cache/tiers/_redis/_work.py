"""Work: what is done in the thread of the engine with what was asked for."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from cache._tier import Address, Moment
from cache.tiers._redis._change import Change
from cache.tiers._redis._changes import Changes
from cache.tiers._redis._fills import Fills, Write
from cache.tiers._redis._ledger import Ledger
from cache.tiers._redis._link import Link
from cache.tiers._redis._options import Options
from cache.tiers._redis._read import Read
from cache.tiers._redis._reads import Reads
from cache.tiers._redis._tally import Tally
from cache.tiers._redis._waiting import Waiter

logger = logging.getLogger("cache")


class Release(NamedTuple):
    """Nothing will be written to these."""

    given: Mapping[Address, Moment]


class Call(NamedTuple):
    """Something to be done there, and who waits for what it returns."""

    function: Callable[[], Coroutine[Any, Any, Any]]
    waiter: Waiter
    #: What is returned if there will be no answer.
    otherwise: object


Asked: TypeAlias = Read | Write | Change | Release | Call


class Work:
    """The link, and those that use it."""

    def __init__(self, options: Options, ledger: Ledger, tally: Tally, *, me: bytes, file: int) -> None:
        self._tally = tally
        self._max_staleness = options.max_staleness
        self.link = link = Link(
            ledger,
            options.servers,
            prefix=options.prefix,
            me=me,
            max_staleness=options.max_staleness,
            keep=options.max_ttl,
            tally=tally,
        )
        self.changes = Changes(link, ledger, tally, lease=options.lease, proceeds=options.on_bus_error == "proceed")
        self.fills = Fills(
            link,
            ledger,
            self.changes,
            tally,
            file=file,
            clock=options.clock,
            max_ttl=options.max_ttl,
            max_bytes=options.max_value_bytes,
            fill_lease=options.fill_lease,
        )
        self.reads = Reads(
            link,
            ledger,
            self.fills,
            tally,
            file=file,
            clock=options.clock,
            max_bytes=options.max_value_bytes,
            max_staleness=options.max_staleness,
            fill_lease=options.fill_lease,
        )

    def take(self, asked: deque[Asked]) -> None:
        """Begin all that was asked for, in its order. If that fails, whoever waits is answered."""
        reads: list[Read] = []
        try:
            self._take(asked, reads)
        except BaseException:  # whatever it is, it is raised again
            for read in reads:
                read.give_up()
            raise

    def _take(self, asked: deque[Asked], reads: list[Read]) -> None:
        wrote = False
        while asked:
            each = asked.popleft()
            if isinstance(each, Read):
                reads.append(each)
            elif isinstance(each, Write):
                self.fills.take(each)
                wrote = True
            elif isinstance(each, Change):
                if wrote:  # what was written before it is before it at the server, too
                    self.fills.send()
                    wrote = False
                self.changes.take(each)
            elif isinstance(each, Release):
                self.fills.release(each.given)
                wrote = True
            else:
                task = asyncio.get_running_loop().create_task(each.function())
                task.add_done_callback(partial(_ended, each))
        if wrote:
            self.fills.send()
        if reads:
            self.reads.take(reads)

    async def flush(self) -> int:
        """Wait until the server has all that it was sent; how many values those were since this was last asked."""
        await self.finish()
        return self._tally.since_last_flush()

    async def finish(self) -> None:
        """Wait until all that was taken has been sent, and nobody waits for a change."""
        while True:
            await self.fills.flush()
            if not self.changes:
                return
            await asyncio.sleep(0.001)

    async def hear_all(self) -> None:
        """Wait until all is heard that the servers have told up to now."""
        if await self.link.wait(self._max_staleness):
            await self.link.beat()

    def close(self, error: Exception) -> None:
        """End the connections, and answer whoever waits."""
        self.link.close()
        self.changes.close(error)
        self.reads.close()


def _ended(call: Call, task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        call.waiter.give(call.otherwise)
    elif (error := task.exception()) is not None:
        logger.debug("%r", error)
        call.waiter.give(call.otherwise)
    else:
        call.waiter.give(task.result())

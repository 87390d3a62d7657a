"""Lines: one to each server that keeps some of the buckets, up together, and lost together.

What is served may rest on any of the slots, so it takes all of them to know that nothing was missed. And where a
server goes away, or gives what it has to another, which one has what is asked anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from cache.tiers._redis._line import Line, LineLost
from cache.tiers._redis._tally import Tally


class Servers(Protocol):
    """Where the buckets are."""

    #: How messages name them; without a password.
    name: str
    #: Whether what is told is told by the server of its hash slot alone.
    is_cluster: bool

    async def find(self, tags: Sequence[bytes]) -> list[tuple[Callable[[], Any], list[int]]]:
        """Of each server, what makes a connection to it, and which of these hash tags it has.

        Raises:
            Exception: that cannot be said.

        """
        ...


class Lines:
    """All lines that it takes; ``hear`` and ``lost`` are as for a `Line`, the latter once for all of them."""

    def __init__(
        self,
        servers: Servers,
        hear: Callable[[bytes, bytes], None],
        lost: Callable[[Lines, Exception], None],
        tally: Tally,
    ) -> None:
        self._servers = servers
        self._hear = hear
        self._lost = lost
        self._tally = tally
        self._lines: dict[Line, list[int]] = {}
        self._of: dict[int, Line] = {}
        self._is_over = False

    async def open(self, tags: Sequence[bytes]) -> None:
        """Connect to all servers that have these buckets.

        Raises:
            Exception: that cannot be done.

        """
        for connect, buckets in await self._servers.find(tags):
            self._lines[Line(connect, self._hear, self._one_lost, self._tally)] = buckets
        # At the same time, for there may be many, and far away.
        opened = await asyncio.gather(*(line.open() for line in self._lines), return_exceptions=True)
        for failed in opened:
            if failed is not None:
                raise failed
        if self._is_over:
            raise LineLost("a line was lost while the others were opened")
        if not self._servers.is_cluster and any(line.is_of_cluster for line in self._lines):
            raise LineLost(
                "it is one server of a cluster, and has a part of the keys: pass a client of the whole, such as "
                "redis.asyncio.RedisCluster(host=..., port=...)"
            )
        self._of = {bucket: line for line, buckets in self._lines.items() for bucket in buckets}

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def of(self, bucket: int) -> Line:
        """The one to the server of a bucket.

        Raises:
            LineLost: there is none yet.

        """
        line = self._of.get(bucket)
        if line is None:
            raise LineLost("the servers are being connected to")
        return line

    def buckets(self, line: Line) -> list[int]:
        """Those at whose server this one ends."""
        return self._lines[line]

    def is_stuck(self, patience: float) -> bool:
        """Whether one of them is."""
        return any(line.is_stuck(patience) for line in self._lines)

    def give_up(self, error: Exception) -> None:
        """End them all, for this reason."""
        if self._is_over:
            return
        self._is_over = True
        for line in self._lines:
            line.give_up(error)
        self._lost(self, error)

    def separate(self) -> None:
        """In a forked process: see `Line.separate`."""
        for line in self._lines:
            line.separate()

    def _one_lost(self, _: Line, error: Exception) -> None:
        self.give_up(error)

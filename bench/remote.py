"""Remote: what is read from a server that other machines share, many values at once. Lives in the worker.

Time is that of the wall, for the server is another process; but for questions about this process alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from bench import timers
from bench.cases import Case
from bench.contenders import Contender, impossible
from bench.disk import STORED, order_of
from bench.hits import KEYS

#: How many are asked for in one turn of the loop.
AT_ONCE = len(KEYS)


def _record(uid: int) -> dict[str, Any]:
    return {"id": uid, "name": f"user {uid}", "email": f"user.{uid}@example.org", "is_active": True, "score": uid / 3}


def _kilobyte(uid: int) -> bytes:
    # The same in every process, and nothing that could be compressed.
    return random.Random(uid).randbytes(1024)


VALUES: dict[str, Callable[[int], Any]] = {"record": _record, "kilobyte": _kilobyte}


class RemoteRead(Case):
    """A hundred separate reads of the tier itself at once, or as many commands of a client; nothing is decoded."""

    def __init__(self, contender: Contender, *, clock: str = "wall") -> None:
        self._keep: Any = contender.keep or impossible
        self._time: Any = timers.fresh(timers.gathered, clock)
        self._read: Any = None
        self._order = order_of(AT_ONCE)

    async def answers(self) -> Any:
        """The bytes of each key, as text, which is what the parent can be told."""
        self._read = await self._keep([_kilobyte(key)[:100] for key in STORED])
        return [_bytes_of(await self._read(key)).hex() for key in STORED]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many groups of reads."""
        nanoseconds: int = await self._time(self._read, list(islice(self._order, count)))
        return nanoseconds


def _bytes_of(found: Any) -> bytes:
    value: bytes = found if isinstance(found, bytes) else found[0].value
    return value


class RemoteHit(Case):
    """Values at the server that are not in memory, so many ``at_once``, by a loader each or by a batch loader."""

    def __init__(
        self,
        contender: Contender,
        *,
        value: str = "record",
        at_once: int = AT_ONCE,
        batch: bool = False,
        clock: str = "wall",
    ) -> None:
        # Fewer than there are: each has left the memory when it is asked for again, which the server never hears of.
        self._cache = (contender.core or impossible)(maxsize=len(KEYS))
        self._settle = contender.settle
        self._value = VALUES[value]
        self._is_batch = batch
        self._order = order_of(at_once)
        self._time: Any = timers.fresh(timers.gathered if at_once > 1 else timers.one_argument, clock)
        self._loads: list[int] = []
        get = self._cache.get
        self._hit = partial(get, batch_loader=self._load_all) if batch else partial(get, loader=timers.unused)

    async def _load(self, key: int) -> Any:
        self._loads.append(key)
        return self._value(key)

    async def _load_all(self, keys: list[int]) -> dict[int, Any]:
        return {key: await self._load(key) for key in keys}

    async def answers(self) -> Any:
        """Each key's value twice, as text.

        Raises:
            ValueError: a value was not found at the server, or still in memory.

        """
        first = [await self._cache.get(key, loader=partial(self._load, key)) for key in STORED]
        if self._settle is not None:
            await self._settle()
        second = [await self._cache.get(key, loader=partial(self._load, key)) for key in STORED]
        self._check()
        return [repr(first), repr(second)]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many reads, or groups of them."""
        nanoseconds: int = await self._time(self._hit, list(islice(self._order, count)))
        self._check()
        return nanoseconds

    def _check(self) -> None:
        if self._loads != list(STORED):
            raise ValueError(f"each of {STORED} was to be loaded once, and there were {len(self._loads)} loads")
        in_memory = self._cache.get_metrics()["hits"] if hasattr(self._cache, "get_metrics") else 0
        if in_memory:
            raise ValueError(f"each of {STORED} was to be found at the server, and {in_memory} were in memory")

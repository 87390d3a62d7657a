"""What the tests of tiers have in common: a file, a wall clock, and an end of the process that is played."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cache import AsyncCache, DiskBackend
from cache._tier import Address, Moment, Record
from tests.spec.steering import metric

#: Opens the file of this test once more, as the next process would.
Open = Callable[..., DiskBackend]


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class User:
    uid: int
    name: str = "Ada"


async def until(true: Callable[[], object]) -> None:
    """Wait for what a thread does, and tells of to nobody."""
    while not true():  # noqa: ASYNC110 - for that there is no event
        await asyncio.sleep(0)


async def nobody() -> Any:
    """A loader that is not called."""
    raise AssertionError("it is in the tier")


async def forget(*caches: Any) -> None:
    """Have nothing of these in memory, and everything in the file: as at the end of a process that ends well."""
    for each in caches:
        cache = each if isinstance(each, AsyncCache) else each.cache
        await cache.aclose()


def from_backup(of: Any) -> tuple[int | float, int | float]:
    """How many loads found their value in the tier, and how many did not."""
    cache = of if isinstance(of, AsyncCache) else of.cache
    return metric(cache, "backup_hits"), metric(cache, "backup_misses")


class Held(DiskBackend):
    """A file whose answers are on their way until the test says so; ``asked`` counts the questions."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.may_answer = asyncio.Event()
        self.asked = 0

    async def read(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        self.asked += 1
        answer = await super().read(addresses)
        await self.may_answer.wait()
        return answer

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable

import pytest

import cache as door
from cache import AsyncCache, cached
from cache.testing import FakeClock

#: One step of something that could go on for ever, given its number.
Step = Callable[[int], Awaitable[object]]


def sets() -> Step:
    cache = AsyncCache(maxsize=100)

    async def step(number: int) -> None:
        cache.set(number, [number], tags=(f"tag {number}",))

    return step


def sets_with_the_other_policy() -> Step:
    cache = AsyncCache(maxsize=100, policy="s3fifo")

    async def step(number: int) -> None:
        cache.set(number, [number])
        await cache.get(number - number % 3)

    return step


def sets_without_a_bound_that_expire() -> Step:
    clock = FakeClock()
    cache = AsyncCache(maxsize=None, default_ttl=10, clock=clock)

    async def step(number: int) -> None:
        clock.advance(0.1)
        cache.set(number, [number])

    return step


def loads_that_rest_on_others() -> Step:
    @cached(maxsize=100)
    async def inner(number: int) -> list[int]:
        return [number]

    @cached(maxsize=100, tags=("outer:{number}",))
    async def outer(number: int) -> list[int]:
        return await inner(number) + await inner(number // 2)

    return outer


def loads_that_fail() -> Step:
    cache = AsyncCache()

    async def step(number: int) -> None:
        async def fail() -> None:
            raise LookupError(number)

        with pytest.raises(LookupError):
            await cache.get(number, fail)

    return step


def loads_that_are_cancelled() -> Step:
    cache = AsyncCache()

    async def step(number: int) -> None:
        reader = asyncio.ensure_future(cache.get(number, asyncio.Event().wait))
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])

    return step


def batch_loaders_used_once() -> Step:
    cache = AsyncCache(maxsize=100, batch_window_ms=0)

    async def step(number: int) -> None:
        await cache.get(number, batch_loader=lambda keys: [[key] for key in keys])

    return step


def reads_of_nothing() -> Step:
    cache = AsyncCache()

    async def step(number: int) -> None:
        await cache.get(number)
        cache.delete(number)
        cache.invalidate(f"tag {number}")
        door.invalidate(f"tag {number}", namespace=f"namespace {number}")

    return step


def mutations() -> Step:
    cache = AsyncCache()

    async def step(number: int) -> None:
        async with cache.mutating(number, tags=(f"tag {number}",), linger=0):
            cache.set(number, number)
        cache.delete(number)

    return step


def mutations_that_linger() -> Step:
    clock = FakeClock()
    cache = AsyncCache(clock=clock, namespace="of mutations that linger")

    async def step(number: int) -> None:
        clock.advance(0.1)
        async with cache.mutating(number, tags=(f"tag {number}",), linger=1):
            pass

    return step


def instances_that_die() -> Step:
    class Repository:
        @cached(maxsize=None)
        async def get(self, uid: int) -> list[int]:
            return [uid]

    async def step(number: int) -> None:
        await Repository().get(number)

    return step


def functions_that_die() -> Step:
    async def step(number: int) -> None:
        @cached()
        async def double(x: int) -> int:
            return 2 * x

        await double(number)

    return step


def size_of_everything() -> int:
    """The bytes of all containers that the collector knows."""
    gc.collect()
    return sum(sys.getsizeof(thing) for thing in gc.get_objects())


@pytest.mark.parametrize(
    ("begin", "steps"),
    [
        (sets, 100_000),
        (sets_with_the_other_policy, 5_000),
        (sets_without_a_bound_that_expire, 5_000),
        (loads_that_rest_on_others, 2_000),
        (loads_that_fail, 2_000),
        (loads_that_are_cancelled, 2_000),
        (batch_loaders_used_once, 2_000),
        (reads_of_nothing, 5_000),
        (mutations, 5_000),
        (mutations_that_linger, 5_000),
        (instances_that_die, 2_000),
        (functions_that_die, 100),
    ],
)
async def test_what_has_gone_leaves_nothing_behind(begin: Callable[[], Step], steps: int) -> None:
    step = begin()
    for number in range(steps // 5):
        await step(number)
    before = size_of_everything()
    for number in range(steps // 5, steps):
        await step(number)
    grown = size_of_everything() - before
    assert grown < 16 * steps + 16_000, f"{grown} bytes more after {steps} steps: some for each of them"

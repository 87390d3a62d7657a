"""What no order of events may break, tried with threads that get in each other's way as often as they can."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from cache import AsyncCache, cached
from tests.spec.steering import run

THREADS = 4
KEYS = range(5)


@pytest.fixture(autouse=True)
def _often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(work: Callable[[int], None], threads: int = THREADS) -> None:
    """Do ``work`` in several threads that begin together; the first error of any is raised."""
    begin = threading.Barrier(threads)

    def wait_and_work(number: int) -> None:
        begin.wait()
        work(number)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(wait_and_work, number) for number in range(threads)]:
            done.result()


class SharedTruth:
    """Versions that several threads change."""

    def __init__(self) -> None:
        self.versions: Counter[int] = Counter()
        self._lock = threading.Lock()

    async def read(self, key: int) -> int:
        await asyncio.sleep(0)
        version = self.versions[key]
        await asyncio.sleep(0)
        return version

    async def write(self, key: int) -> None:
        await asyncio.sleep(0)
        with self._lock:
            self.versions[key] += 1
        await asyncio.sleep(0)


@pytest.mark.parametrize("maxsize", [None, 3, 0], ids=["no bound", "less room than keys", "no room"])
def test_readers_and_mutations_on_many_loops(maxsize: int | None) -> None:
    cache, truth = AsyncCache(maxsize), SharedTruth()

    async def go(chance: random.Random) -> None:
        for _ in range(300):
            key = chance.choice(KEYS)
            if chance.random() < 0.3:
                async with cache.mutating(key):
                    await truth.write(key)
            committed = truth.versions[key]
            values = await asyncio.gather(*[cache.get(key, partial(truth.read, key)) for _ in range(2)])
            assert min(values) >= committed, "a read gets at least what was committed when it began"

    at_once(lambda number: run(go(random.Random(number))))
    assert {key: cache.peek(key) for key in KEYS if key in cache}.items() <= truth.versions.items()


def test_batches_on_many_loops() -> None:
    cache, truth = AsyncCache(batch_window_ms=0), SharedTruth()

    async def load(keys: list[int]) -> dict[int, int]:
        return {key: await truth.read(key) for key in keys}

    async def go() -> None:
        for number in range(300):
            key = number % len(KEYS)
            cache.delete(key)
            assert await asyncio.gather(*[cache.get(key, batch_loader=load) for key in KEYS]) == [0] * len(KEYS)

    at_once(lambda _: run(go()))


def test_one_loop_after_the_other_in_each_of_many_threads() -> None:
    @cached()
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def go(number: int) -> None:
        assert await double(number) == 2 * number
        double.invalidate_cache(number)

    def go_often(_: int) -> None:
        for number in range(40):
            run(go(number))

    at_once(go_often)


def test_tags_and_clears_from_threads_without_loops() -> None:
    cache = AsyncCache(maxsize=3)

    def change(number: int) -> None:
        for turn in range(200):
            key = (number + turn) % len(KEYS)
            cache.set(key, key, tags=(f"tag {key}",))
            if turn % 5 == number:
                cache.invalidate(f"tag {key}")
            if turn % 50 == number:
                cache.clear()

    at_once(change)
    assert len(cache) <= 3
    cache.invalidate(*[f"tag {key}" for key in KEYS])
    assert not any(key in cache for key in KEYS)


def test_threads_that_name_a_namespace_for_the_first_time_name_the_same_one() -> None:
    for number in range(50):
        made: list[AsyncCache] = []

        def make(_: int, made: list[AsyncCache] = made, name: str = f"new {number}") -> None:
            made.append(AsyncCache(namespace=name))

        at_once(make, threads=2)
        one, two = made
        one.set("k", 1, tags=("t",))
        assert two.invalidate("t")

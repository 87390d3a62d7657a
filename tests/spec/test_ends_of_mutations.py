from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncLRU, AsyncLRUInvalidator, cached
from cache.testing import FakeClock
from tests.spec.steering import Loader, Table, start


async def test_the_result_of_the_mutation_is_passed_on() -> None:
    result = object()

    @AsyncLRU
    async def get(uid: int) -> int:
        return uid

    @AsyncLRUInvalidator(get)
    async def update(uid: int) -> object:
        return result

    assert await update(1) is result


async def test_a_mutation_that_raises_invalidates_and_its_error_is_passed_on() -> None:
    table, error = Table(), ValueError("after the commit")
    get = AsyncLRU()(table.read)

    @AsyncLRUInvalidator(get)
    async def update(key: int) -> None:
        await table.write(key)
        raise error

    await get(1)
    with pytest.raises(ValueError, match="after the commit") as caught:
        await update(1)
    assert caught.value is error
    assert await get(1) == 1


async def test_a_mutation_that_is_cancelled_invalidates() -> None:
    table, body = Table(), Loader()
    get = cached(clock=(clock := FakeClock()))(table.read)

    @AsyncLRUInvalidator(get)
    async def update(key: int) -> None:
        await table.write(key)
        await body()

    await get(1)
    update_1 = await start(update(1))
    update_1.cancel()
    with pytest.raises(asyncio.CancelledError):
        await update_1
    assert await get(1) == 1
    clock.advance(1.0)
    assert [await get(1), await get(1)] == [1, 1]
    assert table.reads[1] == 3


@pytest.mark.parametrize("ambiguous", [TimeoutError(), ConnectionResetError()])
async def test_after_an_ambiguous_end_the_keys_stay_uncached_for_a_second(ambiguous: Exception) -> None:
    table, clock = Table(), FakeClock()
    get = cached(clock=clock)(table.read)

    @AsyncLRUInvalidator(get)
    async def update(key: int) -> None:
        raise RuntimeError("wrapped") from ambiguous

    with pytest.raises(RuntimeError):
        await update(1)
    clock.advance(0.9)
    await get(1)
    assert get.peek(1) is None
    clock.advance(0.1)
    await get(1)
    assert get.peek(1) == 0


@pytest.mark.parametrize(
    ("linger", "seconds"), [(0, 0.0), (0.5, 0.5), (lambda error: 3.0 if error else 0.0, 3.0)], ids=["0", "0.5", "3"]
)
async def test_linger_says_how_long_they_stay_uncached(linger: Any, seconds: float) -> None:
    table, clock = Table(), FakeClock()
    get = cached(clock=clock)(table.read)

    @AsyncLRUInvalidator(get, linger=linger)
    async def update(key: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await update(1)
    await get(1)
    assert (get.peek(1) is None) is (seconds > 0)
    clock.advance(seconds)
    await get(1)
    assert get.peek(1) == 0


async def test_a_mutation_that_returns_does_not_linger() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await AsyncLRUInvalidator(get)(table.write)(1)
    await get(1)
    assert get.peek(1) == 1

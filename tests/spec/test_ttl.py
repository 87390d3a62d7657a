from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest

from cache import DEFAULT, AsyncCache, AsyncTTL, cached
from cache.testing import FakeClock
from tests.spec.steering import Loader, Table, metric, start


async def test_an_entry_is_good_for_its_ttl_and_no_longer(clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    cache.set("k", 1, ttl=10)
    clock.advance(9.999)
    assert cache.peek("k") == 1
    clock.advance(0.001)
    assert cache.peek("k") is None
    assert "k" not in cache
    assert await cache.get("k", default="gone") == "gone"


async def test_a_ttl_counts_from_the_end_of_the_load(clock: FakeClock) -> None:
    cache, loader = AsyncCache(clock=clock), Loader()
    reader = await start(cache.get("k", loader, ttl=10))
    clock.advance(100)
    loader.end("v")
    await reader
    clock.advance(9.999)
    assert await cache.get("k", default="gone") == "v"
    clock.advance(0.001)
    assert await cache.get("k", default="gone") == "gone"


async def test_default_is_the_default_ttl(clock: FakeClock) -> None:
    cache = AsyncCache(default_ttl=5, clock=clock)
    cache.set("a", 1)
    cache.set("b", 1, ttl=DEFAULT)
    await cache.get("c", lambda: 1)
    await cache.get("d", lambda: 1, ttl=DEFAULT)
    clock.advance(4.999)
    assert all(key in cache for key in "abcd")
    clock.advance(0.001)
    assert not any(key in cache for key in "abcd")


async def test_none_is_for_ever_in_spite_of_a_default(clock: FakeClock) -> None:
    cache = AsyncCache(default_ttl=5, clock=clock)
    cache.set("a", 1, ttl=None)
    await cache.get("b", lambda: 1, ttl=None)
    clock.advance(1e9)
    assert "a" in cache
    assert await cache.get("b") == 1


async def test_no_default_is_for_ever(clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    cache.set("k", 1)
    clock.advance(1e9)
    assert await cache.get("k") == 1


async def test_infinity_is_for_ever(clock: FakeClock) -> None:
    cache = AsyncCache(default_ttl=math.inf, clock=clock)
    await cache.get("k", lambda: 1)
    clock.advance(1e9)
    assert await cache.get("k") == 1


async def test_0_is_not_stored_and_still_shared(clock: FakeClock) -> None:
    cache, loader = AsyncCache(clock=clock), Loader()
    readers = [await start(cache.get("k", loader, ttl=0)) for _ in range(2)]
    loader.end("v")
    assert [await reader for reader in readers] == ["v", "v"]
    assert len(loader.calls) == 1
    assert "k" not in cache
    assert len(cache) == 0


async def test_a_default_of_0_stores_nothing() -> None:
    cache = AsyncCache(default_ttl=0)
    await cache.get("k", lambda: 1)
    assert not cache.set("j", 1)
    assert len(cache) == 0


async def test_a_ttl_of_its_own_wins_over_the_default(clock: FakeClock) -> None:
    cache = AsyncCache(default_ttl=5, clock=clock)
    await cache.get("short", lambda: 1, ttl=1)
    await cache.get("long", lambda: 1, ttl=100)
    clock.advance(5)
    assert ("short" in cache, "long" in cache) == (False, True)


@pytest.mark.parametrize("where", ["get", "set", "default"])
async def test_a_ttl_may_be_a_function_of_the_result(where: str, clock: FakeClock) -> None:
    def ttl_of(result: float) -> float:
        return result

    cache = AsyncCache(default_ttl=ttl_of if where == "default" else None, clock=clock)
    for key in (1.0, 10.0):
        if where == "get":
            await cache.get(key, partial(float, key), ttl=ttl_of)
        elif where == "set":
            cache.set(key, key, ttl=ttl_of)
        else:
            await cache.get(key, partial(float, key))
    clock.advance(1)
    assert (1.0 in cache, 10.0 in cache) == (False, True)


async def test_a_function_of_the_result_may_say_for_ever_or_not_at_all(clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    answers: dict[str, float | None] = {"ever": None, "never": 0}
    for key in answers:
        await cache.get(key, partial(str, key), ttl=answers.__getitem__)
    clock.advance(1e9)
    assert ("ever" in cache, "never" in cache) == (True, False)


@pytest.mark.parametrize(("answer", "error"), [(-1, ValueError), (math.nan, ValueError), ("5", TypeError)])
async def test_a_function_of_the_result_that_answers_nonsense_fails_the_call(
    answer: Any, error: type[Exception]
) -> None:
    cache = AsyncCache()
    with pytest.raises(error, match=r"the result of ttl=.*pass a number of seconds, 0 or more"):
        await cache.get("k", lambda: 1, ttl=lambda _: answer)
    assert "k" not in cache
    assert await cache.get("k", lambda: 2) == 2


async def test_an_error_of_a_function_of_the_result_reaches_the_caller_and_nothing_is_stored() -> None:
    cache = AsyncCache()

    def ttl_of(_: object) -> float:
        raise LookupError("no ttl")

    with pytest.raises(LookupError, match="no ttl"):
        await cache.get("k", lambda: 1, ttl=ttl_of)
    with pytest.raises(LookupError, match="no ttl"):
        cache.set("k", 1, ttl=ttl_of)
    assert "k" not in cache


async def test_a_set_whose_ttl_cannot_be_computed_changes_nothing() -> None:
    cache = AsyncCache()
    cache.set("k", "old")
    with pytest.raises(ValueError, match="ttl=-1"):
        cache.set("k", "new", ttl=-1)
    assert cache.peek("k") == "old"


async def test_an_expired_entry_is_loaded_anew(clock: FakeClock) -> None:
    cache, table = AsyncCache(default_ttl=10, clock=clock), Table()
    await cache.get("k", lambda: table.read("k"))
    await table.write("k")
    clock.advance(9)
    assert await cache.get("k", lambda: table.read("k")) == 0
    clock.advance(1)
    assert await cache.get("k", lambda: table.read("k")) == 1
    assert metric(cache, "expirations") == 1


async def test_a_hit_does_not_prolong_the_life_of_an_entry(clock: FakeClock) -> None:
    cache = AsyncCache(default_ttl=10, clock=clock)
    cache.set("k", 1)
    for _ in range(9):
        clock.advance(1)
        assert await cache.get("k") == 1
    clock.advance(1)
    assert await cache.get("k", default="gone") == "gone"


async def test_expired_entries_make_room_without_being_asked_for(clock: FakeClock) -> None:
    cache = AsyncCache(maxsize=None, default_ttl=1, clock=clock)
    for key in range(10_000):
        if key % 100 == 0:
            clock.advance(1)
        cache.set(key, key)
        assert len(cache) <= 300, "of which 100 are alive"


async def test_the_preset_keeps_results_for_its_time_to_live(clock: FakeClock) -> None:
    table = Table()

    @AsyncTTL(time_to_live=30, clock=clock)
    async def read(key: str) -> int:
        return await table.read(key)

    await read("k")
    clock.advance(29)
    await read("k")
    assert table.reads["k"] == 1
    clock.advance(1)
    await read("k")
    assert table.reads["k"] == 2


async def test_the_ttl_of_a_function_may_depend_on_its_result(clock: FakeClock) -> None:
    @cached(ttl=lambda result: result, clock=clock)
    async def same(x: float) -> float:
        return x

    await same(1)
    await same(5)
    clock.advance(1)
    assert (same.peek(1), same.peek(5)) == (None, 5)


async def test_a_value_set_for_a_function_has_the_ttl_of_the_function(clock: FakeClock) -> None:
    @cached(ttl=5, clock=clock)
    async def same(x: int) -> int:
        return x

    same.cache.set(same.cache_key(1), 10)
    assert await same(1) == 10
    clock.advance(5)
    assert await same(1) == 1


async def test_a_ttl_of_its_own_is_respected_by_a_function_that_has_none(clock: FakeClock) -> None:
    @cached(clock=clock)
    async def same(x: int) -> int:
        return x

    same.cache.set(same.cache_key(1), 10, ttl=5)
    assert await same(1) == 10
    clock.advance(5)
    assert await same(1) == 1

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncCache, LoadCancelled
from cache.testing import FakeClock, assert_quiet
from tests.spec.steering import BatchLoader, Loader, Timers, metric, settle, start


async def test_a_key_that_is_being_loaded_is_joined_by_either_kind_of_loader() -> None:
    cache, load = AsyncCache(batch_window_ms=0), Loader()
    batched = await start(cache.get("k", batch_loader=load))
    single = await start(cache.get("k", Loader()))
    load.end({"k": 1})
    assert (await batched, await single) == (1, 1)


async def test_a_key_deleted_during_its_batch_is_not_stored_and_its_neighbours_are() -> None:
    cache, load = AsyncCache(batch_window_ms=0), Loader()
    readers = [await start(cache.get(key, batch_loader=load)) for key in "a"]
    readers += [await start(cache.get(key, batch_loader=load)) for key in "b"]
    assert len(load.calls) == 2, "each was sent at the end of its turn"
    both = asyncio.gather(cache.get("c", batch_loader=load), cache.get("d", batch_loader=load))
    await settle()
    cache.delete("c")
    load.end({"c": "old", "d": "new"})
    assert list(await both) == ["old", "new"]
    assert ("c" in cache, "d" in cache) == (False, True)
    for call, reader in enumerate(readers):
        load.end(["v"], call)
        await reader


async def test_a_key_deleted_while_its_batch_collects_has_read_nothing_yet_and_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, load, timers = AsyncCache(batch_window_ms=20), BatchLoader(), Timers(monkeypatch)
    reader = await start(cache.get("a", batch_loader=load))
    cache.delete("a")
    timers.go_off()
    assert await reader == "<a>"
    assert cache.peek("a") == "<a>"
    assert metric(cache, "fenced") == 0


async def test_after_a_delete_a_key_is_loaded_in_another_batch() -> None:
    cache, load = AsyncCache(batch_window_ms=0), Loader()
    early = await start(cache.get("k", batch_loader=load))
    cache.delete("k")
    late = await start(cache.get("k", batch_loader=load))
    load.end(["old"], 0)
    load.end(["new"], 1)
    assert (await early, await late) == ("old", "new")
    assert cache.peek("k") == "new"


async def test_a_batch_goes_on_while_any_of_its_keys_has_a_waiter() -> None:
    cache, load = AsyncCache(batch_window_ms=0), Loader()
    first = asyncio.ensure_future(cache.get("a", batch_loader=load))
    second = asyncio.ensure_future(cache.get("b", batch_loader=load))
    await settle()
    first.cancel()
    await settle()
    assert load.cancelled == 0
    load.end({"a": 1, "b": 2})
    assert await second == 2
    assert ("a" in cache, "b" in cache) == (False, True)


async def test_a_batch_is_cancelled_when_none_of_its_keys_has_a_waiter() -> None:
    cache, load = AsyncCache(batch_window_ms=0), Loader()
    readers = [asyncio.ensure_future(cache.get(key, batch_loader=load)) for key in "ab"]
    await settle()
    for reader in readers:
        reader.cancel()
    await settle()
    assert load.cancelled == 1
    assert all(reader.cancelled() for reader in readers)


async def test_a_batch_that_still_collects_is_forgotten_with_its_last_waiter() -> None:
    cache, load = AsyncCache(batch_window_ms=1e9), BatchLoader()
    readers = [asyncio.ensure_future(cache.get(key, batch_loader=load)) for key in "ab"]
    await settle()
    for reader in readers:
        reader.cancel()
    await settle()
    assert load.asked == []
    assert_quiet(cache)


async def test_a_key_without_a_waiter_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, load, timers = AsyncCache(batch_window_ms=20), BatchLoader(), Timers(monkeypatch)
    readers = [asyncio.ensure_future(cache.get(key, batch_loader=load)) for key in "abc"]
    await settle()
    readers[1].cancel()
    await settle()
    timers.go_off()
    assert await readers[0] == "<a>"
    assert await readers[2] == "<c>"
    assert load.asked == [["a", "c"]]


async def test_a_batch_loader_cancelled_from_inside_is_no_cancellation_of_its_callers() -> None:
    cache = AsyncCache(batch_window_ms=0)

    async def load(keys: list[str]) -> dict[str, str]:
        raise asyncio.CancelledError

    results = await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "ab"], return_exceptions=True)
    assert [type(error) for error in results] == [LoadCancelled, LoadCancelled]
    assert all(isinstance(error.__cause__, asyncio.CancelledError) for error in results if isinstance(error, Exception))


async def test_the_keys_of_a_batch_have_each_their_own_ttl_and_tags(clock: FakeClock) -> None:
    cache, load = AsyncCache(batch_window_ms=0, clock=clock), BatchLoader()
    await asyncio.gather(
        cache.get("a", batch_loader=load, ttl=1),
        cache.get("b", batch_loader=load, ttl=10),
        cache.get("c", batch_loader=load, tags=("t",)),
        cache.get("d", batch_loader=load, ttl=lambda value: {"<d>": 1}[value]),
    )
    assert len(load.asked) == 1
    clock.advance(1)
    cache.invalidate("t")
    assert [key in cache for key in "abcd"] == [False, True, False, False]


async def test_a_ttl_that_cannot_be_computed_fails_its_own_key_only() -> None:
    cache, load = AsyncCache(batch_window_ms=0), BatchLoader()

    def ttl_of(_: str) -> float:
        raise LookupError("no ttl")

    results = await asyncio.gather(
        cache.get("a", batch_loader=load, ttl=ttl_of), cache.get("b", batch_loader=load), return_exceptions=True
    )
    assert isinstance(results[0], LookupError)
    assert results[1] == "<b>"
    assert ("a" in cache, "b" in cache) == (False, True)


async def test_a_key_read_by_the_body_of_a_mutation_is_loaded_by_itself_and_not_stored() -> None:
    cache, load = AsyncCache(batch_window_ms=0), BatchLoader()
    async with cache.mutating("other"):
        assert await cache.get("a", batch_loader=load) == "<a>"
    assert load.asked == [["a"]]
    assert "a" not in cache


async def test_what_a_batch_loader_reads_all_its_keys_rest_on() -> None:
    inner, outer = AsyncCache(), AsyncCache(batch_window_ms=0)
    inner.set("i", 1)

    async def load(keys: list[str]) -> dict[str, int]:
        factor = await inner.get("i")
        return dict.fromkeys(keys, factor)

    await asyncio.gather(*[outer.get(key, batch_loader=load) for key in "ab"])
    assert ("a" in outer, "b" in outer) == (True, True)
    inner.delete("i")
    assert ("a" in outer, "b" in outer) == (False, False)


async def test_a_batch_belongs_to_the_loop_on_which_it_collects() -> None:
    cache, load = AsyncCache(batch_window_ms=0), BatchLoader()

    async def read(key: str) -> Any:
        return await cache.get(key, batch_loader=load)

    here = read("a")
    there = asyncio.to_thread(asyncio.run, read("b"))
    assert list(await asyncio.gather(here, there)) == ["<a>", "<b>"]
    assert sorted(map(str, load.asked)) == ["['a']", "['b']"]


def test_a_batch_left_by_a_closed_loop_does_not_stop_the_next() -> None:
    cache, load = AsyncCache(batch_window_ms=1e9, max_batch_size=2), BatchLoader()

    async def read(*keys: str) -> list[Any]:
        return await asyncio.gather(*[cache.get(key, batch_loader=load) for key in keys])

    loop = asyncio.new_event_loop()
    task = loop.create_task(read("a"))
    for _ in range(10):
        loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    assert asyncio.run(read("a", "b")) == ["<a>", "<b>"]

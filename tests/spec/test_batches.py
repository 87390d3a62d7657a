from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncCache
from tests.spec.steering import BatchLoader, Timers, metric, start


async def test_keys_that_are_missing_at_once_are_loaded_at_once() -> None:
    cache, load = AsyncCache(batch_window_ms=0), BatchLoader()
    values = await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "abc"])
    assert values == ["<a>", "<b>", "<c>"]
    assert load.asked == [["a", "b", "c"]]
    assert [cache.peek(key) for key in "abc"] == values


async def test_a_batch_holds_each_key_once() -> None:
    cache, load = AsyncCache(batch_window_ms=0), BatchLoader()
    await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "aba"])
    assert load.asked == [["a", "b"]]
    assert metric(cache, "coalesced") == 1
    assert metric(cache, "loads") == 2


async def test_what_is_stored_is_not_asked_for() -> None:
    cache, load = AsyncCache(batch_window_ms=0), BatchLoader()
    cache.set("a", 1)
    assert await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "ab"]) == [1, "<b>"]
    assert load.asked == [["b"]]


async def test_a_full_batch_does_not_wait_for_its_window() -> None:
    cache, load = AsyncCache(batch_window_ms=1e9, max_batch_size=2), BatchLoader()
    await asyncio.gather(*[cache.get(key, batch_loader=load) for key in range(6)])
    assert load.asked == [[0, 1], [2, 3], [4, 5]]


async def test_a_batch_collects_until_its_window_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, load, timers = AsyncCache(batch_window_ms=20), BatchLoader(), Timers(monkeypatch)
    first = await start(cache.get("a", batch_loader=load))
    second = await start(cache.get("b", batch_loader=load))
    assert load.asked == [], "many turns of the loop later the window is still open"
    timers.go_off()
    assert (await first, await second) == ("<a>", "<b>")
    assert load.asked == [["a", "b"]]


async def test_a_window_is_given_in_milliseconds_and_set_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, load, timers = AsyncCache(batch_window_ms=20), BatchLoader(), Timers(monkeypatch)
    readers = [await start(cache.get(key, batch_loader=load)) for key in "ab"]
    timers.go_off()
    await asyncio.gather(*readers)
    assert timers.delays == [0.02]


async def test_a_batch_loader_may_be_plain() -> None:
    cache = AsyncCache(batch_window_ms=0)
    assert await cache.get(2, batch_loader=lambda keys: {key: key * 10 for key in keys}) == 20


async def test_a_batch_loader_may_return_a_sequence_in_the_order_of_the_keys() -> None:
    cache = AsyncCache(batch_window_ms=0)

    async def load(keys: list[int]) -> list[int]:
        return [key * 10 for key in keys]

    assert await asyncio.gather(*[cache.get(key, batch_loader=load) for key in (3, 1, 2)]) == [30, 10, 20]


async def test_a_batch_loader_may_keep_or_change_the_list_it_was_given() -> None:
    cache = AsyncCache(batch_window_ms=0)

    async def load(keys: list[int]) -> list[int]:
        values = [key * 10 for key in keys]
        keys.clear()
        return values

    assert await asyncio.gather(*[cache.get(key, batch_loader=load) for key in (1, 2)]) == [10, 20]


async def test_a_key_that_is_missing_in_the_mapping_is_none() -> None:
    cache = AsyncCache(batch_window_ms=0)

    async def load(keys: list[str]) -> dict[str, int]:
        return {"a": 1, "a key that nobody asked for": 2}

    assert await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "ab"]) == [1, None]
    assert "b" in cache
    assert len(cache) == 2


@pytest.mark.parametrize("returned", [[1], [1, 2, 3], []])
async def test_a_sequence_of_another_length_fails_every_key_and_gives_both_lengths(returned: list[int]) -> None:
    cache = AsyncCache(batch_window_ms=0)

    def load(keys: list[str]) -> list[int]:
        return returned

    results = await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "ab"], return_exceptions=True)
    for error in results:
        assert isinstance(error, ValueError)
        assert "given 2 keys" in str(error)
        assert f"{len(returned)} values" in str(error)
    assert len(cache) == 0
    assert metric(cache, "load_errors") == 2


@pytest.mark.parametrize("returned", [None, 5, "ab", b"ab", {1, 2}, iter([1, 2])], ids=lambda x: type(x).__name__)
async def test_another_result_fails_every_key_and_says_what_to_return(returned: Any) -> None:
    cache = AsyncCache(batch_window_ms=0)

    def load(keys: list[str]) -> Any:
        return returned

    results = await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "ab"], return_exceptions=True)
    for error in results:
        assert isinstance(error, TypeError)
        assert f"returned {type(returned).__name__}: return a mapping" in str(error)
    assert len(cache) == 0


async def test_an_error_of_the_loader_reaches_every_key_and_is_not_stored() -> None:
    cache, load = AsyncCache(batch_window_ms=0), BatchLoader()
    error = LookupError("down")

    async def fail(keys: list[str]) -> dict[str, str]:
        raise error

    results = await asyncio.gather(*[cache.get(key, batch_loader=fail) for key in "ab"], return_exceptions=True)
    assert results == [error, error]
    assert await cache.get("a", batch_loader=load) == "<a>"


async def test_different_loaders_never_share_a_batch() -> None:
    cache, one, two = AsyncCache(batch_window_ms=0), BatchLoader(), BatchLoader()
    await asyncio.gather(cache.get("a", batch_loader=one), cache.get("b", batch_loader=two))
    assert (one.asked, two.asked) == ([["a"]], [["b"]])


async def test_one_bound_method_is_one_loader() -> None:
    class Repository:
        def __init__(self, name: str) -> None:
            self.name = name
            self.asked: list[list[str]] = []

        async def load(self, keys: list[str]) -> dict[str, str]:
            self.asked.append(keys)
            return {key: self.name + key for key in keys}

    cache, one, two = AsyncCache(batch_window_ms=0), Repository("1"), Repository("2")
    values = await asyncio.gather(
        cache.get("a", batch_loader=one.load),
        cache.get("b", batch_loader=one.load),
        cache.get("c", batch_loader=two.load),
    )
    assert list(values) == ["1a", "1b", "2c"]
    assert (one.asked, two.asked) == ([["a", "b"]], [["c"]])


async def test_different_caches_never_share_a_batch() -> None:
    load = BatchLoader()
    one, two = AsyncCache(batch_window_ms=0), AsyncCache(batch_window_ms=0)
    await asyncio.gather(one.get("a", batch_loader=load), two.get("b", batch_loader=load))
    assert load.asked == [["a"], ["b"]]

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import pytest

from cache import AsyncCache
from tests.spec.steering import Loader, Table, metric, settle, start


async def test_every_missing_key_is_loaded() -> None:
    cache, table = AsyncCache(), Table()
    await cache.warmup({key: partial(table.read, key) for key in range(20)})
    assert [cache.peek(key) for key in range(20)] == [0] * 20


async def test_what_is_stored_is_not_loaded() -> None:
    cache, loader = AsyncCache(), Loader()
    cache.set(1, "there")
    await cache.warmup({1: loader})
    assert loader.calls == []
    assert cache.peek(1) == "there"


async def test_a_loader_may_be_plain() -> None:
    cache = AsyncCache()
    await cache.warmup({1: lambda: "v"})
    assert cache.peek(1) == "v"


async def test_nothing_to_warm_up_is_no_error() -> None:
    cache = AsyncCache()
    await cache.warmup({})
    assert len(cache) == 0


@pytest.mark.parametrize(("concurrency", "at_once"), [(1, 1), (3, 3), (100, 10)])
async def test_so_many_loads_are_in_progress_at_most(concurrency: int, at_once: int) -> None:
    cache, loader = AsyncCache(), Loader()
    warmup = await start(cache.warmup(dict.fromkeys(range(10), loader), concurrency=concurrency))
    for ended in range(10):
        assert len(loader.calls) == min(10, at_once + ended)
        loader.end("v", ended)
        await settle()
    await warmup
    assert len(cache) == 10


async def test_eight_loads_are_in_progress_where_nothing_is_said() -> None:
    cache, loader = AsyncCache(), Loader()
    warmup = await start(cache.warmup(dict.fromkeys(range(10), loader)))
    assert len(loader.calls) == 8
    for ended in range(10):
        loader.end("v", ended)
        await settle()
    await warmup


async def test_one_failing_loader_stops_no_other_and_all_failures_are_raised_together() -> None:
    cache = AsyncCache()
    errors = {"b": ValueError("no b"), "d": OSError("no d")}

    def loader(key: str) -> Any:
        async def load() -> str:
            if key in errors:
                raise errors[key]
            return key

        return load

    with pytest.raises(ExceptionGroup) as caught:
        await cache.warmup({key: loader(key) for key in "abcde"})
    assert set(caught.value.exceptions) == set(errors.values())
    assert "'b'" in str(caught.value)
    assert "'d'" in str(caught.value)
    assert "'a'" not in str(caught.value)
    assert [key in cache for key in "abcde"] == [True, False, True, False, True]


async def test_an_error_is_not_changed_by_being_reported() -> None:
    cache, error = AsyncCache(cache_errors={ValueError: 60.0}), ValueError("kept")

    def fail() -> None:
        raise error

    for _ in range(3):
        with pytest.raises(ExceptionGroup):
            await cache.warmup({1: fail})
    assert not hasattr(error, "__notes__")
    assert error.args == ("kept",)


async def test_progress_is_reported_after_each_key_failed_ones_too() -> None:
    cache, seen = AsyncCache(), []

    def fail() -> None:
        raise ValueError

    with pytest.raises(ExceptionGroup):
        await cache.warmup({1: lambda: "v", 2: fail, 3: lambda: "v"}, on_progress=lambda *said: seen.append(said))
    assert seen == [(1, 3), (2, 3), (3, 3)]


async def test_a_failing_report_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    cache = AsyncCache()

    def report(done: int, in_all: int) -> None:
        raise RuntimeError("the progress bar broke")

    with caplog.at_level(logging.ERROR, logger="cache"):
        await cache.warmup({1: lambda: "v", 2: lambda: "v"}, on_progress=report)
    assert len(cache) == 2
    assert "the progress bar broke" in caplog.text


async def test_readers_join_the_loads_of_a_warmup() -> None:
    cache, loader, other = AsyncCache(), Loader(), Loader()
    warmup = await start(cache.warmup({1: loader}))
    reader = await start(cache.get(1, other))
    loader.end("v")
    assert await reader == "v"
    await warmup
    assert other.calls == []


async def test_a_key_invalidated_meanwhile_is_not_stored() -> None:
    cache, loader = AsyncCache(), Loader()
    warmup = await start(cache.warmup({1: loader, 2: loader}))
    cache.delete(1)
    loader.end("old", 0)
    loader.end("v", 1)
    await warmup
    assert (1 in cache, 2 in cache) == (False, True)


async def test_cancelling_a_warmup_cancels_the_loads_for_which_nobody_else_waits() -> None:
    cache, loader = AsyncCache(), Loader()
    warmup = await start(cache.warmup({1: loader, 2: loader}))
    reader = await start(cache.get(1, loader))
    warmup.cancel()
    with pytest.raises(asyncio.CancelledError):
        await warmup
    await settle()
    assert loader.cancelled == 1
    loader.end("v", 0)
    assert await reader == "v"


async def test_a_warmup_counts_as_its_calls() -> None:
    cache = AsyncCache()
    cache.set(1, "there")
    await cache.warmup({1: lambda: "v", 2: lambda: "v"})
    assert (metric(cache, "hits"), metric(cache, "misses"), metric(cache, "loads")) == (1, 1, 1)


async def test_a_mapping_that_changes_meanwhile_is_the_one_that_was_given() -> None:
    cache, loader = AsyncCache(), Loader()
    loaders = {1: loader, 2: loader}
    warmup = await start(cache.warmup(loaders, concurrency=1))
    loaders.clear()
    for call in range(2):
        loader.end("v", call)
        await settle()
    await warmup
    assert len(cache) == 2

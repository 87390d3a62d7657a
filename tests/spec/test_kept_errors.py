from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from cache import AsyncCache, cached
from cache.testing import FakeClock
from tests.spec.steering import Loader, metric, start


class NotFoundError(Exception):
    pass


class UserNotFoundError(NotFoundError):
    pass


async def test_an_error_is_kept_for_the_seconds_of_its_class(clock: FakeClock) -> None:
    cache, loader = AsyncCache(cache_errors={NotFoundError: 5}, clock=clock), Loader()
    error = NotFoundError("k")
    reader = await start(cache.get("k", loader))
    loader.fail(error)
    with pytest.raises(NotFoundError):
        await reader
    clock.advance(4.999)
    with pytest.raises(NotFoundError) as again:
        await cache.get("k", loader)
    assert again.value is error
    assert len(loader.calls) == 1
    clock.advance(0.001)
    reader = await start(cache.get("k", loader))
    loader.end("found")
    assert await reader == "found"


async def test_the_seconds_of_an_error_count_from_the_end_of_the_load(clock: FakeClock) -> None:
    cache, loader = AsyncCache(cache_errors={NotFoundError: 5}, clock=clock), Loader()
    reader = await start(cache.get("k", loader))
    clock.advance(100)
    loader.fail(NotFoundError())
    await asyncio.gather(reader, return_exceptions=True)
    clock.advance(4.999)
    with pytest.raises(NotFoundError):
        await cache.get("k", loader)
    assert len(loader.calls) == 1
    clock.advance(0.001)
    assert await cache.get("k", default="gone") == "gone"


async def test_subclasses_are_kept_as_well_and_others_are_not(clock: FakeClock) -> None:
    cache = AsyncCache(cache_errors={NotFoundError: 5}, clock=clock)
    calls = []

    def failing(error: Exception) -> Any:
        def fail() -> None:
            calls.append(error)
            raise error

        return fail

    errors: tuple[tuple[Exception, int], ...] = ((UserNotFoundError(), 1), (LookupError(), 2))
    for error, loads in errors:
        calls.clear()
        for _ in range(2):
            with pytest.raises(type(error)):
                await cache.get(repr(error), failing(error))
        assert len(calls) == loads


async def test_the_first_class_that_fits_says_for_how_long(clock: FakeClock) -> None:
    cache = AsyncCache(cache_errors={UserNotFoundError: 1, NotFoundError: 5}, clock=clock)

    def fail() -> None:
        raise UserNotFoundError

    with pytest.raises(UserNotFoundError):
        await cache.get("k", fail)
    clock.advance(1)
    assert await cache.get("k", lambda: "found") == "found"


async def test_a_kept_error_is_no_value() -> None:
    cache = AsyncCache(cache_errors={NotFoundError: 5})

    def fail() -> None:
        raise NotFoundError

    with pytest.raises(NotFoundError):
        await cache.get("k", fail)
    assert cache.peek("k", "d") == "d"
    assert "k" not in cache


async def test_a_kept_error_is_raised_also_where_there_is_no_loader() -> None:
    cache = AsyncCache(cache_errors={NotFoundError: 5})

    def fail() -> None:
        raise NotFoundError

    with pytest.raises(NotFoundError):
        await cache.get("k", fail)
    with pytest.raises(NotFoundError):
        await cache.get("k", default="d")


async def test_a_kept_error_is_a_hit_and_goes_with_the_key() -> None:
    cache, loader = AsyncCache(cache_errors={NotFoundError: 5}), Loader()
    reader = await start(cache.get("k", loader))
    loader.fail(NotFoundError())
    await asyncio.gather(reader, return_exceptions=True)
    await asyncio.gather(cache.get("k", loader), return_exceptions=True)
    assert metric(cache, "hits") == 1
    assert cache.delete("k")
    reader = await start(cache.get("k", loader))
    loader.end("found")
    assert await reader == "found"


async def test_a_kept_error_goes_with_its_tags() -> None:
    cache = AsyncCache(cache_errors={NotFoundError: 5})

    def fail() -> None:
        raise NotFoundError

    with pytest.raises(NotFoundError):
        await cache.get("k", fail, tags=("t",))
    assert cache.invalidate("t")
    assert await cache.get("k", lambda: "found") == "found"


async def test_an_error_of_a_load_begun_before_a_delete_is_not_kept() -> None:
    cache, loader = AsyncCache(cache_errors={NotFoundError: 5}), Loader()
    reader = await start(cache.get("k", loader))
    cache.delete("k")
    loader.fail(NotFoundError())
    await asyncio.gather(reader, return_exceptions=True)
    assert await cache.get("k", lambda: "found") == "found"


async def test_the_traceback_of_a_kept_error_does_not_grow_with_its_callers() -> None:
    cache = AsyncCache(cache_errors={NotFoundError: 5})

    def fail() -> None:
        raise NotFoundError

    lengths = set()
    for _ in range(5):
        with pytest.raises(NotFoundError) as raised:
            await cache.get("k", fail)
        lengths.add(len(traceback.extract_tb(raised.value.__traceback__)))
    assert len(lengths) <= 2, "the first caller waited for the load, the others found it"


async def test_functions_keep_errors_too(clock: FakeClock) -> None:
    calls = []

    @cached(cache_errors={NotFoundError: 5.0}, clock=clock)
    async def read(key: str) -> str:
        calls.append(key)
        raise NotFoundError(key)

    for _ in range(3):
        with pytest.raises(NotFoundError):
            await read("k")
    assert calls == ["k"]
    assert read.peek("k") is None
    clock.advance(5)
    with pytest.raises(NotFoundError):
        await read("k")
    assert calls == ["k", "k"]


async def test_an_outer_load_that_read_a_kept_error_rests_on_it(clock: FakeClock) -> None:
    found: dict[str, str] = {}

    @cached(cache_errors={KeyError: 100.0}, clock=clock)
    async def inner(key: str) -> str:
        return found[key]

    @cached(clock=clock)
    async def outer(key: str) -> str:
        try:
            return await inner(key)
        except KeyError:
            return "nobody"

    assert await outer("k") == "nobody"
    found["k"] = "ann"
    assert await outer("k") == "nobody"
    inner.invalidate_cache("k")
    assert await outer("k") == "ann"


async def test_an_outer_load_that_read_a_kept_error_is_good_no_longer_than_it(clock: FakeClock) -> None:
    found: dict[str, str] = {}

    @cached(cache_errors={KeyError: 5.0}, clock=clock)
    async def inner(key: str) -> str:
        return found[key]

    @cached(clock=clock)
    async def outer(key: str) -> str:
        try:
            return await inner(key)
        except KeyError:
            return "nobody"

    assert await outer("k") == "nobody"
    found["k"] = "ann"
    clock.advance(5)
    assert await outer("k") == "ann"

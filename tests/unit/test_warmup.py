from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from cache._warmup import warm_up
from tests.spec.steering import settle


class Cache:
    """What stands behind: ``get`` that goes on until the test lets it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.now = self.most = 0
        self.may_go = asyncio.Event()

    async def get(self, key: Any, loader: Callable[[], Any]) -> Any:
        self.asked.append(key)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.may_go.wait()
            return loader()
        finally:
            self.now -= 1


def fail(error: Exception) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3), (100, 10)])
async def test_so_many_keys_are_loaded_at_a_time_and_no_more(concurrency: int, most: int) -> None:
    cache = Cache()
    loaders = {key: lambda: None for key in range(10)}
    warming = asyncio.ensure_future(warm_up(cache.get, loaders, concurrency=concurrency, on_progress=None))
    await settle()
    assert len(cache.asked) == most
    cache.may_go.set()
    await warming
    assert cache.asked == list(range(10))
    assert cache.most == most


async def test_nothing_to_load_is_no_error() -> None:
    cache = Cache()
    await warm_up(cache.get, {}, concurrency=8, on_progress=None)
    assert not cache.asked


async def test_progress_is_told_after_each_key_with_the_number_in_all() -> None:
    cache, told = Cache(), list[tuple[int, int]]()
    cache.may_go.set()
    loaders: dict[str, Callable[[], Any]] = {"a": lambda: 1, "b": fail(KeyError("b")), "c": lambda: 3}
    with pytest.raises(ExceptionGroup):
        await warm_up(cache.get, loaders, concurrency=2, on_progress=lambda done, in_all: told.append((done, in_all)))
    assert told == [(1, 3), (2, 3), (3, 3)]


async def test_loaders_that_fail_stop_no_other_and_are_raised_together_with_their_keys() -> None:
    cache = Cache()
    cache.may_go.set()
    errors = [KeyError("one"), ValueError("two")]
    loaders: dict[str, Callable[[], Any]] = {"bad": fail(errors[0]), "good": lambda: 1, "worse": fail(errors[1])}
    with pytest.raises(ExceptionGroup, match=r"2 of 3 keys could not be loaded: 'bad', 'worse'") as raised:
        await warm_up(cache.get, loaders, concurrency=1, on_progress=None)
    assert list(raised.value.exceptions) == errors
    assert cache.asked == ["bad", "good", "worse"]
    assert not hasattr(errors[0], "__notes__")


async def test_progress_that_fails_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def report(done: int, in_all: int) -> None:
        raise ZeroDivisionError

    cache = Cache()
    cache.may_go.set()
    with caplog.at_level(logging.ERROR, "cache"):
        await warm_up(cache.get, {"a": lambda: 1, "b": lambda: 2}, concurrency=1, on_progress=report)
    assert cache.asked == ["a", "b"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


async def test_to_cancel_a_warmup_is_to_cancel_its_loads() -> None:
    cache = Cache()
    loaders = {key: lambda: None for key in range(10)}
    warming = asyncio.ensure_future(warm_up(cache.get, loaders, concurrency=3, on_progress=None))
    await settle()
    warming.cancel()
    await settle()
    assert warming.cancelled()
    assert cache.now == 0
    assert len(cache.asked) == 3


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"loaders": ["a"]}, TypeError, r"loaders=\['a'\]: pass a mapping"),
        ({"loaders": {"a": 5}}, TypeError, "the loader of 'a'=5"),
        ({"concurrency": 0}, ValueError, "concurrency=0"),
        ({"concurrency": 1.5}, TypeError, r"concurrency=1\.5"),
        ({"on_progress": "yes"}, TypeError, "on_progress='yes'"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_is_loaded(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    cache = Cache()
    given: dict[str, Any] = {"loaders": {"k": lambda: 1}, "concurrency": 8, "on_progress": None, **options}
    with pytest.raises(kind, match=message):
        await warm_up(cache.get, **given)
    assert not cache.asked

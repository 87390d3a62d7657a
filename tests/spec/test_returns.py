from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import cache as door
from cache import AsyncCache, AsyncLRU
from tests.spec.steering import Loader, start


async def test_set_is_true_if_the_value_was_stored() -> None:
    cache = AsyncCache()
    assert cache.set("k", 1)
    assert not cache.set("k", 2, ttl=0)


async def test_a_set_with_a_ttl_of_0_still_replaces_what_was_there() -> None:
    cache = AsyncCache()
    cache.set("k", 1)
    cache.set("k", 2, ttl=0)
    assert "k" not in cache


async def test_delete_is_true_if_an_entry_was_dropped() -> None:
    cache = AsyncCache()
    cache.set("k", 1)
    assert cache.delete("k")
    assert not cache.delete("k")


async def test_deleting_a_load_in_progress_drops_no_entry() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    assert not cache.delete("k")
    loader.end(1)
    await reader


async def test_invalidate_is_true_if_the_tag_was_in_use() -> None:
    cache = AsyncCache()
    cache.set("k", 1, tags=("t",))
    assert cache.invalidate("t")
    assert not cache.invalidate("t")
    assert not cache.invalidate("other")


async def test_invalidate_is_true_if_any_of_the_tags_was_in_use() -> None:
    cache = AsyncCache()
    cache.set("k", 1, tags=("t",))
    assert cache.invalidate("other", "t", "another")


async def test_clear_is_true_if_there_were_entries() -> None:
    cache = AsyncCache()
    assert not cache.clear()
    cache.set("k", 1)
    assert cache.clear()
    assert not cache.clear()


async def test_invalidate_cache_is_true_if_an_entry_was_dropped() -> None:
    @AsyncLRU()
    async def double(x: int) -> int:
        return 2 * x

    await double(1)
    assert double.invalidate_cache(1)
    assert not double.invalidate_cache(1)
    await double(1)
    assert double.clear_cache()
    assert not double.clear_cache()


OPERATIONS = [
    pytest.param(lambda cache: cache.set("k", 1), id="set"),
    pytest.param(lambda cache: cache.delete("k"), id="delete"),
    pytest.param(lambda cache: cache.invalidate("t"), id="invalidate"),
    pytest.param(lambda cache: cache.clear(), id="clear"),
    pytest.param(lambda _: door.invalidate("t"), id="invalidate of the module"),
]


@pytest.mark.parametrize("operate", OPERATIONS)
async def test_what_an_operation_returns_is_awaitable_and_no_coroutine(operate: Callable[[AsyncCache], Any]) -> None:
    applied = operate(AsyncCache())
    assert isinstance(applied, Awaitable)
    assert not inspect.iscoroutine(applied)


@pytest.mark.parametrize("operate", OPERATIONS)
@pytest.mark.parametrize("stored", [True, False])
async def test_awaiting_gives_the_same_bool(operate: Callable[[AsyncCache], Any], *, stored: bool) -> None:
    cache = AsyncCache()
    if stored:
        cache.set("k", 1, tags=("t",))
    applied = operate(cache)
    outcome = bool(applied)
    assert await applied is outcome
    assert await applied is outcome, "and it may be awaited again"


@pytest.mark.parametrize("operate", OPERATIONS)
def test_awaiting_does_not_suspend(operate: Callable[[AsyncCache], Any]) -> None:
    async def run() -> bool:
        outcome: bool = await operate(AsyncCache())
        return outcome

    with pytest.raises(StopIteration):
        run().send(None)


@pytest.mark.parametrize("operate", OPERATIONS)
def test_operations_need_no_event_loop(operate: Callable[[AsyncCache], Any]) -> None:
    cache = AsyncCache()
    cache.set("k", 1, tags=("t",))
    assert operate(cache)


async def test_what_an_operation_returns_may_be_gathered() -> None:
    cache = AsyncCache()
    assert list(await asyncio.gather(cache.set("k", 1), cache.delete("absent"))) == [True, False]


async def test_what_an_operation_returns_shows_its_outcome() -> None:
    cache = AsyncCache()
    assert repr(cache.set("k", 1)) == "Applied(True)"
    assert repr(cache.delete("absent")) == "Applied(False)"


async def test_an_operation_has_taken_effect_when_it_returns() -> None:
    cache = AsyncCache()
    cache.set("k", 1, tags=("t",))
    assert "k" in cache
    cache.delete("k")
    assert "k" not in cache
    cache.set("k", 1, tags=("t",))
    cache.invalidate("t")
    assert "k" not in cache

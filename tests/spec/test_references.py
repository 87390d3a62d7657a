from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cache import AsyncCache, cached
from cache.testing import FakeClock
from tests.spec.steering import Loader, run, settle, start


class Thing:
    """Something whose end can be seen."""


class ThingError(Exception):
    pass


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """What goes goes because nothing refers to it, and not because the garbage was collected."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# -- what is dropped is freed at once ------------------------------------------------------------------------------

DROPS: list[Any] = [
    pytest.param(lambda cache, _: cache.delete("k"), id="delete"),
    pytest.param(lambda cache, _: cache.set("k", None), id="set"),
    pytest.param(lambda cache, _: cache.clear(), id="clear"),
    pytest.param(lambda cache, _: [cache.set(other, None) for other in range(2)], id="eviction"),
    pytest.param(lambda cache, _: [cache.invalidate("t"), cache.get("k").close(), cache.set("k", None)], id="tag"),
    pytest.param(lambda cache, clock: [clock.advance(10), cache.set("k", None)], id="expiry"),
]


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("policy", ["lru", "s3fifo"])
@pytest.mark.parametrize("drop", DROPS)
def test_a_value_that_is_dropped_is_freed(
    drop: Callable[[AsyncCache, FakeClock], object], policy: str, clock: FakeClock
) -> None:
    cache, value = AsyncCache(maxsize=2, clock=clock, policy=policy), Thing()
    cache.set("k", value, ttl=10, tags=("t",))
    freed = weakref.ref(value)
    del value
    assert freed() is not None
    drop(cache, clock)
    assert freed() is None


@pytest.mark.usefixtures("_no_collector")
def test_a_value_is_freed_as_its_mutation_begins() -> None:
    cache, value = AsyncCache(), Thing()
    cache.set("k", value)
    freed = weakref.ref(value)
    del value
    with cache.mutating("k"):
        assert freed() is None


@pytest.mark.usefixtures("_no_collector")
async def test_closing_frees_all_values() -> None:
    cache, value = AsyncCache(), Thing()
    cache.set("k", value)
    freed = weakref.ref(value)
    del value
    await cache.aclose()
    await settle()
    assert freed() is None


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("policy", ["lru", "s3fifo"])
async def test_clearing_a_large_cache_frees_all_values_in_time(policy: str) -> None:
    cache, things = AsyncCache(maxsize=None, policy=policy), weakref.WeakSet[Thing]()
    for key in range(5_000):
        cache.set(key, Thing())
        things.add(cache.peek(key))
    cache.clear()
    await settle()
    assert len(things) == 0


@pytest.mark.usefixtures("_no_collector")
def test_a_key_that_is_dropped_is_freed() -> None:
    cache, key = AsyncCache(), Thing()
    cache.set(key, 1)
    freed = weakref.ref(key)
    cache.delete(key)
    del key
    assert freed() is None


# -- what a load was given -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_collector")
async def test_a_load_that_has_ended_keeps_neither_its_loader_nor_its_result() -> None:
    cache = AsyncCache()

    def make() -> tuple[weakref.ref[Thing], Callable[[], Thing]]:
        captured = Thing()
        return weakref.ref(captured), lambda: captured

    freed, loader = make()
    await cache.get("k", loader, ttl=0)
    del loader
    await settle()
    assert freed() is None


@pytest.mark.usefixtures("_no_collector")
async def test_an_argument_that_is_left_out_of_the_key_is_not_kept() -> None:
    @cached(ignore=("session",))
    async def read(key: str, session: Thing) -> str:
        return key

    session = Thing()
    freed = weakref.ref(session)
    await read("k", session)
    del session
    await settle()
    assert freed() is None


@pytest.mark.usefixtures("_no_collector")
async def test_the_context_of_a_call_is_not_kept() -> None:
    variable: contextvars.ContextVar[Thing] = contextvars.ContextVar("variable")
    cache = AsyncCache()

    async def load() -> int:
        await asyncio.sleep(0)
        return 1

    async def call() -> weakref.ref[Thing]:
        value = Thing()
        variable.set(value)
        await cache.get("k", load)
        return weakref.ref(value)

    freed = await asyncio.create_task(call())
    await settle()
    assert freed() is None


async def test_a_task_that_a_loader_has_left_behind_does_not_keep_the_value() -> None:
    cache, left, tasks = AsyncCache(), asyncio.Event(), []

    async def load() -> Thing:
        tasks.append(asyncio.create_task(left.wait()))
        await asyncio.sleep(0)
        return Thing()

    freed = weakref.ref(await cache.get("k", load))
    cache.delete("k")
    await settle()
    gc.collect()
    assert freed() is None
    left.set()
    await asyncio.gather(*tasks)


async def test_an_error_is_not_kept_when_its_callers_are_done_with_it() -> None:
    async def fail_twice(cache: AsyncCache) -> weakref.ref[ThingError]:
        loader, error = Loader(), ThingError()
        readers = [await start(cache.get("k", loader)) for _ in range(2)]
        loader.fail(error)
        assert await asyncio.gather(*readers, return_exceptions=True) == [error, error]
        return weakref.ref(error)

    cache = AsyncCache()
    freed = await fail_twice(cache)
    await settle()
    gc.collect()
    assert freed() is None


# -- errors that nobody has heard of -------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(6))
async def test_an_error_whose_caller_leaves_around_the_end_of_the_load_is_reported_to_nobody(turns: int) -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    loader.fail(LookupError())
    for _ in range(turns):
        await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])
    assert reader.cancelled() or isinstance(reader.exception(), LookupError)
    del reader, loader
    gc.collect()  # asyncio reports what nobody has retrieved when it is freed


async def test_an_error_of_a_load_that_refused_to_be_cancelled_is_reported_to_nobody() -> None:
    cache, goes_on = AsyncCache(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await goes_on.wait()
        raise LookupError

    reader = await start(cache.get("k", stubborn))
    reader.cancel()
    await settle()
    goes_on.set()
    await settle()
    gc.collect()


# -- caches, functions and loops that nobody needs any more --------------------------------------------------------


async def test_a_cache_need_not_be_closed() -> None:
    cache = AsyncCache()
    await cache.get("k", lambda: 1, tags=("t",))
    freed = weakref.ref(cache)
    del cache
    gc.collect()
    assert freed() is None


async def test_a_cached_function_that_nobody_needs_goes_with_its_entries() -> None:
    @cached(tags=("number:{number}",))
    async def read(number: int) -> Thing:
        return Thing()

    value = weakref.ref(await read(1))
    function = weakref.ref(read)
    del read
    await settle()
    gc.collect()
    assert (function(), value()) == (None, None)


@pytest.mark.parametrize("window", [0, 5])
def test_a_loop_that_has_ended_is_not_kept(window: float) -> None:
    cache = AsyncCache(batch_window_ms=window)

    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        await asyncio.gather(
            cache.get("k", asyncio.Event().wait) if window else cache.get("k", lambda: 1),
            cache.get("b", batch_loader=lambda keys: keys),
        )
        return weakref.ref(asyncio.get_running_loop())

    async def use_and_leave() -> weakref.ref[asyncio.AbstractEventLoop]:
        task = asyncio.ensure_future(use())
        await settle()
        if window:
            task.cancel()
            await asyncio.wait([task])
            return weakref.ref(asyncio.get_running_loop())
        return await task

    loop = run(use_and_leave())
    gc.collect()
    assert loop() is None

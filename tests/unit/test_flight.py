from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from cache import AsyncCache, AsyncLRU
from cache._eager import EAGER_DEPTH
from tests.spec.steering import TURNS, Loader, settle, start

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")


# -- a task of its own -----------------------------------------------------------------------------------------


async def test_a_load_runs_in_a_task_of_its_own_that_says_whose_it_is() -> None:
    cache = AsyncCache(name="users")

    async def load() -> Any:
        return asyncio.current_task()

    task = await cache.get("k", load)
    assert task is not asyncio.current_task()
    assert task.get_name() == "cache load of users"


async def test_a_load_runs_in_the_context_of_the_caller_who_began_it_and_changes_nothing_there() -> None:
    cache, may_end = AsyncCache(), asyncio.Event()

    async def load() -> str:
        await may_end.wait()
        mine = request_id.get()
        request_id.set("changed by the load")
        return mine

    async def ask(name: str) -> tuple[str, str]:
        request_id.set(name)
        return await cache.get("k", load), request_id.get()

    readers = [await start(ask(name)) for name in ("first", "second")]
    may_end.set()
    assert [await reader for reader in readers] == [("first", "first"), ("first", "second")]


async def test_a_load_begins_at_once_where_tasks_can() -> None:
    begun: list[bool] = []

    async def load() -> None:
        begun.append(True)

    pending = AsyncCache().get("k", load)
    pending_task = asyncio.ensure_future(pending)
    await asyncio.sleep(0)
    assert bool(begun) is (sys.version_info >= (3, 12))
    await pending_task


async def test_loads_nest_deeper_than_the_stack_would_bear() -> None:
    @AsyncLRU(maxsize=None)
    async def descend(level: int) -> int:
        return 0 if level == 0 else 1 + await descend(level - 1)

    assert await descend(20 * EAGER_DEPTH) == 20 * EAGER_DEPTH


def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """A task factory of anybody's."""
    return asyncio.Task(coroutine, loop=loop, **options)


@pytest.fixture(params=[None, factory], ids=["plain", "factory"])
async def tasks_of(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(request.param)
    yield request.param
    loop.set_task_factory(None)


@pytest.mark.usefixtures("tasks_of")
async def test_a_queued_load_runs_in_the_context_of_its_caller_whoever_lets_it_begin() -> None:
    cache, loader = AsyncCache(), Loader()

    async def load() -> tuple[str, Any]:
        return request_id.get(), await loader()

    async def ask(name: str) -> Any:
        request_id.set(name)
        return await cache.get("k", load)

    mutating = cache.mutating("k")
    await asyncio.create_task(mutating.__aenter__())
    first, second = [await start(ask(name)) for name in ("first", "second")]
    mutating.__exit__(None, None, None)
    await settle()
    loader.end(1, 0)
    loader.end(2, 1)
    assert [await first, await second] == [("first", 1), ("second", 2)]


async def test_a_task_factory_that_refuses_is_heard_by_those_who_wait() -> None:
    def refuse(_: asyncio.AbstractEventLoop, coroutine: Any, **__: Any) -> asyncio.Task[Any]:
        coroutine.close()
        raise ZeroDivisionError("no tasks today")

    cache, loop = AsyncCache(), asyncio.get_running_loop()
    loop.set_task_factory(refuse)
    try:
        with pytest.raises(ZeroDivisionError, match="no tasks today"):
            await cache.get("k", lambda: 1)
    finally:
        loop.set_task_factory(None)
    assert await cache.get("k", lambda: 2) == 2


# -- those who wait --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaving", [0, 1])
async def test_a_caller_who_is_cancelled_touches_nobody_else(leaving: int) -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(3)]
    readers.pop(leaving).cancel()
    await settle()
    assert (len(loader.calls), loader.cancelled) == (1, 0)
    loader.end("v")
    assert await asyncio.gather(*readers) == ["v", "v"]
    assert cache.peek("k") == "v"


async def test_a_load_dies_with_the_last_who_waits_for_it() -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    for reader in readers:
        reader.cancel()
    await settle()
    assert loader.cancelled == 1
    reader = await start(cache.get("k", loader))
    assert len(loader.calls) == 2
    loader.end("v")
    assert await reader == "v"


async def test_a_caller_cancelled_as_the_value_arrives_leaves_it_stored() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    loader.end("v")
    await asyncio.sleep(0)
    reader.cancel()
    await settle()
    assert cache.peek("k") == "v"


async def test_a_load_that_nobody_waits_for_any_more_stores_nothing_though_it_will_not_be_cancelled() -> None:
    cache, may_end = AsyncCache(), asyncio.Event()

    async def stubborn() -> str:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    reader = await start(cache.get("k", stubborn))
    reader.cancel()
    await settle()
    may_end.set()
    await settle()
    assert len(cache) == 0


# -- loops that end --------------------------------------------------------------------------------------------


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    if not loop.is_closed():
        loop.close()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_leaves_the_loop_and_reaches_those_who_wait_if_it_runs_on(
    loop: asyncio.AbstractEventLoop, interrupt: type[BaseException]
) -> None:
    cache = AsyncCache()

    async def load() -> None:
        await asyncio.sleep(0)
        raise interrupt

    reader, interrupts = loop.create_task(cache.get("k", load)), 0
    for _ in range(TURNS):
        loop.call_soon(loop.stop)
        try:
            loop.run_forever()
        except interrupt:
            interrupts += 1
    assert interrupts
    assert isinstance(reader.exception(), interrupt)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_load_left_on_a_closed_loop_is_in_nobodys_way(loop: asyncio.AbstractEventLoop) -> None:
    cache, loader = AsyncCache(), Loader()
    loop.set_exception_handler(lambda *_: None)  # it says that a task is pending, which is the test
    reader = loop.create_task(cache.get("k", loader))
    loop.run_until_complete(settle())
    loop.close()
    assert asyncio.run(cache.get("k", lambda: "v")) == "v"
    assert cache.peek("k") == "v"
    gone = weakref.ref(reader)
    del reader, loader
    gc.collect()
    assert gone() is None

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cache as door
from cache import AsyncCache, cached
from tests.spec.steering import BatchLoader, Elsewhere, Loader, Table, run, settle, start


@contextmanager
def abandoned_loop(*coroutines: Coroutine[Any, Any, Any]) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop on which ``coroutines`` have gone as far as they can; it is closed with them in progress."""
    loop = asyncio.new_event_loop()
    # asyncio complains of the tasks that are thrown away with it, and rightly so.
    loop.set_exception_handler(lambda *_: None)
    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
    loop.run_until_complete(settle())
    assert not any(task.done() for task in tasks)
    yield loop
    loop.close()


# -- one after the other -------------------------------------------------------------------------------------------


def test_entries_outlive_the_loop_on_which_they_were_loaded() -> None:
    cache, table = AsyncCache(), Table()
    for _ in range(3):
        assert run(cache.get("k", lambda: table.read("k"))) == 0
    assert table.reads["k"] == 1


def test_a_cached_function_works_under_one_loop_after_the_other() -> None:
    table = Table()

    @cached()
    async def read(key: str) -> int:
        return await table.read(key)

    async def read_twice() -> tuple[int, int]:
        return await asyncio.gather(read("k"), read("k"))

    assert tuple(run(read_twice())) == (0, 0)
    read.invalidate_cache("k")
    table.versions["k"] = 1
    assert tuple(run(read_twice())) == (1, 1)
    assert table.reads["k"] == 2


def test_a_load_in_progress_when_its_loop_is_closed_does_not_stop_the_next_loop() -> None:
    cache, loader, table = AsyncCache(), Loader(), Table()
    with abandoned_loop(cache.get("k", loader)):
        pass
    assert run(cache.get("k", lambda: table.read("k"))) == 0
    assert cache.peek("k") == 0


def test_a_batch_in_progress_when_its_loop_is_closed_does_not_stop_the_next_loop() -> None:
    cache, load = AsyncCache(batch_window_ms=1e9, max_batch_size=2), BatchLoader()

    async def read_two() -> list[Any]:
        return await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "ab"])

    with abandoned_loop(cache.get("a", batch_loader=load)):
        pass
    assert run(read_two()) == ["<a>", "<b>"]


@pytest.mark.parametrize("change", ["delete", "clear", "mutating"])
def test_a_key_can_be_changed_while_its_load_hangs_on_a_closed_loop(change: str) -> None:
    cache, loader = AsyncCache(), Loader()
    with abandoned_loop(cache.get("k", loader)):
        pass
    if change == "mutating":
        with cache.mutating("k"):
            pass
    else:
        cache.delete("k") if change == "delete" else cache.clear()
    assert run(cache.get("k", lambda: "new")) == "new"


def test_a_cache_can_be_closed_while_a_load_hangs_on_a_closed_loop() -> None:
    cache, loader = AsyncCache(), Loader()
    with abandoned_loop(cache.get("k", loader)):
        pass
    run(cache.aclose())


def test_a_loop_that_ends_as_asyncio_ends_it_takes_its_loads_with_it() -> None:
    cache, loader = AsyncCache(), Loader()

    async def leave_a_load_behind() -> None:
        await start(cache.get("k", loader))

    run(leave_a_load_behind())
    assert loader.cancelled == 1
    assert run(cache.get("k", lambda: "new")) == "new"


# -- at once, in threads -------------------------------------------------------------------------------------------


async def test_a_load_on_another_loop_is_never_awaited(elsewhere: Elsewhere) -> None:
    cache, loader = AsyncCache(), Loader()
    here = await start(cache.get("k", loader))
    assert await elsewhere.do(cache.get("k", lambda: "there")) == "there"
    assert not here.done()
    loader.end("here")
    assert await here == "here"


async def test_entries_are_shared_by_all_loops(elsewhere: Elsewhere) -> None:
    cache, loader = AsyncCache(), Loader()
    await elsewhere.do(cache.get("k", lambda: "there"))
    assert await cache.get("k", loader) == "there"
    assert loader.calls == []


async def test_callers_of_one_loop_share_a_load_whatever_another_loop_does(elsewhere: Elsewhere) -> None:
    cache, here, there = AsyncCache(), Loader(), Loader()

    async def begin() -> list[asyncio.Task[Any]]:
        return [await start(cache.get("k", there)) for _ in range(2)]

    async def end(readers: list[asyncio.Task[Any]]) -> list[Any]:
        there.end("there")
        return await asyncio.gather(*readers)

    ours = [await start(cache.get("k", here)) for _ in range(2)]
    theirs = await elsewhere.do(begin())
    assert (len(here.calls), len(there.calls)) == (1, 1)
    assert await elsewhere.do(end(theirs)) == ["there", "there"]
    here.end("here")
    assert await asyncio.gather(*ours) == ["here", "here"]


async def test_cancelling_a_caller_touches_no_load_of_another_loop(elsewhere: Elsewhere) -> None:
    cache, here, there = AsyncCache(), Loader(), Loader()

    async def begin_and_leave() -> None:
        reader = await start(cache.get("k", there))
        reader.cancel()
        await settle()

    ours = await start(cache.get("k", here))
    await elsewhere.do(begin_and_leave())
    assert (here.cancelled, there.cancelled) == (0, 1)
    here.end("here")
    assert await ours == "here"


async def test_a_mutation_here_fences_the_loads_of_every_loop(elsewhere: Elsewhere) -> None:
    cache, loader = AsyncCache(), Loader()

    async def begin() -> asyncio.Task[Any]:
        return await start(cache.get("k", loader))

    async def end(reader: asyncio.Task[Any]) -> Any:
        loader.end("old")
        return await reader

    theirs = await elsewhere.do(begin())
    async with cache.mutating("k"):
        pass
    assert await elsewhere.do(end(theirs)) == "old"
    assert "k" not in cache


async def test_a_queued_load_begins_on_its_own_loop_when_another_loop_ends_the_mutation(elsewhere: Elsewhere) -> None:
    cache, first, second = AsyncCache(), Loader(), Loader()

    async def begin(loader: Loader) -> asyncio.Task[Any]:
        return await start(cache.get("k", loader))

    async def end(loader: Loader, reader: asyncio.Task[Any]) -> Any:
        await settle()
        loader.end("v")
        return await reader

    with cache.mutating("k"):
        running = await elsewhere.do(begin(first))
        queued = await elsewhere.do(begin(second))
        assert (len(first.calls), len(second.calls)) == (1, 0)
    assert await elsewhere.do(end(second, queued)) == "v", "nobody need wait for the first, which nobody may use"
    assert cache.peek("k") == "v"
    assert await elsewhere.do(end(first, running)) == "v"


# -- invalidation from a thread that has no loop -------------------------------------------------------------------

CHANGES: list[Any] = [
    pytest.param(lambda cache: cache.delete("k"), id="delete"),
    pytest.param(lambda cache: cache.clear(), id="clear"),
    pytest.param(lambda cache: cache.invalidate("t"), id="invalidate"),
    pytest.param(lambda _: door.invalidate("t"), id="invalidate of the module"),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_thread_without_a_loop_can_drop_an_entry(change: Callable[[AsyncCache], object]) -> None:
    cache = AsyncCache()
    cache.set("k", "old", tags=("t",))
    assert await asyncio.to_thread(change, cache)
    assert "k" not in cache


@pytest.mark.parametrize("change", CHANGES)
async def test_a_thread_without_a_loop_can_fence_a_load(change: Callable[[AsyncCache], object]) -> None:
    cache, loader = AsyncCache(), Loader()
    early = await start(cache.get("k", loader, tags=("t",)))
    await asyncio.to_thread(change, cache)
    late = await start(cache.get("k", loader, tags=("t",)))
    loader.end("old", 0)
    loader.end("new", 1)
    assert (await early, await late) == ("old", "new")
    assert cache.peek("k") == "new"


async def test_a_thread_without_a_loop_can_set_a_value() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    assert await asyncio.to_thread(cache.set, "k", "set")
    loader.end("loaded")
    assert await reader == "loaded"
    assert cache.peek("k") == "set"


async def test_a_thread_without_a_loop_can_mutate() -> None:
    cache, loader = AsyncCache(), Loader()
    entered, may_leave = threading.Event(), threading.Event()

    def mutate() -> None:
        with cache.mutating("k"):
            entered.set()
            may_leave.wait()

    cache.set("k", "old")
    mutation = asyncio.ensure_future(asyncio.to_thread(mutate))
    await asyncio.to_thread(entered.wait)
    inside = await start(cache.get("k", loader))
    assert len(loader.calls) == 1
    queued = await start(cache.get("k", loader))
    assert len(loader.calls) == 1
    may_leave.set()
    await mutation
    await settle()
    assert len(loader.calls) == 2, "the queued load begins on its own loop as the mutation ends"
    loader.end("new", 1)
    loader.end("uncommitted", 0)
    assert (await inside, await queued) == ("uncommitted", "new")
    assert cache.peek("k") == "new"


async def test_a_mutation_may_begin_in_one_thread_and_end_in_another() -> None:
    cache = AsyncCache()
    mutation = cache.mutating("k")
    await asyncio.to_thread(mutation.__enter__)
    assert await cache.get("k", lambda: "uncommitted") == "uncommitted"
    assert "k" not in cache
    await asyncio.to_thread(mutation.__exit__, None, None, None)
    assert await cache.get("k", lambda: "new") == "new"
    assert cache.peek("k") == "new"

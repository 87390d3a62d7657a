from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncCache, LoadCancelled, cached
from cache.testing import assert_quiet
from tests.spec.steering import Loader, Table, metric, settle, start, start_outside


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel ``task`` and let everything happen that follows from it."""
    task.cancel()
    await settle()
    assert task.cancelled()


# -- one of many ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1, 2], ids=["the first", "one in the middle", "the last"])
async def test_cancelling_one_caller_touches_no_other(which: int) -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(3)]
    await cancel(readers.pop(which))
    assert loader.cancelled == 0
    loader.end("v")
    assert await asyncio.gather(*readers) == ["v", "v"]
    assert len(loader.calls) == 1
    assert cache.peek("k") == "v"


async def test_callers_who_come_and_go_share_one_load_as_long_as_one_of_them_stays() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    for _ in range(5):
        following = await start(cache.get("k", loader))
        await cancel(reader)
        reader = following
    loader.end("v")
    assert await reader == "v"
    assert (len(loader.calls), loader.cancelled) == (1, 0)


async def test_a_timeout_of_one_caller_touches_no_other() -> None:
    cache, loader = AsyncCache(), Loader()
    patient = await start(cache.get("k", loader))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await cache.get("k", loader)
    loader.end("v")
    assert await patient == "v"
    assert loader.cancelled == 0


async def test_a_caller_cancelled_in_the_turn_in_which_the_load_ends_touches_nothing() -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    loader.end("v")
    readers[0].cancel()
    await settle()
    assert readers[0].cancelled()
    assert await readers[1] == "v"
    assert cache.peek("k") == "v"


@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_may_be_cancelled_at_any_turn_around_the_end_of_the_load(turns: int) -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    loader.end("v")
    for _ in range(turns):
        await asyncio.sleep(0)
    readers[0].cancel()
    await settle()
    assert readers[0].cancelled() or readers[0].result() == "v"
    assert await readers[1] == "v"


async def test_a_caller_may_be_cancelled_before_its_first_step() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = asyncio.ensure_future(cache.get("k", loader))
    reader.cancel()
    await settle()
    assert reader.cancelled()
    assert loader.calls == []


@pytest.mark.parametrize("turns", range(1, 5))
async def test_the_only_caller_may_be_cancelled_at_any_turn_around_the_beginning_of_the_load(turns: int) -> None:
    cache, loader = AsyncCache(), Loader()
    reader = asyncio.ensure_future(cache.get("k", loader))
    for _ in range(turns):
        await asyncio.sleep(0)
    await cancel(reader)
    assert loader.cancelled == len(loader.calls)
    assert_quiet(cache)


# -- the last of them ----------------------------------------------------------------------------------------------


async def test_a_load_is_cancelled_when_the_last_who_waits_has_left() -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    await cancel(readers[0])
    assert loader.cancelled == 0
    await cancel(readers[1])
    assert loader.cancelled == 1
    assert "k" not in cache
    assert_quiet(cache)


async def test_a_load_that_nobody_wants_any_more_is_not_joined() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    reader.cancel()
    late = await start(cache.get("k", loader))
    assert len(loader.calls) == 2
    loader.end("v")
    assert await late == "v"


async def test_a_loader_that_refuses_to_be_cancelled_has_its_result_dropped() -> None:
    cache, goes_on = AsyncCache(), asyncio.Event()

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await goes_on.wait()
        return "stubborn"

    reader = await start(cache.get("k", stubborn))
    await cancel(reader)
    assert await cache.get("k", lambda: "fresh") == "fresh"
    goes_on.set()
    await settle()
    assert cache.peek("k") == "fresh"


async def test_a_loader_that_fails_while_it_is_cancelled_fails_in_silence() -> None:
    cache = AsyncCache()

    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("while cancelled")

    reader = await start(cache.get("k", fails))
    await cancel(reader)
    assert_quiet(cache)


async def test_cancelling_counts_no_error() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    await cancel(reader)
    metrics = cache.get_metrics()
    assert (metrics["misses"], metrics["loads"], metrics["load_errors"]) == (1, 1, 0)


async def test_a_queued_load_that_nobody_waits_for_any_more_does_not_begin() -> None:
    cache, loader = AsyncCache(), Loader()
    async with cache.mutating("k", linger=0):
        running = await start_outside(cache.get("k", loader))
        queued = await start_outside(cache.get("k", loader))
        assert len(loader.calls) == 1, "the second begins when the first has ended"
        await cancel(queued)
        loader.end("v")
        assert await running == "v"
        await settle()
    assert len(loader.calls) == 1


async def test_cancelling_the_one_in_front_lets_the_queued_load_begin() -> None:
    cache, loader = AsyncCache(), Loader()
    async with cache.mutating("k", linger=0):
        running = await start_outside(cache.get("k", loader))
        queued = await start_outside(cache.get("k", loader))
        await cancel(running)
        assert (len(loader.calls), loader.cancelled) == (2, 1)
        loader.end("v")
        assert await queued == "v"


# -- through nested loads ------------------------------------------------------------------------------------------


async def test_cancelling_the_caller_of_an_outer_load_cancels_the_inner_one_too() -> None:
    loader = Loader()

    @cached()
    async def inner() -> Any:
        return await loader()

    @cached()
    async def outer() -> Any:
        return await inner()

    reader = await start(outer())
    await cancel(reader)
    assert loader.cancelled == 1


async def test_cancelling_the_caller_of_an_outer_load_leaves_the_inner_one_to_those_who_want_it() -> None:
    loader = Loader()

    @cached()
    async def inner() -> Any:
        return await loader()

    @cached()
    async def outer() -> Any:
        return await inner()

    through_outer = await start(outer())
    direct = await start(inner())
    await cancel(through_outer)
    loader.end("v")
    assert await direct == "v"
    assert (inner.peek(), outer.peek()) == ("v", None)


# -- cancelled from inside -----------------------------------------------------------------------------------------


async def test_a_load_cancelled_from_inside_is_an_error_of_its_callers_and_no_cancellation() -> None:
    cache, loader = AsyncCache(), Loader()
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    loader.fail(asyncio.CancelledError())
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(result) for result in results] == [LoadCancelled, LoadCancelled]
    assert metric(cache, "load_errors") == 1


async def test_a_loader_may_cancel_the_task_it_runs_in() -> None:
    cache = AsyncCache()

    async def cancels_its_own_task() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(LoadCancelled):
        await cache.get("k", cancels_its_own_task)


async def test_the_key_can_be_loaded_again_after_a_cancellation_from_inside() -> None:
    cache, table = AsyncCache(), Table()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(LoadCancelled):
        await cache.get("k", cancelled)
    assert await cache.get("k", lambda: table.read("k")) == 0


async def test_a_task_group_that_is_cancelled_by_a_failing_neighbour_takes_only_its_own_callers() -> None:
    cache, loader = AsyncCache(), Loader()
    outside = await start(cache.get("k", loader))

    async def fail() -> None:
        raise LookupError

    async def read_beside_a_failure() -> None:
        async with asyncio.TaskGroup() as group:
            inside.append(group.create_task(cache.get("k", loader)))
            await settle()
            group.create_task(fail())

    inside: list[asyncio.Task[Any]] = []
    with pytest.raises(ExceptionGroup):
        await read_beside_a_failure()
    assert inside[0].cancelled()
    loader.end("v")
    assert await outside == "v"

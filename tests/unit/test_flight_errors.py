from __future__ import annotations

import asyncio
import contextvars

import pytest

from cache import AsyncCache, LoadCancelled
from cache._loads import run_loader
from tests.spec.steering import Loader, metric, settle, start
from tests.unit.fragile import FragileClock

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyError("k"), GeneratorExit("g"), BaseExceptionGroup("two", [OSError()])], ids=repr)
async def test_everybody_who_waits_gets_the_very_error(error: BaseException) -> None:
    cache, loader = AsyncCache(), Loader()

    async def ask() -> BaseException | None:
        try:
            await cache.get("k", loader)
        except BaseException as caught:  # noqa: BLE001 - whatever it is, it is what the test is about
            return caught
        return None

    readers = [await start(ask()) for _ in range(3)]
    loader.fail(error)
    assert [await reader for reader in readers] == [error] * 3
    assert len(cache) == 0
    assert metric(cache, "load_errors") == 1


async def test_a_load_cancelled_from_inside_is_no_cancellation_of_those_who_wait() -> None:
    cache, loader = AsyncCache(name="users"), Loader()
    reader = await start(cache.get("k", loader))
    cause = asyncio.CancelledError("by the loader")
    loader.fail(cause)
    with pytest.raises(LoadCancelled, match=r"the load of users\['k'\] was cancelled from inside") as caught:
        await reader
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


@pytest.mark.parametrize("turns", [0, 5])
async def test_a_load_whose_task_is_cancelled_from_outside_is_reported_as_that(turns: int) -> None:
    cache, loader = AsyncCache(name="users"), Loader()
    reader = asyncio.ensure_future(cache.get("k", loader))
    await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "cache load of users"]
    task.cancel()
    with pytest.raises(LoadCancelled, match=r"the load of users\['k'\] was cancelled"):
        await reader
    await settle()
    assert task.cancelled()


async def test_a_stop_iteration_of_a_ttl_function_is_a_runtime_error_with_its_cause() -> None:
    stop = StopIteration("no more")

    def ttl_of(_: object) -> float:
        raise stop

    with pytest.raises(RuntimeError, match="raised StopIteration") as caught:
        await AsyncCache().get("k", lambda: 1, ttl=ttl_of)
    assert caught.value.__cause__ is stop


async def test_a_plain_loader_that_raises_stop_iteration_is_named() -> None:
    def load() -> int:
        return next(iter(()))

    with pytest.raises(RuntimeError, match=r"load.* raised StopIteration") as caught:
        await run_loader(load)
    assert isinstance(caught.value.__cause__, StopIteration)


@pytest.mark.parametrize("fails", [True, False])
async def test_nobody_waits_for_ever_when_the_clock_breaks_as_a_load_ends(fails: bool) -> None:
    clock = FragileClock()
    cache, loader = AsyncCache(clock=clock, cache_errors={KeyError: 5.0}), Loader()
    reader = await start(cache.get("k", loader))
    clock.broken = True
    if fails:
        loader.fail(KeyError("no such user"))
    else:
        loader.end("v")
    with pytest.raises((ZeroDivisionError, KeyError)):
        await reader
    clock.broken = False
    await settle()
    assert len(cache) == 0


class Unshown:
    def __repr__(self) -> str:
        raise ZeroDivisionError


async def test_a_key_that_cannot_be_shown_hides_no_error() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get(Unshown(), loader))
    loader.fail(asyncio.CancelledError())
    with pytest.raises(LoadCancelled, match="Unshown"):
        await reader

from __future__ import annotations

import asyncio
import traceback

import pytest

from cache import AsyncCache, CacheError, LoadCancelled, cached
from tests.spec.steering import Loader, Table, metric, settle, start


class NotFoundError(Exception):
    pass


async def test_an_error_reaches_every_waiter_as_it_was_raised() -> None:
    cache, loader, error = AsyncCache(), Loader(), NotFoundError("k")
    readers = [await start(cache.get("k", loader)) for _ in range(3)]
    loader.fail(error)
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert all(result is error for result in results)
    assert error.__cause__ is None


async def test_an_error_is_not_stored() -> None:
    cache, table = AsyncCache(), Table()

    async def fail() -> int:
        raise NotFoundError

    with pytest.raises(NotFoundError):
        await cache.get("k", fail)
    assert "k" not in cache
    assert await cache.get("k", lambda: table.read("k")) == 0
    assert metric(cache, "load_errors") == 1


async def test_the_traceback_of_an_error_leads_to_the_line_that_raised_it() -> None:
    cache = AsyncCache()

    async def fails_here() -> int:
        raise NotFoundError

    with pytest.raises(NotFoundError) as raised:
        await cache.get("k", fails_here)
    assert traceback.extract_tb(raised.value.__traceback__)[-1].name == "fails_here"


async def test_an_error_of_a_plain_loader_reaches_the_caller() -> None:
    cache, error = AsyncCache(), NotFoundError()

    def fail() -> int:
        raise error

    with pytest.raises(NotFoundError) as raised:
        await cache.get("k", fail)
    assert raised.value is error


async def test_an_error_does_not_touch_the_entry_that_others_are_served() -> None:
    table = Table()
    failing = False

    @cached()
    async def read(key: str) -> int:
        if failing:
            raise NotFoundError
        return await table.read(key)

    await read("k")
    failing = True
    with pytest.raises(NotFoundError):
        await read.refresh("k")
    assert await read("k") == 0


# -- errors that are no exceptions ---------------------------------------------------------------------------------


async def test_a_loader_cancelled_from_inside_is_no_cancellation_of_its_callers() -> None:
    cache, loader, cause = AsyncCache(), Loader(), asyncio.CancelledError("inside")
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    loader.fail(cause)
    results = await asyncio.gather(*readers, return_exceptions=True)
    for error in results:
        assert isinstance(error, LoadCancelled)
        assert isinstance(error, CacheError)
        assert error.__cause__ is cause
        assert "'k'" in str(error)
    assert not any(reader.cancelled() for reader in readers)
    assert "k" not in cache


async def test_a_loader_that_awaits_a_cancelled_task_is_no_cancellation_of_its_caller() -> None:
    cache = AsyncCache()

    async def load() -> None:
        task = asyncio.ensure_future(asyncio.sleep(3600))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(LoadCancelled):
        await cache.get("k", load)


async def test_a_timeout_inside_a_loader_is_the_loaders_error() -> None:
    cache = AsyncCache()

    async def load() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(3600)

    with pytest.raises(TimeoutError):
        await cache.get("k", load)


async def test_stop_iteration_becomes_a_runtime_error_with_its_cause() -> None:
    cache = AsyncCache()
    stop = StopIteration("done")

    def plain() -> None:
        raise stop

    async def coroutine() -> None:
        raise stop

    for load in (plain, coroutine):
        with pytest.raises(RuntimeError) as raised:
            await cache.get("k", load)
        causes = [raised.value.__cause__, getattr(raised.value.__cause__, "__cause__", None)]
        assert stop in causes
    assert "k" not in cache


async def test_stop_iteration_of_a_ttl_function_becomes_a_runtime_error_with_its_cause() -> None:
    cache = AsyncCache()
    stop = StopIteration("done")

    def ttl_of(_: object) -> float:
        raise stop

    with pytest.raises(RuntimeError, match=r"'k'.*StopIteration") as raised:
        await cache.get("k", lambda: 1, ttl=ttl_of)
    assert raised.value.__cause__ is stop


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_leaves_the_task_and_the_loop(kind: type[BaseException]) -> None:
    cache = AsyncCache()

    def load() -> None:
        raise kind

    async def read() -> None:
        await cache.get("k", load)

    with pytest.raises(kind):
        asyncio.run(read())
    assert "k" not in cache
    assert metric(cache, "load_errors") == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_reaches_everybody_who_waits_if_the_loop_is_run_on(kind: type[BaseException]) -> None:
    cache, loader = AsyncCache(), Loader()
    seen: list[BaseException] = []

    async def read() -> None:
        try:
            await cache.get("k", loader)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what is looked at here
            seen.append(error)

    async def begin() -> list[asyncio.Task[None]]:
        return [await start(read()) for _ in range(2)]

    with asyncio.Runner() as runner:
        readers = runner.run(begin())
        loader.fail(kind())
        with pytest.raises(kind):
            runner.run(settle())
        runner.run(settle())
    assert all(reader.done() for reader in readers)
    assert [type(error) for error in seen] == [kind, kind]


async def test_another_base_exception_is_the_loaders_error() -> None:
    class Abort(BaseException):
        pass

    cache = AsyncCache()

    async def load() -> None:
        raise Abort

    with pytest.raises(Abort):
        await cache.get("k", load)
    assert await cache.get("k", lambda: 1) == 1


async def test_an_error_that_nobody_waits_for_any_more_is_silent() -> None:
    cache, loader = AsyncCache(), Loader()
    reader = await start(cache.get("k", loader))
    loader.fail(NotFoundError())
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises((NotFoundError, asyncio.CancelledError)):
        await reader


async def test_an_error_in_the_body_of_a_mutation_is_the_loaders_own() -> None:
    cache, error = AsyncCache(), NotFoundError()

    async def load() -> None:
        raise error

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async with cache.mutating("other", linger=0):
        with pytest.raises(NotFoundError) as raised:
            await cache.get("k", load)
        assert raised.value is error
        with pytest.raises(LoadCancelled):
            await cache.get("k", cancelled)
    assert metric(cache, "load_errors") == 2

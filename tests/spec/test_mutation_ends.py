"""However a mutation ends: returned, raised, cancelled, or with nobody knowing whether the write was made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

import cache as door
from cache import AsyncCache
from cache.testing import FakeClock, assert_quiet
from tests.spec.steering import Loader, settle, start, start_outside


class OwnError(Exception):
    pass


async def end_with(cache: AsyncCache, error: BaseException | None, **options: Any) -> None:
    """A mutation of ``k`` whose body raises ``error``, or returns."""
    async with cache.mutating("k", **options):
        if error is not None:
            raise error


async def is_covered(cache: AsyncCache) -> bool:
    """Whether what is loaded now is not stored."""
    await cache.get("k", lambda: "now")
    return "k" not in cache


# -- it is over ----------------------------------------------------------------------------------------------------


async def test_an_error_of_the_body_is_passed_on_unchanged() -> None:
    cache, error = AsyncCache(), OwnError()
    with pytest.raises(OwnError) as raised:
        await end_with(cache, error)
    assert raised.value is error
    assert (error.__cause__, error.__context__) == (None, None)


ENDS: dict[str, type[BaseException] | None] = {
    "return": None,
    "raise": OwnError,
    "cancel": asyncio.CancelledError,
}


@pytest.mark.parametrize("kind", ENDS.values(), ids=ENDS)
async def test_however_it_ends_loads_are_stored_again(kind: type[BaseException] | None) -> None:
    cache = AsyncCache()
    await asyncio.gather(end_with(cache, None if kind is None else kind(), linger=0), return_exceptions=True)
    assert not await is_covered(cache)


@pytest.mark.parametrize("kind", ENDS.values(), ids=ENDS)
async def test_however_it_ends_what_was_loaded_meanwhile_is_not_stored(kind: type[BaseException] | None) -> None:
    cache, loader = AsyncCache(), Loader()

    async def mutate() -> None:
        async with cache.mutating("k", linger=0):
            readers.append(await start_outside(cache.get("k", loader)))
            if kind is not None:
                raise kind

    readers: list[asyncio.Task[Any]] = []
    await asyncio.gather(mutate(), return_exceptions=True)
    loader.end("uncommitted")
    assert await readers[0] == "uncommitted"
    assert "k" not in cache


async def test_a_mutation_whose_task_is_cancelled_ends() -> None:
    cache = AsyncCache()

    async def mutate() -> None:
        async with cache.mutating("k", linger=0):
            await asyncio.Event().wait()

    mutation = await start(mutate())
    assert await is_covered(cache)
    mutation.cancel()
    await asyncio.wait([mutation])
    assert mutation.cancelled()
    assert not await is_covered(cache)


async def test_a_mutation_whose_task_is_cancelled_before_its_first_step_never_begins() -> None:
    cache = AsyncCache()
    cache.set("k", 1)
    mutation = asyncio.ensure_future(end_with(cache, None))
    mutation.cancel()
    await asyncio.wait([mutation])
    assert cache.peek("k") == 1
    assert_quiet(cache)


# -- nobody knows --------------------------------------------------------------------------------------------------


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def during(error: Exception, context: BaseException) -> Exception:
    error.__context__ = context
    return error


MakeError = Callable[[], BaseException | None]

AMBIGUOUS: dict[str, MakeError] = {
    "a cancellation": asyncio.CancelledError,
    "a timeout": TimeoutError,
    "an error of the operating system": OSError,
    "a lost connection": ConnectionResetError,
    "an error caused by one of these": lambda: caused(OwnError(), TimeoutError()),
    "an error while one of these was handled": lambda: during(OwnError(), ConnectionError()),
    "an error caused by one so caused": lambda: caused(OwnError(), caused(OwnError(), asyncio.CancelledError())),
    "both ways": lambda: during(OwnError(), caused(OwnError(), TimeoutError())),
    "one in a group": lambda: ExceptionGroup("some", [OwnError(), TimeoutError()]),
}
CLEAR: dict[str, MakeError] = {
    "success": lambda: None,
    "an error": OwnError,
    "an error caused by another": lambda: caused(OwnError(), KeyError()),
    "a group of errors": lambda: ExceptionGroup("own", [OwnError()]),
}


@pytest.mark.parametrize("make_error", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_after_an_ambiguous_end_the_key_stays_uncached_for_a_second(
    make_error: MakeError, clock: FakeClock
) -> None:
    cache = AsyncCache(clock=clock)
    await asyncio.gather(end_with(cache, make_error()), return_exceptions=True)
    assert await is_covered(cache)
    clock.advance(0.999)
    assert await is_covered(cache)
    clock.advance(0.001)
    assert not await is_covered(cache)


@pytest.mark.parametrize("make_error", CLEAR.values(), ids=CLEAR)
async def test_after_any_other_end_it_does_not(make_error: MakeError, clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    await asyncio.gather(end_with(cache, make_error()), return_exceptions=True)
    assert not await is_covered(cache)


async def test_errors_that_lead_back_to_themselves_end_too(clock: FakeClock) -> None:
    cache, one, two = AsyncCache(clock=clock), OwnError(), OwnError()
    one.__context__, two.__cause__ = two, one
    await asyncio.gather(end_with(cache, two), return_exceptions=True)
    assert not await is_covered(cache)


@pytest.mark.parametrize("kind", ENDS.values(), ids=ENDS)
async def test_a_linger_of_its_own_holds_after_every_end(kind: type[BaseException] | None, clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    await asyncio.gather(end_with(cache, None if kind is None else kind(), linger=5), return_exceptions=True)
    clock.advance(4)
    assert await is_covered(cache)
    clock.advance(1)
    assert not await is_covered(cache)


async def test_a_linger_may_be_a_function_of_the_error_and_of_none_for_success(clock: FakeClock) -> None:
    cache, asked = AsyncCache(clock=clock), []

    def linger(error: BaseException | None) -> float:
        asked.append(error)
        return 5 if error is None else 0

    error = OwnError()
    await asyncio.gather(end_with(cache, error, linger=linger), return_exceptions=True)
    assert not await is_covered(cache)
    await end_with(cache, None, linger=linger)
    assert await is_covered(cache)
    clock.advance(5)
    assert asked == [error, None]


@pytest.mark.parametrize("answer", [LookupError("no linger"), -1, "5"], ids=repr)
async def test_a_linger_that_cannot_be_computed_is_the_default_and_changes_no_outcome(
    answer: Any, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = AsyncCache(clock=clock)

    def linger(_: BaseException | None) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with caplog.at_level(logging.ERROR, "cache"):
        await end_with(cache, None, linger=linger)
    assert not await is_covered(cache)
    error = TimeoutError()
    with pytest.raises(TimeoutError) as raised:
        await end_with(cache, error, linger=linger)
    assert raised.value is error
    assert await is_covered(cache)
    clock.advance(1)
    assert "failed; the default is used" in caplog.text


async def test_a_linger_that_is_interrupted_does_not_leave_the_key_covered() -> None:
    cache = AsyncCache()

    def linger(_: BaseException | None) -> float:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await end_with(cache, None, linger=linger)
    assert not await is_covered(cache)


async def test_while_a_key_lingers_values_are_given_and_not_stored(clock: FakeClock) -> None:
    cache, loader = AsyncCache(clock=clock), Loader()
    await end_with(cache, None, linger=5)
    readers = [await start(cache.get("k", loader)) for _ in range(3)]
    assert len(loader.calls) == 1
    assert not cache.set("k", "set")
    loader.end("first")
    await settle()
    loader.end("second")
    assert [await reader for reader in readers] == ["first", "second", "second"]
    assert "k" not in cache
    clock.advance(5)


async def test_a_load_begun_while_a_key_lingers_is_not_stored_after_it(clock: FakeClock) -> None:
    cache, loader = AsyncCache(clock=clock), Loader()
    await end_with(cache, None, linger=5)
    reader = await start(cache.get("k", loader))
    clock.advance(5)
    loader.end("perhaps old")
    assert await reader == "perhaps old"
    assert "k" not in cache


async def test_tags_linger_as_keys_do(clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    async with cache.mutating(tags=("t",), linger=5):
        pass
    await cache.get("k", lambda: 1, tags=("t",))
    assert "k" not in cache
    clock.advance(5)
    await cache.get("k", lambda: 1, tags=("t",))
    assert "k" in cache


async def test_a_new_mutation_of_a_lingering_key_does_not_cut_the_linger_short(clock: FakeClock) -> None:
    cache = AsyncCache(clock=clock)
    await end_with(cache, None, linger=5)
    await end_with(cache, None)
    assert await is_covered(cache)
    clock.advance(5)
    assert not await is_covered(cache)


async def test_a_mutation_that_spans_caches_lingers_in_all_of_them(clock: FakeClock) -> None:
    caches = [AsyncCache(clock=clock) for _ in range(2)]
    async with door.mutating(*[(cache, "k") for cache in caches], linger=5):
        pass
    assert [await is_covered(cache) for cache in caches] == [True, True]
    clock.advance(5)
    assert [await is_covered(cache) for cache in caches] == [False, False]

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from datetime import timedelta
from typing import Any

import pytest

from cache import AsyncCache
from cache._mutation import AMBIGUOUS_LINGER, check_linger, default_linger
from cache._window import enclosing, mutation
from cache.testing import FakeClock

# -- how long the targets stay uncached ------------------------------------------------------------------------


class Refused(Exception):
    pass


AMBIGUOUS = [asyncio.CancelledError(), TimeoutError(), OSError(), ConnectionResetError(), BrokenPipeError()]


@pytest.mark.parametrize("error", AMBIGUOUS, ids=repr)
def test_after_an_error_that_leaves_open_whether_the_write_was_made_the_targets_linger(error: BaseException) -> None:
    assert default_linger(error) == AMBIGUOUS_LINGER == 1.0


@pytest.mark.parametrize("error", [None, Refused(), KeyError(), KeyboardInterrupt()], ids=repr)
def test_after_any_other_end_they_do_not(error: BaseException | None) -> None:
    assert default_linger(error) == 0.0


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def in_context_of(error: BaseException, context: BaseException) -> BaseException:
    error.__context__ = context
    return error


@pytest.mark.parametrize("ambiguous", AMBIGUOUS[:3], ids=repr)
def test_an_error_that_came_from_an_ambiguous_one_counts_as_one(ambiguous: BaseException) -> None:
    for derived in (
        caused(Refused(), ambiguous),
        in_context_of(Refused(), ambiguous),
        caused(Refused(), in_context_of(KeyError(), caused(KeyError(), ambiguous))),
        BaseExceptionGroup("several", [Refused(), ambiguous]),
        BaseExceptionGroup("several", [Refused(), BaseExceptionGroup("inner", [caused(Refused(), ambiguous)])]),
        caused(Refused(), BaseExceptionGroup("several", [ambiguous])),
    ):
        assert default_linger(derived) == 1.0


def test_errors_that_came_from_each_other_are_looked_at_once() -> None:
    one, other = Refused(), Refused()
    one.__context__, other.__context__ = other, one
    assert default_linger(one) == 0.0


def test_a_linger_is_a_number_of_seconds_or_a_function_of_the_error() -> None:
    assert check_linger(2)(None) == 2.0
    assert check_linger(0)(TimeoutError()) == 0.0

    def of_error(error: BaseException | None) -> float:
        return 0.0 if error is None else 3.0

    assert check_linger(of_error)(Refused()) == 3.0


@pytest.mark.parametrize(
    ("linger", "kind"),
    [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), (None, TypeError), (timedelta(1), TypeError)],
)
def test_a_wrong_linger_is_refused_at_once(linger: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="linger="):
        AsyncCache().mutating("k", linger=linger)


# -- around a write --------------------------------------------------------------------------------------------


@pytest.fixture
def cache(clock: FakeClock) -> AsyncCache:
    cache = AsyncCache(clock=clock)
    cache.set("k", "old")
    return cache


async def is_stored(cache: AsyncCache) -> bool:
    await cache.get("k", lambda: "loaded")
    return "k" in cache


def test_entry_drops_and_what_is_inside_is_enclosed(cache: AsyncCache) -> None:
    with cache.mutating("k"):
        assert "k" not in cache
        assert len(list(enclosing())) == 1
    assert not list(enclosing())
    assert mutation.get() is None


async def test_an_async_with_is_the_same(cache: AsyncCache) -> None:
    async with cache.mutating("k"):
        assert "k" not in cache
        assert len(list(enclosing())) == 1
    assert not list(enclosing())
    assert mutation.get() is None
    assert await is_stored(cache)


@pytest.mark.parametrize("error", [None, Refused()], ids=repr)
def test_what_the_body_sets_is_stored_if_it_succeeds_and_dropped_if_it_fails(
    cache: AsyncCache, error: Exception | None
) -> None:
    mutating = cache.mutating("k")
    mutating.__enter__()
    assert not cache.set("k", "new")
    mutating.__exit__(None if error is None else type(error), error, None)
    assert cache.peek("k") == (None if error else "new")


@pytest.mark.parametrize("error", [Refused(), KeyboardInterrupt(), GeneratorExit()], ids=repr)
async def test_an_error_of_the_body_passes_unchanged_and_the_targets_may_be_cached_again(
    cache: AsyncCache, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught, cache.mutating("k"):
        raise error
    assert caught.value is error
    assert await is_stored(cache)


async def test_after_an_ambiguous_end_the_targets_stay_uncached_for_their_linger(
    cache: AsyncCache, clock: FakeClock
) -> None:
    with pytest.raises(TimeoutError), cache.mutating("k"):
        raise TimeoutError
    assert not await is_stored(cache)
    clock.advance(0.999)
    assert not await is_stored(cache)
    clock.advance(0.001)
    assert await is_stored(cache)


async def test_a_linger_of_ones_own_is_asked_with_the_error_or_none(cache: AsyncCache, clock: FakeClock) -> None:
    asked: list[BaseException | None] = []

    def linger(error: BaseException | None) -> float:
        asked.append(error)
        return 0.5

    error = Refused()
    with cache.mutating("k", linger=linger):
        pass
    with pytest.raises(Refused), cache.mutating("k", linger=linger):
        raise error
    assert asked == [None, error]
    assert not await is_stored(cache)
    clock.advance(0.5)
    assert await is_stored(cache)


@pytest.mark.parametrize("result", [-1.0, "long", None, ZeroDivisionError("bad linger")], ids=repr)
async def test_a_linger_function_that_fails_changes_no_outcome_and_is_logged(
    cache: AsyncCache, clock: FakeClock, caplog: pytest.LogCaptureFixture, result: Any
) -> None:
    def linger(_: BaseException | None) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    with caplog.at_level(logging.ERROR, "cache"), cache.mutating("k", linger=linger):
        pass
    assert "the default is used" in caplog.text
    assert await is_stored(cache)
    with pytest.raises(TimeoutError), cache.mutating("k", linger=linger):
        raise TimeoutError
    assert not await is_stored(cache)
    clock.advance(1.0)
    assert await is_stored(cache)


async def test_an_interrupt_in_a_linger_function_leaves_no_mutation_open(cache: AsyncCache) -> None:
    def linger(_: BaseException | None) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), cache.mutating("k", linger=linger):
        pass
    assert await is_stored(cache)


# -- wrong use -------------------------------------------------------------------------------------------------


def test_a_mutation_is_entered_once(cache: AsyncCache) -> None:
    mutating = cache.mutating("k")
    with mutating:
        pass
    with pytest.raises(RuntimeError, match=r"call mutating\(\.\.\.\) again"), mutating:
        pass


def test_a_mutation_that_was_never_entered_cannot_be_left(cache: AsyncCache) -> None:
    with pytest.raises(RuntimeError, match="never entered"):
        cache.mutating("k").__exit__(None, None, None)


async def test_a_mutation_may_be_left_in_another_context_or_twice(cache: AsyncCache) -> None:
    mutating = cache.mutating("k")
    contextvars.copy_context().run(mutating.__enter__)
    assert not list(enclosing())
    assert not await is_stored(cache)
    contextvars.copy_context().run(mutating.__exit__, None, None, None)
    assert await is_stored(cache)
    mutating.__exit__(None, None, None)
    assert "k" in cache


def test_nested_mutations_enclose_each_other(cache: AsyncCache) -> None:
    with cache.mutating("a"):
        with cache.mutating("b"):
            assert len(list(enclosing())) == 2
        assert len(list(enclosing())) == 1
    assert not list(enclosing())
    assert mutation.get() is None

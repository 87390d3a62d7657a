"""`get_blocking` keeps the promises of `get` for threads that have no event loop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import random
import signal
import sys
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from cache import AsyncCache, CacheCycleError, LoadCancelled
from cache.testing import FakeClock, assert_quiet, assert_sound, disabled
from tests.spec.refusal import Wrong, refused
from tests.spec.steering import Elsewhere, Loader, metric, run, start
from tests.spec.test_bad_input_core import STORING
from tests.spec.test_loops import abandoned_loop
from tests.spec.test_threads import at_once
from tests.spec.threads import Crowd, HeldLoader, a_crowd, arrives


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    with a_crowd(monkeypatch) as crowd:
        yield crowd


@pytest.fixture
def cache(clock: FakeClock) -> AsyncCache:
    return AsyncCache(name="users", clock=clock)


@pytest.fixture
def loader() -> HeldLoader:
    return HeldLoader()


def load_in(crowd: Crowd, cache: AsyncCache, loader: HeldLoader, **options: Any) -> Any:
    """A thread that loads, and has begun to."""
    call = crowd.start(partial(cache.get_blocking, "k", loader, **options))
    loader.begins()
    return call


# -- reading ---------------------------------------------------------------------------------------------------------


def test_threads_that_ask_at_the_same_time_share_one_load(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    first = load_in(crowd, cache, loader)
    others = [crowd.seat(cache.get_blocking, "k", loader) for _ in range(3)]
    value = object()
    loader.end(value)
    assert [call.result() for call in (first, *others)] == [value] * 4
    assert loader.calls == 1
    assert cache.get_blocking("k", loader) is value
    metrics = cache.get_metrics()
    assert (metrics["hits"], metrics["misses"], metrics["loads"], metrics["coalesced"]) == (1, 4, 1, 3)


async def test_entries_are_those_of_get(cache: AsyncCache) -> None:
    assert await asyncio.to_thread(cache.get_blocking, "a", lambda: 1) == 1
    assert await cache.get("a", lambda: 2) == 1
    assert await cache.get("b", lambda: 3) == 3
    assert cache.get_blocking("b", lambda: 4) == 3
    assert cache.get_metrics()["hits"] + cache.get_metrics()["misses"] == 4


def test_a_cached_none_is_a_hit(cache: AsyncCache) -> None:
    assert cache.get_blocking("k", lambda: None) is None
    assert cache.get_blocking("k", lambda: "again", ttl=5) is None
    assert metric(cache, "hits") == 1


def test_without_a_loader_it_looks(cache: AsyncCache) -> None:
    assert cache.get_blocking("k") is None
    assert cache.get_blocking("k", default="none") == "none"
    cache.set("k", "v")
    assert cache.get_blocking("k", default="none") == "v"
    assert (metric(cache, "hits"), metric(cache, "misses"), metric(cache, "loads")) == (1, 2, 0)


def test_ttl_and_tags_are_those_of_get(cache: AsyncCache, clock: FakeClock) -> None:
    assert cache.get_blocking("k", lambda: 1, 10, tags=("t",)) == 1
    clock.advance(9)
    assert cache.get_blocking("k", lambda: 2, 10, tags=("t",)) == 1
    clock.advance(1)
    assert cache.get_blocking("k", lambda: 3, lambda value: value * 10, tags=("t",)) == 3
    clock.advance(29)
    assert cache.peek("k") == 3
    cache.invalidate("t")
    assert cache.get_blocking("k", lambda: 4, ttl=0) == 4
    assert "k" not in cache


def test_the_default_ttl_is_that_of_the_cache(clock: FakeClock) -> None:
    cache = AsyncCache(default_ttl=10, clock=clock)
    cache.get_blocking("k", lambda: 1)
    clock.advance(10)
    assert cache.get_blocking("k", lambda: 2) == 2
    assert metric(cache, "expirations") == 1


def test_a_cache_without_room_still_shares_loads(crowd: Crowd, loader: HeldLoader) -> None:
    cache = AsyncCache(maxsize=0)
    first = load_in(crowd, cache, loader)
    other = crowd.seat(cache.get_blocking, "k", loader)
    loader.end("v")
    assert (first.result(), other.result(), len(cache)) == ("v", "v", 0)


def test_an_event_loop_waits_for_no_thread_and_no_thread_for_an_event_loop(cache: AsyncCache) -> None:
    async def go() -> None:
        loader = Loader()
        reader = await start(cache.get("k", loader))
        assert await asyncio.to_thread(cache.get_blocking, "k", lambda: "of the thread") == "of the thread"
        loader.end("of the loop")
        assert await reader == "of the loop"

    run(go())
    assert metric(cache, "coalesced") == 0


tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


def test_a_load_runs_in_the_context_of_the_caller_who_began_it(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    context = contextvars.Context()
    context.run(tenant.set, "first")

    def load() -> str:
        with suppress(InterruptedError):
            loader()
        found = tenant.get()
        tenant.set("changed")
        return found

    first = crowd.start(cache.get_blocking, "k", load, context=context)
    loader.begins()
    second = crowd.seat(cache.get_blocking, "k", load)
    loader.end(KeyboardInterrupt())
    assert isinstance(first.failure(), KeyboardInterrupt)
    loader.begins()
    loader.end(None)
    assert second.result() == "first"
    assert context[tenant] == "first"


# -- fresh after the change ------------------------------------------------------------------------------------------


def _mutate(cache: AsyncCache) -> None:
    with cache.mutating("k"):
        pass


def _mutate_the_tag(cache: AsyncCache) -> None:
    with cache.mutating(tags=("t",)):
        pass


CHANGES: list[Any] = [
    pytest.param(lambda cache: cache.delete("k"), id="delete"),
    pytest.param(lambda cache: cache.invalidate("t"), id="invalidate"),
    pytest.param(lambda cache: cache.clear(), id="clear"),
    pytest.param(_mutate, id="mutation"),
    pytest.param(_mutate_the_tag, id="mutation of a tag"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_load_begun_before_a_change_is_not_stored_and_not_joined_afterwards(
    change: Callable[[AsyncCache], object], cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    early = [load_in(crowd, cache, loader, tags=("t",)), crowd.seat(cache.get_blocking, "k", loader)]
    change(cache)
    late = [load_in(crowd, cache, loader, tags=("t",)), crowd.seat(cache.get_blocking, "k", loader)]
    loader.end("new", 1)
    assert [call.result() for call in late] == ["new", "new"]
    loader.end("old", 0)
    assert [call.result() for call in early] == ["old", "old"]
    assert cache.peek("k") == "new"
    assert loader.calls == 2
    assert metric(cache, "fenced") == 1


@pytest.mark.parametrize("change", CHANGES)
def test_a_load_on_a_thread_with_a_loop_is_not_stored_after_a_change(
    change: Callable[[AsyncCache], object], cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    async def go() -> Any:
        return cache.get_blocking("k", loader, tags=("t",))

    call = crowd.start(asyncio.run, go())
    loader.begins()
    change(cache)
    loader.end("old")
    assert call.result() == "old"
    assert "k" not in cache


def test_what_is_loaded_during_a_mutation_is_not_stored(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    with cache.mutating("k"):
        inside = load_in(crowd, cache, loader)
        loader.end("uncertain")
        assert inside.result() == "uncertain"
        across = load_in(crowd, cache, loader)
    loader.end("uncertain")
    assert across.result() == "uncertain"
    assert "k" not in cache
    assert cache.get_blocking("k", lambda: "certain") == "certain"
    assert cache.peek("k") == "certain"


def test_readers_during_a_mutation_queue_and_share_one_load(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    with cache.mutating("k"):
        first = load_in(crowd, cache, loader)
        queued = [crowd.seat(cache.get_blocking, "k", loader) for _ in range(3)]
        assert loader.calls == 1
        loader.end("one")
        assert first.result() == "one"
        loader.begins()
        loader.end("two")
        assert [call.result() for call in queued] == ["two"] * 3
    assert loader.calls == 2
    assert "k" not in cache


@pytest.mark.parametrize("on_a_loop", [False, True], ids=["in a thread", "on an event loop"])
def test_the_end_of_a_mutation_lets_the_queue_go_on_at_once(
    on_a_loop: bool, cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    mutation = cache.mutating("k")

    async def end() -> None:
        await mutation.__aexit__(None, None, None)

    mutation.__enter__()
    first = load_in(crowd, cache, loader)
    queued = crowd.seat(cache.get_blocking, "k", loader)
    if on_a_loop:
        run(end())
    else:
        mutation.__exit__(None, None, None)
    loader.begins()
    loader.end("new")
    assert queued.result() == "new"
    assert cache.peek("k") == "new"
    loader.end("old", 0)
    assert first.result() == "old"
    assert cache.peek("k") == "new"


def test_the_body_of_a_mutation_reads_privately(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    other = load_in(crowd, cache, loader)
    with cache.mutating("x"):
        assert [cache.get_blocking("k", partial(str, n)) for n in range(2)] == ["0", "1"]
        assert asyncio.run(asyncio.to_thread(cache.get_blocking, "k", lambda: "2")) == "2"
        with pytest.raises(ZeroDivisionError):
            cache.get_blocking("k", lambda: 1 / 0)
    assert "k" not in cache
    loader.end("shared")
    assert other.result() == "shared"
    assert cache.peek("k") == "shared"
    assert (metric(cache, "loads"), metric(cache, "load_errors"), metric(cache, "misses")) == (5, 1, 5)


def test_what_the_body_of_a_mutation_has_read_reaches_no_entry(cache: AsyncCache) -> None:
    def outer() -> Any:
        with cache.mutating("x"):
            return cache.get_blocking("inner", lambda: "not committed")

    assert cache.get_blocking("outer", outer) == "not committed"
    assert len(cache) == 0


def test_nothing_is_stored_or_shared_while_caches_are_disabled(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    early = load_in(crowd, cache, loader)
    with disabled():
        inside = load_in(crowd, cache, loader)
        assert cache.get_blocking("k", lambda: "of one's own") == "of one's own"
    loader.end("inside", 1)
    loader.end("early", 0)
    assert (early.result(), inside.result()) == ("early", "inside")
    assert len(cache) == 0


# -- errors ----------------------------------------------------------------------------------------------------------


class Odd(BaseException):
    """Neither an Exception nor an interrupt."""


@pytest.mark.parametrize("error", [KeyError("k"), Odd("odd"), SystemExit(3), GeneratorExit()], ids=repr)
def test_an_error_reaches_everyone_who_waits_as_it_was_raised(
    error: BaseException, cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    calls = [load_in(crowd, cache, loader), *[crowd.seat(cache.get_blocking, "k", loader) for _ in range(2)]]
    loader.end(error)
    assert all(call.failure() is error for call in calls)
    assert metric(cache, "load_errors") == 1
    assert cache.get_blocking("k", lambda: "again") == "again"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(StopIteration("stop"), RuntimeError), (asyncio.CancelledError("inside"), LoadCancelled)],
    ids=["StopIteration", "CancelledError"],
)
def test_what_would_pass_for_something_else_is_told_as_what_it_is(
    raised: BaseException, expected: type[BaseException], cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    calls = [load_in(crowd, cache, loader), crowd.seat(cache.get_blocking, "k", loader)]
    loader.end(raised)
    failures = [call.failure() for call in calls]
    assert [type(failure) for failure in failures] == [expected] * 2
    assert [failure.__cause__ for failure in failures] == [raised] * 2
    with cache.mutating("x"):
        private = load_in(crowd, cache, loader)
        loader.end(raised)
        assert type(private.failure()) is expected
        with pytest.raises(expected):
            cache.get_blocking("k", partial(_raise, raised))
    assert metric(cache, "load_errors") == 3


def _raise(error: BaseException) -> None:
    raise error


def test_errors_are_kept_if_the_cache_is_told_to(crowd: Crowd, loader: HeldLoader, clock: FakeClock) -> None:
    cache = AsyncCache(cache_errors={KeyError: 5.0}, clock=clock)
    first = load_in(crowd, cache, loader)
    error = KeyError("k")
    loader.end(error)
    assert first.failure() is error
    for look in (partial(cache.get_blocking, "k"), partial(cache.get_blocking, "k", loader)):
        with pytest.raises(KeyError) as caught:
            look()
        assert caught.value is error
    assert loader.calls == 1
    clock.advance(5.0)
    assert cache.get_blocking("k", lambda: "again") == "again"


def test_a_ttl_function_that_fails_tells_everyone_who_waits(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    calls = [load_in(crowd, cache, loader, ttl=lambda value: value / 0), crowd.seat(cache.get_blocking, "k", loader)]
    loader.end(1)
    assert [type(call.failure()) for call in calls] == [ZeroDivisionError] * 2
    assert "k" not in cache


def test_a_loader_that_has_to_be_awaited_is_refused_and_leaves_no_warning(cache: AsyncCache) -> None:
    async def load() -> int:
        return 1

    async def go() -> None:
        future = asyncio.get_running_loop().create_future()
        with refused(TypeError, "lambda", "must be awaited", "get()"):
            cache.get_blocking("k", lambda: future)
        future.cancel()

    def ask() -> None:
        value: Any = cache.get_blocking("k", load)
        pytest.fail(f"{value!r} was returned")

    for private in (False, True):
        with refused(TypeError, "load", "coroutine", "must be awaited", "get()"):
            _in_a_mutation(cache, ask) if private else ask()
    gc.collect()
    run(go())
    assert metric(cache, "load_errors") == 3
    assert cache.get_blocking("k", lambda: 1) == 1


@pytest.mark.parametrize("role", ["loads", "waits", "finds it kept", "looks at it kept", "loads for itself"])
def test_an_error_that_is_dropped_is_freed_with_all_that_it_holds(
    role: str, cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    class Failed(Exception):
        """Something whose end can be seen."""

    def load() -> None:
        loader()
        raise Failed

    def fails(get: Callable[..., Any] = lambda: cache.get_blocking("k", load)) -> weakref.ref[Failed]:
        try:
            get()
        except Failed as error:
            return weakref.ref(error)
        pytest.fail("it has not failed")

    cache = AsyncCache(cache_errors={Failed: 5.0} if "kept" in role else None)
    gc.collect()
    gc.disable()
    try:
        loads = crowd.start(_in_a_mutation, cache, fails) if role == "loads for itself" else crowd.start(fails)
        loader.begins()
        waits = crowd.seat(fails) if role == "waits" else None
        loader.end(None)
        freed = [loads.result()]
        if waits is not None:
            freed.append(waits.result())
        if "kept" in role:
            assert freed[0]() is not None
            freed.append(fails() if role == "finds it kept" else fails(partial(cache.get_blocking, "k")))
        cache.delete("k")
        assert [error() for error in freed] == [None] * len(freed)
    finally:
        gc.enable()


def _in_a_mutation(cache: AsyncCache, call: Callable[[], Any]) -> Any:
    with cache.mutating("x"):
        return call()


# -- bad input -------------------------------------------------------------------------------------------------------


def still_works(cache: AsyncCache) -> None:
    assert cache.get_blocking("another", lambda: "v") == "v"
    assert cache.delete("another")
    assert_quiet(cache)


@pytest.mark.parametrize("with_a_loader", [True, False], ids=["loading", "looking"])
@pytest.mark.parametrize("case", STORING)
def test_a_wrong_argument_is_refused_and_nothing_is_loaded(case: Wrong, with_a_loader: bool, cache: AsyncCache) -> None:
    calls: list[int] = []
    arguments: dict[str, Any] = {case.parameter: case.value}
    if with_a_loader:
        arguments["loader"] = lambda: calls.append(1)
    words = ("tags", *case.words[2:]) if case.parameter == "tags" else case.words
    with refused(case.kind, *words):
        cache.get_blocking("k", **arguments)
    assert calls == []
    assert metric(cache, "misses") == 0
    still_works(cache)


@pytest.mark.parametrize("wrong", [5, "load", [], object()], ids=repr)
def test_what_cannot_be_called_is_no_loader(wrong: Any, cache: AsyncCache) -> None:
    with refused(TypeError, "loader=", "loader() -> value"):
        cache.get_blocking("k", wrong)
    still_works(cache)


@pytest.mark.parametrize("wrong", [[1], {}, ([],)], ids=repr)
def test_a_key_that_is_not_hashable_is_refused(wrong: Any, cache: AsyncCache) -> None:
    with refused(TypeError, "key=", repr(wrong), "hashable"):
        cache.get_blocking(wrong, lambda: 1)
    still_works(cache)


def test_a_loader_that_takes_arguments_fails_as_any_call_without_them(cache: AsyncCache) -> None:
    loader: Any = lambda key: key  # noqa: E731 - the name of a lambda is part of the message
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'key'"):
        cache.get_blocking("k", loader)
    still_works(cache)


def test_a_key_that_cannot_be_compared_is_its_owners_trouble(cache: AsyncCache) -> None:
    class Key:
        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            raise TypeError("not with me")

    cache.set(Key(), "v")
    with pytest.raises(TypeError, match="not with me"):
        cache.get_blocking(Key(), lambda: 1)
    assert len(cache) == 1
    still_works(cache)


# -- a thread whose event loop is running ----------------------------------------------------------------------------


async def test_a_thread_with_a_running_loop_waits_for_no_other(cache: AsyncCache, crowd: Crowd) -> None:
    loop, asked = asyncio.get_running_loop(), threading.Event()

    async def answer() -> str:
        return "of the loop"

    def load() -> str:
        future = asyncio.run_coroutine_threadsafe(answer(), loop)
        asked.set()
        return future.result()

    call = crowd.start(cache.get_blocking, "k", load)
    arrives(asked)
    assert cache.get_blocking("k", lambda: "at once") == "at once"
    assert await asyncio.to_thread(call.result) == "of the loop"
    assert metric(cache, "coalesced") == 0


async def test_what_a_thread_with_a_running_loop_loads_is_stored(cache: AsyncCache) -> None:
    assert cache.get_blocking("k", lambda: "v") == "v"
    assert cache.peek("k") == "v"
    cache.delete("k")
    assert "k" not in cache


async def test_nobody_waits_for_what_a_thread_with_a_running_loop_loads(
    cache: AsyncCache, elsewhere: Elsewhere, loader: HeldLoader
) -> None:
    async def block() -> Any:
        return cache.get_blocking("k", loader)

    blocked = asyncio.create_task(elsewhere.do(block()))
    await asyncio.to_thread(loader.begins)
    assert await asyncio.to_thread(cache.get_blocking, "k", lambda: "meanwhile") == "meanwhile"
    loader.end("late")
    assert await blocked == "late"


async def test_a_load_that_blocks_its_loop_in_passing_can_still_be_joined(cache: AsyncCache) -> None:
    loader = Loader()

    async def outer() -> Any:
        return cache.get_blocking("inner", lambda: 1), await loader()

    readers = [await start(cache.get("outer", outer)) for _ in range(2)]
    loader.end(2)
    assert await asyncio.gather(*readers) == [(1, 2)] * 2
    assert len(loader.calls) == 1
    cache.delete("inner")
    assert "outer" not in cache


# -- values computed from others -------------------------------------------------------------------------------------


async def test_an_async_load_rests_on_what_it_reads_through_a_thread(cache: AsyncCache) -> None:
    async def outer() -> Any:
        return await asyncio.to_thread(cache.get_blocking, "inner", lambda: 1, 10, tags=("t",))

    for change in (partial(cache.delete, "inner"), partial(cache.invalidate, "t")):
        assert await cache.get("outer", outer) == 1
        assert "outer" in cache
        change()
        assert "outer" not in cache


def test_a_blocking_load_rests_on_what_it_reads(cache: AsyncCache, clock: FakeClock) -> None:
    def outer() -> Any:
        return cache.get_blocking("inner", lambda: 1, 10)

    for from_its_entry in (False, True):
        assert cache.get_blocking("outer", outer) == 1
        cache.delete("inner")
        assert "outer" not in cache, from_its_entry
        cache.get_blocking("inner", lambda: 1, 10)
    cache.get_blocking("outer", outer)
    clock.advance(10)
    assert "outer" not in cache


def test_a_load_whose_inner_value_changes_on_the_way_is_not_stored(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    inner = load_in(crowd, cache, loader)
    outer = crowd.seat(cache.get_blocking, "outer", lambda: cache.get_blocking("k", loader))
    cache.delete("k")
    loader.end("old")
    assert (inner.result(), outer.result()) == ("old", "old")
    assert len(cache) == 0


def test_a_load_that_reads_during_a_mutation_is_not_stored(cache: AsyncCache, crowd: Crowd) -> None:
    with cache.mutating("inner"):
        outer = crowd.start(cache.get_blocking, "outer", lambda: cache.get_blocking("inner", lambda: 1))
        assert outer.result() == 1
    assert len(cache) == 0


def test_a_load_that_reads_untracked_values_rests_on_none(crowd: Crowd) -> None:
    cache, free = AsyncCache(), AsyncCache(track=False)
    assert cache.get_blocking("outer", lambda: free.get_blocking("inner", lambda: 1)) == 1
    free.delete("inner")
    assert "outer" in cache


@pytest.mark.parametrize("after_a_mutation", [False, True], ids=["at once", "after a private read"])
def test_a_load_that_waits_for_itself_is_an_error(after_a_mutation: bool, cache: AsyncCache, crowd: Crowd) -> None:
    def load() -> Any:
        if after_a_mutation:
            with cache.mutating("x"):
                cache.get_blocking("inner", lambda: 1)
        return cache.get_blocking("k", load)

    failure = crowd.start(cache.get_blocking, "k", load).failure()
    assert isinstance(failure, CacheCycleError)
    assert "'k'" in str(failure)
    assert len(cache) == 0


def test_what_a_load_has_begun_may_outlive_it(cache: AsyncCache) -> None:
    left: list[contextvars.Context] = []
    cache.get_blocking("k", lambda: left.append(contextvars.copy_context()))
    cache.delete("k")
    assert left[0].run(cache.get_blocking, "k", lambda: "again") == "again"


@pytest.mark.parametrize("track", [True, False], ids=["tracked", "untracked"])
def test_loads_in_two_threads_that_wait_for_each_other_are_an_error(track: bool, crowd: Crowd) -> None:
    cache = AsyncCache(track=track)
    both = threading.Barrier(2)

    def load(other: str) -> Any:
        both.wait(30)
        return cache.get_blocking(other, lambda: f"{other} alone")

    calls = [crowd.start(cache.get_blocking, key, partial(load, other)) for key, other in ("ab", "ba")]
    assert [type(call.failure()) for call in calls] == [CacheCycleError] * 2
    assert len(cache) == 0


def test_a_cycle_over_event_loops_and_threads_is_an_error(cache: AsyncCache) -> None:
    async def on_a_loop() -> Any:
        return await asyncio.to_thread(cache.get_blocking, "in a thread", in_a_thread)

    def in_a_thread() -> Any:
        return asyncio.run(cache.get("on a loop", on_a_loop))

    async def go() -> None:
        with pytest.raises(CacheCycleError):
            await cache.get("on a loop", on_a_loop)

    run(go())
    with pytest.raises(CacheCycleError):
        cache.get_blocking("in a thread", in_a_thread)
    assert len(cache) == 0


def test_a_load_behind_the_queue_of_a_mutation_finds_its_cycle(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    def load_k() -> Any:
        loader()
        return cache.get_blocking("outer", lambda: "never")

    with cache.mutating("k"):
        running = crowd.start(cache.get_blocking, "k", load_k)
        loader.begins()
        queued = crowd.seat(cache.get_blocking, "outer", lambda: cache.get_blocking("k", lambda: "queued"))
        loader.end(None)
        assert isinstance(running.failure(), CacheCycleError)
        assert queued.result() == "queued"


async def test_a_load_that_is_cancelled_while_its_thread_waits_leaves_nothing(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    inner = load_in(crowd, cache, loader)

    async def outer() -> Any:
        return await asyncio.to_thread(cache.get_blocking, "k", loader)

    reader = await start(cache.get("outer", outer))
    await asyncio.to_thread(crowd.sits_down)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    loader.end("v")
    assert await asyncio.to_thread(inner.result) == "v"
    assert list(filter(cache.__contains__, ("k", "outer"))) == ["k"]


def test_a_loop_that_closes_while_its_load_waits_in_a_thread_leaves_nothing(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    inner = load_in(crowd, cache, loader)
    threads: list[Any] = []

    async def outer() -> None:
        context = contextvars.copy_context()
        threads.append(crowd.start(cache.get_blocking, "k", loader, context=context))
        await asyncio.Event().wait()

    with abandoned_loop(cache.get("outer", outer)):
        crowd.sits_down()
    loader.end("v")
    assert (inner.result(), threads[0].result()) == ("v", "v")
    assert run(cache.get("another", lambda: 1)) == 1
    assert_quiet(cache)


# -- interrupts ------------------------------------------------------------------------------------------------------


def test_a_wait_that_is_interrupted_disturbs_nobody(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    first = load_in(crowd, cache, loader)
    interrupted, other = [crowd.seat(cache.get_blocking, "k", loader) for _ in range(2)]
    crowd.interrupt(0)
    assert isinstance(interrupted.failure(), KeyboardInterrupt)
    loader.end("v")
    assert (first.result(), other.result(), loader.calls) == ("v", "v", 1)


def test_a_load_that_is_interrupted_is_for_the_next_who_waits(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    first = load_in(crowd, cache, loader)
    others = [crowd.seat(cache.get_blocking, "k", loader) for _ in range(2)]
    loader.end(KeyboardInterrupt("first"))
    assert isinstance(first.failure(), KeyboardInterrupt)
    loader.begins()
    crowd.interrupt(1)
    assert isinstance(others[1].failure(), KeyboardInterrupt)
    last = crowd.seat(cache.get_blocking, "k", loader)
    loader.end("v")
    assert (others[0].result(), last.result()) == ("v", "v")
    assert (loader.calls, cache.peek("k"), metric(cache, "load_errors")) == (2, "v", 0)


def test_a_load_that_is_interrupted_and_wanted_by_nobody_else_leaves_nothing(cache: AsyncCache) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            cache.get_blocking("k", partial(_raise, KeyboardInterrupt()))
        assert_quiet(cache)
    assert cache.get_blocking("k", lambda: "v") == "v"


def test_a_load_that_is_handed_over_is_stored_only_if_nothing_came_between(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    first = load_in(crowd, cache, loader)
    other = crowd.seat(cache.get_blocking, "k", loader)
    cache.delete("k")
    loader.end(KeyboardInterrupt())
    assert isinstance(first.failure(), KeyboardInterrupt)
    loader.begins()
    loader.end("v")
    assert other.result() == "v"
    assert "k" not in cache


def test_those_who_queue_can_be_interrupted(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    with cache.mutating("k"):
        first = load_in(crowd, cache, loader)
        queued = [crowd.seat(cache.get_blocking, "k", loader) for _ in range(3)]
        crowd.interrupt(0)
        assert isinstance(queued[0].failure(), KeyboardInterrupt)
        loader.end("one")
        assert first.result() == "one"
        loader.begins()
        loader.end("two")
        assert [call.result() for call in queued[1:]] == ["two", "two"]


def test_an_inner_load_that_is_interrupted_interrupts_the_outer_one(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    outer = crowd.start(cache.get_blocking, "outer", lambda: cache.get_blocking("k", loader))
    loader.begins()
    other = crowd.seat(cache.get_blocking, "outer", lambda: "never")
    loader.end(KeyboardInterrupt())
    assert isinstance(outer.failure(), KeyboardInterrupt)
    loader.begins()
    loader.end("v")
    assert other.result() == "v"
    assert (cache.peek("k"), cache.peek("outer")) == ("v", "v")


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals reach a thread on POSIX only")
def test_ctrl_c_wakes_the_main_thread_from_its_wait(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    first, awake, interrupts = load_in(crowd, cache, loader), threading.Event(), []
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(number: int, _: object) -> None:
        interrupts.append(number)
        if len(interrupts) == 1:
            raise KeyboardInterrupt

    def press() -> None:
        crowd.sits_down()
        # One that comes just before the thread falls asleep wakes it only with the next, as anywhere in Python.
        while not awake.is_set():
            signal.pthread_kill(main, signal.SIGINT)
            awake.wait(0.01)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        pressed = crowd.start(press)
        with pytest.raises(KeyboardInterrupt):
            cache.get_blocking("k", loader)
        awake.set()
        pressed.end()
    finally:
        signal.signal(signal.SIGINT, before)
    loader.end("v")
    assert first.result() == "v"


# -- closing ---------------------------------------------------------------------------------------------------------


def test_closing_ends_all_waits(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    detached = [load_in(crowd, cache, loader), crowd.seat(cache.get_blocking, "k", loader)]
    cache.delete("k")
    current = [load_in(crowd, cache, loader), crowd.seat(cache.get_blocking, "k", loader)]
    run(cache.aclose())
    for waiting in (detached[1], current[1]):
        failure = waiting.failure()
        assert isinstance(failure, LoadCancelled)
        assert "'users' was closed" in str(failure)
    assert_quiet(cache)
    for number, loading in enumerate((detached[0], current[0])):
        loader.end("late", number)
        assert isinstance(loading.failure(), LoadCancelled)
    assert len(cache) == 0
    assert cache.get_blocking("k", lambda: "open again") == "open again"


def test_closing_ends_the_waits_of_the_queue(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    with cache.mutating("k"):
        first = load_in(crowd, cache, loader)
        queued = crowd.seat(cache.get_blocking, "k", loader)
        run(cache.aclose())
        assert isinstance(queued.failure(), LoadCancelled)
        loader.end("late")
        assert isinstance(first.failure(), LoadCancelled)
    assert loader.calls == 1


# -- processes -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_is_forked_waits_for_no_thread_of_the_other(
    cache: AsyncCache, crowd: Crowd, loader: HeldLoader
) -> None:
    first = load_in(crowd, cache, loader)
    child = os.fork()
    if not child:
        signal.alarm(20)  # ends a child that hangs
        code = 1
        with suppress(BaseException):
            assert cache.get_blocking("k", lambda: "of the child") == "of the child"
            assert cache.peek("k") == "of the child"
            assert_quiet(cache)
            code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    loader.end("of the parent")
    assert first.result() == "of the parent"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_loader_may_fork(cache: AsyncCache, crowd: Crowd, loader: HeldLoader) -> None:
    parent = os.getpid()

    def load() -> str:
        loader()
        child = os.fork()
        if not child:
            signal.alarm(20)  # ends a child that hangs
            return "of the child"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return "of the parent"

    def go() -> Any:
        value = cache.get_blocking("k", load)
        if os.getpid() != parent:
            os._exit(0 if value == cache.peek("k") == cache.get_blocking("k", load) == "of the child" else 1)
        return value

    first = crowd.start(go)
    loader.begins()
    other = crowd.seat(cache.get_blocking, "k", load)
    loader.end(None)
    assert (first.result(), other.result()) == ("of the parent", "of the parent")


# -- many threads ----------------------------------------------------------------------------------------------------


class Versions:
    """The truth behind the cache: a version for each key, and the writes that are not committed yet."""

    def __init__(self) -> None:
        self.committed: Counter[int] = Counter()
        self.rows: dict[int, threading.Lock] = {key: threading.Lock() for key in range(4)}

    def write(self, key: int) -> None:
        with self.rows[key]:
            self.committed[key] += 1


@pytest.fixture
async def _often() -> AsyncIterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("maxsize", [None, 3, 0], ids=["no bound", "less room than keys", "no room"])
def test_no_reader_in_any_thread_gets_what_was_old_when_it_asked(maxsize: int | None) -> None:
    cache, truth = AsyncCache(maxsize), Versions()

    def work(number: int) -> None:
        chance = random.Random(number)

        def pair(key: int, other: int) -> tuple[int, int]:
            return truth.committed[key], get(other, lambda: truth.committed[other])

        def get(key: Any, loader: Callable[[], Any]) -> Any:
            return cache.get_blocking(key, loader, tags=("all",))

        for turn in range(200):
            key = chance.randrange(4)
            other = (key + 1) % 4
            if chance.random() < 0.25:
                with cache.mutating(key, ("pair", key)):
                    truth.write(key)
                    own = truth.committed[key]
                    if chance.random() < 0.3:
                        assert get(key, partial(truth.committed.__getitem__, key)) >= own
            if turn % 60 == number:
                cache.invalidate("all")
            least = truth.committed[key], truth.committed[other]
            if chance.random() < 0.5:
                values = get(("pair", key), partial(pair, key, other))
            else:
                values = get(key, partial(truth.committed.__getitem__, key)), least[1]
            assert all(value >= old for value, old in zip(values, least, strict=True)), (values, least)

    at_once(work, threads=6)
    for key in range(4):
        assert cache.peek(key, truth.committed[key]) == truth.committed[key]
        pair = truth.committed[key], truth.committed[(key + 1) % 4]
        assert cache.peek(("pair", key), pair) == pair
    assert_sound(cache)
    assert metric(cache, "misses") == metric(cache, "loads") + metric(cache, "coalesced")


@pytest.mark.usefixtures("_often")
def test_threads_and_event_loops_together_get_nothing_old() -> None:
    cache, truth = AsyncCache(), Versions()

    async def load(key: int) -> int:
        await asyncio.sleep(0)
        return truth.committed[key]

    async def on_a_loop(chance: random.Random) -> None:
        for _ in range(150):
            key = chance.randrange(4)
            if chance.random() < 0.25:
                async with cache.mutating(key):
                    truth.write(key)
            least = truth.committed[key]
            assert min(await asyncio.gather(*[cache.get(key, partial(load, key)) for _ in range(2)])) >= least
            least = truth.committed[key]
            assert cache.get_blocking(key, partial(truth.committed.__getitem__, key)) >= least

    def in_a_thread(chance: random.Random) -> None:
        for _ in range(300):
            key = chance.randrange(4)
            if chance.random() < 0.25:
                with cache.mutating(key):
                    truth.write(key)
            least = truth.committed[key]
            assert cache.get_blocking(key, partial(truth.committed.__getitem__, key)) >= least

    def work(number: int) -> None:
        chance = random.Random(number)
        if number % 2:
            run(on_a_loop(chance))
        else:
            in_a_thread(chance)

    at_once(work)
    assert all(cache.peek(key, truth.committed[key]) == truth.committed[key] for key in range(4))

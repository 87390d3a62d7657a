from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest

from cache import AsyncCache, LoadCancelled
from cache._blocking import FLY, Seat, ThreadFlight, Threads, company, load_plainly
from cache._flight import _NOWHERE, refuse
from cache._lease import DONE, QUEUED, RUNNING, frame, running
from cache._recipe import Recipe
from cache._step import step
from tests.spec.steering import metric
from tests.spec.threads import Crowd, HeldLoader, a_crowd
from tests.unit.fragile import FragileClock


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    with a_crowd(monkeypatch) as crowd:
        yield crowd


@pytest.fixture
def flight(cache: AsyncCache) -> ThreadFlight:
    """Found by its key, and not begun."""
    flight = ThreadFlight(cache._loads, "k", Recipe(lambda: "v", lambda _: None), company(), anew=False)
    cache._store.flights[flight.loop] = {"k": flight}
    return flight


def admit(flight: ThreadFlight) -> Any:
    with step:
        return flight.admit(None)


def begin(flight: ThreadFlight) -> None:
    with step:
        flight.begin()


# -- a seat ----------------------------------------------------------------------------------------------------------


def test_a_seat_gives_what_it_was_given_in_order() -> None:
    seat = Seat()
    assert not seat.told
    seat.tell()
    assert seat.told
    assert not seat.done()
    seat.set_result("v")
    assert seat.done()
    assert [seat.result(), seat.result()] == [FLY, "v"]


def test_a_seat_raises_the_error_that_it_was_given_with_the_traceback_of_then() -> None:
    error = KeyError("k")
    seats: dict[Any, None] = {Seat(): None, Seat(): None}
    refuse(seats, error)
    for seat in seats:
        assert seat.done()
        with pytest.raises(KeyError) as caught:
            seat.result()
        assert caught.value is error
        assert len(caught.traceback) == 2  # the test and this seat, and not the seat before


def test_a_seat_that_is_done_is_refused_nothing() -> None:
    seat: Any = Seat()
    seat.set_result("v")
    refuse({seat: None}, KeyError("k"))
    assert seat.result() == "v"


# -- company ---------------------------------------------------------------------------------------------------------


def test_threads_without_a_loop_are_company(crowd: Crowd) -> None:
    assert crowd.start(company).result() is company()


async def test_a_thread_with_a_running_loop_has_no_company() -> None:
    mine = company()
    assert company() is not mine
    assert await asyncio.to_thread(company) is not mine


def test_company_lasts_as_long_as_the_process() -> None:
    assert not company().is_closed()
    assert Threads(os.getpid() + 1).is_closed()


def test_a_process_that_was_forked_has_company_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = company()
    with monkeypatch.context() as patch:
        child = os.getpid() + 1
        patch.setattr(os, "getpid", lambda: child)
        assert before.is_closed()
        assert company() is not before
        assert company() is company()


def test_the_loads_that_a_fork_left_without_a_thread_are_forgotten(
    cache: AsyncCache, flight: ThreadFlight, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit(flight)
    begin(flight)
    with monkeypatch.context() as patch:
        child = os.getpid() + 1
        patch.setattr(os, "getpid", lambda: child)
        assert cache.get_blocking("k", lambda: "of the child") == "of the child"
    assert flight.state == DONE
    assert not cache._loads.flying


# -- who loads -------------------------------------------------------------------------------------------------------


def test_the_first_who_waits_is_told_to_load(flight: ThreadFlight) -> None:
    seats = [admit(flight) for _ in range(2)]
    begin(flight)
    assert [seat.told for seat in seats] == [True, False]
    flight.fly()
    assert [seats[0].result(), seats[0].result(), seats[1].result()] == [FLY, "v", "v"]


def test_who_was_told_is_not_told_again(flight: ThreadFlight) -> None:
    seats = [admit(flight) for _ in range(2)]
    begin(flight)
    flight.launch()
    flight.fly()
    assert [seats[0].result(), seats[0].result()] == [FLY, "v"]
    assert not seats[1].told


def test_when_the_first_leaves_the_next_is_told(flight: ThreadFlight) -> None:
    seats = [admit(flight) for _ in range(3)]
    begin(flight)
    step.run(flight.leave, seats[1])
    assert not seats[2].told
    step.run(flight.leave, seats[0])
    assert seats[2].told
    assert not flight.waiters.keys() - {seats[2]}
    flight.fly()
    assert [seats[2].result(), seats[2].result()] == [FLY, "v"]


def test_nobody_is_told_by_who_leaves_before_it_begins(flight: ThreadFlight) -> None:
    seats = [admit(flight) for _ in range(2)]
    step.run(flight.leave, seats[0])
    assert (flight.state, seats[1].told) == (QUEUED, False)
    begin(flight)
    assert seats[1].told
    flight.fly()


def test_a_launch_that_was_interrupted_is_made_up_for_by_who_leaves(
    flight: ThreadFlight, cache: AsyncCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that begins a load is interrupted before anybody is told, when another has joined it."""
    others: list[Any] = []

    def interrupted(self: ThreadFlight) -> None:
        others.append(admit(self))
        monkeypatch.undo()
        raise KeyboardInterrupt

    del cache._store.flights[flight.loop]
    monkeypatch.setattr(ThreadFlight, "launch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.get_blocking("k", lambda: "v")
    (board,) = cache._store.flights.values()
    (left,) = board.values()
    assert others[0].told
    assert isinstance(left, ThreadFlight)
    left.fly()
    assert [others[0].result(), others[0].result()] == [FLY, "v"]


def test_with_the_last_who_leaves_the_load_is_forgotten(cache: AsyncCache, flight: ThreadFlight) -> None:
    seat = admit(flight)
    begin(flight)
    assert cache._loads.flying == {flight}
    step.run(flight.leave, seat)
    assert flight.state == DONE
    assert not cache._loads.flying
    flight.launch()
    flight.fly()
    assert "k" not in cache


def test_who_was_told_and_finds_the_cache_closed_does_not_load(cache: AsyncCache, flight: ThreadFlight) -> None:
    seat = admit(flight)
    begin(flight)
    assert seat.result() is FLY
    asyncio.run(cache.aclose())
    flight.fly()
    with pytest.raises(LoadCancelled, match="was closed"):
        seat.result()
    assert not len(_NOWHERE), "it has entered the context of nobody"


# -- loading ---------------------------------------------------------------------------------------------------------


def test_the_frame_of_a_load_is_seen_by_its_loader_and_no_longer(cache: AsyncCache) -> None:
    frames: list[Any] = []
    cache.get_blocking("k", lambda: frames.append(frame.get()))
    with pytest.raises(KeyboardInterrupt):
        cache.get_blocking("other", _interrupted)
    assert [lease.key for lease in frames] == ["k"]
    assert frame.get() is None
    assert not running


def _interrupted() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_is_passed_on_to_nobody(flight: ThreadFlight) -> None:
    flight.recipe = Recipe(_interrupted, lambda _: None)
    seat = admit(flight)
    begin(flight)
    with pytest.raises(KeyboardInterrupt):
        flight.fly()
    assert (flight.state, seat.done()) == (RUNNING, False)
    step.run(flight.leave, seat)


def test_a_plain_loader_may_return_anything_but_what_must_be_awaited() -> None:
    async def load() -> None: ...

    assert load_plainly(lambda: load) is load
    with pytest.raises(TypeError, match=r"load at 0x.* must be awaited"):
        load_plainly(load)


# -- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_a_loop", [False, True], ids=["in a thread", "on an event loop"])
def test_a_load_that_cannot_begin_leaves_nothing_behind(on_a_loop: bool) -> None:
    fragile = FragileClock()
    cache = AsyncCache(clock=fragile)

    async def get() -> Any:
        return cache.get_blocking("k", lambda: "v")

    def ask() -> Any:
        return asyncio.run(get()) if on_a_loop else cache.get_blocking("k", lambda: "v")

    with cache.mutating("k", linger=5.0):
        pass
    fragile.broken = True
    with pytest.raises(ZeroDivisionError):
        ask()
    fragile.broken, fragile.now = False, 5.0
    assert ask() == "v"
    assert "k" in cache


def test_a_result_that_cannot_be_stored_is_an_error_of_all_who_wait(crowd: Crowd) -> None:
    fragile, loader = FragileClock(), HeldLoader()
    cache = AsyncCache(clock=fragile)
    calls = [crowd.start(cache.get_blocking, "k", loader)]
    loader.begins()
    calls.append(crowd.seat(cache.get_blocking, "k", loader))
    fragile.broken = True
    loader.end("v")
    assert [type(call.failure()) for call in calls] == [ZeroDivisionError] * 2
    fragile.broken = False
    assert cache.get_blocking("k", lambda: "again") == "again"


def test_a_queued_load_that_cannot_begin_says_so_to_those_who_wait(crowd: Crowd) -> None:
    fragile, loader = FragileClock(), HeldLoader()
    cache = AsyncCache(clock=fragile)
    with cache.mutating("k", linger=5.0):
        pass
    first = crowd.start(cache.get_blocking, "k", loader)
    loader.begins()
    queued = crowd.seat(cache.get_blocking, "k", loader)
    fragile.broken = True
    loader.end("v")
    assert isinstance(first.failure(), ZeroDivisionError)
    assert isinstance(queued.failure(), ZeroDivisionError)
    fragile.broken, fragile.now = False, 5.0
    assert cache.get_blocking("k", lambda: "again") == "again"


# -- finalizers ------------------------------------------------------------------------------------------------------


def test_a_finalizer_in_the_middle_of_a_step_loads_for_itself(cache: AsyncCache, crowd: Crowd) -> None:
    def finalize() -> Any:
        with step:
            return cache.get_blocking("k", lambda: "v")

    assert crowd.start(finalize).result() == "v"
    assert "k" not in cache
    assert (metric(cache, "misses"), metric(cache, "loads")) == (1, 1)


def test_a_cancelled_error_of_a_private_load_is_no_cancellation(cache: AsyncCache) -> None:
    def load() -> None:
        raise asyncio.CancelledError

    with cache.mutating("x"), pytest.raises(LoadCancelled, match=r"users\['k'\] was cancelled from inside"):
        cache.get_blocking("k", load)
    assert metric(cache, "load_errors") == 1


def test_a_private_load_that_ends_in_another_context_leaves_that_one_alone(cache: AsyncCache) -> None:
    begun, load = copy_context(), cache._loads.private("k", None)
    begun.run(load.__enter__)
    assert begun[frame] in running
    frame.set(None)
    load.__exit__(None, None, None)
    assert frame.get() is None
    assert not running

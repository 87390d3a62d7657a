"""What lingers ends in time, in a step, and by a thread that nobody has to end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from cache._step import step
from cache.testing import FakeClock
from cache.tiers import _lingering
from cache.tiers._lingering import Lingering


class Owner:
    """Hears of what has lingered long enough."""

    def __init__(self) -> None:
        self.ended: list[Any] = []
        self.depths: list[int] = []
        self.heard = threading.Event()
        self.lingering = Lingering("lingering", self.end)

    def end(self, slots: Any) -> None:
        self.ended.append(slots)
        self.depths.append(step._depth)
        self.heard.set()

    def add(self, slot: int, seconds: float) -> None:
        with step.lock:
            self.lingering.add([slot], seconds)

    def join(self) -> None:
        thread = self.lingering._thread
        if thread is not None:
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(100.0)
    monkeypatch.setattr(_lingering, "monotonic", clock)
    return clock


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    yield owner
    with step.lock:
        owner.lingering.clear()
    owner.join()


def test_each_ends_when_its_time_is_over(owner: Owner, clock: FakeClock) -> None:
    owner.add(1, 2.0)
    owner.add(2, 1.0)
    clock.advance(0.999)
    assert owner.lingering.end_elapsed() is not None
    assert owner.ended == []
    clock.advance(0.001)
    assert owner.lingering.end_elapsed() == 1.0
    assert owner.ended == [(2,)]
    clock.advance(1.0)
    assert owner.lingering.end_elapsed() is None
    assert owner.ended == [(2,), (1,)]


def test_they_end_in_a_step(owner: Owner, clock: FakeClock) -> None:
    """In which nobody else changes anything, and of which a fork waits for the end."""
    owner.add(1, 1.0)
    clock.advance(1.0)
    owner.lingering.end_elapsed()
    assert owner.depths == [1]


def test_the_thread_does_not_begin_in_a_step_which_it_may_need_before_it_is_under_way(owner: Owner) -> None:
    with step:
        owner.lingering.add([1], 0.001)
        assert owner.lingering._thread is None
    owner.heard.wait(60)
    assert owner.ended == [(1,)]


def test_one_thread_ends_all_that_lingers_and_is_gone_with_the_last(owner: Owner) -> None:
    for _ in range(2):
        for slot in range(50):
            owner.add(slot, 0.02 if slot % 2 else 0.01)
        owner.join()
        assert owner.lingering._thread is None
        assert sorted(owner.ended) == [(slot,) for slot in range(50)]
        owner.ended.clear()


def test_what_is_to_end_sooner_is_not_kept_waiting_by_what_lingers_long(owner: Owner) -> None:
    waits = threading.Event()

    class Waited(SimpleQueue[None]):
        def get(self, block: bool = True, timeout: float | None = None) -> None:
            waits.set()
            super().get(block, timeout)

    owner.lingering._wake = Waited()
    owner.add(1, 3_000.0)
    assert waits.wait(60)
    owner.add(2, 0.01)
    assert owner.heard.wait(60)
    assert owner.ended == [(2,)]


def test_no_wait_is_longer_than_a_thread_can_wait(owner: Owner, clock: FakeClock) -> None:
    owner.add(1, 1e18)
    assert owner.lingering.end_elapsed() == _lingering.LONGEST


def test_what_was_cleared_is_not_ended(owner: Owner, clock: FakeClock) -> None:
    owner.add(1, 1.0)
    thread = owner.lingering._thread
    with step.lock:
        owner.lingering.clear()
    assert thread is not None
    thread.join(60)
    assert not thread.is_alive()
    clock.advance(1.0)
    assert owner.lingering.end_elapsed() is None
    assert owner.ended == []


def test_the_thread_keeps_nobody_alive(clock: FakeClock) -> None:
    owner = Owner()
    owner.add(1, 1_000.0)
    thread, gone = owner.lingering._thread, weakref.ref(owner)
    assert thread is not None
    del owner
    thread.join(60)
    assert not thread.is_alive()
    assert gone() is None


def test_in_a_forked_process_nothing_lingers_until_something_of_its_own_does(owner: Owner, clock: FakeClock) -> None:
    owner.add(1, 1.0)
    wake, thread = owner.lingering._wake, owner.lingering._thread
    assert owner.lingering.separate(owner.end) == [(1,)]
    assert owner.lingering._thread is None
    owner.add(2, 1.0)
    clock.advance(1.0)
    assert owner.lingering.end_elapsed() is None
    assert owner.ended == [(2,)]
    wake.put(None)  # here the parent's thread is in the same process
    assert thread is not None
    thread.join(60)


def test_where_no_thread_can_be_had_any_more_nothing_is_raised(
    owner: Owner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    owner.add(1, 1.0)
    assert owner.lingering._thread is None

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cache._step import Step, step


class Launch:
    def __init__(self, do: Callable[[], object]) -> None:
        self.do = do

    def launch(self) -> None:
        self.do()


def is_free(of: Step) -> bool:
    """Whether another thread could begin a step now."""
    free: list[bool] = []

    def probe() -> None:
        free.append(of.lock.acquire(blocking=False))
        if free[0]:
            of.lock.release()

    thread = threading.Thread(target=probe)
    thread.start()
    thread.join()
    return free[0]


def test_steps_of_two_threads_exclude_each_other() -> None:
    mine = Step()
    with mine:
        assert not is_free(mine)
    assert is_free(mine)


def test_a_step_may_be_entered_again_and_ends_with_its_outermost_part() -> None:
    mine, ended = Step(), list[str]()
    with mine:
        with mine:
            mine.launches.append(Launch(lambda: ended.append("launched")))
        assert not ended
        assert not is_free(mine)
    assert ended == ["launched"]
    assert is_free(mine)


def test_what_is_launched_and_let_go_of_runs_when_the_step_is_over() -> None:
    mine, events = Step(), list[tuple[str, bool]]()
    mine.let_go = lambda heaps: events.append((f"freed {len(heaps)}", is_free(mine)))
    with mine:
        mine.launches.append(Launch(lambda: events.append(("launched", is_free(mine)))))
        mine.heaps += [object(), object()]
        assert not events
    assert events == [("freed 2", True), ("launched", True)]
    assert not mine.launches
    assert not mine.heaps


def test_what_a_launch_does_may_be_a_step_with_launches_of_its_own() -> None:
    mine, order = Step(), list[str]()

    def first() -> None:
        with mine:
            mine.launches.append(Launch(lambda: order.append("nested")))
        order.append("first")

    with mine:
        mine.launches += [Launch(first), Launch(lambda: order.append("second"))]
    assert order == ["nested", "first", "second"]


@pytest.mark.parametrize("interrupt", [ValueError, KeyboardInterrupt])
def test_a_launch_that_raises_keeps_no_other_from_starting(interrupt: type[BaseException]) -> None:
    mine, started = Step(), list[int]()

    def fail() -> None:
        raise interrupt("stop")

    with pytest.raises(interrupt, match="stop"), mine:
        mine.launches += [Launch(fail), Launch(lambda: started.append(1)), Launch(lambda: started.append(2))]
    assert started == [1, 2]
    assert is_free(mine)


def test_a_step_that_raises_is_over_and_what_it_dropped_is_let_go_of() -> None:
    mine, freed = Step(), list[int]()
    mine.let_go = lambda heaps: freed.append(len(heaps))

    def change() -> None:
        with mine:
            mine.heaps.append(object())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert freed == [1]
    assert is_free(mine)


def test_a_dropped_value_is_finalised_outside_the_step() -> None:
    mine, free = Step(), list[bool]()

    class Value:
        def __del__(self) -> None:
            free.append(is_free(mine))

    with mine:
        mine.doomed.append(Value())
        assert not free
    assert free == [True]


# -- changes that a finalizer may ask for ----------------------------------------------------------------------


def test_a_change_runs_at_once_as_a_step_and_says_what_it_found() -> None:
    mine, free = Step(), list[bool]()

    def change(outcome: object) -> object:
        free.append(is_free(mine))
        return outcome

    assert mine.run(change, "something") is True
    assert mine.run(change, None) is False
    assert free == [False, False]
    assert is_free(mine)


def test_an_error_of_a_change_is_its_callers() -> None:
    mine = Step()

    def change() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        mine.run(change)
    assert is_free(mine)


def test_a_change_asked_for_in_the_middle_of_a_step_is_put_off_to_its_end() -> None:
    mine, order = Step(), list[str]()

    def change(name: str) -> bool:
        order.append(f"{name}, inside: {not is_free(mine)}")
        return True

    with mine:
        with mine:
            assert mine.run(change, "first") is False
        mine.run(change, "second")
        order.append("body")
    assert order == ["body", "first, inside: True", "second, inside: True"]
    assert mine.run(change, "third") is True


def test_a_change_put_off_may_ask_for_another() -> None:
    mine, order = Step(), list[str]()

    def outer() -> None:
        order.append("outer")
        mine.run(order.append, "inner")

    with mine:
        mine.run(outer)
    assert order == ["outer", "inner"]


def test_a_change_of_another_thread_waits_for_the_step_and_is_not_put_off() -> None:
    mine, found = Step(), list[bool]()
    begun = threading.Event()

    def ask() -> None:
        begun.set()
        found.append(mine.run(lambda: True))

    thread = threading.Thread(target=ask)
    with mine:
        thread.start()
        begun.wait()
        assert not found
    thread.join()
    assert found == [True]


class Refusing(logging.Handler):
    """A handler of a stranger's, which looks whether it runs under the lock."""

    def __init__(self, of: Step) -> None:
        super().__init__()
        self.of = of
        self.seen: list[tuple[str, Any, bool]] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.seen.append((record.getMessage(), error, is_free(self.of)))


def test_a_change_put_off_that_fails_is_logged_when_the_step_is_over_and_harms_nobody() -> None:
    mine, order = Step(), list[str]()
    error = ZeroDivisionError("bad finalizer")

    def fail(*_: object) -> None:
        raise error

    handler = Refusing(mine)
    logger = logging.getLogger("cache")
    logger.addHandler(handler)
    try:
        with mine:
            mine.run(fail, "key 7")
            mine.run(order.append, "the next")
    finally:
        logger.removeHandler(handler)
    assert order == ["the next"]
    ((message, logged, free),) = handler.seen
    assert logged is error
    assert "key 7" in message
    assert free


def test_there_is_one_step_in_a_process() -> None:
    with step:
        assert not is_free(step)
    assert is_free(step)


def test_what_is_to_come_after_a_step_is_launched_at_its_end_and_outside_of_one_not_at_all() -> None:
    mine, launched = Step(), []
    launch = Launch(lambda: launched.append(is_free(mine)))
    assert not mine.after(launch)
    with mine.lock:
        assert not mine.after(launch)
    with mine:
        assert mine.after(launch)
        assert launched == []
    assert launched == [True]

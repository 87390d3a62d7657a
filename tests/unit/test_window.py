from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextvars import copy_context

import pytest

from cache._domain import Domain
from cache._key import ALL
from cache._namespace import Namespace
from cache._step import step
from cache._window import Window, enclosing, mutation
from cache.testing import FakeClock


class Truths(Domain):
    """A domain that remembers what was invalidated in it, and what covered it then."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[object, int]] = []

    def invalidate(self, name: object) -> bool:
        self.seen.append((name, len(self.windows_on(name))))
        return True


class Value:
    """A value that the body has set."""

    def __init__(self, *, clean: bool = True) -> None:
        self.clean = clean
        self.closed = 0
        self.settled = 0

    def close(self) -> None:
        self.closed += 1

    def settle(self) -> None:
        self.settled += 1


@pytest.fixture
def truths() -> Truths:
    return Truths()


@pytest.fixture
def window(truths: Truths, clock: FakeClock) -> Window:
    return Window(((truths, "a"), (truths, "b")), clock)


def end(window: Window, linger: float = 0, *, succeeded: bool = True) -> None:
    with step:
        window.end(linger, succeeded=succeeded)


# -- both ends -------------------------------------------------------------------------------------------------


def test_all_targets_are_covered_before_the_first_is_invalidated(truths: Truths, window: Window) -> None:
    window.begin()
    assert truths.seen == [("a", 1), ("b", 1)]
    end(window)


@pytest.mark.parametrize("succeeded", [True, False])
def test_the_end_uncovers_and_then_invalidates_again_however_the_body_ended(
    truths: Truths, window: Window, succeeded: bool
) -> None:
    window.begin()
    truths.seen.clear()
    end(window, succeeded=succeeded)
    assert truths.seen == [("a", 0), ("b", 0)]
    assert not truths.windows


def test_the_end_of_a_mutation_that_lingers_invalidates_and_leaves_covered(
    truths: Truths, window: Window, clock: FakeClock
) -> None:
    window.begin()
    truths.seen.clear()
    end(window, 2.0, succeeded=False)
    assert truths.seen == [("a", 1), ("b", 1)]
    clock.advance(1.999)
    assert not window.has_elapsed()
    clock.advance(0.001)
    assert window.has_elapsed()
    assert truths.windows_on("a") == []
    assert truths.windows_on("b") == []


def test_a_mutation_that_is_open_has_not_elapsed(window: Window, clock: FakeClock) -> None:
    window.begin()
    clock.advance(1e9)
    assert not window.has_elapsed()
    end(window)
    assert window.has_elapsed()


def test_a_second_end_does_nothing(truths: Truths, window: Window) -> None:
    window.begin()
    end(window)
    truths.seen.clear()
    end(window, 5.0)
    assert window.has_elapsed()
    assert not truths.seen
    assert not truths.windows


def test_a_mutation_that_cannot_begin_covers_nothing(clock: FakeClock) -> None:
    class Fragile(Truths):
        def invalidate(self, name: object) -> bool:
            raise ZeroDivisionError

    sound, fragile = Truths(), Fragile()
    window = Window(((sound, "a"), (fragile, "b")), clock)
    with pytest.raises(ZeroDivisionError):
        window.begin()
    assert not sound.windows
    assert not fragile.windows
    assert not window.open


def test_a_lingering_mutation_keeps_no_other_domain_alive(clock: FakeClock) -> None:
    first, second = Truths(), Truths()
    window = Window(((first, "a"), (second, "b")), clock)
    window.begin()
    end(window, 5.0, succeeded=False)
    gone = weakref.ref(second)
    del second, window
    gc.collect()
    assert gone() is None
    assert first.windows_on("a")


# -- the context -----------------------------------------------------------------------------------------------


def inside(windows: list[Window], look: Callable[[], None]) -> None:
    def run() -> None:
        for window in windows:
            mutation.set(window)
        look()

    copy_context().run(run)


def test_a_context_is_enclosed_by_the_open_mutations_whose_body_it_is_in(truths: Truths, clock: FakeClock) -> None:
    assert list(enclosing()) == []

    def look() -> None:
        outer = Window(((truths, "a"),), clock)
        outer.begin()
        mutation.set(outer)
        inner = Window(((truths, "b"),), clock)
        inner.begin()
        mutation.set(inner)
        assert list(enclosing()) == [inner, outer]
        end(outer)
        assert list(enclosing()) == [inner]
        end(inner)
        assert list(enclosing()) == []
        assert Window((), clock).outer is None

    copy_context().run(look)
    assert list(enclosing()) == []


# -- values that the body has set ------------------------------------------------------------------------------


def with_value(window: Window, value: Value) -> Value:
    window.held[Domain(), "a"] = value
    return value


def test_a_value_set_by_the_body_is_settled_when_it_has_succeeded(truths: Truths, window: Window) -> None:
    window.begin()
    value = with_value(window, Value())
    truths.seen.clear()
    end(window)
    assert (value.closed, value.settled) == (1, 1)
    assert not window.held
    assert len(truths.seen) == 2


@pytest.mark.parametrize(
    ("succeeded", "linger", "clean"), [(False, 0, True), (True, 1.0, True), (False, 1.0, True), (True, 0, False)]
)
def test_a_value_is_dropped_if_the_body_failed_or_lingers_or_the_value_was_invalidated(
    window: Window, clock: FakeClock, succeeded: bool, linger: float, clean: bool
) -> None:
    window.begin()
    value = with_value(window, Value(clean=clean))
    end(window, linger, succeeded=succeeded)
    assert (value.closed, value.settled) == (1, 0)
    clock.advance(1.0)


@pytest.mark.parametrize(("mine", "other"), [("a", "a"), ("a", ALL), (ALL, "a"), (ALL, ALL)])
def test_a_value_is_dropped_if_another_mutation_of_the_same_truth_overlapped(
    truths: Truths, clock: FakeClock, mine: object, other: object
) -> None:
    for first_to_end in (0, 1):
        windows = [Window(((truths, name),), clock) for name in (mine, other)]
        for window in windows:
            window.begin()
        values = [with_value(window, Value()) for window in windows]
        end(windows.pop(first_to_end))
        end(windows.pop())
        assert [value.settled for value in values] == [0, 0]
        assert [value.closed for value in values] == [1, 1]


def test_a_value_is_not_dropped_for_a_mutation_of_another_truth_or_one_that_is_over(
    truths: Truths, clock: FakeClock
) -> None:
    over, window, other = (Window(((truths, name),), clock) for name in ("a", "a", "b"))
    over.begin()
    end(over)
    window.begin()
    other.begin()
    value = with_value(window, Value())
    end(window)
    end(other)
    assert value.settled == 1


def test_a_mutation_does_not_contest_the_one_that_it_is_nested_in(truths: Truths, clock: FakeClock) -> None:
    outer = Window(((truths, "a"),), clock)
    outer.begin()

    def look() -> None:
        inner = Window(((truths, "a"),), clock)
        inner.begin()
        assert not inner.contested
        assert not outer.contested
        end(inner)

    inside([outer], look)
    end(outer)


def test_a_body_may_hold_what_rests_on_its_targets_alone(truths: Truths, window: Window, clock: FakeClock) -> None:
    window.begin()
    other = Window(((truths, "c"),), clock)
    other.begin()
    assert window.may_hold([(truths, "a"), (truths, "b")])
    end(other)
    assert window.may_hold([(truths, "a")])
    end(window)
    assert not window.may_hold([(truths, "a")])


@pytest.mark.parametrize("ended", [True, False])
def test_a_body_may_hold_what_rests_on_other_names_while_no_mutation_has_touched_their_domain(
    window: Window, clock: FakeClock, ended: bool
) -> None:
    tags = Namespace("n")
    earlier = Window(((tags, "x"),), clock)
    earlier.begin()
    if ended:
        end(earlier)
    window.begin()
    assert window.may_hold([(tags, "t")])
    later = Window(((tags, "y"),), clock)
    later.begin()
    assert not window.may_hold([(tags, "t")])
    for other in (earlier, later, window):
        end(other)


def test_a_contested_body_may_hold_nothing(truths: Truths, window: Window, clock: FakeClock) -> None:
    window.begin()
    other = Window(((truths, "a"),), clock)
    other.begin()
    assert not window.may_hold([(truths, "a")])
    assert not other.may_hold([(truths, "a")])
    end(other)
    end(window)

from __future__ import annotations

import math

import pytest

from cache.testing import FakeClock


def test_a_clock_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock()
    assert (clock(), clock()) == (0.0, 0.0)
    assert clock.advance(1.5) == 1.5
    assert clock() == 1.5


def test_a_clock_starts_where_it_is_told_to() -> None:
    assert FakeClock(100)() == 100.0


def test_a_clock_moves_to_a_moment_exactly() -> None:
    clock = FakeClock(0.1)
    assert clock.move_to(0.3) == 0.3
    assert clock.move_to(0.3) == 0.3


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf])
def test_a_clock_refuses_to_advance_by_what_is_no_duration(seconds: float) -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match=f"cannot advance by {seconds}"):
        clock.advance(seconds)
    assert clock() == 0.0


@pytest.mark.parametrize("moment", [4.9, math.nan, math.inf])
def test_a_clock_refuses_to_move_to_the_past_or_to_no_moment(moment: float) -> None:
    with pytest.raises(ValueError, match=r"cannot move from 5\.0 to"):
        FakeClock(5).move_to(moment)


@pytest.mark.parametrize("start", [math.nan, math.inf])
def test_a_clock_refuses_to_start_at_no_moment(start: float) -> None:
    with pytest.raises(ValueError, match=f"start={start}"):
        FakeClock(start)


def test_a_clock_shows_its_time() -> None:
    assert repr(FakeClock(2)) == "FakeClock(2.0)"

"""Time that stands still until it is told to move."""

from __future__ import annotations

import math


class FakeClock:
    """A clock for tests: calling it gives seconds, and only `advance` moves it.

    Pass it wherever a cache takes a `clock`. In a race, `race.clock` is also the time of the event loops, so
    that timeouts, sleeps and expiry move together.
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        """Start at `start` seconds. Raises ValueError unless that is a finite number."""
        if not math.isfinite(start):
            raise ValueError(f"start={start!r} is no moment in time: give a finite number of seconds")
        self._now = float(start)

    def __call__(self) -> float:
        """Return the current time in seconds."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Move `seconds` forward and return the new time.

        Raises ValueError for a negative, infinite or NaN duration: time that went backwards would make fresh
        what had expired.
        """
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"cannot advance by {seconds!r} seconds: give a finite number, 0 or more")
        self._now += seconds
        return self._now

    def move_to(self, moment: float) -> float:
        """Move to `moment`, in seconds, and return it. Raises ValueError if it is past, infinite or NaN."""
        if not (math.isfinite(moment) and moment >= self._now):
            raise ValueError(f"cannot move from {self._now!r} to {moment!r}: give a finite moment not past")
        self._now = float(moment)
        return self._now

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._now!r})"

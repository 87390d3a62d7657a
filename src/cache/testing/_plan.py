"""Who decides at each choice of a run, and how a schedule is written down."""

from __future__ import annotations

import random
from typing import NoReturn, Protocol


class Plan(Protocol):
    """Decides at each choice of a run."""

    def pick(self, options: int, *, early: bool) -> int:
        """Return one of `options` numbers from 0; where the choice is an `early` one, 0 changes nothing."""
        ...


class DepthFirst:
    """Visits every schedule once, each by raising the last choice of the one before that can be raised."""

    def __init__(self) -> None:
        self._picks: list[int] = []
        self._widths: list[int] = []
        self._depth = 0

    def pick(self, options: int, *, early: bool) -> int:  # noqa: ARG002 - all choices are alike to it
        depth = self._depth
        self._depth += 1
        if depth == len(self._picks):
            self._picks.append(0)
            self._widths.append(options)
        elif self._widths[depth] != options:
            self._refuse(depth, options)
        return self._picks[depth]

    def advance(self) -> bool:
        """Go on to the next schedule; False when there is none."""
        picks, widths = self._picks, self._widths
        if self._depth < len(picks):
            self._refuse(self._depth, 1)
        self._depth = 0
        while picks and picks[-1] + 1 == widths[-1]:
            picks.pop()
            widths.pop()
        if not picks:
            return False
        picks[-1] += 1
        return True

    def _refuse(self, depth: int, options: int) -> NoReturn:
        raise RuntimeError(
            f"the scenario is not deterministic: after the choices {spell(self._picks[:depth])!r} there were "
            f"{self._widths[depth]} ways to go on before, and {options} now. Build everything inside the "
            "scenario, and use no real time, no threads and no randomness"
        )


class Sampled:
    """Picks at random; early choices seldom, since there is one after every callback."""

    _EARLY = 0.15

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def pick(self, options: int, *, early: bool) -> int:
        if early:
            if self._rng.random() >= self._EARLY:
                return 0
            return 1 + int(self._rng.random() * (options - 1))
        return int(self._rng.random() * options)


class Given:
    """Follows a written schedule, to the letter."""

    def __init__(self, picks: list[int]) -> None:
        self._picks = picks
        self._depth = 0

    def pick(self, options: int, *, early: bool) -> int:  # noqa: ARG002 - the letter says it all
        depth = self._depth
        if depth == len(self._picks):
            raise ValueError(
                f"the schedule {spell(self._picks)!r} ends too early for this scenario: there is a choice "
                f"number {depth + 1}, of {options} options"
            )
        self._depth += 1
        if self._picks[depth] >= options:
            raise ValueError(
                f"the schedule {spell(self._picks)!r} does not fit this scenario: its choice number "
                f"{depth + 1} is {self._picks[depth]}, and there are {options} options, 0 to {options - 1}"
            )
        return self._picks[depth]

    def check_finished(self) -> None:
        """Raise ValueError if the run was over before the schedule was."""
        if self._depth < len(self._picks):
            raise ValueError(
                f"the schedule {spell(self._picks)!r} is too long for this scenario, which ends after "
                f"{self._depth} choices"
            )


class Loose:
    """Follows a list of picks as far as it fits, and takes the first option elsewhere."""

    def __init__(self, picks: list[int]) -> None:
        self._picks = iter(picks)

    def pick(self, options: int, *, early: bool) -> int:  # noqa: ARG002 - a guess may be wrong
        pick = next(self._picks, 0)
        return pick if pick < options else 0


def spell(picks: list[int], preemptions: int = 0) -> str:
    """Return the printed form of a schedule: "0.2.1", or "0.2.1/2" with up to 2 early choices in it."""
    return ".".join(map(str, picks)) + (f"/{preemptions}" if preemptions else "")


def parse(schedule: str) -> tuple[list[int], int]:
    """Return the picks and the preemptions of a printed schedule. Raises ValueError if it is none."""
    picks, slash, preemptions = schedule.partition("/")
    numbers = picks.split(".") if picks else []
    if not all(n.isascii() and n.isdigit() for n in (*numbers, *([preemptions] if slash else []))):
        raise ValueError(
            f"{schedule!r} is no schedule: give numbers joined by dots as a report prints them, such as "
            "'0.2.1', or '0.2.1/2' for one with early choices"
        )
    return [int(n) for n in numbers], int(preemptions or 0)

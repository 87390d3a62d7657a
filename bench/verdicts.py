"""Verdicts: what was measured of each promise, and whether it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.contenders import OURS, PEERS
from bench.questions import BARE, BEST_PEER, Question, Target
from bench.rounds import Outcome, Spread, Times

#: What a ratio to the same work without a cache is called.
_BARE_NAMES = {
    "floor": "x floor",
    "gather": "x a bare `gather`",
    "task": "x a bare task",
    "wraps": "x `functools.wraps`",
    "read": "x a read by hand",
    "reads": "x 100 reads by hand",
    "transaction": "x a transaction by hand",
    "insert": "x `executemany` by hand",
    "select": "x one `SELECT` by hand",
}


@dataclass(frozen=True)
class Cell:
    """What was measured, with its spread where there is one; ``met`` is None where nothing is promised."""

    text: str
    met: bool | None = None

    def __str__(self) -> str:
        return self.text + {None: "", True: " ✓", False: " **✗**"}[self.met]


@dataclass
class Line:
    """One promise, and what was measured of it on each version of Python."""

    what: str
    target: str
    cells: dict[str, Cell] = field(default_factory=dict)


def lines_of(question: Question, outcomes: Mapping[str, Outcome]) -> list[Line]:
    """A line for each target; where none is promised, one with the ratio to the same work without a cache."""
    lines = []
    for target in question.targets or (Target(),):
        line = Line(question.what, _describe(question, target))
        for version, outcome in outcomes.items():
            line.cells[version] = _judge(question, target, version, outcome.times)
        lines.append(line)
    return lines


def best_peer(times: Mapping[str, Times]) -> str | None:
    """The fastest of the other libraries."""
    peers = [name for name in PEERS if name in times]
    return min(peers, key=lambda name: times[name].median, default=None)


def _judge(question: Question, target: Target, version: str, times: Mapping[str, Times]) -> Cell:
    own = times[question.contest.entrants[0]]
    bound = target.bound(version)
    if target.microseconds is not None:
        spread = Spread.of(nanoseconds / 1e3 for nanoseconds in own.own)
        return Cell(_ratio_text(spread), met=_is_most(spread, bound))
    if target.other == BARE:
        spread = own.over_bare()
        return Cell(_ratio_text(spread), met=_is_most(spread, bound))
    other = best_peer(times) if target.other == BEST_PEER else target.other
    if other is None or other not in times:
        return Cell("not measured")
    name = f", {other}" if target.other == BEST_PEER else ""
    if target.least is not None:
        spread = times[other].over(own)
        return Cell(_ratio_text(spread) + name, met=spread.median >= target.least)
    spread = own.over(times[other])
    return Cell(_ratio_text(spread) + name, met=_is_most(spread, bound))


def _is_most(spread: Spread, bound: float | None) -> bool | None:
    return None if bound is None else spread.median <= bound


def _describe(question: Question, target: Target) -> str:
    if target.microseconds is not None:
        return f"≤ {target.microseconds:g} µs"
    if target.least is not None:
        return f"≥ {_bounds(target)} times as fast as {_name(target.other)}"
    other = _BARE_NAMES[question.bare] if target.other == BARE else f"x {_name(target.other)}"
    return other if target.most is None else f"≤ {_bounds(target)} {other}"


def _name(other: str) -> str:
    return {BEST_PEER: "the best peer", OURS: "without it"}.get(other, other)


def _bounds(target: Target) -> str:
    bounds = dict.fromkeys(f"{target.bound(version):g}" for version in ("3.11", "3.13"))
    return " / ".join(bounds)


def _ratio_text(spread: Spread) -> str:
    return f"{short(spread.median)} ({short(spread.low)}-{short(spread.high)})"


def short(value: float) -> str:
    """A figure with three digits."""
    if value >= 100:  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004 - three digits

"""What is known after runs: violations with the schedules that show them, counts and loads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Loads(NamedTuple):
    """How often a row was loaded in a run, before all was quiet, over all runs of a report."""

    maximum: int
    mean: float
    concurrent: int
    """The greatest number of loads of the row at the same time."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not happen and did; `KINDS` tells what each kind means."""

    kind: str
    text: str
    schedule: str
    """The printed form, for `replay`."""
    trace: tuple[str, ...] = ()
    """What happened, line by line."""

    def __str__(self) -> str:
        lines = (f"{self.kind}: {self.text}", f"  in the schedule {self.schedule!r}:", *self.trace)
        return "\n  ".join(lines)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run has shown."""

    schedule: str
    violations: tuple[Violation, ...]
    trace: tuple[str, ...]
    results: Mapping[str, Any]
    """What each actor returned, or the error it ended with, by name."""
    loads: Mapping[tuple[str, Any], int]
    """How often each row, as (source, key), was loaded before all was quiet."""

    def check(self) -> None:
        """Raise AssertionError if there is any violation, with all that is known of it."""
        _check(self.violations, "")


@dataclass(frozen=True, slots=True)
class Report:
    """What the runs of a scenario have shown."""

    schedules: int
    """How many runs there were."""
    complete: bool
    """Whether these are all schedules that there are."""
    violations: tuple[Violation, ...]
    """The first of each kind, with its trace."""
    counts: Mapping[str, int] = field(default_factory=Counter)
    """In how many of the schedules each kind was seen."""
    loads: Mapping[tuple[str, Any], Loads] = field(default_factory=dict)
    """How often each row, as (source, key), was loaded."""

    def check(self) -> None:
        """Raise AssertionError if there is any violation: what, when, and how to see it again."""
        _check(self.violations, f"  ({self})")

    def __str__(self) -> str:
        extent = "all" if self.complete else "not all"
        found = ", ".join(f"{kind} in {n}" for kind, n in self.counts.items()) or "no violation"
        return f"{self.schedules} schedules, {extent} there are: {found}"


def _check(violations: tuple[Violation, ...], remark: str) -> None:
    if not violations:
        return
    first, *others = violations
    lines = [str(first)]
    lines += [f"also {other.kind}: {other.text} (in {other.schedule!r})" for other in others]
    lines += [f"replay(scenario, {first.schedule!r}) runs it again{remark}"]
    raise AssertionError("\n".join(lines))

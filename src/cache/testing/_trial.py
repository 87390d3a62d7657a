"""One schedule of a scenario from beginning to end, and all that is left of it afterwards."""

from __future__ import annotations

import contextvars
from asyncio.events import _get_running_loop
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ._judge import Finding, judge
from ._plan import spell
from ._race import Race
from ._run import Run
from ._stage import Errors, Stage, is_plain_function

if TYPE_CHECKING:
    from ._plan import Plan

Scenario = Callable[[Race], None]


class Trial(NamedTuple):
    """What one run has shown, without words."""

    picks: list[int]
    findings: list[Finding]
    loads: dict[tuple[str, Any], tuple[int, int]]
    """For each row how often it was loaded, and how often at most at the same time."""
    results: dict[str, Any]
    trace: list[str]

    def shows(self, kind: str) -> bool:
        """Whether a violation of this kind was found."""
        return any(finding.kind == kind for finding in self.findings)


def check_scenario(scenario: object) -> None:
    """Raise TypeError if this is no scenario, RuntimeError if none can be run here."""
    if not is_plain_function(scenario):
        raise TypeError(f"scenario={scenario!r} is no plain function: declare the async ones inside one")
    if _get_running_loop() is not None:
        raise RuntimeError("a race has event loops of its own: start it outside any running event loop")


def attempt(
    scenario: Scenario,
    plan: Plan,
    preemptions: int,
    *,
    allow: frozenset[str],
    late: list[tuple[str, str]],
    tracing: bool = False,
) -> Trial:
    """Run the scenario once, with context variables of its own."""
    return contextvars.copy_context().run(
        _attempt, scenario, plan, preemptions, allow=allow, late=late, tracing=tracing
    )


def _attempt(
    scenario: Scenario,
    plan: Plan,
    preemptions: int,
    *,
    allow: frozenset[str],
    late: list[tuple[str, str]],
    tracing: bool,
) -> Trial:
    errors = Errors(late)
    stage = Stage(errors, tracing=tracing)
    run = Run(stage, errors, plan, preemptions)
    try:
        scenario(Race(stage))
        findings = list(judge(run))
        results = {actor.name: actor.error or actor.result for actor in stage.actors}
    finally:
        run.close(spell(run.choices, preemptions))
    findings += [Finding("unhandled", text) for text in errors.texts]
    if allow:
        findings = [finding for finding in findings if finding.kind not in allow]
    return Trial(run.choices, findings, run.loads, results, stage.trace or [])

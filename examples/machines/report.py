"""What is shown: a table or a JSON document, and a verdict in plain words."""

from __future__ import annotations

import json
from dataclasses import asdict
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from examples import display
from examples.display import count, duration
from examples.machines.figures import BOUND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from examples.machines.figures import Figures

RECOVERED: Final = 1 / 10
"""The least share of its hit rate that the cache must have again when the server is back."""


class Verdict(display.Verdict):
    """What it takes to have shown something."""

    @classmethod
    def on(cls, alone: Figures, before: Figures, away: Figures, back: Figures) -> Verdict:
        """Expect late reads of machines that know nothing of each other, and none of those that share a server."""
        phases = {"with Redis": before, "when Redis was killed": away, "when Redis was back": back}
        for name, figures in {"without Redis": alone, **phases}.items():
            if figures.dirty or not (figures.is_sound or figures is alone):
                return cls(passed=False, sentence=f"async-cache has failed {name}: {_findings(figures)}.")
        if alone.is_sound:
            return cls(
                passed=False,
                sentence=f"The machines without Redis happened to show nothing that was older than {duration(BOUND)}, "
                f"so this run proves nothing: let it run for longer with --seconds.",
            )
        for name, figures in phases.items():
            if not figures.reads:
                return cls(passed=False, sentence=f"async-cache has failed {name}: nobody was answered.")
        if not before.from_redis:
            return cls(passed=False, sentence="async-cache has failed with Redis: nothing was found there.")
        if back.hit_rate < RECOVERED * before.hit_rate:
            return cls(
                passed=False,
                sentence=f"async-cache has failed when Redis was back: {back.hit_rate:.0%} of the calls were answered "
                f"without a load, and {before.hit_rate:.0%} before it was killed.",
            )
        worst = max(phases.values(), key=attrgetter("worst"))
        return cls(
            passed=True,
            sentence=f"Two machines that hear nothing of each other: {_findings(alone)}. The same code with Redis: "
            f"of {sum(figures.reads for figures in phases.values()):,} reads {_worst(worst)}, where up to "
            f"{duration(BOUND)} is allowed, and no value stayed old, though Redis was killed and came back empty. "
            f"Meanwhile reads went on from the database, {count(away.refused, 'mutation')} of which nobody could have "
            f"been told failed, and afterwards {back.hit_rate:.0%} of the calls were answered without a load again.",
        )


def show(phases: Mapping[str, Figures], verdict: Verdict) -> None:
    """Print the figures of all phases side by side, and the verdict."""
    display.show(
        "Two machines with two workers each, one database",
        {name: _cells(figures) for name, figures in phases.items()},
        verdict,
        should_be_zero={LATE, "reads of what never was", "reads still old when all was over"},
    )


def as_json(
    config: Mapping[str, object], versions: Mapping[str, str], phases: Mapping[str, Figures], verdict: Verdict
) -> str:
    """Everything, as one JSON document; times are seconds."""
    computed = ("rate", "memory_rate", "redis_rate", "hit_rate", "trips_per_read", "is_sound")
    figures = {
        name: asdict(found) | {each: getattr(found, each) for each in computed} for name, found in phases.items()
    }
    document = {"config": config, "versions": versions, "phases": figures, "verdict": asdict(verdict)}
    return json.dumps(document, indent=2)


LATE: Final = f"reads behind by more than {duration(BOUND)}"


def _cells(figures: Figures) -> dict[str, str]:
    return {
        "reads per second, of all four": f"{figures.rate:,.0f}",
        "answered from memory": f"{figures.memory_rate:.1%}",
        "  from Redis": f"{figures.redis_rate:.1%}" if figures.trips else "-",
        "  by the loader": f"{1 - figures.hit_rate:.1%}",
        "round trips to Redis for each read": f"{figures.trips_per_read:.2f}" if figures.trips else "-",
        "mutations committed": f"{figures.mutations:,}",
        "  refused, for nobody could be told": f"{figures.refused:,}" if figures.trips else "-",
        LATE: f"{figures.late:,}",
        "  behind a mutation by up to": duration(figures.worst) if figures.behind else "-",
        "reads of what never was": f"{figures.dirty:,}",
        "reads still old when all was over": f"{figures.stuck:,}",
    }


def _worst(figures: Figures) -> str:
    return f"the worst was {duration(figures.worst)} behind" if figures.behind else "none was behind at all"


def _findings(figures: Figures) -> str:
    findings = []
    if figures.late:
        findings.append(
            f"{count(figures.late, 'read')} of {figures.reads:,} showed what had been changed more than "
            f"{duration(BOUND)} before, up to {duration(figures.worst)}"
        )
    if figures.stuck:
        findings.append(f"{count(figures.stuck, 'read')} showed it when everything had been over for longer than that")
    if figures.dirty:
        findings.append(f"{count(figures.dirty, 'read')} showed a change that was never committed")
    return "; ".join(findings)

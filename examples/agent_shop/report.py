"""What is shown: a table or a JSON document, the end of the agents that went round in circles, and a verdict."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from examples import display
from examples.agent_shop.database import DELAYS
from examples.display import count, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from examples.agent_shop.figures import Circles, Figures
    from examples.agent_shop.naive import Placement


class Verdict(display.Verdict):
    """What it takes to have shown something."""

    @classmethod
    def on(cls, handmade: Figures, placement: Placement, ours: Figures, circles: Circles) -> Verdict:
        """Expect that our tools are sound and stop loops, and that the handmade cache is not, or nothing was shown."""
        if not ours.is_sound:
            return cls(passed=False, sentence=f"agent_cache has failed: {_findings(ours)}.")
        if not circles.is_stopped:
            return cls(
                passed=False,
                sentence=f"agent_cache has failed: the agent that went round in circles was not stopped, and ended by "
                f"itself after {count(circles.watched.calls, 'call')} ({circles.watched.ended}).",
            )
        if not handmade.stale:
            return cls(
                passed=False,
                sentence=f"The handmade cache, which invalidates {_PLACES[placement]}, happened to show nothing stale, "
                f"so this run proves nothing: let it run for longer with --seconds.",
            )
        return cls(
            passed=True,
            sentence=f"The handmade cache, which invalidates {_PLACES[placement]}: {_findings(handmade)}. "
            f"agent_cache, with the same customers: not one of {ours.reads:,} answers was stale, and the agent that "
            f"went round in circles was stopped.",
        )


def show(passes: Mapping[str, Figures], circles: Circles, verdict: Verdict, price: float) -> None:
    """Print the figures of all passes side by side, what came of the circles, and the verdict."""
    spent = next(iter(passes.values())).cost(price)
    display.show(
        "The same customers, the same wishes, the same scripts",
        {name: _cells(figures, price, spent) for name, figures in passes.items()},
        verdict,
        should_be_zero={"stale answers", "answers that never were so"},
        notes=(_SETTING, _told(circles)),
    )


def as_json(
    setting: Mapping[str, object],
    passes: Mapping[str, Figures],
    circles: Circles,
    verdict: Verdict,
    price: float,
) -> str:
    """Everything, after the ``setting`` it was found in, as one JSON document; times are seconds, costs are USD."""
    spent = next(iter(passes.values())).cost(price)
    figures = {
        name: asdict(found)
        | {"hit_rate": found.hit_rate, "is_sound": found.is_sound}
        | {"cost": found.cost(price), "saved": spent - found.cost(price)}
        for name, found in passes.items()
    }
    document = {
        **setting,
        "passes": figures,
        "circles": asdict(circles) | {"is_stopped": circles.is_stopped},
        "verdict": asdict(verdict),
    }
    return json.dumps(document, indent=2)


def _cells(figures: Figures, price: float, spent: float) -> dict[str, str]:
    saved = spent - figures.cost(price)
    return {
        "conversations": f"{figures.conversations:,}",
        "  seconds they took": f"{figures.seconds:.1f}",
        "turns of the model": f"{figures.turns:,}",
        "tool calls": f"{figures.calls:,}",
        "  median": duration(figures.p50),
        "tool executions": f"{figures.executions:,}",
        "  of which loads": f"{figures.loads:,}",
        "hit rate": f"{figures.hit_rate:.1%}" if figures.hit_rate else "-",
        f"cost at {price:g} USD each": f"{figures.cost(price):.2f} USD",
        "  saved": f"{saved:.2f} USD" if figures.cost(price) != spent else "-",
        "changes by the back office": f"{figures.changes:,}",
        "orders": f"{figures.orders:,}",
        "  refused meanwhile": f"{figures.refused:,}",
        "stale answers": f"{figures.stale:,}",
        "  behind a commit by up to": duration(figures.oldest) if figures.stale else "-",
        "answers that never were so": f"{figures.dirty:,}",
    }


_PLACES = {
    "before": "before each write",
    "after": "after each write",
    "around": "before and after each write",
    "ttl": "nothing and keeps an answer for a second",
}
_SETTING = (
    f"Simulated: the model, a script that answers at once; the network, {DELAYS.way[0] * 1e3:.0f} to "
    f"{DELAYS.way[1] * 1e3:.0f} ms each way to the database; and the payment and pricing services, "
    f"{DELAYS.service[0] * 1e3:.0f} to {DELAYS.service[1] * 1e3:.0f} ms. Real: pydantic-ai, SQLite, the tools, "
    f"the races."
)


def _told(circles: Circles) -> str:
    unwatched, watched = circles.unwatched, circles.watched
    return (
        f"An agent that searches for the same thing for ever: without a session {count(unwatched.calls, 'call')} and "
        f"{count(unwatched.executions, 'execution')} until {unwatched.ended}; in a session that detects loops "
        f"{count(watched.calls, 'call')} and {count(watched.executions, 'execution')} until {watched.ended}: "
        f"{watched.message}"
    )


def _findings(figures: Figures) -> str:
    findings = []
    if figures.stale:
        findings.append(
            f"{count(figures.stale, 'answer')} of {figures.reads:,} told the agent what had already been changed when "
            f"it asked, up to {duration(figures.oldest)} after the commit"
        )
    if figures.dirty:
        findings.append(f"{count(figures.dirty, 'answer')} showed a change that was never committed")
    if figures.stopped:
        findings.append(f"{count(figures.stopped, 'conversation')} stopped as if going round in circles")
    return "; ".join(findings)

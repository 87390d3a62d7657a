"""What is shown: a table or a JSON document, and a verdict in plain words."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from examples import display
from examples.display import count, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from examples.workers.figures import Figures

SENSIBLE: Final = 0.1
"""The least hit rate of a cache that is worth having here; a run in which there is less has shown nothing."""


class Verdict(display.Verdict):
    """What it takes to have shown something."""

    @classmethod
    def on(cls, alone: Figures, bus: Figures, disk: Figures) -> Verdict:
        """Expect stale reads of workers that know nothing of each other, and none of those on a bus."""
        passes = {"without a bus": alone, "on a bus": bus, "on a bus with a disk": disk}
        for name, figures in passes.items():
            if figures.dirty or (figures.stale and figures is not alone):
                return cls(passed=False, sentence=f"async-cache has failed {name}: {_findings(figures)}.")
        if not disk.from_disk:
            return cls(passed=False, sentence="async-cache has failed: after the restart nothing came from the disk.")
        if not alone.stale:
            return cls(
                passed=False,
                sentence="The workers without a bus happened to show nothing stale, so this run proves nothing: let it "
                "run for longer with --seconds.",
            )
        for name, figures in passes.items():
            if figures.hit_rate < SENSIBLE:
                return cls(
                    passed=False,
                    sentence=f"The caches {name} answered {figures.hit_rate:.1%} of the calls from memory, and below "
                    f"{SENSIBLE:.0%} this run proves nothing: let it run for longer with --seconds.",
                )
        return cls(
            passed=True,
            sentence=f"Four workers that hear nothing of each other, each with a cache: {_findings(alone)}. The same "
            f"code on a bus: not one of {bus.reads + disk.reads:,} reads was stale, though one of the four was killed "
            f"in the middle of its work. All were started again half-way, and with a disk behind their caches found "
            f"{disk.disk_rate:.0%} of what they missed there.",
        )


def show(passes: Mapping[str, Figures], verdict: Verdict) -> None:
    """Print the figures of all passes side by side, and the verdict."""
    display.show(
        "One machine, four workers, one database",
        {name: _cells(figures) for name, figures in passes.items()},
        verdict,
        should_be_zero={"stale reads", "reads of what never was"},
    )


def as_json(
    config: Mapping[str, object], versions: Mapping[str, str], passes: Mapping[str, Figures], verdict: Verdict
) -> str:
    """Everything, as one JSON document; times are seconds."""
    figures = {
        name: asdict(found)
        | {"rate": found.rate, "hit_rate": found.hit_rate, "disk_rate": found.disk_rate, "is_sound": found.is_sound}
        for name, found in passes.items()
    }
    document = {"config": config, "versions": versions, "passes": figures, "verdict": asdict(verdict)}
    return json.dumps(document, indent=2)


def _cells(figures: Figures) -> dict[str, str]:
    return {
        "reads per second, of all four": f"{figures.rate:,.0f}",
        "loads of the database": f"{figures.loads:,}",
        "hit rate in memory": f"{figures.hit_rate:.1%}",
        "  of the misses after the restart, from disk": f"{figures.disk_rate:.1%}" if figures.from_disk else "-",
        "mutations committed": f"{figures.mutations:,}",
        "stale reads": f"{figures.stale:,}",
        "  behind a mutation by up to": duration(figures.oldest) if figures.stale else "-",
        "reads of what never was": f"{figures.dirty:,}",
    }


def _findings(figures: Figures) -> str:
    findings = []
    if figures.stale:
        findings.append(
            f"{count(figures.stale, 'read')} of {figures.reads:,} showed what a mutation that was over had changed, "
            f"up to {duration(figures.oldest)} after its end"
        )
    if figures.dirty:
        findings.append(f"{count(figures.dirty, 'read')} showed a change that was never committed")
    return "; ".join(findings)

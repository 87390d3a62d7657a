"""What is shown: a table or a JSON document, and a verdict in plain words."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from examples import display
from examples.display import count, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from examples.catalogue.naive import Placement
    from examples.catalogue.workload import Figures


class Verdict(display.Verdict):
    """What it takes to have shown something."""

    @classmethod
    def on(cls, handmade: Figures, placement: Placement, ours: Figures) -> Verdict:
        """Expect that our cache is sound, and that the handmade one is not, or the demo has shown nothing."""
        if not ours.is_sound:
            return cls(passed=False, sentence=f"async-cache has failed: {_findings(ours)}.")
        if handmade.is_sound:
            return cls(
                passed=False,
                sentence=f"The handmade cache, which invalidates {placement} each write, happened to show nothing "
                f"stale, so this run proves nothing: let it run for longer with --seconds.",
            )
        return cls(
            passed=True,
            sentence=f"The handmade cache, which invalidates {placement} each write: {_findings(handmade)}. "
            f"async-cache, with the same people at work: not one of {ours.requests:,} reads was stale, and "
            f"every page that it held at the end was right.",
        )


def show(passes: Mapping[str, Figures], verdict: Verdict) -> None:
    """Print the figures of all passes side by side, and the verdict."""
    display.show(
        "The same people, the same products, the same writes",
        {name: _cells(figures) for name, figures in passes.items()},
        verdict,
        should_be_zero={"stale reads", "reads of what never was", "pages wrong for good"},
    )


def as_json(
    config: Mapping[str, object], versions: Mapping[str, str], passes: Mapping[str, Figures], verdict: Verdict
) -> str:
    """Everything, as one JSON document; times are seconds."""
    figures = {
        name: asdict(found) | {"rate": found.rate, "hit_rate": found.hit_rate, "is_sound": found.is_sound}
        for name, found in passes.items()
    }
    document = {"config": config, "versions": versions, "passes": figures, "verdict": asdict(verdict)}
    return json.dumps(document, indent=2)


def _cells(figures: Figures) -> dict[str, str]:
    writes = figures.writes
    return {
        "requests per second": f"{figures.rate:,.0f}",
        "loads of the database": f"{figures.loads:,}",
        "hit rate": f"{figures.hit_rate:.1%}" if figures.hits else "-",
        "median latency": duration(figures.p50),
        "99th percentile": duration(figures.p99),
        "writes": f"{sum(writes.values()):,}",
        "  of which failed": f"{sum(writes.values()) - writes.get('done', 0):,}",
        "stale reads": f"{figures.stale:,}",
        "  behind a commit by up to": duration(figures.oldest) if figures.stale else "-",
        "reads of what never was": f"{figures.dirty:,}",
        "pages wrong for good": f"{figures.stuck:,}",
    }


def _findings(figures: Figures) -> str:
    findings = []
    if figures.stale:
        findings.append(
            f"{count(figures.stale, 'read')} of {figures.requests:,} showed what had already been changed when "
            f"they began, up to {duration(figures.oldest)} after the commit"
        )
    if figures.dirty:
        findings.append(f"{count(figures.dirty, 'read')} showed a change that was never committed")
    if figures.stuck:
        findings.append(f"{count(figures.stuck, 'page')} still wrong after all writing had ended")
    return "; ".join(findings)

"""What is shown: a table or a JSON document, and a verdict in plain words."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.catalogue.report import count, duration, is_plain, progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from examples.workers.figures import Figures

__all__ = ["Verdict", "as_json", "progress", "show"]

SENSIBLE: Final = 0.1
"""The least hit rate of a cache that is worth having here; a run in which there is less has shown nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the passes have shown, and whether it is what they were meant to show."""

    passed: bool
    sentence: str

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
    rows = {name: _cells(figures) for name, figures in passes.items()}
    labels = list(next(iter(rows.values())))
    if is_plain(sys.stdout):
        print(_line("", rows))
        for label in labels:
            print(_line(label, [cells[label] for cells in rows.values()]))
        print()
        print(verdict.sentence)
        return
    table = Table("", *rows, title="One machine, four workers, one database")
    for column in table.columns[1:]:
        column.justify = "right"
    for label in labels:
        table.add_row(label, *(_text(label, cells[label]) for cells in rows.values()))
    console = Console()
    console.print(table)
    console.print(verdict.sentence, style="green" if verdict.passed else "bold red", highlight=False)


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


def _line(label: str, cells: Iterable[str]) -> str:
    return f"{label:<46}" + "".join(f"{cell:>18}" for cell in cells)


def _text(label: str, cell: str) -> Text:
    is_verdict = label in {"stale reads", "reads of what never was"}
    return Text(cell, style=("green" if cell == "0" else "bold red") if is_verdict else "")

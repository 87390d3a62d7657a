"""What is shown: progress while it works, then a table or a JSON document, and a verdict in plain words."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from examples.catalogue.naive import Placement
    from examples.catalogue.workload import Figures


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the passes have shown, and whether it is what they were meant to show."""

    passed: bool
    sentence: str

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


def is_plain(stream: TextIO) -> bool:
    """Whether the stream wants lines without colour or movement: no terminal, or NO_COLOR, or CI."""
    return not stream.isatty() or bool(os.environ.get("NO_COLOR")) or bool(os.environ.get("CI"))


@contextmanager
def progress(title: str) -> Iterator[Callable[[float], None]]:
    """Show on standard error how far a pass has got; yields what is to be told the share that is done."""
    if is_plain(sys.stderr):
        print(f"{title} ...", file=sys.stderr, flush=True)
        yield lambda _: None
        return
    columns = (TextColumn("{task.description:<16}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda share: bar.update(task, completed=share, refresh=True)


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
    table = Table("", *rows, title="The same people, the same products, the same writes")
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


def count(number: int, noun: str) -> str:
    """How many there are, in words."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """A time, in the unit that it is read best in."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1e3
    return f"{milliseconds:.1f} ms" if milliseconds >= 1 else f"{milliseconds * 1e3:.0f} µs"


def _line(label: str, cells: Iterable[str]) -> str:
    return f"{label:<26}" + "".join(f"{cell:>18}" for cell in cells)


def _text(label: str, cell: str) -> Text:
    is_verdict = label in {"stale reads", "reads of what never was", "pages wrong for good"}
    return Text(cell, style=("green" if cell == "0" else "bold red") if is_verdict else "")

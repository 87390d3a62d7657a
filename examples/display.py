"""How the demos show what they find: progress while they work, then figures side by side, and a verdict."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping

PROGRESS_STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the passes have shown, in a sentence, and whether it is what they were meant to show."""

    passed: bool
    sentence: str


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


@asynccontextmanager
async def timed_progress(title: str, seconds: float) -> AsyncIterator[None]:
    """Show it of a pass that takes so many seconds."""
    with progress(title) as show:
        clock = asyncio.create_task(_tell_time(show, seconds), name="progress")
        try:
            yield
        finally:
            clock.cancel()


async def _tell_time(show: Callable[[float], None], seconds: float) -> None:
    for step in range(PROGRESS_STEPS):
        show(step / PROGRESS_STEPS)
        await asyncio.sleep(seconds / PROGRESS_STEPS)
    show(1.0)


def show(
    title: str,
    columns: Mapping[str, Mapping[str, str]],
    verdict: Verdict,
    *,
    should_be_zero: Collection[str],
    notes: Iterable[str] = (),
) -> None:
    """Print the cells of each pass, by their labels, side by side; then the notes, and the verdict."""
    labels = list(next(iter(columns.values())))
    rows = {label: [cells[label] for cells in columns.values()] for label in labels}
    if is_plain(sys.stdout):
        width = max(map(len, labels)) + 2
        for label, cells in {"": columns, **rows}.items():
            print(f"{label:<{width}}" + "".join(f"{cell:>18}" for cell in cells))
        for text in (*notes, verdict.sentence):
            print(f"\n{text}")
        return
    table = Table("", *columns, title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for label, cells in rows.items():
        table.add_row(label, *(_judged(cell) if label in should_be_zero else cell for cell in cells))
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note, "\n", highlight=False, sep="")
    console.print(verdict.sentence, style="green" if verdict.passed else "bold red", highlight=False)


def _judged(cell: str) -> Text:
    return Text(cell, style="green" if cell == "0" else "bold red")


def count(number: int, noun: str) -> str:
    """How many there are, in words."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """A time, in the unit that it is read best in."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1e3
    return f"{milliseconds:.1f} ms" if milliseconds >= 1 else f"{milliseconds * 1e3:.0f} µs"

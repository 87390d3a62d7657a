"""The command: ``python -m examples.workers [--json] [--seconds N] [--seed N]``."""

from __future__ import annotations

import argparse
import asyncio
import math
import platform
import secrets
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import examples.workers
from examples.catalogue import seed
from examples.workers import report
from examples.workers.crew import WorkerFailed
from examples.workers.figures import measure
from examples.workers.log import JOURNAL
from examples.workers.worker import SHARE, WORKERS, Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from examples.workers.figures import Figures

MEMORY: Final = "/dev/shm"  # noqa: S108  # where a file is in memory; what is made there is a folder of its own
PROGRESS_STEPS: Final = 40
INTERRUPTED: Final = 130
"""The exit status of a command that was ended with Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the three passes and report; 0 if they have shown what they should, else 1."""
    options = _options(arguments)
    if sys.platform != "linux":
        print("This act was left out: it needs Linux, for that is where SharedMemoryBus works.", file=sys.stderr)
        return 0
    try:
        # Whatever happens to the workers, both folders go with their parent.
        with TemporaryDirectory(prefix="workers-") as folder, TemporaryDirectory(prefix="workers-", dir=MEMORY) as bus:
            passes = asyncio.run(_run(Path(folder), bus, options.seconds, options.seed))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except WorkerFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    verdict = report.Verdict.on(*passes.values())
    if options.json:
        print(report.as_json(_config(options), _versions(), passes, verdict))
    else:
        report.show(passes, verdict)
    return 0 if verdict.passed else 1


async def _run(folder: Path, bus: str, seconds: float, seed_number: int) -> dict[str, Figures]:
    opening = folder / "opening.sqlite"
    seed.create(opening, seed_number)
    with closing(sqlite3.connect(opening)) as sqlite:
        sqlite.executescript(JOURNAL)
        sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    key, disk = secrets.token_hex(32), str(folder / "entries.sqlite")
    shared = {"no bus": None, "a bus": Sharing(bus, None, key), "a bus and a disk": Sharing(bus, disk, key)}
    passes: dict[str, Figures] = {}
    for name, sharing in shared.items():
        database = folder / f"pass-{len(passes)}.sqlite"
        shutil.copyfile(opening, database)
        with report.progress(name) as show:
            clock = asyncio.create_task(_tell_time(show, seconds), name="progress")
            try:
                passes[name] = await measure(database, seconds, seed_number, sharing)
            finally:
                clock.cancel()
    return passes


async def _tell_time(show: Callable[[float], None], seconds: float) -> None:
    for step in range(PROGRESS_STEPS):
        show(step / PROGRESS_STEPS)
        await asyncio.sleep(seconds / PROGRESS_STEPS)
    show(1.0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.workers", description=examples.workers.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--seconds", type=_seconds, default=3.0, help="how long the workers of each pass work")
    parser.add_argument("--seed", type=int, default=1, help="what all chance is drawn from")
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, not {text!r}")
    return seconds


def _config(options: argparse.Namespace) -> dict[str, object]:
    chosen = {"seconds": options.seconds, "seed": options.seed}
    return {**chosen, "workers": WORKERS, "rows": seed.ROWS, "habits": asdict(SHARE)}


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "async-cache": version("async-cache"),
    }


if __name__ == "__main__":
    sys.exit(main())

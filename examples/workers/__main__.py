"""The command: ``python -m examples.workers [--json] [--seconds N] [--seed N]``."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import examples.workers
from examples import command
from examples.catalogue import seed
from examples.display import timed_progress
from examples.workers import report
from examples.workers.crew import WorkerFailed
from examples.workers.figures import measure
from examples.workers.log import JOURNAL
from examples.workers.sharing import Machine
from examples.workers.worker import SHARE, WORKERS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from examples.workers.figures import Figures

MEMORY: Final = "/dev/shm"  # noqa: S108  # where a file is in memory; what is made there is a folder of its own


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
        return command.INTERRUPTED
    except WorkerFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    verdict = report.Verdict.on(*passes.values())
    if options.json:
        print(report.as_json(_config(options), command.versions(), passes, verdict))
    else:
        report.show(passes, verdict)
    return 0 if verdict.passed else 1


def open_catalogue(folder: Path, seed_number: int) -> Path:
    """Make the database that each pass begins with, as a copy; it keeps a journal of what is changed."""
    opening = folder / "opening.sqlite"
    seed.create(opening, seed_number)
    with closing(sqlite3.connect(opening)) as sqlite:
        sqlite.executescript(JOURNAL)
        sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return opening


async def _run(folder: Path, bus: str, seconds: float, seed_number: int) -> dict[str, Figures]:
    opening = open_catalogue(folder, seed_number)
    key, disk = secrets.token_hex(32), str(folder / "entries.sqlite")
    shared = {"no bus": None, "a bus": Machine(bus, None, key), "a bus and a disk": Machine(bus, disk, key)}
    passes: dict[str, Figures] = {}
    for name, sharing in shared.items():
        database = folder / f"pass-{len(passes)}.sqlite"
        shutil.copyfile(opening, database)
        async with timed_progress(name, seconds):
            passes[name] = await measure(database, seconds, seed_number, sharing)
    return passes


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    return command.parser(examples.workers, 3.0, "how long the workers of each pass work").parse_args(arguments)


def _config(options: argparse.Namespace) -> dict[str, object]:
    chosen = {"seconds": options.seconds, "seed": options.seed}
    return {**chosen, "workers": WORKERS, "rows": seed.ROWS, "habits": asdict(SHARE)}


if __name__ == "__main__":
    sys.exit(main())

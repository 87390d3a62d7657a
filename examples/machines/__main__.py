"""The command: ``python -m examples.machines [--json] [--seconds N] [--seed N]``."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import examples.machines
from examples import command
from examples.catalogue import seed
from examples.display import timed_progress
from examples.machines import report
from examples.machines.figures import BOUND, measure
from examples.machines.server import RedisServer, ServerFailed, is_installed
from examples.workers.__main__ import MEMORY, open_catalogue
from examples.workers.crew import WorkerFailed
from examples.workers.sharing import Machine, Server
from examples.workers.worker import SHARE, WORKERS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from examples.machines.figures import Figures

MACHINES: Final = ("machine-1", "machine-2")
PHASES: Final = ("no Redis", "Redis", "Redis killed", "Redis back")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both passes and report; 0 if they have shown what they should, else 1."""
    options = _options(arguments)
    if sys.platform != "linux" or not is_installed():
        print("This act was left out: it needs Linux, and redis-server.", file=sys.stderr)
        return 0
    try:
        # Whatever happens to the workers, the folders go with their parent.
        with ExitStack() as stack:
            folder, memory = [
                Path(stack.enter_context(TemporaryDirectory(prefix="machines-", dir=place))) for place in (None, MEMORY)
            ]
            phases = asyncio.run(_run(folder, memory, options.seconds, options.seed))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return command.INTERRUPTED
    except (WorkerFailed, ServerFailed) as failed:
        print(failed, file=sys.stderr)
        return 1
    verdict = report.Verdict.on(*phases.values())
    if options.json:
        print(report.as_json(_config(options), command.versions("redis"), phases, verdict))
    else:
        report.show(phases, verdict)
    return 0 if verdict.passed else 1


async def _run(folder: Path, memory: Path, seconds: float, seed_number: int) -> dict[str, Figures]:
    opening, key = open_catalogue(folder, seed_number), secrets.token_hex(32)
    for machine in MACHINES:
        (folder / machine).mkdir()
        (memory / machine).mkdir()
    database = shutil.copyfile(opening, folder / "alone.sqlite")
    alone = {folder / machine: Machine(str(memory / machine), None, key) for machine in MACHINES}
    async with timed_progress("no Redis", seconds / 3):
        found = await measure(alone, database, seconds / 3, seed_number)
    database = shutil.copyfile(opening, folder / "together.sqlite")
    async with RedisServer(folder) as server, timed_progress("Redis", seconds):
        together = dict.fromkeys(alone, Server(server.url, BOUND, key))
        found += await measure(together, database, seconds, seed_number, server)
    return dict(zip(PHASES, found, strict=True))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    lasting = "how long the workers work with Redis, which is killed meanwhile; and thrice as long as without"
    return command.parser(examples.machines, 6.0, lasting).parse_args(arguments)


def _config(options: argparse.Namespace) -> dict[str, object]:
    chosen = {"seconds": options.seconds, "seed": options.seed, "bound": BOUND}
    shared = {"machines": len(MACHINES), "workers": WORKERS, "rows": seed.ROWS, "habits": asdict(SHARE)}
    return {**chosen, **shared}


if __name__ == "__main__":
    sys.exit(main())

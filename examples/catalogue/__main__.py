"""The command: ``python -m examples.catalogue [--json] [--seconds N] [--seed N] [--handmade PLACEMENT]``."""

from __future__ import annotations

import argparse
import asyncio
import math
import platform
import shutil
import sqlite3
import sys
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, get_args

import examples.catalogue
from examples.catalogue import report, seed
from examples.catalogue.naive import NaiveCatalogue, Placement
from examples.catalogue.ours import CachedCatalogue
from examples.catalogue.workload import HABITS, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from examples.catalogue.shop import Catalogue, Shop
    from examples.catalogue.workload import Figures

PROGRESS_STEPS = 40
INTERRUPTED = 130
"""The exit status of a command that was ended with Ctrl-C."""


def main(arguments: Sequence[str] | None = None, ours: Callable[[Shop], Catalogue] = CachedCatalogue) -> int:
    """Run the three passes and report; 0 if they have shown what they should, else 1."""
    options = _options(arguments)
    catalogues: dict[str, Callable[[Shop], Catalogue]] = {
        "no cache": lambda shop: shop,
        "handmade cache": partial(NaiveCatalogue, placement=options.handmade),
        "async-cache": ours,
    }
    try:
        with TemporaryDirectory(prefix="catalogue-") as folder:
            passes = asyncio.run(_run(catalogues, Path(folder), options.seconds, options.seed))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    verdict = report.Verdict.on(passes["handmade cache"], options.handmade, passes["async-cache"])
    if options.json:
        print(report.as_json(_config(options), _versions(), passes, verdict))
    else:
        report.show(passes, verdict)
    return 0 if verdict.passed else 1


async def _run(
    catalogues: dict[str, Callable[[Shop], Catalogue]], folder: Path, seconds: float, seed_number: int
) -> dict[str, Figures]:
    opening = folder / "opening.sqlite"
    seed.create(opening, seed_number)
    passes = {}
    for number, (name, catalogue_of) in enumerate(catalogues.items()):
        path = folder / f"pass-{number}.sqlite"
        shutil.copyfile(opening, path)
        with report.progress(name) as show:
            clock = asyncio.create_task(_tell_time(show, seconds), name="progress")
            try:
                passes[name] = await measure(catalogue_of, path, seconds, seed_number)
            finally:
                clock.cancel()
    return passes


async def _tell_time(show: Callable[[float], None], seconds: float) -> None:
    for step in range(PROGRESS_STEPS):
        show(step / PROGRESS_STEPS)
        await asyncio.sleep(seconds / PROGRESS_STEPS)
    show(1.0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.catalogue", description=examples.catalogue.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--seconds", type=_seconds, default=4.0, help="how long each of the three passes takes")
    parser.add_argument("--seed", type=int, default=1, help="what all chance is drawn from")
    parser.add_argument(
        "--handmade",
        choices=get_args(Placement),
        default="before",
        help="where the handmade cache invalidates: before a write, after it, or around it",
    )
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
    chosen = {"seconds": options.seconds, "seed": options.seed, "handmade": options.handmade}
    return {**chosen, "rows": seed.ROWS, "habits": asdict(HABITS)}


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "async-cache": version("async-cache"),
    }


if __name__ == "__main__":
    sys.exit(main())

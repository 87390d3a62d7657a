"""The command: ``python -m examples.catalogue [--json] [--seconds N] [--seed N] [--handmade PLACEMENT]``."""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, get_args

import examples.catalogue
from examples import command
from examples.catalogue import report, seed
from examples.catalogue.naive import NaiveCatalogue, Placement
from examples.catalogue.ours import CachedCatalogue
from examples.catalogue.workload import HABITS, measure
from examples.display import timed_progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from examples.catalogue.shop import Catalogue, Shop
    from examples.catalogue.workload import Figures


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
        return command.INTERRUPTED
    verdict = report.Verdict.on(passes["handmade cache"], options.handmade, passes["async-cache"])
    if options.json:
        print(report.as_json(_config(options), command.versions(), passes, verdict))
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
        async with timed_progress(name, seconds):
            passes[name] = await measure(catalogue_of, path, seconds, seed_number)
    return passes


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(examples.catalogue, 4.0, "how long each of the three passes takes")
    parser.add_argument(
        "--handmade",
        choices=get_args(Placement),
        default="before",
        help="where the handmade cache invalidates: before a write, after it, or around it",
    )
    return parser.parse_args(arguments)


def _config(options: argparse.Namespace) -> dict[str, object]:
    chosen = {"seconds": options.seconds, "seed": options.seed, "handmade": options.handmade}
    return {**chosen, "rows": seed.ROWS, "habits": asdict(HABITS)}


if __name__ == "__main__":
    sys.exit(main())

"""The command: ``python -m examples.agent_shop [--json] [--seconds N] [--seed N] [--price USD] [--handmade WHEN]``."""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, get_args

import pydantic_ai

import examples.agent_shop
from agent_cache import AgentCacheSession
from examples import command
from examples.agent_shop import naive, ours, report, seed, uncached
from examples.agent_shop.circles import go_round
from examples.agent_shop.database import DELAYS
from examples.agent_shop.workload import HABITS, Length, Variant, measure
from examples.display import progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from examples.agent_shop.figures import Circles, Figures

WITHOUT: Final = Variant(uncached.tools_of)
OURS: Final = Variant(ours.tools_of, partial(AgentCacheSession, loop_detection=True))


def main(arguments: Sequence[str] | None = None, ours: Variant = OURS) -> int:
    """Run the three passes and the agents that go round in circles; 0 if they show what they should, else 1."""
    options = _options(arguments)
    variants = {
        "no cache": WITHOUT,
        "handmade cache": Variant(lambda shop: naive.cached(uncached.tools_of(shop), options.handmade)),
        "agent_cache": ours,
    }
    pydantic_ai.BANNER_ENABLED = False  # it would stand in the middle of the progress bar
    try:
        with TemporaryDirectory(prefix="agent-shop-") as folder:
            passes, circles = asyncio.run(_run(variants, Path(folder), options))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return command.INTERRUPTED
    verdict = report.Verdict.on(passes["handmade cache"], options.handmade, passes["agent_cache"], circles)
    if options.json:
        setting = {"config": _config(options), "versions": command.versions("pydantic-ai-slim")}
        print(report.as_json(setting, passes, circles, verdict, options.price))
    else:
        report.show(passes, circles, verdict, options.price)
    return 0 if verdict.passed else 1


async def _run(
    variants: dict[str, Variant], folder: Path, options: argparse.Namespace
) -> tuple[dict[str, Figures], Circles]:
    opening = folder / "opening.sqlite"
    seed.create(opening, options.seed)
    passes: dict[str, Figures] = {}
    number = None
    for name, variant in variants.items():
        path = folder / f"pass-{len(passes)}.sqlite"
        shutil.copyfile(opening, path)
        with progress(name) as show:
            length = Length(options.seconds, number)
            passes[name] = await measure(variant, path, options.seed, length, show)
        # As many conversations as the first pass has had time for, each of the others has, in whatever time.
        number = passes[name].conversations
    return passes, await go_round(opening, variants["no cache"], variants["agent_cache"])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command.parser(
        examples.agent_shop,
        4.0,
        "how long customers begin conversations in the pass without a cache; the others have as many",
    )
    parser.add_argument(
        "--price", type=command.positive, default=0.001, help="what one execution of a tool costs, in USD"
    )
    parser.add_argument(
        "--handmade",
        choices=get_args(naive.Placement),
        default="before",
        help="where the handmade cache invalidates: before a write, after it, around it, or by time alone",
    )
    return parser.parse_args(arguments)


def _config(options: argparse.Namespace) -> dict[str, object]:
    chosen = {name: getattr(options, name) for name in ("seconds", "seed", "price", "handmade")}
    return {**chosen, "habits": asdict(HABITS), "simulated": asdict(DELAYS)}


if __name__ == "__main__":
    sys.exit(main())

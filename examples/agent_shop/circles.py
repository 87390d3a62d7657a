"""The agent that goes round in circles: until the framework's limit, or until a session stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_ai.exceptions import UsageLimitExceeded

from agent_cache import AgentLoopDetectedError
from examples.agent_shop import shopper
from examples.agent_shop.database import Database
from examples.agent_shop.figures import Circles, Run
from examples.agent_shop.meter import Meter
from examples.agent_shop.shop import Shop
from examples.agent_shop.toolbox import Visit
from examples.agent_shop.workload import agent_with
from examples.catalogue.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from examples.agent_shop.workload import Variant


async def go_round(path: Path, unwatched: Variant, watched: Variant) -> Circles:
    """Let an agent search for the same thing for ever, with each."""
    return Circles(await _search_for_ever(path, unwatched), await _search_for_ever(path, watched))


async def _search_for_ever(path: Path, variant: Variant) -> Run:
    ledger = Ledger()
    async with Database(path, ledger, seed=0) as database:
        shop = Shop(database, seed=0)
        meter = Meter(ledger)
        agent = agent_with(meter.around(variant.tools_of(shop)), shopper.search_for_ever)
        try:
            async with variant.session():
                await agent.run("Please find me the lamp that I have in mind.", deps=Visit(customer_id=1))
        except (AgentLoopDetectedError, UsageLimitExceeded) as error:
            ended, message = type(error).__name__, str(error)
        else:
            ended, message = "finished", ""
        return Run(meter.reads, shop.executions, ended, message)

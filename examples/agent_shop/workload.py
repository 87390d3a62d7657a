"""One pass: agents who shop for customers, the back office that writes meanwhile, and what was measured."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel

from agent_cache import AgentLoopDetectedError
from examples.agent_shop import shopper
from examples.agent_shop.database import Database
from examples.agent_shop.figures import Figures
from examples.agent_shop.meter import Meter
from examples.agent_shop.seed import CUSTOMERS, THINGS
from examples.agent_shop.shop import Shop
from examples.agent_shop.toolbox import Toolbox, Visit
from examples.catalogue.ledger import Ledger
from examples.catalogue.workload import Popularity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Habits:
    """Who does what how often, the same in each pass: numbers, and mean pauses in seconds."""

    at_once: int = 8
    """Conversations that go on at the same time."""
    wishes: int = 2
    """Kinds of things that a customer wants."""
    clerks: int = 4
    clerk_pause: float = 1.0
    repriced: float = 0.7
    """Of the back office's writes: they change a price, the others what is left of a product."""
    changed: int = 50
    """The best sellers whose price and stock the back office changes, the first of them most often."""


HABITS: Final = Habits()


@dataclass(frozen=True, slots=True)
class Variant:
    """How the tools are cached, and what each conversation is wrapped in."""

    tools_of: Callable[[Shop], Toolbox]
    session: Callable[[], AbstractAsyncContextManager[object]] = nullcontext


@dataclass(frozen=True, slots=True)
class Length:
    """How long a pass is: so many seconds, or so many conversations if their number is known."""

    seconds: float
    conversations: int | None = None


class Conversations:
    """The conversations that customers begin, until the pass is over."""

    def __init__(self, length: Length) -> None:
        self._length = length
        self._started = time.perf_counter()
        self.begun = 0
        self.ended = 0

    def begin(self) -> int | None:
        """The number of the next conversation, None if there is none."""
        if self._are_all_begun:
            return None
        self.begun += 1
        return self.begun

    @property
    def _are_all_begun(self) -> bool:
        number = self._length.conversations
        return self.elapsed >= self._length.seconds if number is None else self.begun >= number

    @property
    def elapsed(self) -> float:
        """Seconds since the first could begin."""
        return time.perf_counter() - self._started

    @property
    def share(self) -> float:
        """How much of the pass is over, from 0 to 1."""
        number = self._length.conversations
        return min(1.0, self.elapsed / self._length.seconds if number is None else self.ended / number)


class Pass:
    """The same customers with the same wishes, whatever the tools are cached with."""

    def __init__(self, variant: Variant, tools: Toolbox, meter: Meter, seed: int, conversations: Conversations) -> None:
        self._session = variant.session
        self._office = tools
        self._agent = agent_with(meter.around(tools), shopper.shop)
        self._seed = seed
        self._conversations = conversations
        self._popularity = Popularity(HABITS.changed)
        self._closed = asyncio.Event()
        self.turns = 0
        self.stopped = 0
        self.changes = 0

    async def run(self) -> float:
        """Let everybody work until the conversations are over; returns how many seconds these took."""
        async with asyncio.TaskGroup() as office:
            for number in range(HABITS.clerks):
                office.create_task(self._work(random.Random(f"{self._seed}/clerk/{number}")))
            async with asyncio.TaskGroup() as agents:
                for _ in range(HABITS.at_once):
                    agents.create_task(self._serve())
            elapsed = self._conversations.elapsed
            self._closed.set()
        return elapsed

    async def _serve(self) -> None:
        while (number := self._conversations.begin()) is not None:
            rng = random.Random(f"{self._seed}/conversation/{number}")
            visit = Visit(rng.randint(1, CUSTOMERS))
            wishes = {word: rng.randint(1, 3) for word in rng.sample(THINGS, HABITS.wishes)}
            prompt = shopper.prompt(wishes, limit=rng.randrange(50, 500, 10))
            try:
                async with self._session():
                    result = await self._agent.run(prompt, deps=visit)
                self.turns += result.usage.requests
            except AgentLoopDetectedError:  # these agents get somewhere, so it is a mistake, and reported as one
                self.stopped += 1
            self._conversations.ended += 1

    async def _work(self, rng: random.Random) -> None:
        while await self._pause(rng):
            (product_id,) = self._popularity.draw(rng)
            if rng.random() < HABITS.repriced:
                await self._office.reprice(product_id, rng.randint(500, 50_000))
            else:
                await self._office.restock(product_id, rng.randint(1, 20))
            self.changes += 1

    async def _pause(self, rng: random.Random) -> bool:
        """Pause, and return whether the shop is still open."""
        try:
            async with asyncio.timeout(rng.expovariate(1 / HABITS.clerk_pause)):
                await self._closed.wait()
        except TimeoutError:
            return True
        return False


def agent_with(tools: Toolbox, script: Callable[..., Any]) -> Agent[Visit, str]:
    """An agent that is given these tools, with a script in place of a model."""
    return Agent(FunctionModel(script), deps_type=Visit, tools=tools.of_agents)


async def measure(variant: Variant, path: Path, seed: int, length: Length, show: Callable[[float], None]) -> Figures:
    """Run one pass on the database file, and ``show`` meanwhile how much of it is over."""
    ledger = Ledger()
    async with Database(path, ledger, seed) as database:
        shop = Shop(database, seed)
        meter = Meter(ledger)
        conversations = Conversations(length)
        work = Pass(variant, variant.tools_of(shop), meter, seed, conversations)
        clock = asyncio.create_task(_tell_time(show, conversations), name="progress")
        try:
            elapsed = await work.run()
        finally:
            clock.cancel()
        latencies = sorted(meter.latencies)
        return Figures(
            seconds=elapsed,
            conversations=conversations.ended,
            stopped=work.stopped,
            turns=work.turns,
            calls=len(latencies),
            reads=meter.reads,
            executions=shop.executions,
            loads=database.loads,
            p50=latencies[len(latencies) // 2],
            orders=shop.ordered,
            refused=shop.refused,
            changes=work.changes,
            stale=ledger.verdicts.stale,
            dirty=ledger.verdicts.dirty,
            oldest=ledger.verdicts.oldest,
        )


async def _tell_time(show: Callable[[float], None], conversations: Conversations) -> None:
    while conversations.share < 1:
        show(conversations.share)
        await asyncio.sleep(0.1)
    show(1.0)

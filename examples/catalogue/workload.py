"""One pass: visitors who read, staff who write and sometimes fail, and what was measured."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TypeVar

from examples.catalogue.database import VERSIONS, Database
from examples.catalogue.ledger import Ledger, Row, Witness
from examples.catalogue.seed import CATEGORIES, PRODUCTS, SUPPLIERS
from examples.catalogue.shop import MovedMeanwhile, Partners, PublishFailed, Shop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from examples.catalogue.shop import Catalogue


@dataclass(frozen=True, slots=True)
class Habits:
    """Who does what how often, the same in each pass: numbers, shares, and mean pauses in seconds."""

    visitors: int = 64
    visitor_pause: float = 0.002
    category_pages: float = 0.1
    """Of the visitors' reads; the others are of a product's page."""
    staff: int = 8
    staff_pause: float = 0.05
    ordered: int = 3
    """Products in an order."""
    too_large: float = 0.05
    """Of the orders: a constraint refuses them, which rolls the whole order back."""
    unpublished: float = 0.1
    """Of the changes to a product: they raise after their commit, because the search index does not answer."""
    impatient: float = 0.01
    """Of the writes: they are cancelled somewhere on their way, because the client has gone."""
    popularity: float = 1.1
    """The exponent of Zipf's law: how much the best sellers are asked for before the others."""


HABITS: Final = Habits()


class Page(Protocol):
    """What a read returns."""

    @property
    def versions(self) -> Mapping[Row, int]:
        """The versions of the rows that the page was made of."""
        ...


P = TypeVar("P", bound=Page)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured in one pass; times are seconds."""

    seconds: float
    requests: int
    loads: int
    hits: int
    misses: int
    p50: float
    p99: float
    stale: int
    dirty: int
    oldest: float
    stuck: int
    writes: Mapping[str, int]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def hit_rate(self) -> float:
        """The share of the calls, nested ones included, that the cache answered."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0

    @property
    def is_sound(self) -> bool:
        """Whether no read was stale or dirty and no page wrong at the end."""
        return not (self.stale or self.dirty or self.stuck)


class Popularity:
    """Numbers from 1 on, the small ones drawn most often (Zipf's law)."""

    def __init__(self, numbers: int) -> None:
        self._numbers = range(1, numbers + 1)
        self._weights = list(accumulate(number**-HABITS.popularity for number in self._numbers))

    def draw(self, rng: random.Random, how_many: int = 1) -> Sequence[int]:
        """Draw numbers, which may be equal."""
        return rng.choices(self._numbers, cum_weights=self._weights, k=how_many)


class Pass:
    """The same people with the same habits, whatever the catalogue is cached with."""

    outcomes: ClassVar[Mapping[type[Exception], str]] = {
        sqlite3.IntegrityError: "rolled back",
        MovedMeanwhile: "rolled back",
        PublishFailed: "raised after the commit",
        TimeoutError: "cancelled",
    }
    """How a write is counted that raises one of these; whatever else it raises ends the pass."""

    def __init__(
        self, catalogue: Catalogue, ledger: Witness, seed: int | str, until: float, habits: Habits = HABITS
    ) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._seed = seed
        self._until = until
        self._habits = habits
        self._products = Popularity(PRODUCTS)
        self._categories = Popularity(CATEGORIES)
        self.latencies: list[float] = []
        self.writes: Counter[str] = Counter()

    async def run(self) -> None:
        """Let everybody work until the time is over, and finish what they are doing."""
        async with asyncio.TaskGroup() as everybody:
            for number in range(self._habits.visitors):
                everybody.create_task(self._visit(random.Random(f"{self._seed}/visitor/{number}")))
            for number in range(self._habits.staff):
                everybody.create_task(self._work(random.Random(f"{self._seed}/staff/{number}")))

    async def _visit(self, rng: random.Random) -> None:
        while await self._pause(rng, self._habits.visitor_pause):
            if rng.random() < self._habits.category_pages:
                await self._read(self._catalogue.category, *self._categories.draw(rng))
            else:
                await self._read(self._catalogue.product, *self._products.draw(rng))

    async def _work(self, rng: random.Random) -> None:
        while await self._pause(rng, self._habits.staff_pause):
            (product_id,) = self._products.draw(rng)
            patience = rng.uniform(0.0005, 0.01) if rng.random() < self._habits.impatient else None
            try:
                async with asyncio.timeout(patience):
                    await self._write(rng, product_id)
            except tuple(self.outcomes) as error:
                self.writes[next(name for kind, name in self.outcomes.items() if isinstance(error, kind))] += 1
            else:
                self.writes["done"] += 1
            # Whoever has changed something looks at it.
            await self._read(self._catalogue.product, product_id)

    async def _pause(self, rng: random.Random, mean: float) -> bool:
        """Pause, and return whether there is time left."""
        left = self._until - time.perf_counter()
        pause = rng.expovariate(1 / mean)
        await asyncio.sleep(min(pause, max(left, 0)))
        return pause < left

    async def _write(self, rng: random.Random, product_id: int) -> None:
        kind = rng.choices(("reprice", "order", "move", "rename"), weights=(9, 8, 2, 1))[0]
        if kind == "reprice":
            await self._catalogue.reprice(product_id, rng.randint(500, 50_000))
        elif kind == "order":
            quantity = 1_000_000 if rng.random() < self._habits.too_large else 1
            others = self._products.draw(rng, self._habits.ordered - 1)
            await self._catalogue.order(dict.fromkeys((*others, product_id), quantity))
        elif kind == "move":
            page = await self._read(self._catalogue.product, product_id)
            await self._catalogue.move(product_id, page.category_id, rng.randint(1, CATEGORIES))
        else:
            number = rng.randint(1, SUPPLIERS)
            await self._catalogue.rename_supplier(number, f"Supplier {number}, renamed {rng.random():.6f}")

    async def _read(self, page_of: Callable[[int], Awaitable[P]], number: int) -> P:
        began = self._ledger.latest
        started = time.perf_counter()
        page = await page_of(number)
        self.latencies.append(time.perf_counter() - started)
        self._ledger.judge(page.versions, began)
        return page


async def measure(catalogue_of: Callable[[Shop], Catalogue], path: Path, seconds: float, seed: int) -> Figures:
    """Run one pass of so many seconds on the database file, then look for pages that are still wrong."""
    ledger = Ledger()
    async with Database(path, ledger) as database:
        catalogue = catalogue_of(Shop(database, Partners(random.Random(seed), HABITS.unpublished)))
        try:
            started = time.perf_counter()
            work = Pass(catalogue, ledger, seed, until=started + seconds)
            await work.run()
            elapsed = time.perf_counter() - started
            latencies = sorted(work.latencies)
            hits, misses = catalogue.hits_and_misses()
            return Figures(
                seconds=elapsed,
                requests=len(latencies),
                loads=database.sessions,
                hits=hits,
                misses=misses,
                p50=latencies[len(latencies) // 2],
                p99=latencies[len(latencies) * 99 // 100],
                stale=ledger.verdicts.stale,
                dirty=ledger.verdicts.dirty,
                oldest=ledger.verdicts.oldest,
                stuck=await _count_stuck(catalogue, database),
                writes=dict(work.writes),
            )
        finally:
            await catalogue.aclose()


async def _count_stuck(catalogue: Catalogue, database: Database) -> int:
    """Compare every page that the cache still holds with the database, now that nobody writes any more."""
    truth: dict[Row, int] = {}
    async with database.session() as session:
        for kind, sql in VERSIONS.items():
            truth |= {Row(kind, number): version for number, version in await session.fetch(sql)}
    held = [
        *(catalogue.held_product(number) for number in range(1, PRODUCTS + 1)),
        *(catalogue.held_category(number) for number in range(1, CATEGORIES + 1)),
    ]
    return sum(page is not None and any(truth[row] != page.versions[row] for row in page.versions) for page in held)

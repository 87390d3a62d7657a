"""The race that the demo is about, steered by hand: a load begun before a write and ended after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from examples.catalogue.ledger import Row
from examples.catalogue.naive import NaiveCatalogue
from examples.catalogue.ours import CachedCatalogue
from examples.catalogue.shop import Catalogue, Listing, Product, Shop

LAMP = Row("product", 1)


class SteeredShop(Shop):
    """A shop with one product, whose pages are read at once and returned when ``gate`` is opened."""

    def __init__(self) -> None:
        self.version = 0
        self.loads = 0
        self.gate = asyncio.Event()

    async def product(self, product_id: int) -> Product:
        self.loads += 1
        versions = {Row("product", product_id): self.version}
        await self.gate.wait()
        return Product(product_id, "lamp", 1, "lamps", 1, "Supplier 1", 100, 1, versions)

    async def listing(self, category_id: int) -> Listing:
        return Listing(category_id, "lamps", (1,), 0)

    async def reprice(self, product_id: int, cents: int) -> None:
        self.version += 1


Make = Callable[[Shop], Catalogue]
HANDMADE: list[Make] = [partial(NaiveCatalogue, placement=where) for where in ("before", "after", "around")]
ALL: list[Make] = [CachedCatalogue, *HANDMADE]


async def turns() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def write_during_a_load(catalogue: Catalogue, shop: SteeredShop) -> None:
    load = asyncio.create_task(catalogue.product(1))
    await turns()
    await catalogue.reprice(1, 200)
    shop.gate.set()
    await load


@pytest.mark.parametrize("make", HANDMADE)
async def test_wherever_it_invalidates_the_handmade_cache_keeps_what_was_read_before_the_write(
    make: Make,
) -> None:
    shop = SteeredShop()
    catalogue = make(shop)
    await write_during_a_load(catalogue, shop)
    assert (await catalogue.product(1)).versions[LAMP] == 0
    assert shop.version == 1


async def test_ours_does_not_keep_what_was_read_before_the_write() -> None:
    shop = SteeredShop()
    catalogue = CachedCatalogue(shop)
    await write_during_a_load(catalogue, shop)
    assert catalogue.held_product(1) is None
    assert (await catalogue.product(1)).versions[LAMP] == 1
    await catalogue.aclose()


@pytest.mark.parametrize("make", ALL)
async def test_a_page_computed_from_another_goes_with_it(make: Make) -> None:
    shop = SteeredShop()
    shop.gate.set()
    catalogue = make(shop)
    assert (await catalogue.category(1)).versions[LAMP] == 0
    await catalogue.reprice(1, 200)
    assert catalogue.held_category(1) is None
    assert (await catalogue.category(1)).versions[LAMP] == 1
    await catalogue.aclose()


@pytest.mark.parametrize("make", ALL)
async def test_callers_who_ask_meanwhile_share_one_load_and_the_cancellation_of_one_hurts_nobody(
    make: Make,
) -> None:
    shop = SteeredShop()
    catalogue = make(shop)
    impatient, patient = (asyncio.create_task(catalogue.product(1)) for _ in range(2))
    await turns()
    impatient.cancel()
    await turns()
    shop.gate.set()
    assert (await patient).versions[LAMP] == 0
    assert impatient.cancelled()
    assert shop.loads == 1
    await catalogue.aclose()


@pytest.mark.parametrize("make", ALL)
async def test_after_closing_a_load_that_was_under_way_leaves_nothing(make: Make) -> None:
    shop = SteeredShop()
    catalogue = make(shop)
    load = asyncio.create_task(catalogue.product(1))
    await turns()
    await catalogue.aclose()
    shop.gate.set()
    await asyncio.wait([load])
    assert catalogue.held_product(1) is None

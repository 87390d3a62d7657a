"""The catalogue with async-cache: what a newcomer should read.

The reads are decorated, and so are the writes: each write says whom it concerns, and the cache does the rest.
While a write runs, and in whatever way it ends, nothing that was read before its commit is kept or handed to
a newcomer.

With ``skip_args=1`` the pages are those of the shop, not of one object: were ``cache.configure`` given a bus, a write
in any process of this machine would concern the pages of all of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cache import AsyncLRU, AsyncLRUInvalidator, invalidates, mutating
from examples.catalogue.shop import CATEGORY_PAGES, PRODUCT_PAGES, Category, Product, Shop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def supplier_of(product: Product, *_: object) -> Iterable[str]:
    """Tag a page with its supplier, which is known only once the page has been read."""
    return (f"supplier:{product.supplier_id}",)


class CachedCatalogue:
    """The shop behind the cache."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    @AsyncLRU(maxsize=PRODUCT_PAGES, skip_args=1, tags=supplier_of)
    async def product(self, product_id: int) -> Product:
        """The page of a product."""
        return await self._shop.product(product_id)

    @AsyncLRU(maxsize=CATEGORY_PAGES, skip_args=1, tags=("category:{category_id}",))
    async def category(self, category_id: int) -> Category:
        """The page of a category.

        It is computed from other cached pages: when one of those is invalidated, so is this one.
        """
        listing = await self._shop.listing(category_id)
        return Category.of(listing, await asyncio.gather(*map(self.product, listing.product_ids)))

    @AsyncLRUInvalidator(product)
    async def reprice(self, product_id: int, cents: int) -> None:
        """Change a price.

        The page to forget is found by the name of the parameter, as in ``product(self, product_id)``.
        """
        await self._shop.reprice(product_id, cents)

    @invalidates(product, tags=("category:{source}", "category:{target}"))
    async def move(self, product_id: int, source: int, target: int) -> None:
        """Move a product, which changes its own page and what two categories list."""
        await self._shop.move(product_id, source, target)

    @invalidates(tags=("supplier:{supplier_id}",))
    async def rename_supplier(self, supplier_id: int, name: str) -> None:
        """Rename a supplier, on whatever pages show it."""
        await self._shop.rename_supplier(supplier_id, name)

    async def order(self, quantities: Mapping[int, int]) -> None:
        """Sell several products, or none; which pages that concerns is known only now.

        What works on the cache of a method is called on the class, and given the instance.
        """
        page_of = CachedCatalogue.product
        async with mutating(*((page_of, page_of.cache_key(self, product_id)) for product_id in quantities)):
            await self._shop.order(quantities)

    def held_product(self, product_id: int) -> Product | None:
        """The page if the cache holds it."""
        return CachedCatalogue.product.peek(self, product_id)

    def held_category(self, category_id: int) -> Category | None:
        """The page if the cache holds it."""
        return CachedCatalogue.category.peek(self, category_id)

    def hits_and_misses(self) -> tuple[int, int]:
        """How many calls the cache has answered, and how many it has not."""
        metrics = CachedCatalogue.product.get_metrics(), CachedCatalogue.category.get_metrics()
        return sum(int(found["hits"]) for found in metrics), sum(int(found["misses"]) for found in metrics)

    async def aclose(self) -> None:
        """Forget every page, and what was counted."""
        CachedCatalogue.product.clear_cache()
        CachedCatalogue.category.clear_cache()

"""The catalogue with a cache as people write it by hand, and write it well.

It is bounded, concurrent misses of a page share one load, pages are indexed by the rows they were made of,
and a write invalidates what it touches: by default before it starts, so that a write which fails halfway
leaves no old page behind. Others prefer to do it after the write, or both. None of these places is the right
one, because a page that was read before the commit can be stored after the invalidation; ``--handmade`` lets
you try them all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from examples.catalogue.ledger import Row
from examples.catalogue.shop import CATEGORY_PAGES, PRODUCT_PAGES, Category, Product

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from examples.catalogue.shop import Shop


class Value(Protocol):
    """What can be cached: it says of which rows it was made."""

    @property
    def versions(self) -> Mapping[Row, int]:
        """The versions of the rows that the value was made of."""
        ...


V = TypeVar("V", bound=Value)
Placement = Literal["before", "after", "around"]


class HandmadeCache:
    """An LRU dictionary of results, the loads under way, and from each row to the results made of it."""

    def __init__(self, maxsize: int, placement: Placement) -> None:
        self._maxsize = maxsize
        self._placement = placement
        self._values: OrderedDict[Row, Any] = OrderedDict()
        self._loads: dict[Row, asyncio.Task[Any]] = {}
        self._made_of: defaultdict[Row, set[Row]] = defaultdict(set)
        self.hits = 0
        self.misses = 0

    async def get(self, key: Row, load: Callable[[], Awaitable[V]]) -> V:
        """The cached value, or that of one load shared by all who ask meanwhile."""
        if key in self._values:
            self.hits += 1
            self._values.move_to_end(key)
            value: V = self._values[key]
            return value
        self.misses += 1
        task = self._loads.get(key)
        if task is None:
            task = self._loads[key] = asyncio.create_task(self._load(key, load))
        # One caller's cancellation must not end the load of the others.
        return await asyncio.shield(task)

    async def _load(self, key: Row, load: Callable[[], Awaitable[V]]) -> V:
        try:
            value = await load()
        finally:
            del self._loads[key]
        self._values[key] = value
        for row in value.versions:
            self._made_of[row].add(key)
        if len(self._values) > self._maxsize:
            self._values.popitem(last=False)
        return value

    def invalidate(self, *rows: Row) -> None:
        """Forget every value that was made of one of these rows."""
        for row in rows:
            for key in self._made_of.pop(row, ()):
                self._values.pop(key, None)

    @contextmanager
    def writing(self, *rows: Row) -> Iterator[None]:
        """Invalidate before a write starts, after it has returned, raised or been cancelled, or both."""
        if self._placement in {"before", "around"}:
            self.invalidate(*rows)
        try:
            yield
        finally:
            if self._placement in {"after", "around"}:
                self.invalidate(*rows)

    async def aclose(self) -> None:
        """End the loads under way."""
        for load in (loads := list(self._loads.values())):
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)

    def peek(self, key: Row) -> Any:
        """The cached value or None."""
        return self._values.get(key)


class NaiveCatalogue:
    """The shop behind a handmade cache."""

    def __init__(self, shop: Shop, placement: Placement = "before") -> None:
        self._shop = shop
        self._cache = HandmadeCache(PRODUCT_PAGES + CATEGORY_PAGES, placement)

    async def product(self, product_id: int) -> Product:
        """The page of a product."""
        return await self._cache.get(Row("product", product_id), lambda: self._shop.product(product_id))

    async def category(self, category_id: int) -> Category:
        """The page of a category."""
        return await self._cache.get(Row("category", category_id), lambda: self._compose(category_id))

    async def _compose(self, category_id: int) -> Category:
        listing = await self._shop.listing(category_id)
        return Category.of(listing, await asyncio.gather(*map(self.product, listing.product_ids)))

    async def reprice(self, product_id: int, cents: int) -> None:
        """Change a price."""
        with self._cache.writing(Row("product", product_id)):
            await self._shop.reprice(product_id, cents)

    async def move(self, product_id: int, source: int, target: int) -> None:
        """Move a product from one category to another."""
        with self._cache.writing(Row("product", product_id), Row("category", source), Row("category", target)):
            await self._shop.move(product_id, source, target)

    async def rename_supplier(self, supplier_id: int, name: str) -> None:
        """Rename a supplier."""
        with self._cache.writing(Row("supplier", supplier_id)):
            await self._shop.rename_supplier(supplier_id, name)

    async def order(self, quantities: Mapping[int, int]) -> None:
        """Sell several products, or none."""
        with self._cache.writing(*(Row("product", product_id) for product_id in quantities)):
            await self._shop.order(quantities)

    def held_product(self, product_id: int) -> Product | None:
        """The page if the cache holds it."""
        page: Product | None = self._cache.peek(Row("product", product_id))
        return page

    def held_category(self, category_id: int) -> Category | None:
        """The page if the cache holds it."""
        page: Category | None = self._cache.peek(Row("category", category_id))
        return page

    def hits_and_misses(self) -> tuple[int, int]:
        """How many calls the cache has answered, and how many it has not."""
        return self._cache.hits, self._cache.misses

    async def aclose(self) -> None:
        """End the loads under way."""
        await self._cache.aclose()

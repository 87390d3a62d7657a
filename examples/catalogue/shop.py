"""The application, without a cache: what it reads, and the transactions that change it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from examples.catalogue.ledger import Row

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping

    from examples.catalogue.database import Connection, Database

LISTED: Final = 12
"""How many products a category's page shows."""
PRODUCT_PAGES: Final = 4_096
CATEGORY_PAGES: Final = 256
"""How many pages of each kind a cache may hold."""

_PRODUCT: Final = """
SELECT products.id, products.name, products.category_id, categories.name, suppliers.id, suppliers.name,
       prices.cents, stock.quantity, products.version, suppliers.version
FROM products
JOIN categories ON categories.id = products.category_id
JOIN suppliers ON suppliers.id = products.supplier_id
JOIN prices ON prices.product_id = products.id
JOIN stock ON stock.product_id = products.id
WHERE products.id = ?
"""
_LISTING: Final = """
SELECT categories.name, categories.version, products.id
FROM categories
JOIN products ON products.category_id = categories.id
WHERE categories.id = ?
ORDER BY products.id
LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Product:
    """The page of one product, and the versions of the rows it was made of."""

    id: int
    name: str
    category_id: int
    category: str
    supplier_id: int
    supplier: str
    cents: int
    quantity: int
    versions: Mapping[Row, int]


@dataclass(frozen=True, slots=True)
class Listing:
    """Which products a category shows, best sellers first."""

    category_id: int
    name: str
    product_ids: tuple[int, ...]
    version: int


@dataclass(frozen=True, slots=True)
class Category:
    """The page of one category: its listing, with the page of each product on it."""

    listing: Listing
    products: tuple[Product, ...]
    versions: Mapping[Row, int]

    @classmethod
    def of(cls, listing: Listing, products: Iterable[Product]) -> Self:
        """Compose the page."""
        products = tuple(products)
        versions = {Row("category", listing.category_id): listing.version}
        for product in products:
            versions |= product.versions
        return cls(listing, products, versions)


class MovedMeanwhile(Exception):
    """The product is not in the category from which it was to be moved."""


class PublishFailed(Exception):
    """The change is committed, but the search index could not be told."""


class Partners:
    """The other services that a shop calls: they take their time, and sometimes they fail."""

    def __init__(self, rng: random.Random, failures: float) -> None:
        self._rng = rng
        self._failures = failures

    async def approve(self) -> None:
        """Ask the payment or pricing service, inside the transaction."""
        await asyncio.sleep(self._rng.uniform(0.002, 0.006))

    async def publish(self, product_id: int) -> None:
        """Tell the search index, after the commit."""
        await asyncio.sleep(self._rng.uniform(0.0005, 0.0015))
        if self._rng.random() < self._failures:
            raise PublishFailed(f"the search index did not take product {product_id}")


class Catalogue(Protocol):
    """What visitors and staff call, whether it is cached or not, and what the measurement asks."""

    async def product(self, product_id: int) -> Product:
        """The page of a product."""
        ...

    async def category(self, category_id: int) -> Category:
        """The page of a category."""
        ...

    async def reprice(self, product_id: int, cents: int) -> None:
        """Change a price."""
        ...

    async def move(self, product_id: int, source: int, target: int) -> None:
        """Move a product from one category to another."""
        ...

    async def rename_supplier(self, supplier_id: int, name: str) -> None:
        """Rename a supplier."""
        ...

    async def order(self, quantities: Mapping[int, int]) -> None:
        """Sell several products, or none."""
        ...

    def held_product(self, product_id: int) -> Product | None:
        """The page if the cache holds it, without loading it."""
        ...

    def held_category(self, category_id: int) -> Category | None:
        """The page if the cache holds it, without loading it."""
        ...

    def hits_and_misses(self) -> tuple[int, int]:
        """How many calls the cache has answered, and how many it has not, nested calls included."""
        ...

    async def aclose(self) -> None:
        """End what is still under way, and forget every page."""
        ...


class Shop:
    """The catalogue as SQL.

    Every read opens a session of its own and never uses a writer's transaction: a load that several callers
    share may outlive the one who began it.
    """

    def __init__(self, database: Database, partners: Partners) -> None:
        self._database = database
        self._partners = partners

    async def product(self, product_id: int) -> Product:
        """The page of a product; LookupError if there is none."""
        async with self._database.session() as session:
            return await _product(session, product_id)

    async def listing(self, category_id: int) -> Listing:
        """Which products a category shows; LookupError if it has none."""
        async with self._database.session() as session:
            return await _listing(session, category_id)

    async def category(self, category_id: int) -> Category:
        """The page of a category; LookupError if it has no product."""
        async with self._database.session() as session:
            listing = await _listing(session, category_id)
            return Category.of(listing, [await _product(session, number) for number in listing.product_ids])

    async def reprice(self, product_id: int, cents: int) -> None:
        """Change a price, after the pricing service has approved it."""
        async with self._database.transaction() as transaction:
            await transaction.execute("UPDATE prices SET cents = ? WHERE product_id = ?", cents, product_id)
            await transaction.stamp(Row("product", product_id))
            await self._partners.approve()
        await self._partners.publish(product_id)

    async def move(self, product_id: int, source: int, target: int) -> None:
        """Move a product from one category to another; MovedMeanwhile if it is not in the first."""
        async with self._database.transaction() as transaction:
            moved = await transaction.execute(
                "UPDATE products SET category_id = ? WHERE id = ? AND category_id = ?",
                target,
                product_id,
                source,
            )
            if not moved:
                raise MovedMeanwhile(f"product {product_id} is not in category {source}")
            for row in (Row("product", product_id), Row("category", source), Row("category", target)):
                await transaction.stamp(row)
        await self._partners.publish(product_id)

    async def rename_supplier(self, supplier_id: int, name: str) -> None:
        """Rename a supplier, which shows on the page of each of its products."""
        async with self._database.transaction() as transaction:
            await transaction.execute("UPDATE suppliers SET name = ? WHERE id = ?", name, supplier_id)
            await transaction.stamp(Row("supplier", supplier_id))
            await self._partners.approve()

    async def order(self, quantities: Mapping[int, int]) -> None:
        """Sell several products, or none: sqlite3.IntegrityError if one of them is out of stock."""
        async with self._database.transaction() as transaction:
            for product_id, quantity in quantities.items():
                await transaction.execute(
                    "UPDATE stock SET quantity = quantity - ? WHERE product_id = ?", quantity, product_id
                )
                await transaction.stamp(Row("product", product_id))
            await self._partners.approve()

    def held_product(self, product_id: int) -> Product | None:
        """Without a cache, no page is held."""

    def held_category(self, category_id: int) -> Category | None:
        """Without a cache, no page is held."""

    def hits_and_misses(self) -> tuple[int, int]:
        """Without a cache, there is neither."""
        return 0, 0

    async def aclose(self) -> None:
        """Nothing is left to end."""


async def _product(session: Connection, product_id: int) -> Product:
    rows = await session.fetch(_PRODUCT, product_id)
    if not rows:
        raise LookupError(f"there is no product {product_id}")
    *about, cents, quantity, version, supplier_version = rows[0]
    number, name, category_id, category, supplier_id, supplier = about
    return Product(
        id=number,
        name=name,
        category_id=category_id,
        category=category,
        supplier_id=supplier_id,
        supplier=supplier,
        cents=cents,
        quantity=quantity,
        versions={Row("product", number): version, Row("supplier", supplier_id): supplier_version},
    )


async def _listing(session: Connection, category_id: int) -> Listing:
    rows = await session.fetch(_LISTING, category_id, LISTED)
    if not rows:
        raise LookupError(f"there is no product in category {category_id}")
    name, version, _ = rows[0]
    return Listing(category_id, name, tuple(row[2] for row in rows), version)

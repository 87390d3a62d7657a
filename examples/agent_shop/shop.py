"""The shop without a cache: what is read, and the transactions that change it."""

from __future__ import annotations

import random
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final

from examples.agent_shop.answers import Cart, CartLine, Findings, Found, Offer, Orders, Receipt
from examples.agent_shop.database import DELAYS
from examples.catalogue.ledger import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from examples.agent_shop.database import Database

FOUND: Final = 5
"""How many products a search shows."""

_SEARCH: Final = """
SELECT products.id, products.name, prices.cents, prices.version
FROM products JOIN prices ON prices.product_id = products.id
WHERE products.name LIKE '%' || ? || '%'
ORDER BY products.id
LIMIT ?
"""
_OFFER: Final = """
SELECT products.id, products.name, prices.cents, stock.quantity, prices.version, stock.version
FROM products
JOIN prices ON prices.product_id = products.id
JOIN stock ON stock.product_id = products.id
WHERE products.id = ?
"""
_CART: Final = """
SELECT customers.cart_version, cart_lines.product_id, cart_lines.quantity, prices.cents, prices.version
FROM customers
LEFT JOIN cart_lines ON cart_lines.customer_id = customers.id
LEFT JOIN prices ON prices.product_id = cart_lines.product_id
WHERE customers.id = ?
ORDER BY cart_lines.product_id
"""
_ORDERS: Final = """
SELECT customers.orders_version, count(orders.id), coalesce(sum(orders.cents), 0)
FROM customers LEFT JOIN orders ON orders.customer_id = customers.id
WHERE customers.id = ?
GROUP BY customers.id
"""
_ADD: Final = """
INSERT INTO cart_lines (customer_id, product_id, quantity) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity
"""
_CHANGE: Final = "UPDATE cart_lines SET quantity = ? WHERE customer_id = ? AND product_id = ?"
_TOUCH_CART: Final = "UPDATE customers SET cart_version = ? WHERE id = ?"
_AGREE: Final = """
UPDATE customers SET cart_version = :change, orders_version = :change
WHERE id = :customer_id AND :product_ids = (
    SELECT group_concat(product_id)
    FROM (SELECT product_id FROM cart_lines WHERE customer_id = :customer_id ORDER BY product_id)
) AND :cents = (
    SELECT sum(cart_lines.quantity * prices.cents)
    FROM cart_lines JOIN prices ON prices.product_id = cart_lines.product_id
    WHERE cart_lines.customer_id = :customer_id
)
"""
_TAKE: Final = """
UPDATE stock SET version = :change, quantity = stock.quantity - cart_lines.quantity
FROM cart_lines
WHERE cart_lines.customer_id = :customer_id AND cart_lines.product_id = stock.product_id
"""
_ORDER: Final = "INSERT INTO orders (customer_id, cents) VALUES (:customer_id, :cents)"
_EMPTY: Final = "DELETE FROM cart_lines WHERE customer_id = :customer_id"
_REPRICE: Final = "UPDATE prices SET version = ?, cents = ? WHERE product_id = ?"
_RESTOCK: Final = "UPDATE stock SET version = ?, quantity = quantity + ? WHERE product_id = ?"


class _Refused(Exception):
    """The cart is not what the customer has agreed to: nothing is bought."""


class Shop:
    """The shop as SQL.

    ``executions`` counts what customers have asked of it, ``ordered`` and ``refused`` how their check-outs have ended.
    """

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._rng = random.Random(seed)
        self.executions = 0
        self.ordered = 0
        self.refused = 0

    # -- what customers read -----------------------------------------------------------------------------------

    async def search(self, word: str) -> Findings:
        """Find products by a word in their name."""
        return Findings(word, [Found(*row) for row in await self._read(_SEARCH, word, FOUND)])

    async def offer(self, product_id: int) -> Offer:
        """Look a product up; LookupError if there is none."""
        rows = await self._read(_OFFER, product_id)
        if not rows:
            raise LookupError(f"there is no product {product_id}")
        return Offer(*rows[0])

    async def cart(self, customer_id: int) -> Cart:
        """Read a customer's cart, at present prices; LookupError if there is no such customer."""
        rows = await self._read(_CART, customer_id)
        if not rows:
            raise LookupError(f"there is no customer {customer_id}")
        return Cart(customer_id, rows[0][0], [CartLine(*line) for _, *line in rows if line[0] is not None])

    async def orders(self, customer_id: int) -> Orders:
        """Sum up what a customer has bought; LookupError if there is no such customer."""
        rows = await self._read(_ORDERS, customer_id)
        if not rows:
            raise LookupError(f"there is no customer {customer_id}")
        return Orders(customer_id, *rows[0])

    async def _read(self, sql: str, *parameters: object) -> list[Any]:
        self.executions += 1
        return await self._database.read(sql, *parameters)

    # -- what customers write ----------------------------------------------------------------------------------

    async def add(self, customer_id: int, product_id: int, quantity: int) -> None:
        """Put so many more of a product into a cart."""
        await self._change_cart(customer_id, _ADD, customer_id, product_id, quantity)

    async def change(self, customer_id: int, product_id: int, quantity: int) -> None:
        """Change how many of a product are in a cart, if it is there at all."""
        await self._change_cart(customer_id, _CHANGE, quantity, customer_id, product_id)

    async def _change_cart(self, customer_id: int, sql: str, *parameters: object) -> None:
        def work(sqlite: sqlite3.Connection, change: int) -> Iterable[Row]:
            sqlite.execute(sql, parameters)
            sqlite.execute(_TOUCH_CART, (change, customer_id))
            yield Row("cart", customer_id)

        self.executions += 1
        await self._database.write(work)

    async def check_out(self, customer_id: int, product_ids: Sequence[int], cents: int) -> Receipt:
        """Buy a cart if it holds these products at this total, after the payment service has agreed; else refuse."""

        def work(sqlite: sqlite3.Connection, change: int) -> Iterable[Row]:
            listed = ",".join(map(str, sorted(product_ids)))
            names = {"change": change, "customer_id": customer_id, "product_ids": listed, "cents": cents}
            if not sqlite.execute(_AGREE, names).rowcount:
                raise _Refused("this is not what the cart holds and costs")
            for sql in (_TAKE, _ORDER, _EMPTY):
                sqlite.execute(sql, names)
            self._ask_service()
            yield Row("cart", customer_id)
            yield Row("orders", customer_id)
            yield from (Row("stock", product_id) for product_id in product_ids)

        self.executions += 1
        try:
            await self._database.write(work)
        except (_Refused, sqlite3.IntegrityError) as error:
            self.refused += 1
            return Receipt(ordered=False, message=f"refused: {error}")
        self.ordered += 1
        return Receipt(ordered=True, message=f"ordered for {cents} cents")

    # -- what the back office writes ---------------------------------------------------------------------------

    async def reprice(self, product_id: int, cents: int) -> None:
        """Change a price, after the pricing service has approved it."""

        def work(sqlite: sqlite3.Connection, change: int) -> Iterable[Row]:
            sqlite.execute(_REPRICE, (change, cents, product_id))
            self._ask_service()
            yield Row("price", product_id)

        await self._database.write(work)

    async def restock(self, product_id: int, quantity: int) -> None:
        """Put so many more of a product on the shelf."""

        def work(sqlite: sqlite3.Connection, change: int) -> Iterable[Row]:
            sqlite.execute(_RESTOCK, (change, quantity, product_id))
            yield Row("stock", product_id)

        await self._database.write(work)

    def _ask_service(self) -> None:
        """Wait for the payment or the pricing service, in the database's thread: the transaction is open meanwhile."""
        time.sleep(self._rng.uniform(*DELAYS.service))

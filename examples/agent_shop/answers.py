"""What tools answer. Each answer says which versions of which rows it was made of, so that it can be judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.catalogue.ledger import Row

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Found:
    """A product as a search shows it."""

    product_id: int
    name: str
    cents: int
    price_version: int


@dataclass(frozen=True, slots=True)
class Findings:
    """The best sellers whose name has the word in it."""

    word: str
    products: list[Found]

    @property
    def versions(self) -> Mapping[Row, int]:
        """The versions of the prices shown."""
        return {Row("price", found.product_id): found.price_version for found in self.products}


@dataclass(frozen=True, slots=True)
class Offer:
    """A product with its price and what is left of it."""

    product_id: int
    name: str
    cents: int
    quantity: int
    price_version: int
    stock_version: int

    @property
    def versions(self) -> Mapping[Row, int]:
        """The versions of the price and of the stock."""
        return {Row("price", self.product_id): self.price_version, Row("stock", self.product_id): self.stock_version}


@dataclass(frozen=True, slots=True)
class CartLine:
    """So many of a product, at its present price."""

    product_id: int
    quantity: int
    cents: int
    price_version: int


@dataclass(frozen=True, slots=True)
class Cart:
    """What a customer is about to buy."""

    customer_id: int
    version: int
    lines: list[CartLine]

    @property
    def cents(self) -> int:
        """The total."""
        return sum(line.quantity * line.cents for line in self.lines)

    @property
    def versions(self) -> Mapping[Row, int]:
        """The versions of the cart itself and of the prices in it."""
        prices = {Row("price", line.product_id): line.price_version for line in self.lines}
        return {Row("cart", self.customer_id): self.version, **prices}


@dataclass(frozen=True, slots=True)
class Orders:
    """What a customer has bought before."""

    customer_id: int
    version: int
    number: int
    cents: int

    @property
    def versions(self) -> Mapping[Row, int]:
        """The version of the customer's orders."""
        return {Row("orders", self.customer_id): self.version}


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a check-out has ended: it is refused if the cart is not what the customer agreed to."""

    ordered: bool
    message: str

"""The tools without a cache."""

from __future__ import annotations

from pydantic_ai import RunContext

from examples.agent_shop.answers import Cart, Findings, Offer, Orders, Receipt
from examples.agent_shop.shop import Shop
from examples.agent_shop.toolbox import Toolbox, Visit


def tools_of(shop: Shop) -> Toolbox:
    """The tools of one shop."""

    async def search(word: str) -> Findings:
        """Find products by a word in their name."""
        return await shop.search(word)

    async def look_at(product_id: int) -> Offer:
        """Look up the price of a product, and how many are left."""
        return await shop.offer(product_id)

    async def read_cart(ctx: RunContext[Visit]) -> Cart:
        """Read the customer's cart, at present prices."""
        return await shop.cart(ctx.deps.customer_id)

    async def read_orders(ctx: RunContext[Visit]) -> Orders:
        """Sum up what the customer has bought before."""
        return await shop.orders(ctx.deps.customer_id)

    async def add_to_cart(ctx: RunContext[Visit], product_id: int, quantity: int) -> str:
        """Put so many more of a product into the customer's cart."""
        await shop.add(ctx.deps.customer_id, product_id, quantity)
        return "added"

    async def change_quantity(ctx: RunContext[Visit], product_id: int, quantity: int) -> str:
        """Change how many of a product are in the customer's cart."""
        await shop.change(ctx.deps.customer_id, product_id, quantity)
        return "changed"

    async def check_out(ctx: RunContext[Visit], product_ids: list[int], cents: int) -> Receipt:
        """Buy the cart, if it still holds these products at the total to which the customer has agreed."""
        return await shop.check_out(ctx.deps.customer_id, product_ids, cents)

    return Toolbox(
        search=search,
        look_at=look_at,
        read_cart=read_cart,
        read_orders=read_orders,
        add_to_cart=add_to_cart,
        change_quantity=change_quantity,
        check_out=check_out,
        reprice=shop.reprice,
        restock=shop.restock,
    )

"""The tools with agent_cache: what a newcomer should read.

Each tool says which resource it reads or writes, and for whom; the rest is the cache's. A write reaches what was read
of its resource, what lies below that, and the lists in which it stands: who writes ``products:7`` reaches the page of
product 7 and every search, but no other page.
"""

from __future__ import annotations

import asyncio

from pydantic_ai import RunContext

from agent_cache import AgentCache, AgentCacheInvalidator
from cache import invalidates, mutating
from examples.agent_shop.answers import Cart, CartLine, Findings, Offer, Orders, Receipt
from examples.agent_shop.shop import Shop
from examples.agent_shop.toolbox import Toolbox, Visit


def customer(ctx: RunContext[Visit]) -> int:
    """Whose results they are: nobody else is given them."""
    return ctx.deps.customer_id


def tools_of(shop: Shop) -> Toolbox:
    """The tools of one shop."""

    @AgentCache("products")
    async def search(word: str) -> Findings:
        """Find products by a word in their name."""
        return await shop.search(word)

    @AgentCache("products:{product_id}", tags=("stock:{product_id}",))
    async def look_at(product_id: int) -> Offer:
        """Look up the price of a product, and how many are left."""
        return await shop.offer(product_id)

    @AgentCache("cart", vary=customer)
    async def read_cart(ctx: RunContext[Visit]) -> Cart:
        """Read the customer's cart, at present prices.

        It is made from other cached answers: when one of those is invalidated, so is this one. Whoever changes a
        price need not know in whose carts the product lies.
        """
        cart = await shop.cart(ctx.deps.customer_id)
        offers = await asyncio.gather(*(look_at(line.product_id) for line in cart.lines))
        lines = [
            CartLine(offer.product_id, line.quantity, offer.cents, offer.price_version)
            for line, offer in zip(cart.lines, offers, strict=True)
        ]
        return Cart(cart.customer_id, cart.version, lines)

    @AgentCache("orders", scope="session", vary=customer)
    async def read_orders(ctx: RunContext[Visit]) -> Orders:
        """Sum up what the customer has bought before. It is kept for this conversation only."""
        return await shop.orders(ctx.deps.customer_id)

    @AgentCacheInvalidator("cart", vary=customer)
    async def add_to_cart(ctx: RunContext[Visit], product_id: int, quantity: int) -> str:
        """Put so many more of a product into the customer's cart."""
        await shop.add(ctx.deps.customer_id, product_id, quantity)
        return "added"

    @AgentCacheInvalidator("cart", vary=customer)
    async def change_quantity(ctx: RunContext[Visit], product_id: int, quantity: int) -> str:
        """Change how many of a product are in the customer's cart."""
        await shop.change(ctx.deps.customer_id, product_id, quantity)
        return "changed"

    @AgentCacheInvalidator(["cart", "orders"], vary=customer)
    async def check_out(ctx: RunContext[Visit], product_ids: list[int], cents: int) -> Receipt:
        """Buy the cart, if it still holds these products at the total to which the customer has agreed."""
        async with mutating(tags=[f"stock:{product_id}" for product_id in product_ids]):
            return await shop.check_out(ctx.deps.customer_id, product_ids, cents)

    @AgentCacheInvalidator("products:{product_id}")
    async def reprice(product_id: int, cents: int) -> None:
        """Change a price."""
        await shop.reprice(product_id, cents)

    @invalidates(tags=("stock:{product_id}",))
    async def restock(product_id: int, quantity: int) -> None:
        """Put so many more of a product on the shelf. This is no tool of an agent, and needs no resource."""
        await shop.restock(product_id, quantity)

    return Toolbox(
        search=search,
        look_at=look_at,
        read_cart=read_cart,
        read_orders=read_orders,
        add_to_cart=add_to_cart,
        change_quantity=change_quantity,
        check_out=check_out,
        reprice=reprice,
        restock=restock,
    )

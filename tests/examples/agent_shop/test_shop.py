"""The shop and its database: what transactions leave behind, and that the ledger is told the truth."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from examples.agent_shop import seed
from examples.agent_shop.database import Database
from examples.agent_shop.shop import Shop
from examples.catalogue.ledger import Ledger, Row

ALICE, BOB = 1, 2
LAMP, CHAIR = 1, 2


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("shop") / "opening.sqlite"
    seed.create(path, seed=1)
    return path.read_bytes()


@dataclass
class World:
    shop: Shop
    database: Database
    ledger: Ledger


@pytest_asyncio.fixture
async def world(opening: bytes, tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "shop.sqlite"
    path.write_bytes(opening)
    ledger = Ledger()
    async with Database(path, ledger, seed=1) as database:
        yield World(Shop(database, seed=1), database, ledger)


async def fill_a_cart(shop: Shop) -> int:
    """Put two lamps and a chair into Alice's cart, and return what they cost."""
    await shop.add(ALICE, LAMP, 2)
    await shop.add(ALICE, CHAIR, 1)
    return (await shop.cart(ALICE)).cents


def test_the_same_seed_makes_the_same_shop(opening: bytes, tmp_path: Path) -> None:
    again, other = tmp_path / "again.sqlite", tmp_path / "other.sqlite"
    seed.create(again, seed=1)
    seed.create(other, seed=2)
    assert again.read_bytes() == opening
    assert other.read_bytes() != opening


async def test_every_thing_that_customers_wish_can_be_found(world: World) -> None:
    for thing in seed.THINGS:
        found = await world.shop.search(thing)
        assert found.products
        assert all(thing in product.name for product in found.products)


async def test_a_cart_holds_what_was_put_into_it_at_present_prices(world: World) -> None:
    cents = await fill_a_cart(world.shop)
    lamp, chair = await world.shop.offer(LAMP), await world.shop.offer(CHAIR)
    assert cents == 2 * lamp.cents + chair.cents
    await world.shop.reprice(LAMP, lamp.cents + 5)
    cart = await world.shop.cart(ALICE)
    assert cart.cents == cents + 2 * 5
    assert cart.versions[Row("price", LAMP)] == world.ledger.latest


async def test_more_of_the_same_is_one_line_and_a_quantity_can_be_changed(world: World) -> None:
    await world.shop.add(ALICE, LAMP, 2)
    await world.shop.add(ALICE, LAMP, 3)
    assert [line.quantity for line in (await world.shop.cart(ALICE)).lines] == [5]
    await world.shop.change(ALICE, LAMP, 1)
    assert [line.quantity for line in (await world.shop.cart(ALICE)).lines] == [1]
    assert not (await world.shop.cart(BOB)).lines


async def test_a_check_out_takes_from_stock_empties_the_cart_and_is_an_order(world: World) -> None:
    before = (await world.shop.offer(LAMP)).quantity
    cents = await fill_a_cart(world.shop)
    receipt = await world.shop.check_out(ALICE, [CHAIR, LAMP], cents)
    assert receipt.ordered
    assert (await world.shop.offer(LAMP)).quantity == before - 2
    assert not (await world.shop.cart(ALICE)).lines
    orders = await world.shop.orders(ALICE)
    assert (orders.number, orders.cents) == (1, cents)
    assert (world.shop.ordered, world.shop.refused) == (1, 0)


async def test_every_row_that_a_check_out_changes_carries_its_number_and_is_entered(world: World) -> None:
    cents = await fill_a_cart(world.shop)
    await world.shop.check_out(ALICE, [LAMP, CHAIR], cents)
    change = world.ledger.latest
    shown = {
        **(await world.shop.offer(LAMP)).versions,
        **(await world.shop.offer(CHAIR)).versions,
        **(await world.shop.cart(ALICE)).versions,
        **(await world.shop.orders(ALICE)).versions,
    }
    for row in (Row("stock", LAMP), Row("stock", CHAIR), Row("cart", ALICE), Row("orders", ALICE)):
        assert shown[row] == world.ledger.required(row, change) == change
    assert shown[Row("price", LAMP)] == 0


@pytest.mark.parametrize(("products", "cents_more"), [([LAMP, CHAIR], 1), ([LAMP], 0), ([], 0)])
async def test_a_check_out_of_something_else_than_the_cart_is_refused_and_changes_nothing(
    world: World, products: list[int], cents_more: int
) -> None:
    cents = await fill_a_cart(world.shop)
    latest = world.ledger.latest
    receipt = await world.shop.check_out(ALICE, products, cents + cents_more)
    assert not receipt.ordered
    assert "refused" in receipt.message
    assert world.ledger.latest == latest
    assert (await world.shop.cart(ALICE)).cents == cents
    assert (world.shop.ordered, world.shop.refused) == (0, 1)


async def test_what_is_sold_out_is_refused_and_nothing_else_of_the_cart_is_taken(world: World) -> None:
    chairs = (await world.shop.offer(CHAIR)).quantity
    await world.shop.add(ALICE, LAMP, 1_000_000)
    await world.shop.add(ALICE, CHAIR, 1)
    cents = (await world.shop.cart(ALICE)).cents
    receipt = await world.shop.check_out(ALICE, [LAMP, CHAIR], cents)
    assert "quantity >= 0" in receipt.message
    assert (await world.shop.offer(CHAIR)).quantity == chairs


async def test_restocking_shows_in_the_stock_and_not_in_the_price(world: World) -> None:
    before = await world.shop.offer(LAMP)
    await world.shop.restock(LAMP, 7)
    after = await world.shop.offer(LAMP)
    assert after.quantity == before.quantity + 7
    assert after.stock_version == world.ledger.latest
    assert after.price_version == 0


async def test_what_is_not_there_is_said_so(world: World) -> None:
    with pytest.raises(LookupError, match="no product 999999"):
        await world.shop.offer(999_999)
    with pytest.raises(LookupError, match="no customer 999999"):
        await world.shop.cart(999_999)
    with pytest.raises(LookupError, match="no customer 999999"):
        await world.shop.orders(999_999)


async def test_each_read_is_a_load_and_each_call_of_a_customer_an_execution(world: World) -> None:
    await fill_a_cart(world.shop)
    await world.shop.reprice(LAMP, 100)
    assert (world.shop.executions, world.database.loads) == (3, 1)


async def test_a_transaction_that_raises_leaves_nothing_and_the_next_one_works(world: World) -> None:
    def break_down(sqlite: sqlite3.Connection, change: int) -> Iterable[Row]:
        sqlite.execute("UPDATE prices SET version = ? WHERE product_id = 1", (change,))
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await world.database.write(break_down)
    assert (await world.shop.offer(LAMP)).price_version == 0
    assert world.ledger.latest == 0
    await world.shop.reprice(LAMP, 100)
    assert (await world.shop.offer(LAMP)).price_version == world.ledger.latest == 2


async def test_a_writer_who_is_cancelled_during_the_transaction_has_written_and_the_ledger_knows(
    world: World,
) -> None:
    loop = asyncio.get_running_loop()

    def cancel_the_writer(sqlite: sqlite3.Connection, change: int) -> Iterable[Row]:
        sqlite.execute("UPDATE prices SET version = ? WHERE product_id = 1", (change,))
        loop.call_soon_threadsafe(writer.cancel)
        yield Row("price", LAMP)

    writer = asyncio.create_task(world.database.write(cancel_the_writer))
    await asyncio.wait([writer])
    assert writer.cancelled()
    # The writer's thread takes one transaction after the other, so this one is behind it.
    await world.shop.restock(LAMP, 1)
    assert (await world.shop.offer(LAMP)).price_version == 1
    assert world.ledger.required(Row("price", LAMP), world.ledger.latest) == 1

"""The demo's database: what its transactions leave behind, and that the ledger is told the truth."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from examples.catalogue import seed
from examples.catalogue.database import Database
from examples.catalogue.ledger import Ledger, Row

LAMP = Row("product", 1)


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("shop") / "opening.sqlite"
    seed.create(path, seed=1)
    return path.read_bytes()


@pytest.fixture
def path(opening: bytes, tmp_path: Path) -> Path:
    copy = tmp_path / "shop.sqlite"
    copy.write_bytes(opening)
    return copy


async def version_of_the_lamp(database: Database) -> int:
    async with database.session() as session:
        ((version,),) = await session.fetch("SELECT version FROM products WHERE id = 1")
    return int(version)


@asynccontextmanager
async def changing_the_lamp(database: Database) -> AsyncIterator[int]:
    async with database.transaction() as transaction:
        await transaction.stamp(LAMP)
        yield transaction.change


def test_the_same_seed_makes_the_same_shop(opening: bytes, tmp_path: Path) -> None:
    again = tmp_path / "again.sqlite"
    seed.create(again, seed=1)
    other = tmp_path / "other.sqlite"
    seed.create(other, seed=2)
    assert again.read_bytes() == opening
    assert other.read_bytes() != opening


async def test_a_transaction_is_seen_once_it_is_committed_and_entered_then(path: Path) -> None:
    ledger = Ledger()
    async with Database(path, ledger) as database:
        async with changing_the_lamp(database) as change:
            assert await version_of_the_lamp(database) == 0
            assert ledger.latest == 0
        assert await version_of_the_lamp(database) == change
        assert ledger.required(LAMP, ledger.latest) == change


async def test_a_transaction_that_a_constraint_refuses_leaves_nothing(path: Path) -> None:
    ledger = Ledger()
    async with Database(path, ledger) as database:

        async def sell_too_much() -> None:
            async with database.transaction() as transaction:
                await transaction.stamp(LAMP)
                await transaction.execute("UPDATE stock SET quantity = -1 WHERE product_id = 1")

        with pytest.raises(sqlite3.IntegrityError, match="quantity >= 0"):
            await sell_too_much()
        assert await version_of_the_lamp(database) == 0
        assert ledger.latest == 0


async def test_a_writer_who_is_cancelled_in_the_middle_leaves_nothing_and_nobody_waiting(path: Path) -> None:
    ledger = Ledger()
    async with Database(path, ledger) as database:
        middle = asyncio.Event()

        async def write() -> None:
            async with changing_the_lamp(database):
                middle.set()
                await asyncio.Event().wait()

        writer = asyncio.create_task(write())
        await middle.wait()
        writer.cancel()
        await asyncio.wait([writer])
        assert writer.cancelled()
        assert await version_of_the_lamp(database) == 0
        assert ledger.latest == 0
        async with changing_the_lamp(database) as change:
            pass
        assert await version_of_the_lamp(database) == change


async def test_a_writer_who_is_cancelled_during_the_commit_has_committed_and_the_ledger_knows(
    path: Path,
) -> None:
    loop = asyncio.get_running_loop()

    class CancellingLedger(Ledger):
        def announce(self, change: int) -> None:
            super().announce(change)
            # From the writer's thread, so the cancellation is in the loop's queue before the end of the COMMIT is.
            loop.call_soon_threadsafe(writer.cancel)

    ledger = CancellingLedger()
    async with Database(path, ledger) as database:

        async def write() -> None:
            async with changing_the_lamp(database):
                pass

        writer = asyncio.create_task(write())
        await asyncio.wait([writer])
        assert writer.cancelled()
        assert ledger.required(LAMP, ledger.latest) == 1
        assert await version_of_the_lamp(database) == 1


async def test_writers_take_turns_and_their_changes_commit_in_the_order_of_their_numbers(path: Path) -> None:
    ledger = Ledger()
    committed: list[int] = []
    async with Database(path, ledger) as database:

        async def write() -> None:
            async with changing_the_lamp(database) as change:
                await asyncio.sleep(0)
                committed.append(change)

        await asyncio.gather(*(write() for _ in range(5)))
        assert committed == [1, 2, 3, 4, 5]
        assert await version_of_the_lamp(database) == 5

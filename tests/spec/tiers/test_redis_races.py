"""What two machines do at the same time, of which one does not hear at once."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from cache._tier import Address, Moment, Record
from tests.redis_server import RedisServer, need_redis
from tests.spec.tiers.redis_sides import Machine, done, until

need_redis()

A, B = Address("users", b"a"), Address("users", b"b")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.end()


@pytest.fixture
async def machines(server: RedisServer) -> AsyncIterator[tuple[Machine, Machine]]:
    prefix = secrets.token_hex(8)
    # What was heard last holds for as long as a test does.
    both = [await Machine(server.url, prefix, max_staleness=60.0).begin() for _ in range(2)]
    yield both[0], both[1]
    for machine in both:
        assert await machine.backend.aclose()


@pytest.fixture
def here(machines: tuple[Machine, Machine]) -> Machine:
    return machines[0]


@pytest.fixture
def there(machines: tuple[Machine, Machine]) -> Machine:
    return machines[1]


async def mutate(machine: Machine) -> None:
    """Whatever it changes, it does it and returns."""
    covering = await machine.covering(A)
    await done(machine.backend.end(covering))


async def moment_of(machine: Machine) -> Moment:
    moment = await machine.backend.moment()
    assert moment is not None
    return moment


async def found(machine: Machine, address: Address) -> bytes | None:
    """The value that may be read, by somebody who will load nothing."""
    (record,) = await machine.backend.read([address])
    if isinstance(record, Record):
        return record.value
    machine.backend.release([address])
    return None


async def test_a_refresh_that_a_mutation_elsewhere_has_overtaken_stores_and_changes_nothing(
    here: Machine, there: Machine
) -> None:
    before = await moment_of(here)
    slots = here.backend._engine.layout.changed([A])
    async with here.hears_nothing():
        await mutate(there)
        stored = await moment_of(there)
        there.backend.write(Record(A, b"new"), stored)
        await there.backend.flush()
        here.backend.write(Record(A, b"old"), before, replaces=True)
        assert await here.backend.flush() == 0
        assert here.backend.metrics().refused == 1
        assert not here.backend.bus.is_changing(slots)
    for machine in (here, there):
        await machine.hear()
        assert await found(machine, A) == b"new"


async def test_a_refresh_is_not_stored_if_what_else_it_rests_on_was_changed(here: Machine, there: Machine) -> None:
    before = await moment_of(here)
    async with here.hears_nothing():
        await mutate(there)
        here.backend.write(Record(B, b"made of the old", grounds=(A,)), before, replaces=True)
        assert await here.backend.flush() == 0
    for machine in (here, there):
        await machine.hear()
        assert await found(machine, B) is None


async def test_a_value_that_is_assigned_over_a_mutation_elsewhere_is_not_stored_but_the_old_one_is_over(
    here: Machine, there: Machine
) -> None:
    async with here.hears_nothing():
        await mutate(there)
        there.backend.write(Record(A, b"of the mutation"), await moment_of(there))
        await there.backend.flush()
        assigned = here.backend.assign(Record(A, b"of before"))
        await until(lambda: here.backend._engine._changes._sent)
    await done(assigned)
    for machine in (here, there):
        await machine.hear()
        assert await found(machine, A) is None


async def test_what_is_assigned_after_another_assignment_that_is_on_its_way_is_stored(
    here: Machine, there: Machine
) -> None:
    async with here.hears_nothing():
        told = [here.backend.assign(Record(A, value)) for value in (b"1", b"2", b"3")]
    for each in told:
        await done(each)
    for machine in (here, there):
        await machine.hear()
        assert await found(machine, A) == b"3"


async def test_from_a_refresh_until_it_is_heard_of_what_rests_on_the_value_before_is_not_taken(
    here: Machine, there: Machine
) -> None:
    slots = here.backend._engine.layout.changed([A])
    here.backend.write(Record(B, b"made of the old", grounds=(A,)), await moment_of(here))
    await here.backend.flush()
    assert await found(here, B) == b"made of the old"
    async with here.hears_nothing():
        here.backend.write(Record(A, b"new"), await moment_of(here), replaces=True)
        assert here.backend.bus.is_changing(slots)
        await until(lambda: here.backend._engine.ledger.sent)
        here.backend._engine.ledger.sent.clear()  # as if a read had judged before it was sent
        assert await found(here, B) is None
        assert here.backend.bus.is_changing(slots)
    await here.hear()
    assert not here.backend.bus.is_changing(slots)
    assert [await found(here, each) for each in (A, B)] == [b"new", None]


async def test_a_refresh_whose_fate_is_not_known_is_an_invalidation(
    server: RedisServer, here: Machine, there: Machine
) -> None:
    slots = here.backend._engine.layout.changed([A])
    async with here.hears_nothing():
        here.backend.write(Record(A, b"new"), await moment_of(here), replaces=True)
        await until(lambda: here.backend._engine._changes._sent)
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: here.backend.metrics().connections == 2)
    await until(lambda: not here.backend.bus.is_changing(slots))
    await until(lambda: there.is_proven)
    for machine in (here, there):
        await machine.hear()
    assert await found(here, A) == await found(there, A)

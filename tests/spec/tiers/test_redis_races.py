"""What two machines do at the same time, of which one does not hear at once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from time import monotonic

import pytest

from cache import BusError
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
    (record,) = await machine.look(address)
    return record.value if isinstance(record, Record) else None


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
        await until(lambda: here.backend._engine.work().changes._sent)
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
        await until(lambda: here.backend._engine.work().changes._sent)
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: here.backend.metrics().connections == 2)
    await until(lambda: not here.backend.bus.is_changing(slots))
    await until(lambda: there.is_proven)
    for machine in (here, there):
        await machine.hear()
    assert await found(here, A) == await found(there, A)


async def test_what_the_server_has_refused_is_owed_and_until_it_is_told_nothing_is_served_or_stored_here(
    server: RedisServer, here: Machine, there: Machine
) -> None:
    await done(here.backend.assign(Record(A, b"old")))
    server.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(BusError, match="not told of a change"):
            await done(here.backend.invalidate([A]))
        assert not here.is_proven
        assert await here.backend.read([A]) == [None]
        assert await here.backend.moment() is None
    finally:
        server.ask("CONFIG", "SET", "maxmemory", "0")
    await until(lambda: here.is_proven)
    await there.hear()
    for machine in (here, there):
        assert await found(machine, A) is None


async def test_the_end_of_a_mutation_is_owed_although_its_window_has_lapsed_meanwhile(
    server: RedisServer, there: Machine
) -> None:
    here = await Machine(server.url, there.backend.bus.name, lease=0.2, max_staleness=60.0).begin()
    covering = await here.covering(A)
    slots = here.backend._engine.layout.changed([A])
    await there.hear()
    assert there.backend.bus.is_changing(slots)
    async with here.is_cut_off():
        await until(lambda: not there.backend.bus.is_changing(slots))
        there.backend.write(Record(A, b"read before the commit"), await moment_of(there))
        await there.backend.flush()
        assert await found(there, A) == b"read before the commit"
        with pytest.raises(BusError):
            await done(here.backend.end(covering))
        then = monotonic()
        await until(lambda: monotonic() > then + 0.3)
    await until(lambda: here.is_proven)
    await there.hear()
    assert not there.backend.bus.is_changing(slots)
    for machine in (here, there):
        assert await found(machine, A) is None
    assert await here.backend.aclose()


async def test_a_mutation_that_goes_on_begins_again_before_anything_is_served(
    server: RedisServer, there: Machine
) -> None:
    here = await Machine(server.url, there.backend.bus.name, lease=0.2, max_staleness=60.0).begin()
    covering = await here.covering(A)
    slots = here.backend._engine.layout.changed([A])
    async with here.is_cut_off():
        await until(lambda: not there.backend.bus.is_changing(slots))
        there.backend.write(Record(A, b"read before the commit"), await moment_of(there))
        await there.backend.flush()
    await until(lambda: here.is_proven)
    await there.hear()
    assert there.backend.bus.is_changing(slots)
    assert await found(there, A) is None
    await done(here.backend.end(covering))
    assert await here.backend.aclose()


async def test_a_change_that_is_not_heard_of_in_time_is_owed_and_the_line_begins_anew(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cache.tiers._redis._changes.PATIENCE", 0.05)
    async with here.hears_nothing():
        with pytest.raises(BusError, match=r"not answered for 0\.05 seconds"):
            await done(here.backend.invalidate([A]))
        await here.hear()
    assert here.backend.metrics().connections == 2


async def test_what_is_asked_for_while_what_is_owed_is_told_waits_for_that(here: Machine) -> None:
    engine = here.backend._engine
    assert engine._loop is not None
    began, may_end = asyncio.Event(), asyncio.Event()
    loop, its_loop = asyncio.get_running_loop(), engine._loop

    async def hold() -> None:
        loop.call_soon_threadsafe(began.set)
        await may_end.wait()

    async with here.is_cut_off():
        await until(lambda: engine.work().link.error is not None)
        engine.work().link.when_connected.append(hold)
    await began.wait()
    told = here.backend.invalidate([A])
    assert told is not None
    await until(lambda: not engine._asked)
    its_loop.call_soon_threadsafe(may_end.set)
    await told


async def test_a_load_that_began_before_a_change_of_this_process_is_not_stored_after_it(here: Machine) -> None:
    before = await moment_of(here)
    await done(here.backend.invalidate([A]))
    here.backend.write(Record(A, b"old"), before)
    assert await here.backend.flush() == 0
    async with here.hears_nothing():
        before = await moment_of(here)
        told = here.backend.invalidate([A])
        here.backend.write(Record(A, b"old"), before)
        await until(lambda: here.backend.metrics().refused == 2)
    await done(told)
    assert await found(here, A) is None


async def test_what_is_written_has_the_stamps_that_were_known_when_it_was_judged(here: Machine, there: Machine) -> None:
    async with here.hears_nothing():
        before = await moment_of(here)
        covering = await there.covering(A)
        here.backend.write(Record(A, b"old"), before)
        assert await here.backend.flush() == 1
        await done(there.backend.end(covering))
    for machine in (here, there):
        await machine.hear()
        assert await found(machine, A) is None

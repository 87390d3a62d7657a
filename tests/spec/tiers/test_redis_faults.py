"""What becomes of two machines when their server is killed, held up, restarted or cut off, and comes back."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

import pytest

from cache import AsyncCache, BusError, RedisBackend
from cache._tier import Address, Moment, Record
from tests.redis_server import RedisServer, need_redis
from tests.spec.steering import Table
from tests.spec.tiers.redis_sides import Machine, done, until

need_redis()

A, B = Address("users", b"a"), Address("users", b"b")

Make = Callable[..., Awaitable[Machine]]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.let_go()
    server.end()


@pytest.fixture
async def make(server: RedisServer) -> AsyncIterator[Make]:
    made: list[Machine] = []

    async def make(**options: Any) -> Machine:
        made.append(Machine(server.url, "test", **{"max_staleness": 0.2, **options}))
        return await made[-1].begin()

    yield make
    for machine in made:
        assert await machine.backend.aclose(1.0)


@pytest.fixture
async def here(make: Make) -> Machine:
    return await make()


@pytest.fixture
async def there(make: Make) -> Machine:
    return await make()


@pytest.fixture
def table() -> Table:
    return Table()


async def is_back(*machines: Machine) -> None:
    await until(lambda: all(machine.is_proven for machine in machines))


def is_connected_more_often_than(machine: Machine, times: int) -> bool:
    return machine.backend.metrics().connections > times


async def read(cache: AsyncCache, table: Table) -> int:
    found: int = await cache.get("k", lambda: table.read("k"), tags=("t",))
    return found


async def test_while_the_server_is_away_readers_go_to_the_source_and_nothing_is_stored(
    server: RedisServer, here: Machine, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    c = here.cache()
    await read(c, table)
    server.kill()
    await until(lambda: not here.is_proven)
    for version in range(1, 4):
        await table.write("k")
        assert await read(c, table) == version
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(server.port) in caplog.text
    server.start()
    await is_back(here)
    assert await read(c, table) == await read(c, table) == 3
    assert table.reads["k"] == 5


async def test_a_mutation_that_cannot_be_told_does_not_run(server: RedisServer, here: Machine, table: Table) -> None:
    c = here.cache()
    server.kill()
    await until(lambda: not here.is_proven)
    with pytest.raises(BusError, match=rf"was not run.*{server.port}.*on_bus_error='proceed'"):
        async with c.mutating("k"):
            raise AssertionError("it must not run")
    with pytest.raises(BusError, match="not told of a change"):
        await c.delete("k")


async def test_what_could_not_be_told_is_told_when_the_server_is_back(
    server: RedisServer, here: Machine, there: Machine, table: Table
) -> None:
    caches = here.cache(), there.cache()
    for each in caches:
        await read(each, table)
    backend = here.backend
    server.hold()
    await until(lambda: not here.is_proven and not there.is_proven)
    await table.write("k")
    failing = asyncio.ensure_future(caches[0].delete("k"))
    server.let_go()
    await failing
    await is_back(here, there)
    await there.hear()
    assert await read(caches[1], table) == 1
    assert backend.metrics().owed == 0


async def test_a_mutation_may_proceed_and_is_told_of_later(
    server: RedisServer, make: Make, there: Machine, table: Table
) -> None:
    here = await make(on_bus_error="proceed")
    c, other = here.cache(), there.cache()
    assert await read(other, table) == 0
    server.kill()
    await until(lambda: not here.is_proven)
    async with c.mutating("k"):
        await table.write("k")
    await c.delete("k")
    assert here.backend.metrics().owed == 3
    server.start()
    await is_back(here, there)
    await there.hear()
    assert await read(other, table) == 1
    assert await read(c, table) == 1


async def test_a_mutation_that_goes_on_while_the_server_restarts_covers_what_it_did(
    server: RedisServer, here: Machine, there: Machine, table: Table
) -> None:
    c, other = here.cache(), there.cache()
    async with c.mutating("k"):
        server.kill()
        await until(lambda: not here.is_proven and not there.is_proven)
        server.start()
        await is_back(here, there)
        await there.hear()
        assert await read(other, table) == 0
        assert "k" not in other
        await table.write("k")
    await there.hear()
    assert await read(other, table) == 1


async def test_a_server_that_restarts_empty_or_from_an_old_snapshot_brings_nothing_back(
    server: RedisServer, here: Machine, there: Machine, table: Table
) -> None:
    c = here.cache()
    await read(c, table)
    await here.backend.flush()
    server.ask("SAVE")
    assert server.saved().exists()
    await table.write("k")
    await c.delete("k")
    server.kill()
    await until(lambda: not here.is_proven and not there.is_proven)
    server.start()
    assert server.keys("*:v*")  # what was deleted is there again
    await is_back(here, there)
    for each in (there.cache(), c):
        assert await read(each, table) == 1


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_what_was_changed_while_a_connection_was_lost_is_caught_up(
    server: RedisServer, here: Machine, there: Machine, table: Table, kind: str
) -> None:
    caches = here.cache(), there.cache()
    for round_ in range(5):
        for each in caches:
            assert await read(each, table) == round_
        await table.write("k")
        server.ask("CLIENT", "KILL", "TYPE", kind)
        await caches[0].invalidate("t")
        await until(partial(is_connected_more_often_than, there, round_ + 1))
        await is_back(here, there)
        await there.hear()
        for each in caches:
            assert await read(each, table) == round_ + 1
            await read(each, table)
    assert table.reads["k"] <= 12


async def test_what_did_not_change_meanwhile_stays_in_memory(server: RedisServer, here: Machine, table: Table) -> None:
    c = here.cache()
    await read(c, table)
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: here.backend.metrics().connections == 2)
    await is_back(here)
    trips = here.backend.metrics().reads
    assert await read(c, table) == 0
    assert table.reads["k"] == 1
    assert here.backend.metrics().reads == trips


async def test_nothing_in_memory_is_served_when_the_server_has_been_held_up_for_too_long(
    server: RedisServer, here: Machine, there: Machine, table: Table
) -> None:
    c = here.cache()
    await read(c, table)
    server.hold()
    await until(lambda: not here.is_proven)
    await table.write("k")
    assert await read(c, table) == 1
    assert "k" not in c
    server.let_go()
    await is_back(here)
    assert here.backend.metrics().connections == 1


async def test_a_read_that_is_under_way_when_the_server_is_held_up_goes_to_the_source(
    server: RedisServer, here: Machine
) -> None:
    server.hold()
    assert await here.backend.read([A]) == [None]
    server.let_go()
    await is_back(here)
    assert isinstance((await here.backend.read([A]))[0], Moment)


async def test_a_lease_that_is_got_after_nobody_waits_for_it_any_more_is_given_back(
    server: RedisServer, here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Any = here.backend._engine.work().reads
    ask = reads._ask

    async def hold_and_ask(*asked: Any) -> Any:
        server.hold()
        return await ask(*asked)

    with monkeypatch.context() as patched:
        patched.setattr(reads, "_ask", hold_and_ask)
        assert await here.backend.read([A]) == [None]
    server.let_go()
    await is_back(here)
    await is_back(there)
    await here.backend.flush()
    assert isinstance((await there.look(A))[0], Moment)
    assert there.backend.metrics().waits == 0


async def test_a_mutation_whose_process_is_not_heard_of_any_more_lapses(make: Make, there: Machine) -> None:
    here = await make(lease=0.3)
    await here.covering(A)
    slots = here.backend._engine.layout.changed([A])
    await there.hear()
    assert there.backend.bus.is_changing(slots)
    assert await there.backend.read([A]) == [None]
    await here.backend.aclose()  # without an end
    await until(lambda: not there.backend.bus.is_changing(slots))
    assert isinstance((await there.backend.read([A]))[0], Moment)


async def test_a_mutation_that_takes_longer_than_its_lease_goes_on_to_cover(make: Make, there: Machine) -> None:
    here = await make(lease=0.2)
    covering = await here.covering(A)
    slots = here.backend._engine.layout.changed([A])
    await there.hear()
    loop = asyncio.get_running_loop()
    until_then = loop.time() + 0.6
    while loop.time() < until_then:
        assert there.backend.bus.is_changing(slots)
        await asyncio.sleep(0.01)
    await done(here.backend.end(covering))
    await there.hear()
    assert not there.backend.bus.is_changing(slots)


async def test_a_mutation_whose_end_could_not_be_told_is_over_for_others_as_soon_as_it_can_be(
    make: Make, there: Machine
) -> None:
    here = await make(lease=3600.0)
    covering = await here.covering(A)
    slots = here.backend._engine.layout.changed([A])
    async with here.is_cut_off():
        with pytest.raises(BusError):
            await done(here.backend.end(covering))
    await until(lambda: here.is_proven)
    await there.hear()
    assert there.is_proven
    assert not there.backend.bus.is_changing(slots)


async def test_a_mutation_goes_on_to_cover_though_the_server_has_forgotten_how_it_is_renewed(
    server: RedisServer, make: Make, there: Machine
) -> None:
    here = await make(lease=0.9)
    covering = await here.covering(A)
    slots = here.backend._engine.layout.changed([A])
    await there.hear()
    [first] = there.backend._engine.ledger.windows.values()
    server.ask("SCRIPT", "FLUSH")
    await until(lambda: monotonic() > first.deadline)
    assert there.backend.bus.is_changing(slots)
    assert await there.backend.read([A]) == [None]
    await done(here.backend.end(covering))
    assert here.backend.metrics().connections == 2


async def test_a_server_that_was_never_there_costs_readers_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine("redis://user:secret@127.0.0.1:1/0", "test", max_staleness=0.1)
    c = machine.cache()
    assert await c.get("k", lambda: "v") == "v"
    assert await machine.backend.read([A]) == [None]
    assert await machine.backend.moment() is None
    assert await machine.backend.scan("users") == (None, ([], None))
    with pytest.raises(BusError, match=r"127\.0\.0\.1:1 cannot be used") as raised:
        await done(machine.backend.invalidate([A]))
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text + str(raised.value) + repr(machine.backend)
    assert await machine.backend.aclose()


async def test_of_changes_under_way_each_is_done_or_has_failed_when_the_server_is_killed(
    server: RedisServer, here: Machine
) -> None:
    told = [here.backend.invalidate([Address("users", b"%d" % number)]) for number in range(100)]
    server.kill()
    for each in told:
        assert each is not None
        try:
            await each
        except BusError:
            continue


async def test_to_close_is_bounded_while_the_server_is_held_up(server: RedisServer, make: Make) -> None:
    machine = await make()
    server.hold()
    told = machine.backend.invalidate([A])
    reading = asyncio.ensure_future(machine.backend.read([A]))
    await asyncio.sleep(0)
    await machine.backend.aclose(0.1)
    with pytest.raises(BusError, match="closed by its user"):
        await done(told)
    assert await reading == [None]


async def test_what_was_asked_of_a_backend_that_nobody_has_any_more_is_done_all_the_same(
    server: RedisServer, there: Machine
) -> None:
    await done(there.backend.assign(Record(A, b"before")))
    backend = RedisBackend(server.url, prefix=there.backend.bus.name)
    await backend.hear_all()
    server.hold()
    told = backend.invalidate([A])
    engine = backend._engine
    del backend
    gc.collect()
    assert engine.is_closed
    await asyncio.sleep(0.05)  # if it gave up, it would do so now
    server.let_go()
    await done(told)
    await there.hear()
    assert isinstance((await there.look(A))[0], Moment)


async def test_what_waits_for_a_value_is_answered_when_the_server_is_killed(
    server: RedisServer, here: Machine, there: Machine
) -> None:
    await here.backend.read([A])
    waiting = asyncio.ensure_future(there.backend.read([A, B]))
    await until(lambda: there.backend.metrics().leases)
    (last,) = await asyncio.gather(waiting)
    assert isinstance(last[0], Moment)
    alone = asyncio.ensure_future(there.backend.read([A]))
    await until(lambda: there.backend.metrics().waits)
    server.kill()
    assert await alone == [None]


async def test_a_record_survives_what_its_writer_does_not(here: Machine, there: Machine) -> None:
    await done(here.backend.assign(Record(A, b"v")))
    assert await here.backend.aclose()
    assert await there.backend.read([A]) == [Record(A, b"v")]

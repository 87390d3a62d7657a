"""Two machines that share nothing but a Redis server."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

import cache
from cache import AsyncCache, BusError
from cache._stable import encode
from cache._tier import Address, Covering, Moment, Record
from cache.testing import FakeClock
from cache.tiers._redis._waiting import Seat
from tests.redis_server import RedisServer, need_redis
from tests.spec.steering import Loader, Table, start
from tests.spec.tiers.redis_sides import Machine, done, until

need_redis()

from redis.asyncio import Redis  # noqa: E402 - it needs what was just looked for

A, B = Address("users", b"a"), Address("users", b"b")
TAG = Address("#tags", b"t")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.end()


@pytest.fixture(params=[3, 2], ids=["resp3", "resp2"])
async def machines(server: RedisServer, request: Any) -> AsyncIterator[tuple[Machine, Machine]]:
    prefix = secrets.token_hex(8)
    options = {"protocol": request.param, "fill_lease": 5.0}
    both = [await Machine(server.url, prefix, **options).begin() for _ in range(2)]
    yield both[0], both[1]
    for machine in both:
        assert await machine.backend.aclose()


@pytest.fixture
def here(machines: tuple[Machine, Machine]) -> Machine:
    return machines[0]


@pytest.fixture
def there(machines: tuple[Machine, Machine]) -> Machine:
    return machines[1]


@pytest.fixture
def caches(machines: tuple[Machine, Machine]) -> tuple[AsyncCache, AsyncCache]:
    return machines[0].cache(), machines[1].cache()


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.mark.parametrize("act", ["delete", "set", "clear", "invalidate", "mutating"])
async def test_what_changes_here_is_changed_there_when_that_has_heard(
    caches: tuple[AsyncCache, AsyncCache], there: Machine, table: Table, act: str
) -> None:
    for each in caches:
        assert await each.get("k", lambda: table.read("k"), tags=("t",)) == 0
    assert table.reads["k"] == 1
    await table.write("k")
    match act:
        case "delete":
            await caches[0].delete("k")
        case "set":
            await caches[0].set("k", 1)
        case "clear":
            await caches[0].clear()
        case "invalidate":
            await caches[0].invalidate("t")
        case _:
            async with caches[0].mutating("k"):
                pass
    await there.hear()
    for each in caches:
        assert await each.get("k", lambda: table.read("k"), tags=("t",)) == 1
    assert table.reads["k"] <= 2


async def test_what_was_computed_from_it_goes_with_it(machines: tuple[Machine, Machine], table: Table) -> None:
    inner = [machine.cache("inner") for machine in machines]
    outer = [machine.cache("outer") for machine in machines]

    async def compute(side: int) -> int:
        found: int = await inner[side].get("k", lambda: table.read("k"))
        return found * 10

    for side in (0, 1):
        assert await outer[side].get("o", partial(compute, side)) == 0
    await table.write("k")
    await inner[1].delete("k")
    await machines[0].hear()
    for side in (0, 1):
        assert await outer[side].get("o", partial(compute, side)) == 10


async def test_wildcards_reach_what_is_there(machines: tuple[Machine, Machine], table: Table) -> None:
    readers = []
    for machine in machines:

        @cache.cached(name="read", remote_cache=machine.backend, namespace=machine.namespace)
        async def read(key: str, page: int = 0) -> int:
            return await table.read(key)

        readers.append(read)

    @cache.invalidates(readers[0])
    async def write(key: str) -> None:
        await table.write(key)

    for read in readers:
        assert await read("a", 3) == 0
    await write("a")
    await machines[1].hear()
    assert await readers[1]("a", 3) == 1


async def test_a_value_is_kept_there_for_its_ttl(server: RedisServer) -> None:
    clock = FakeClock(1_000_000.0)
    machine = await Machine(server.url, secrets.token_hex(8), clock=clock).begin()
    c = machine.cache(clock=clock)
    await c.get("k", lambda: "old", ttl=10)
    await machine.backend.flush()
    await c.aclose()  # which empties the memory
    clock.advance(9)
    assert await c.get("k", lambda: "new", ttl=10) == "old"
    clock.advance(1)
    assert await c.get("k", lambda: "new", ttl=10) == "new"
    assert await machine.backend.aclose()


async def test_every_key_at_the_server_has_an_end_and_begins_with_the_prefix(server: RedisServer) -> None:
    server.ask("FLUSHALL")
    machine = await Machine(server.url, "shop:eu-1", max_ttl=100).begin()
    c = machine.cache()
    await c.get("k", lambda: 1)
    await c.get(("}{*?", "[x]"), lambda: 2)
    await machine.backend.read([A])
    covering = await machine.covering(B)
    await machine.backend.flush()
    keys = server.keys()
    assert len(keys) == 6
    for key in keys:
        assert key.startswith(b"{shop:eu-1:0:0}:")
        assert 0 < int(server.ask("PTTL", key)) <= 100_000
    await done(machine.backend.end(covering))
    assert await machine.backend.aclose()


async def test_of_a_herd_on_two_machines_one_loads(caches: tuple[AsyncCache, AsyncCache], there: Machine) -> None:
    load = Loader()
    tasks = [asyncio.ensure_future(each.get("k", load)) for each in caches for _ in range(50)]
    await until(lambda: load.calls and there.backend.metrics().waits + caches[0].get_metrics()["misses"])
    await until(lambda: sum(machine_waits(each) for each in caches) == 1)
    load.end("v")
    assert await asyncio.gather(*tasks) == ["v"] * 100
    assert len(load.calls) == 1


def machine_waits(cache: AsyncCache) -> int:
    tier: Any = cache._loads.backing
    waits: int = tier.tier.metrics().waits
    return waits


async def test_who_waits_goes_on_when_the_load_elsewhere_was_given_up(here: Machine, there: Machine) -> None:
    (moment,) = await here.backend.read([A])
    assert isinstance(moment, Moment)
    waiting = await start(there.backend.read([A]))
    await until(lambda: there.backend.metrics().waits)
    here.backend.release({A: moment})
    (moment,) = await waiting
    assert isinstance(moment, Moment)
    there.backend.release({A: moment})


async def test_who_waits_goes_on_when_the_loader_elsewhere_has_died(server: RedisServer) -> None:
    prefix = secrets.token_hex(8)
    here = await Machine(server.url, prefix, fill_lease=0.1).begin()
    there = await Machine(server.url, prefix, fill_lease=0.1).begin()
    assert isinstance((await here.backend.read([A]))[0], Moment)
    assert isinstance((await there.backend.read([A]))[0], Moment)
    assert there.backend.metrics().leases + there.backend.metrics().waits >= 1
    for machine in (here, there):
        assert await machine.backend.aclose()


async def test_who_has_a_lease_waits_for_nobody(here: Machine, there: Machine) -> None:
    await here.backend.read([A])
    await there.backend.read([B])
    found = await asyncio.gather(here.backend.read([Address("x", b""), B]), there.backend.read([Address("y", b""), A]))
    assert all(isinstance(each, Moment) for both in found for each in both)


async def test_a_read_that_nobody_waits_for_gives_its_lease_back(here: Machine, there: Machine) -> None:
    reading = asyncio.ensure_future(here.backend.read([A]))
    await asyncio.sleep(0)
    reading.cancel()
    assert isinstance((await there.backend.read([A]))[0], Moment)


async def test_what_is_asked_in_one_turn_travels_together(here: Machine) -> None:
    addresses = [Address("many", b"%d" % number) for number in range(200)]
    moment = await here.backend.moment()
    assert moment is not None
    for address in addresses:
        here.backend.write(Record(address, b"v"), moment)
    assert await here.backend.flush() == 200
    before = here.backend.metrics().trips
    found = await asyncio.gather(*(here.backend.read([address]) for address in addresses))
    assert all(isinstance(record, Record) for (record,) in found)
    assert here.backend.metrics().trips - before <= 3  # a heartbeat may fall in between


async def test_stamps_that_the_server_has_dropped_take_everything_with_them(
    server: RedisServer, machines: tuple[Machine, Machine], table: Table
) -> None:
    here, there = machines
    caches = here.cache(), there.cache()
    covering = await here.covering(A)
    for each in caches:
        await each.get("k", lambda: table.read("k"))
    (stamps,) = [key for key in server.keys("*:s") if here.backend.bus.name.encode() in key]
    await table.write("k")
    server.ask("DEL", stamps, stamps[:-1] + b"w")
    await here.hear()  # whoever comes next makes new ones
    await there.hear()
    for each in caches:
        assert await each.get("k", lambda: table.read("k")) == 1
    slots = here.backend._engine.layout.changed([A])
    await until(lambda: there.backend.bus.is_changing(slots))  # what is open has begun again
    await done(here.backend.end(covering))
    await there.hear()
    assert not there.backend.bus.is_changing(slots)


async def test_scripts_that_the_server_has_forgotten_are_sent_again(server: RedisServer, here: Machine) -> None:
    backend = here.backend
    server.ask("SCRIPT", "FLUSH")
    assert isinstance((await backend.read([A]))[0], Moment)
    server.ask("SCRIPT", "FLUSH")
    await done(backend.assign(Record(A, b"1")))
    server.ask("SCRIPT", "FLUSH")
    await asyncio.gather(done(backend.invalidate([A])), done(backend.assign(Record(A, b"2"))))
    # Both were done in their order, if over another line; and then no value comes with what is assigned.
    assert await here.look(A) != [Record(A, b"1")]
    await done(backend.assign(Record(A, b"3")))
    assert await backend.read([A]) == [Record(A, b"3")]


def lease_of(machine: Machine, address: Address) -> bytes:
    """What the lease of whoever loads it is called at the server."""
    lease: bytes = machine.backend._engine.work().link.buckets.names[0].pair(address)[1]
    return lease


async def test_a_thread_that_is_interrupted_while_it_waits_leaves_no_lease_behind(
    server: RedisServer, here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = here.backend

    def interrupt(_: Seat) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Seat, "take", interrupt)
        with pytest.raises(KeyboardInterrupt):
            backend.read_blocking([A])
    await here.look(B)
    await until(lambda: not backend._engine.work().reads._tasks)
    await backend.flush()
    assert server.ask("EXISTS", lease_of(here, A)) == b"0"


async def test_nobody_goes_on_to_wait_for_a_load_elsewhere_who_was_cancelled(
    server: RedisServer, here: Machine, there: Machine
) -> None:
    (moment,) = await here.backend.read([A])
    assert isinstance(moment, Moment)
    waiting = asyncio.ensure_future(there.backend.read([A]))
    await until(lambda: there.backend.metrics().waits)
    waiting.cancel()
    await until(lambda: not there.backend._engine.work().reads._tasks)
    assert server.ask("EXISTS", lease_of(here, A)) == b"1"  # the load goes on
    assert there.backend.metrics().leases == 0
    here.backend.release({A: moment})


async def test_stamps_live_until_the_next_heartbeat_however_short_max_ttl_is(server: RedisServer) -> None:
    machine = await Machine(server.url, secrets.token_hex(8), max_ttl=1, max_staleness=60.0).begin()
    names = machine.backend._engine.work().link.buckets.names[0]
    for key in (names.marker, names.stamps):
        assert int(server.ask("PTTL", key).lstrip(b":")) > 50_000
    await machine.backend.aclose()


@pytest.mark.parametrize(
    "other",
    [b"", b"\x00" * 200, b"\xacR\x01\x00" + b"\xff" * 60, b"x" * 3_000_000],
    ids=["empty", "zeros", "lengths", "long"],
)
async def test_a_value_that_is_none_is_refused_and_counted_and_loaded_anew(
    server: RedisServer, here: Machine, other: bytes
) -> None:
    c = here.cache()
    await c.get("k", lambda: "v")
    await here.backend.flush()
    await c.aclose()  # which empties the memory
    for key in server.keys("*:v*"):
        server.ask("SET", key, other, "PX", "60000")
    assert await c.get("k", lambda: "new") == "new"
    assert here.backend.metrics().foreign >= 1
    await here.backend.flush()
    assert isinstance((await here.backend.read([Address("c", encode("k"))]))[0], Record)


async def test_what_is_no_string_where_a_value_was_is_dropped_and_holds_up_nothing_beside_it(
    server: RedisServer, here: Machine
) -> None:
    backend = here.backend
    for address in (A, B):
        await done(backend.assign(Record(address, b"1")))
    key = backend._engine.work().link.buckets.names[0].value(A)
    server.ask("DEL", key)
    server.ask("LPUSH", key, "1")
    found, other = await backend.read([A, B])
    assert isinstance(found, Moment)
    assert other == Record(B, b"1")
    assert backend.metrics().foreign == 1
    backend.write(Record(A, b"2"), found)
    await backend.flush()
    assert await backend.read([A]) == [Record(A, b"2")]


async def test_a_value_of_another_address_is_refused(server: RedisServer, here: Machine) -> None:
    for address in (A, B):
        await done(here.backend.assign(Record(address, b"of " + address.key)))
    one, other = (here.backend._engine.work().link.buckets.names[0].value(address) for address in (A, B))
    server.ask("COPY", one, other, "REPLACE")
    assert isinstance((await here.look(B))[0], Moment)
    assert here.backend.metrics().foreign == 1


async def test_a_value_that_is_too_large_is_not_sent(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    machine = await Machine(server.url, secrets.token_hex(8), max_value_bytes=1000).begin()
    moment = await machine.backend.moment()
    assert moment is not None
    for value in (b"x" * 1000, b"x" * 1001, b"y" * 1001):
        machine.backend.write(Record(A, value), moment)
    assert await machine.backend.flush() == 1
    assert machine.backend.metrics().oversized == 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "max_value_bytes=1000" in caplog.text
    assert await machine.backend.aclose()


async def test_databases_of_one_server_have_nothing_in_common(server: RedisServer) -> None:
    prefix = secrets.token_hex(8)
    one = await Machine(server.url, prefix).begin()
    other = await Machine(server.url[:-1] + "1", prefix).begin()
    await done(other.backend.assign(Record(A, b"v")))
    await done(one.backend.invalidate([A]))
    await other.hear()
    assert await other.backend.read([A]) == [Record(A, b"v")]
    for machine in (one, other):
        assert await machine.backend.aclose()


async def test_a_forked_process_begins_anew_and_leaves_the_parent_alone(here: Machine, there: Machine) -> None:
    c = here.cache()
    assert await c.get("k", lambda: "old") == "old"
    covering = await here.covering(A)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:  # nothing of the tests may happen in here
        try:
            os.write(writer, _in_child(here, c, covering))
        finally:
            os._exit(0)
    os.close(writer)
    answer = await asyncio.to_thread(os.read, reader, 1000)
    os.close(reader)
    await asyncio.to_thread(os.waitpid, child, 0)
    assert answer == b"old, not proven at first, invalidated, counted from 0"
    await here.hear()
    await there.hear()
    assert here.backend.metrics().connections == 1
    assert await c.get("k", lambda: "new") == "new"
    assert there.backend.bus.is_changing(there.backend._engine.layout.changed([A]))
    await done(here.backend.end(covering))


def _in_child(here: Machine, c: AsyncCache, covering: Covering) -> bytes:
    asyncio._set_running_loop(None)
    was_proven, counts = here.is_proven, here.backend.metrics()
    found = c.get_blocking("k", lambda: "new")
    here.backend.end(covering)  # which the parent is to end
    here.backend.invalidate([Address("c", encode("k"))])
    here.backend.close()
    proven = "proven" if was_proven else "not proven"
    return f"{found}, {proven} at first, invalidated, counted from {max(counts)}".encode()


async def test_one_that_was_closed_tells_so_to_caches_and_to_mutations(server: RedisServer) -> None:
    machine = await Machine(server.url, secrets.token_hex(8)).begin()
    c = machine.cache()
    await c.get("k", lambda: "old")
    assert await machine.backend.aclose()
    assert machine.backend.bus.closed
    assert await c.get("k", lambda: "new") == "new"
    with pytest.raises(BusError, match="closed by"):
        async with c.mutating("k"):
            raise AssertionError("it must not run")


async def test_a_load_that_was_overtaken_leaves_the_one_that_came_after_it_its_lease(
    server: RedisServer, here: Machine
) -> None:
    (first,) = await here.backend.read([A])
    assert isinstance(first, Moment)
    await done(here.backend.invalidate([A]))  # which ends its lease as well
    (second,) = await here.backend.read([A])
    assert isinstance(second, Moment)
    here.backend.release({A: first})
    here.backend.write(Record(A, b"overtaken"), first)
    await here.backend.flush()
    assert server.ask("EXISTS", lease_of(here, A)) == b"1"
    here.backend.write(Record(A, b"v"), second)
    await here.backend.flush()
    assert server.ask("EXISTS", lease_of(here, A)) == b"0"
    assert await here.backend.read([A]) == [Record(A, b"v")]


async def test_what_another_machine_is_loading_holds_up_nobody_who_asks_for_something_else(
    here: Machine, there: Machine
) -> None:
    cache = here.cache()
    busy = Address("c", encode("busy"))
    (moment,) = await there.backend.read([busy])
    assert isinstance(moment, Moment)
    waiting = asyncio.ensure_future(cache.get("busy", lambda: "loaded twice"))
    assert await cache.get("free", lambda: "loaded") == "loaded"
    await until(lambda: here.backend.metrics().waits)
    there.backend.release({busy: moment})
    assert await waiting


@pytest.mark.parametrize("options", [{"encoding": "utf-16"}, {"decode_responses": True}, {"protocol": 3}])
async def test_what_a_client_does_with_its_own_texts_is_nothing_to_the_backend(
    server: RedisServer, options: dict[str, Any]
) -> None:
    client = Redis(host="127.0.0.1", port=server.port, **options)
    machine = await Machine(client, secrets.token_hex(8)).begin()
    assert machine.is_proven
    await done(machine.backend.assign(Record(A, b"v")))
    assert await machine.backend.read([A]) == [Record(A, b"v")]
    assert await machine.backend.aclose()
    await client.aclose()

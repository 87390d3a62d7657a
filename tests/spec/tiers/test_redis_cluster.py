"""Machines that share a cluster: three servers, each of which has a third of what is cached."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import pytest

from cache import AsyncCache, BusError, RedisBackend
from cache._tier import Address, Moment, Record
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer, need_redis
from tests.spec.steering import Loader, Table
from tests.spec.tiers.redis_sides import Machine, done, until

need_redis()

A = Address("users", b"a")
#: So many that some are at each server.
KEYS = [f"k{number}" for number in range(24)]

Make = Callable[..., Awaitable[Machine]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    cluster = RedisCluster()
    yield cluster
    cluster.end()


@pytest.fixture
async def make(cluster: RedisCluster) -> AsyncIterator[Make]:
    """Makes machines that have the cluster of the module in common, and nothing with those of other tests."""
    made: list[Machine] = []
    prefix = secrets.token_hex(4)
    cluster.empty()

    async def make(**options: Any) -> Machine:
        client = options.pop("client", None) or cluster.client()
        made.append(Machine(client, prefix, **{"max_staleness": 0.4, **options}))
        return await made[-1].begin()

    yield make
    for machine in made:
        assert await machine.backend.aclose(2.0)


@pytest.fixture
async def here(make: Make) -> Machine:
    return await make()


@pytest.fixture
async def there(make: Make) -> Machine:
    return await make()


@pytest.fixture
def caches(here: Machine, there: Machine) -> tuple[AsyncCache, AsyncCache]:
    return here.cache(), there.cache()


@pytest.fixture
def table() -> Table:
    return Table()


async def read(cache: AsyncCache, table: Table, keys: list[str] = KEYS) -> list[int]:
    """All of these, by a load each for what is missing."""
    return list(await asyncio.gather(*(cache.get(key, partial(table.read, key), tags=("t",)) for key in keys)))


def server_of(cluster: RedisCluster, machine: Machine, address: Address) -> RedisServer:
    """The one that has what is stored at an address."""
    engine = machine.backend._engine
    return cluster.of(engine.work().link.buckets.names[engine.layout.home(address)].tag)


async def are_back(*machines: Machine) -> None:
    await until(lambda: all(machine.is_proven for machine in machines))


def connected(*machines: Machine) -> list[int]:
    """How often each of them was."""
    return [machine.backend.metrics().connections for machine in machines]


def are_connected_anew(*machines: Machine, since: list[int]) -> bool:
    return all(now > before for now, before in zip(connected(*machines), since, strict=True))


# -- all as with one server --------------------------------------------------------------------------------------------


async def test_what_one_has_loaded_is_at_all_three_servers_for_the_other(
    cluster: RedisCluster, here: Machine, caches: tuple[AsyncCache, AsyncCache], table: Table
) -> None:
    await read(caches[0], table)
    await here.backend.flush()
    await read(caches[1], table)
    assert set(table.reads.values()) == {1}
    for server in cluster.primaries:
        assert server.keys("*:v*")


@pytest.mark.parametrize("act", ["delete", "set", "clear", "invalidate", "mutating", "mutating all"])
async def test_what_changes_here_is_changed_there_when_that_has_heard(
    caches: tuple[AsyncCache, AsyncCache], there: Machine, table: Table, act: str
) -> None:
    for each in caches:
        await read(each, table)
    for key in KEYS:
        await table.write(key)
    match act:
        case "delete":
            await asyncio.gather(*(caches[0].delete(key) for key in KEYS))
        case "set":
            await asyncio.gather(*(caches[0].set(key, 1) for key in KEYS))
        case "clear":
            await caches[0].clear()
        case "invalidate":
            await caches[0].invalidate("t")
        case "mutating":
            async with caches[0].mutating(*KEYS):
                pass
        case _:
            async with caches[0].mutating(everything=True):
                pass
    await there.hear()
    for each in caches:
        assert await read(each, table) == [1] * len(KEYS)


async def test_while_a_mutation_goes_on_nobody_stores_what_it_covers_at_any_server(
    here: Machine, caches: tuple[AsyncCache, AsyncCache], table: Table
) -> None:
    async with caches[0].mutating(*KEYS):
        for _ in range(2):
            await read(caches[1], table)
        for key in KEYS:
            await table.write(key)
    assert await read(caches[1], table) == [1] * len(KEYS)
    assert min(table.reads.values()) == 3


async def test_what_was_computed_from_it_goes_with_it_wherever_that_is(
    here: Machine, there: Machine, table: Table
) -> None:
    inner, outer = here.cache("inner"), here.cache("outer")

    async def compute(key: str) -> int:
        found: int = await inner.get("k", lambda: table.read("k"))
        return found * 10

    async def computed() -> set[int]:
        return {await outer.get(key, partial(compute, key)) for key in KEYS}

    assert await computed() == {0}
    await table.write("k")
    await there.cache("inner").delete("k")
    await here.hear()
    assert await computed() == {10}


async def test_of_a_herd_on_two_machines_one_loads(
    here: Machine, there: Machine, caches: tuple[AsyncCache, AsyncCache]
) -> None:
    loads = {key: Loader() for key in KEYS}
    tasks = [asyncio.ensure_future(each.get(key, loads[key])) for each in caches for key in KEYS for _ in range(5)]
    await until(lambda: all(load.calls for load in loads.values()))
    await until(lambda: sum(machine.backend.metrics().waits for machine in (here, there)) == len(KEYS))
    for load in loads.values():
        load.end("v")
    assert await asyncio.gather(*tasks) == ["v"] * len(tasks)
    assert all(len(load.calls) == 1 for load in loads.values())


async def test_all_that_is_stored_anywhere_is_found_by_a_scan(
    here: Machine, there: Machine, caches: tuple[AsyncCache, AsyncCache], table: Table
) -> None:
    await read(caches[0], table)
    await here.backend.flush()
    await there.hear()
    assert await caches[1].load_from_backup() == len(KEYS)
    assert await read(caches[1], table) == [0] * len(KEYS)
    assert set(table.reads.values()) == {1}


async def test_every_key_has_an_end_and_is_in_the_hash_slot_of_its_script(
    cluster: RedisCluster, make: Make, table: Table
) -> None:
    here = await make(max_ttl=200)
    c = here.cache()
    for server in cluster.primaries:  # what the library tries when it connects is not known to all servers
        server.ask("CONFIG", "RESETSTAT")
    covering = await here.covering(*(Address("users", key.encode()) for key in KEYS))
    await here.backend.read([Address("users", b"leased")])
    await read(c, table)
    await c.set("k", 1)
    async with c.mutating(*KEYS):
        pass
    await here.backend.flush()
    await c.load_from_backup()
    for server in cluster.primaries:
        keys = server.keys()
        assert all(key.startswith(b"{" + here.backend.bus.name.encode() + b":") for key in keys)
        assert {key.partition(b"}:")[2][-1:] for key in keys} >= {b"i", b"s", b"w"}
        assert all(0 < int(server.ask("PTTL", key)) <= 200_000 for key in keys)
        assert b"errorstat" not in server.ask("INFO", "errorstats")
    await done(here.backend.end(covering))


async def test_what_is_asked_in_one_turn_travels_together_to_each_server(here: Machine) -> None:
    addresses = [Address("many", b"%d" % number) for number in range(200)]
    moment = await here.backend.moment()
    assert moment is not None
    for address in addresses:
        here.backend.write(Record(address, b"v"), moment)
    assert await here.backend.flush() == 200
    before = here.backend.metrics().trips
    found = await asyncio.gather(*(here.backend.read([address]) for address in addresses))
    assert all(isinstance(record, Record) for (record,) in found)
    assert here.backend.metrics().trips - before <= 9  # a heartbeat or two may fall in between


async def test_the_options_of_a_client_that_is_passed_are_used_and_its_connections_are_not(
    cluster: RedisCluster, make: Make
) -> None:
    here = await make(client=cluster.client(client_name="shop", decode_responses=True, protocol=2))
    await done(here.backend.assign(Record(A, b"\xff")))
    assert await here.backend.read([A]) == [Record(A, b"\xff")]
    for server in cluster.primaries:
        assert server.ask("CLIENT", "LIST").count(b"name=shop ") == 2


async def test_what_is_assigned_is_compared_with_all_that_gets_its_stamp_or_not_stored(
    here: Machine, there: Machine
) -> None:
    layout = here.backend._engine.layout
    (anything,) = {*layout.changed([A])} - {layout.slot(*A)}
    assert layout.bucket(anything) != layout.home(A)
    keys = (Address("grounds", b"%d" % number) for number in count())
    ground = next(each for each in keys if layout.slot(*each) == anything)
    async with here.hears_nothing():
        await done(there.backend.invalidate([ground]))
        assigned = here.backend.assign(Record(A, b"made of what was there before", grounds=(ground,)))
        await there.hear()
    await done(assigned)
    await there.hear()
    assert isinstance((await there.backend.read([A]))[0], Moment)


# -- what happens to its servers ---------------------------------------------------------------------------------------


async def test_with_one_server_that_is_silent_nothing_in_memory_is_served_and_no_mutation_runs(
    cluster: RedisCluster, here: Machine, caches: tuple[AsyncCache, AsyncCache], table: Table
) -> None:
    await read(caches[0], table)
    silent = cluster.primaries[1]
    silent.hold()
    await until(lambda: not here.is_proven)
    for key in KEYS:
        await table.write(key)
    assert await read(caches[0], table) == [1] * len(KEYS)
    silent.let_go()
    await are_back(here)


async def test_who_waits_for_a_value_while_the_servers_are_connected_to_is_answered(
    cluster: RedisCluster, here: Machine, there: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = [Address("users", key.encode()) for key in KEYS]
    await here.backend.read(addresses)
    waiting = asyncio.ensure_future(there.backend.read(addresses))
    await until(lambda: there.backend.metrics().waits)
    for server in cluster.primaries:
        server.hold()
    engine = there.backend._engine
    assert engine._loop is not None
    engine._loop.call_soon_threadsafe(engine.work().link.give_up, "the test has cut it off")
    assert await waiting == [None] * len(KEYS)
    for server in cluster.primaries:
        server.let_go()
    await are_back(here, there)
    gc.collect()
    assert not caplog.records  # of a task that has failed, and nobody has asked


async def test_what_one_server_has_dropped_takes_with_it_what_rests_on_that(
    cluster: RedisCluster, here: Machine, caches: tuple[AsyncCache, AsyncCache], table: Table
) -> None:
    await read(caches[0], table)
    for key in KEYS:
        await table.write(key)
    connections = here.backend.metrics().connections
    for server in cluster.primaries:
        server.ask("FLUSHALL")
    await until(lambda: here.backend.metrics().connections > connections and here.is_proven)
    assert await read(caches[0], table) == [1] * len(KEYS)


async def test_a_hash_slot_is_moved_while_it_is_in_use(
    cluster: RedisCluster, here: Machine, there: Machine, table: Table
) -> None:
    caches = here.cache(), there.cache()
    await done(here.backend.assign(Record(A, b"old")))
    for each in caches:
        await read(each, table)
    before = server_of(cluster, here, A)
    to = next(server for server in cluster.primaries if server is not before)
    names = here.backend._engine.work().link.buckets.names
    await asyncio.to_thread(cluster.move, names[here.backend._engine.layout.home(A)].tag, to)
    assert server_of(cluster, here, A) is to
    await until(lambda: min(each.backend.metrics().connections for each in (here, there)) > 1)
    await are_back(here, there)
    await done(here.backend.invalidate([A]))
    await there.hear()
    assert isinstance((await there.look(A))[0], Moment)
    await done(there.backend.assign(Record(A, b"new")))
    await here.hear()
    assert await here.backend.read([A]) == [Record(A, b"new")]
    for key in KEYS:
        await table.write(key)
    await caches[0].clear()
    await there.hear()
    assert await read(caches[1], table) == [1] * len(KEYS)


async def test_a_primary_that_is_killed_and_has_no_replica_is_waited_for(
    cluster: RedisCluster, make: Make, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    here = await make(max_staleness=0.2)
    c = here.cache()
    await read(c, table)
    killed = cluster.primaries[2]
    killed.kill()
    await until(lambda: here.backend.metrics().warnings)
    for version in (1, 2):
        for key in KEYS:
            await table.write(key)
        assert await read(c, table) == [version] * len(KEYS)
    with pytest.raises(BusError, match="not told of a change"):
        await c.clear()  # which the others are owed, too: they have what was there before
    with pytest.raises(BusError, match="was not run"):
        async with c.mutating(*KEYS):
            raise AssertionError("it must not run")
    killed.start()
    await are_back(here)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert await read(c, table) == await read(c, table) == [2] * len(KEYS)
    assert set(table.reads.values()) == {4}


async def test_what_was_deleted_at_another_primary_does_not_come_back_with_the_first_one(
    cluster: RedisCluster, make: Make
) -> None:
    first = server_of(cluster, await make(), A)
    # Before it is used: with its first replica the history of a server begins.
    replica = await asyncio.to_thread(cluster.add_replica, first)
    here, there = await make(), await make()
    await done(here.backend.assign(Record(A, b"old")))
    await there.hear()
    assert await there.backend.read([A]) == [Record(A, b"old")]
    for to, of in ((replica, first), (first, replica)):
        before = connected(here, there)
        await asyncio.to_thread(cluster.fail_over, to, of)
        await until(partial(are_connected_anew, here, there, since=before))
        if to is replica:
            with suppress(BusError):  # not all servers may know it yet; then it is owed
                await done(here.backend.invalidate([A]))
        await are_back(here, there)
        await there.hear()
        (found,) = await there.look(A)
        assert not isinstance(found, Record)


async def test_a_replica_takes_the_place_of_a_primary_that_is_killed(table: Table) -> None:
    cluster = RedisCluster()
    try:
        replica = cluster.add_replica(cluster.primaries[0])
        here, there = [await Machine(cluster.client(), "t", max_staleness=0.4).begin() for _ in range(2)]
        caches = here.cache(), there.cache()
        for each in caches:
            await read(each, table)
        cluster.primaries[0].kill()
        for key in KEYS:
            await table.write(key)
        await until(lambda: not here.is_proven and not there.is_proven)
        assert await read(caches[1], table) == [1] * len(KEYS)
        await asyncio.to_thread(cluster.promoted, replica, cluster.primaries[0])
        await are_back(here, there)
        await read(caches[0], table)
        async with caches[1].mutating(*KEYS):
            for key in KEYS:
                await table.write(key)
        await here.hear()
        for each in caches:
            assert await read(each, table) == [2] * len(KEYS)
        for machine in (here, there):
            assert await machine.backend.aclose()
    finally:
        cluster.end()


async def test_whoever_is_given_one_server_of_a_cluster_is_told_what_to_pass(
    cluster: RedisCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with RedisBackend(cluster.servers[0].url) as backend:
        await backend.hear_all()
    assert "RedisCluster" in caplog.text

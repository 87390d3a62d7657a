"""What one process invalidates, no other serves again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import cache
from cache import AsyncCache, AsyncLRU, BusError, invalidates
from tests.spec.sides import Side
from tests.spec.steering import Loader, Table, metric, start, start_outside

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

Sides = tuple[Side, Side]
Act = Callable[[AsyncCache], Awaitable[object]]

ENDS: dict[str, Act] = {
    "delete": lambda there: there.delete("a"),
    "set": lambda there: there.set("a", "there"),
    "clear": lambda there: there.clear(),
    "invalidate": lambda there: there.invalidate("t"),
    "module": lambda there: cache.invalidate("t", namespace=there._namespace.name),
}


@pytest.mark.parametrize("end", ENDS)
async def test_what_was_invalidated_there_is_loaded_anew_here(sides: Sides, end: str) -> None:
    here, there = (side.cache() for side in sides)
    table = Table()
    await here.get("a", lambda: table.read("a"), tags=("t",))
    table.versions["a"] = 1
    await ENDS[end](there)
    assert "a" not in here
    assert await here.get("a", lambda: table.read("a"), tags=("t",)) == 1
    assert metric(here, "hits") == 0


@pytest.mark.parametrize("end", ENDS)
async def test_an_invalidation_there_spares_what_it_does_not_name(sides: Sides, end: str) -> None:
    here, there = (side.cache() for side in sides)
    other = sides[0].cache("d")
    await here.get("b", lambda: 1, tags=("u",))
    await other.get("a", lambda: 1)
    await ENDS[end](there)
    assert ("b" in here) == (end != "clear")
    assert "a" in other


async def test_a_value_that_was_set_there_is_not_known_here_and_the_one_here_is_forgotten(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    here.set("a", "here")
    there.set("a", "there")
    assert "a" not in here
    assert there.peek("a") == "there"


@pytest.mark.parametrize("end", ["key", "tag", "everything"])
async def test_a_mutation_there_ends_what_is_here_before_it_writes_and_until_it_has(sides: Sides, end: str) -> None:
    here, there = sides
    table = Table()
    read, theirs = here.reader(table, tags=("user:{key}",)), there.reader(table)
    await read("a")
    targets: dict[str, Any] = {
        "key": {"args": [(theirs, theirs.cache_key("a"))]},
        "tag": {"tags": ("user:a",), "namespace": there.namespace},
        "everything": {"args": [theirs]},
    }
    args = targets[end].pop("args", [])
    async with cache.mutating(*args, **targets[end]):
        assert await (await start_outside(read("a"))) == 0
        assert read.peek("a") is None, "nothing is stored while another process may be writing"
        await table.write("a")
        assert await (await start_outside(read("a"))) == 1
    assert await read("a") == 1
    assert read.peek("a") == 1


async def test_a_load_that_began_before_a_mutation_there_is_given_to_who_waits_and_to_nobody_else(
    sides: Sides,
) -> None:
    here, there = (side.cache() for side in sides)
    loader = Loader()
    early = await start(here.get("a", loader))
    async with there.mutating("a"):
        pass
    late = await start(here.get("a", loader))
    assert len(loader.calls) == 2
    loader.end("old", 0)
    loader.end("new", 1)
    assert [await early, await late] == ["old", "new"]
    assert here.peek("a") == "new"


async def test_an_invalidator_there_reaches_the_function_here(sides: Sides) -> None:
    here, there = sides
    table = Table()
    read = here.reader(table)

    @invalidates(there.reader(table))
    async def write(key: str) -> None:
        await table.write(key)

    await read("a")
    await read("b")
    await write("a")
    assert await read("a") == 1
    await read("b")
    assert table.reads == {"a": 2, "b": 1}


@pytest.mark.parametrize("depth", [1, 2, 3])
async def test_what_was_computed_here_goes_with_what_was_invalidated_there(sides: Sides, depth: int) -> None:
    here, there = sides
    table = Table()
    inner: Any = here.reader(table)
    theirs = there.reader(table)

    def outer_of(inner: Any) -> Any:
        @AsyncLRU(bus=None)
        async def outer(key: str) -> int:
            return int(await inner(key))

        return outer

    outer = inner
    for _ in range(depth):
        outer = outer_of(outer)
    assert await outer("a") == 0
    table.versions["a"] = 1
    await theirs.invalidate_cache("a")
    assert await outer("a") == 1


async def test_a_wildcard_that_only_the_other_process_has_declared_reaches_what_is_here(sides: Sides) -> None:
    table = Table()

    def reader(side: Side) -> Any:
        @side.cached("read")
        async def read(key: str, page: int = 0) -> int:
            return await table.read(key) + page

        return read

    here, there = map(reader, sides)
    await here("a", 3)
    await here("b", 3)

    @invalidates(there)
    async def write(key: str) -> None:
        await table.write(key)

    assert await here("a", 3) == 3, "to declare is not to change"
    await write("a")
    assert await here("a", 3) == 4


async def test_a_hit_here_is_a_hit_as_long_as_nobody_changes_anything(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    await here.get("a", lambda: 1)
    for _ in range(5):
        assert await here.get("a", lambda: 2) == 1
    await there.get("b", lambda: 1)
    await there.delete("b")
    assert await here.get("a", lambda: 2) == 1
    assert metric(here, "hits") == 6


async def test_what_one_process_drops_for_itself_the_others_keep(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    await here.get("a", lambda: 1)
    await there.get("a", lambda: 1)
    await there.aclose()
    assert "a" in here
    assert "a" not in there
    sides[1].bus.close()
    assert "a" in here


async def test_a_value_that_a_mutation_has_set_is_loaded_when_it_is_asked_for(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    await there.get("a", lambda: "old")
    async with here.mutating("a"):
        here.set("a", "new")
    assert "a" not in here, "another process may have changed it since, and nobody can tell"
    assert "a" not in there


async def test_a_value_that_a_mutation_has_set_is_not_kept_if_another_process_changed_it_too(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    async with here.mutating("a"):
        here.set("a", "new")
        async with there.mutating("a"):
            pass
    assert "a" not in here


async def test_where_there_is_no_bus_any_more_nothing_is_kept_and_no_mutation_runs(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    table = Table()
    sides[0].bus.close()
    for version in range(3):
        table.versions["a"] = version
        assert await here.get("a", lambda: table.read("a")) == version
    with pytest.raises(BusError):
        async with here.mutating("a"):
            raise AssertionError
    async with there.mutating("a"):
        pass


def delete(side: Side) -> None:
    """The file goes, and whoever has it keeps what there is of it."""
    Path(side.bus.path).unlink()


async def test_a_file_that_was_deleted_is_noticed_by_who_invalidates(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    await here.get("a", lambda: "old")
    delete(sides[0])
    await there.delete("a")
    assert await here.get("a", lambda: "new") == "new"
    await here.get("a", lambda: "new")
    assert await here.get("a", lambda: "newer") == "new", "with the new file it goes on as before"


async def test_a_file_that_was_deleted_is_noticed_by_who_misses(sides: Sides, tmp_path: Path) -> None:
    here = sides[0].cache()
    await here.get("a", lambda: "old")
    delete(sides[0])
    newcomer = Side(tmp_path)
    await newcomer.cache().delete("a")
    await here.get("b", lambda: "missed")
    assert await here.get("a", lambda: "new") == "new"
    newcomer.bus.close()


async def test_batches_hear_of_what_was_invalidated_there(sides: Sides) -> None:
    here, there = (side.cache(batch_window_ms=0) for side in sides)
    table = Table()

    async def load(keys: list[str]) -> list[int]:
        return [await table.read(key) for key in keys]

    assert await asyncio.gather(*[here.get(key, batch_loader=load) for key in "ab"]) == [0, 0]
    table.versions["a"] = table.versions["b"] = 1
    await there.delete("a")
    assert await asyncio.gather(*[here.get(key, batch_loader=load) for key in "ab"]) == [1, 0]


async def test_a_thread_without_a_loop_hears_of_what_was_invalidated_there(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    assert await asyncio.to_thread(here.get_blocking, "a", lambda: 1) == 1
    await asyncio.to_thread(there.delete, "a")
    assert await asyncio.to_thread(here.get_blocking, "a", lambda: 2) == 2
    assert await asyncio.to_thread(here.get_blocking, "a", lambda: 3) == 2


@pytest.mark.parametrize("options", [{}, {"ttl": 60}, {"policy": "s3fifo"}, {"maxsize": 100_000}, {"track": False}])
async def test_every_kind_of_wrapper_looks_at_the_bus(sides: Sides, options: dict[str, Any]) -> None:
    table = Table()
    here, there = (side.reader(table, **options) for side in sides)
    for _ in range(2):
        assert await here("a") == 0
    assert table.reads["a"] == 1
    table.versions["a"] = 1
    await there.invalidate_cache("a")
    assert here.peek("a") is None
    assert await here("a") == 1
    assert here.peek("a") == 1


async def test_methods_without_their_instance_are_shared(sides: Sides) -> None:
    table = Table()

    def repository(side: Side) -> Any:
        class Repository:
            @side.cached("Repository.read", skip_args=1)
            async def read(self, key: str) -> int:
                return await table.read(key)

        return Repository

    here, there = map(repository, sides)
    await here().read("a")
    table.versions["a"] = 1
    await there.read.invalidate_cache(there(), "a")
    assert await here().read("a") == 1


async def test_keys_that_are_equal_are_one_in_every_process(sides: Sides) -> None:
    here, there = (side.cache() for side in sides)
    await here.get(1, lambda: "v")
    await there.delete(True)
    assert 1 not in here


async def test_a_key_without_a_form_for_others_is_refused(sides: Sides) -> None:
    here = sides[0].cache()
    with pytest.raises(TypeError, match="no form that is the same in every process"):
        await here.get(object(), lambda: 1)
    with pytest.raises(TypeError, match="no form that is the same in every process"):
        here.set(object(), 1)
    assert len(here) == 0

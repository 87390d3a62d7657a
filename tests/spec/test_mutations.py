from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncCache
from tests.spec.steering import BatchLoader, Loader, Table, metric, settle, start, start_outside

# -- what others see -----------------------------------------------------------------------------------------------


async def test_the_entry_goes_as_the_mutation_begins() -> None:
    cache = AsyncCache()
    cache.set("k", "old")
    async with cache.mutating("k"):
        assert "k" not in cache
        assert cache.peek("k") is None


async def test_what_is_not_covered_stays() -> None:
    cache = AsyncCache()
    cache.set("other", 1)
    async with cache.mutating("k"):
        assert await cache.get("other") == 1
        assert await (await start_outside(cache.get("another", lambda: 2))) == 2
        assert cache.peek("another") == 2


async def test_nothing_loaded_during_the_mutation_is_stored() -> None:
    cache, table = AsyncCache(), Table()
    async with cache.mutating("k"):
        assert await (await start_outside(cache.get("k", lambda: table.read("k")))) == 0
        assert "k" not in cache
        await table.write("k")
        assert await (await start_outside(cache.get("k", lambda: table.read("k")))) == 1
        assert "k" not in cache
    assert "k" not in cache


async def test_after_the_mutation_loads_are_stored_again() -> None:
    cache, table = AsyncCache(), Table()
    async with cache.mutating("k"):
        await table.write("k")
    assert await cache.get("k", lambda: table.read("k")) == 1
    assert cache.peek("k") == 1


async def test_a_load_begun_before_the_mutation_is_given_to_those_who_had_asked_and_not_stored() -> None:
    cache, loader = AsyncCache(), Loader()
    early = await start(cache.get("k", loader))
    async with cache.mutating("k"):
        pass
    late = await start(cache.get("k", loader))
    assert len(loader.calls) == 2
    loader.end("old", 0)
    assert await early == "old"
    assert "k" not in cache
    loader.end("new", 1)
    assert await late == "new"
    assert cache.peek("k") == "new"


async def test_a_load_begun_during_the_mutation_is_not_stored_after_it() -> None:
    cache, loader = AsyncCache(), Loader()
    async with cache.mutating("k"):
        reader = await start_outside(cache.get("k", loader))
    loader.end("uncommitted")
    assert await reader == "uncommitted"
    assert "k" not in cache
    assert metric(cache, "fenced") == 1


async def test_who_asks_during_the_mutation_gets_a_load_that_began_after_he_asked() -> None:
    cache, table, go_on = AsyncCache(), Table(), asyncio.Event()

    async def read_slowly() -> int:
        version = await table.read("k")
        await go_on.wait()
        return version

    async with cache.mutating("k"):
        before = await start_outside(cache.get("k", read_slowly))
        await table.write("k")
        after = await start_outside(cache.get("k", read_slowly))
        go_on.set()
        assert (await before, await after) == (0, 1), "who asks after the commit gets it, while the body still runs"


async def test_during_the_mutation_one_load_runs_and_one_is_queued_for_all_who_come() -> None:
    cache, loader = AsyncCache(), Loader()
    async with cache.mutating("k"):
        readers = [await start_outside(cache.get("k", loader)) for _ in range(5)]
        assert len(loader.calls) == 1
        loader.end("first")
        await settle()
        assert len(loader.calls) == 2
        loader.end("second")
        assert [await reader for reader in readers] == ["first"] + ["second"] * 4
    assert metric(cache, "loads") == 2


async def test_a_queued_load_begins_as_the_mutation_ends() -> None:
    cache, loader = AsyncCache(), Loader()
    async with cache.mutating("k"):
        running = await start_outside(cache.get("k", loader))
        queued = await start_outside(cache.get("k", loader))
        assert len(loader.calls) == 1
    await settle()
    assert len(loader.calls) == 2, "nobody need wait for the first, which nobody may use"
    loader.end("new", 1)
    assert await queued == "new"
    assert cache.peek("k") == "new"
    loader.end("uncommitted", 0)
    assert await running == "uncommitted"
    assert cache.peek("k") == "new"


async def test_a_load_begun_before_the_mutation_is_not_joined_during_it() -> None:
    cache, loader = AsyncCache(), Loader()
    early = await start(cache.get("k", loader))
    async with cache.mutating("k"):
        late = await start_outside(cache.get("k", loader))
        loader.end("old", 0)
        assert await early == "old"
        await settle()
        loader.end("new", 1)
        assert await late == "new"
    assert "k" not in cache


# -- what the body sees --------------------------------------------------------------------------------------------


async def test_the_body_loads_for_itself() -> None:
    cache, loader = AsyncCache(), Loader()
    outside = await start(cache.get("other", loader))
    async with cache.mutating("k"):
        inside = await start(cache.get("other", loader))
        assert len(loader.calls) == 2, "it joins nobody"
        later = await start_outside(cache.get("other", loader))
        assert len(loader.calls) == 2, "and is joined by nobody"
        loader.end("uncommitted", 1)
        assert await inside == "uncommitted"
        assert "other" not in cache
        loader.end("committed", 0)
        assert (await outside, await later) == ("committed", "committed")
    assert cache.peek("other") == "committed"


async def test_the_body_does_not_wait_for_those_outside_who_may_wait_for_it() -> None:
    cache, loader = AsyncCache(), Loader()
    async with cache.mutating("k"):
        outside = await start_outside(cache.get("k", loader))
        assert await cache.get("k", lambda: "mine") == "mine"
        assert not outside.done()
        loader.end("theirs")
        assert await outside == "theirs"


async def test_the_body_is_served_what_is_stored_and_not_covered() -> None:
    cache, loader = AsyncCache(), Loader()
    cache.set("other", 1)
    async with cache.mutating("k"):
        assert await cache.get("other", loader) == 1
    assert loader.calls == []


async def test_tasks_that_the_body_begins_are_part_of_it() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        values = await asyncio.gather(*[cache.get("other", lambda: "uncommitted") for _ in range(2)])
        assert list(values) == ["uncommitted"] * 2
        assert "other" not in cache
    assert metric(cache, "loads") == 2


async def test_a_task_that_outlives_the_body_reads_like_others_when_it_has_ended() -> None:
    cache, goes_on = AsyncCache(), asyncio.Event()

    async def read_later() -> str:
        await goes_on.wait()
        return await cache.get("k", lambda: "new")

    async with cache.mutating("k"):
        reader = await start(read_later())
    goes_on.set()
    assert await reader == "new"
    assert cache.peek("k") == "new"


async def test_after_the_body_the_reads_of_the_same_task_are_shared_again() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        pass
    values = await asyncio.gather(*[cache.get("k", lambda: "new") for _ in range(2)])
    assert list(values) == ["new"] * 2
    assert metric(cache, "loads") == 1


async def test_the_body_may_use_batch_loaders() -> None:
    cache, load = AsyncCache(batch_window_ms=0), BatchLoader()
    async with cache.mutating("a"):
        assert await cache.get("a", batch_loader=load) == "<a>"
    assert "a" not in cache


# -- several of them -----------------------------------------------------------------------------------------------


async def test_one_mutation_covers_many_keys() -> None:
    cache = AsyncCache()
    for key in "abc":
        cache.set(key, 1)
    async with cache.mutating("a", "b", "b"):
        assert [key in cache for key in "abc"] == [False, False, True]
        await (await start_outside(cache.get("b", lambda: 2)))
        assert "b" not in cache


async def test_mutations_of_one_key_add_up() -> None:
    cache = AsyncCache()
    first, second = cache.mutating("k"), cache.mutating("k")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert await (await start_outside(cache.get("k", lambda: "uncommitted"))) == "uncommitted"
    assert "k" not in cache, "the second is still open"
    second.__exit__(None, None, None)
    await cache.get("k", lambda: "new")
    assert "k" in cache


async def test_a_mutation_inside_a_mutation_of_the_same_key_does_not_uncover_it() -> None:
    cache = AsyncCache()
    async with cache.mutating("k"):
        async with cache.mutating("k"):
            pass
        await (await start_outside(cache.get("k", lambda: "uncommitted")))
        assert "k" not in cache
        await cache.get("k", lambda: "uncommitted")
        assert "k" not in cache, "and the body is still a body"


async def test_a_mutation_is_used_once() -> None:
    cache = AsyncCache()
    mutation = cache.mutating("k")
    with mutation:
        pass
    with pytest.raises(RuntimeError, match=r"call mutating\(\.\.\.\) again"):
        mutation.__enter__()
    with pytest.raises(RuntimeError, match="never entered"):
        cache.mutating("k").__exit__(None, None, None)


async def test_a_mutation_that_is_not_entered_changes_nothing() -> None:
    cache = AsyncCache()
    cache.set("k", 1)
    cache.mutating("k")
    assert cache.peek("k") == 1


async def test_a_mutation_may_begin_in_one_task_and_end_in_another() -> None:
    cache = AsyncCache()
    mutation = cache.mutating("k")
    await asyncio.create_task(mutation.__aenter__())
    assert await cache.get("k", lambda: "uncommitted") == "uncommitted"
    assert "k" not in cache
    await asyncio.create_task(mutation.__aexit__(None, None, None))
    await cache.get("k", lambda: "new")
    assert cache.peek("k") == "new"


async def test_plain_with_does_the_same_as_async_with() -> None:
    cache = AsyncCache()
    cache.set("k", "old")
    with cache.mutating("k"):
        assert "k" not in cache
        reader: asyncio.Task[Any] = await start_outside(cache.get("k", lambda: "uncommitted"))
        assert await reader == "uncommitted"
    assert "k" not in cache

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cache import AsyncLRU, AsyncLRUInvalidator, AsyncTTL, AsyncTTLInvalidator, cached, invalidates
from tests.spec.steering import Loader, Table, metric, settle, start, start_outside


async def test_what_a_mutation_changes_is_loaded_anew() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    write = AsyncLRUInvalidator(get)(table.write)
    await get(1)
    await get(2)
    await write(1)
    assert [await get(1), await get(2)] == [1, 0]
    assert table.reads == {1: 2, 2: 1}


@pytest.mark.parametrize("preset", [AsyncLRUInvalidator, AsyncTTLInvalidator, invalidates], ids=["lru", "ttl", "both"])
@pytest.mark.parametrize("decorator", [AsyncLRU, AsyncTTL])
async def test_every_invalidator_takes_every_cached_function(preset: Any, decorator: Any) -> None:
    table = Table()
    get = decorator()(table.read)
    await get(1)
    await preset(get)(table.write)(1)
    assert await get(1) == 1


# -- when --------------------------------------------------------------------------------------------------------


async def test_the_entry_is_gone_before_the_first_step_of_the_mutation() -> None:
    @AsyncLRU
    async def get(uid: int) -> int:
        return uid

    peeked = []

    @AsyncLRUInvalidator(get)
    async def update(uid: int) -> None:
        peeked.append(get.peek(uid))

    await get(1)
    await update(1)
    assert peeked == [None]


async def test_a_load_begun_before_the_mutation_is_not_stored() -> None:
    loader = Loader()

    @AsyncLRU
    async def get(uid: int) -> Any:
        return await loader(uid)

    @AsyncLRUInvalidator(get)
    async def update(uid: int) -> None:
        pass

    early = await start(get(1))
    await update(1)
    loader.end("old")
    assert await early == "old"
    assert get.peek(1) is None


async def test_a_load_begun_during_the_mutation_is_not_stored() -> None:
    loader, body = Loader(), Loader()

    @AsyncLRU
    async def get(uid: int) -> Any:
        return await loader(uid)

    @AsyncLRUInvalidator(get)
    async def update(uid: int) -> None:
        await body()

    update_1 = await start(update(1))
    reader = await start(get(1))
    body.end(None)
    await update_1
    loader.end("maybe old")
    assert await reader == "maybe old"
    assert get.peek(1) is None


async def test_an_entry_cannot_appear_while_the_mutation_runs() -> None:
    table, body = Table(), Loader()
    get = AsyncLRU()(table.read)

    @AsyncLRUInvalidator(get)
    async def update(key: int) -> None:
        await body()

    update_1 = await start(update(1))
    await get(1)
    assert len(get.cache) == 0
    body.end(None)
    await update_1
    await get(1)
    assert len(get.cache) == 1


async def test_nothing_happens_before_the_mutation_is_awaited() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await get(1)
    coroutine = AsyncLRUInvalidator(get)(table.write)(1)
    assert get.peek(1) == 0
    await coroutine
    assert get.peek(1) is None


async def test_the_keys_are_those_of_the_call_whatever_the_mutation_does_to_its_arguments() -> None:
    @AsyncLRU
    async def get(uids: list[int]) -> int:
        return len(uids)

    @AsyncLRUInvalidator(get)
    async def update(uids: list[int]) -> None:
        uids.append(3)

    await get([1, 2])
    await update([1, 2])
    assert get.peek([1, 2]) is None


# -- several -----------------------------------------------------------------------------------------------------


async def test_one_mutation_may_change_several_functions() -> None:
    table = Table()
    one, two, three = AsyncLRU()(table.read), AsyncTTL()(table.read), cached()(table.read)
    write = invalidates(one, two)(table.write)
    for get in (one, two, three):
        await get(1)
    await write(1)
    assert [await one(1), await two(1), await three(1)] == [1, 1, 0]


async def test_invalidators_stack() -> None:
    table = Table()
    one, two = AsyncLRU()(table.read), AsyncTTL()(table.read)
    write = AsyncTTLInvalidator(two)(AsyncLRUInvalidator(one)(table.write))
    await one(1)
    await two(1)
    await write(1)
    assert [await one(1), await two(1)] == [1, 1]


async def test_an_invalidator_stacks_with_other_decorators() -> None:
    table, calls = Table(), []
    get = AsyncLRU()(table.read)

    def logged(function: Callable[..., Awaitable[Any]]) -> Any:
        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            return await function(*args, **kwargs)

        return call

    write = logged(AsyncLRUInvalidator(get)(logged(table.write)))
    await get(1)
    await write(1)
    assert await get(1) == 1
    assert calls == [(1,), (1,)]


async def test_a_cached_function_is_known_under_another_decorator() -> None:
    table = Table()
    get = AsyncLRU()(table.read)

    @functools.wraps(get)
    async def logged(*args: Any, **kwargs: Any) -> Any:
        return await get(*args, **kwargs)

    await get(1)
    await AsyncLRUInvalidator(logged)(table.write)(1)
    assert await logged(1) == 1


async def test_concurrent_mutations_of_one_key_add_up() -> None:
    table, body = Table(), Loader()
    get = AsyncLRU()(table.read)

    @AsyncLRUInvalidator(get)
    async def update(key: int) -> None:
        await body()

    updates = [await start(update(1)) for _ in range(2)]
    body.end(None, 0)
    await updates[0]
    await get(1)
    assert get.peek(1) is None, "the other one still runs"
    body.end(None, 1)
    await updates[1]
    await get(1)
    assert get.peek(1) == 0


# -- everything --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [AsyncLRUInvalidator, AsyncTTLInvalidator, invalidates], ids=["lru", "ttl", "both"])
async def test_clear_all_drops_every_result_whatever_the_arguments(preset: Any) -> None:
    table = Table()
    get = AsyncLRU()(table.read)

    async def truncate() -> None:
        for key in (1, 2):
            await table.write(key)

    for key in (1, 2):
        await get(key)
    await preset(get, clear_all=True)(truncate)()
    assert [await get(1), await get(2)] == [1, 1]


async def test_clear_all_covers_keys_that_nobody_has_asked_for_yet() -> None:
    body, table = Loader(), Table()
    get = AsyncLRU()(table.read)

    @AsyncLRUInvalidator(get, clear_all=True)
    async def truncate() -> None:
        await body()

    truncating = await start(truncate())
    reader = await start_outside(get(1))
    assert await reader == 0
    assert len(get.cache) == 0
    body.end(None)
    await truncating
    await settle()


async def test_clear_all_keeps_the_metrics() -> None:
    table = Table()
    get = AsyncLRU()(table.read)
    await get(1)
    await AsyncLRUInvalidator(get, clear_all=True)(table.write)(1)
    assert metric(get.cache, "misses") == 1
    assert metric(get.cache, "invalidations") == 1


# -- what a mutation looks like ----------------------------------------------------------------------------------


async def test_a_mutation_keeps_its_looks() -> None:
    @AsyncLRU
    async def get(uid: int) -> int:
        return uid

    async def update(uid: int, *, name: str = "x") -> bool:
        """Update."""
        return True

    invalidating = AsyncLRUInvalidator(get)(update)
    assert inspect.iscoroutinefunction(invalidating)
    assert inspect.signature(invalidating) == inspect.signature(update)
    assert (invalidating.__name__, invalidating.__doc__) == ("update", "Update.")
    assert inspect.unwrap(invalidating) is update

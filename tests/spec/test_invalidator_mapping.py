from __future__ import annotations

import functools
from typing import Any

import pytest

from cache import AsyncLRU, AsyncLRUInvalidator, cached, invalidates
from tests.spec.refusal import refused
from tests.spec.steering import metric
from tests.spec.stored import left, load

ran: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


async def test_arguments_are_found_by_name_and_not_by_position() -> None:
    @AsyncLRU
    async def get(tenant: str, uid: int) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(name: str, uid: int, *, tenant: str) -> None:
        pass

    await load(get, ("a", 1), ("a", 2), ("b", 1))
    await update("x", 1, tenant="a")
    assert left(get, ("a", 1), ("a", 2), ("b", 1)) == [False, True, True]


async def test_every_way_to_call_the_mutation_will_do() -> None:
    @AsyncLRU
    async def get(uid: int) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(uid: int = 1, **changes: Any) -> None:
        pass

    for arguments in ({"uid": 1}, {"uid": 1, "name": "x"}, {}, {"name": "x"}):
        await get(1)
        await update(**arguments)
        assert left(get, (1,)) == [False]


async def test_unhashable_arguments_find_their_entry() -> None:
    @AsyncLRU
    async def search(words: list[str]) -> None:
        pass

    @AsyncLRUInvalidator(search)
    async def learn(words: list[str]) -> None:
        pass

    await load(search, (["a"],), (["b"],))
    await learn(["a"])
    assert left(search, (["a"],), (["b"],)) == [False, True]


async def test_what_is_no_part_of_the_key_need_not_be_there() -> None:
    @cached(skip_args=1, ignore=("trace",))
    async def get(session: Any, uid: int, trace: Any) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(uid: int) -> None:
        pass

    await load(get, ("s", 1, "t"), ("s", 2, "t"))
    await update(1)
    assert left(get, ("s", 1, "t"), ("s", 2, "t")) == [False, True]


async def test_a_key_function_is_given_the_arguments_by_their_names() -> None:
    @cached(key=lambda tenant, uid: f"{tenant}/{uid}")
    async def get(tenant: str, uid: int) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(uid: int, tenant: str) -> None:
        pass

    await load(get, ("a", 1), ("a", 2))
    await update(1, "a")
    assert left(get, ("a", 1), ("a", 2)) == [False, True]


async def test_a_typed_function_is_told_the_types_of_the_mutation() -> None:
    @cached(typed=True)
    async def get(uid: float) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(uid: float) -> None:
        pass

    await load(get, (1,), (1.0,))
    await update(1.0)
    assert left(get, (1,), (1.0,)) == [True, False]


async def test_what_a_mutation_collects_by_name_counts_as_its_arguments() -> None:
    @AsyncLRU
    async def get(uid: int, flag: bool = False) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(**changes: Any) -> None:
        ran.append("update")

    await load(get, (1,), (1, True), (2,))
    await update(uid=1, flag=True, name="x")
    assert left(get, (1,), (1, True), (2,)) == [True, False, True]
    for _ in range(2):
        await load(get, (1,), (1, True), (2,))
        await update(uid=1, name="x")
        assert left(get, (1,), (1, True)) == [False, False]
    assert left(get, (2,)) == [True]
    with refused(TypeError, "update", "get", "'uid'", "key_fn=", "tags=", "clear_all=True"):
        await update(name="x")
    assert ran == ["update"] * 3
    assert left(get, (2,)) == [True]


async def test_a_mutation_that_collects_by_position_is_checked_at_the_call() -> None:
    @AsyncLRU
    async def get(uid: int) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(*uids: int) -> None:
        ran.append("update")

    await get(1)
    with refused(TypeError, "update", "get", "'uid'", "key_fn=", "tags=", "clear_all=True"):
        await update(1)
    assert ran == []
    assert left(get, (1,)) == [True]


async def test_what_a_mutation_collects_is_no_argument_of_that_name() -> None:
    @AsyncLRU
    async def get(uid: int, args: Any = None, named: Any = None) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(uid: int, *args: Any, **named: Any) -> None:
        pass

    for _ in range(2):
        await load(get, (1,), (1, "a"), (2,))
        await update(1)
        assert left(get, (1,), (1, "a")) == [False, False]
    assert left(get, (2,)) == [True]


async def test_what_a_function_names_itself_is_not_collected_by_it() -> None:
    @AsyncLRU
    async def get(uid: int, flag: bool = False, **named: Any) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(uid: int, **named: Any) -> None:
        pass

    await load(get, (1,), (1, True))
    await update(1, flag=True)
    assert left(get, (1, True)) == [False]


async def test_what_the_mutation_lacks_is_refused_at_decoration() -> None:
    @AsyncLRU
    async def get(tenant: str, uid: int) -> None:
        pass

    async def update(uid: int) -> None:
        pass

    with refused(TypeError, "update", "get", "'tenant'", "key_fn=", "tags=", "clear_all=True"):
        AsyncLRUInvalidator(get)(update)


async def test_one_function_that_cannot_be_mapped_is_enough_to_refuse() -> None:
    @AsyncLRU
    async def get(uid: int) -> None:
        pass

    @AsyncLRU
    async def find(name: str) -> None:
        pass

    async def update(uid: int) -> None:
        pass

    with refused(TypeError, "update", "find", "'name'"):
        invalidates(get, find)(update)


async def test_what_a_mutation_drops_is_counted_as_invalidations() -> None:
    @AsyncLRU
    async def get(uid: int) -> None:
        pass

    @AsyncLRUInvalidator(get)
    async def update(uid: int) -> None:
        pass

    await load(get, (1,), (2,))
    await update(1)
    assert metric(get.cache, "invalidations") == 1


async def test_a_partial_of_a_mutation_has_the_arguments_of_the_mutation() -> None:
    @AsyncLRU
    async def get(uid: int) -> None:
        pass

    async def update(uid: int, name: str) -> None:
        pass

    rename = AsyncLRUInvalidator(get)(functools.partial(update, name="x"))
    await load(get, (1,), (2,))
    await rename(1)
    assert left(get, (1,), (2,)) == [False, True]

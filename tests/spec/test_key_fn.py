from __future__ import annotations

from typing import Any

import pytest

from cache import AsyncLRU, AsyncLRUInvalidator, cached, invalidates
from tests.spec.stored import left, load

ran: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


async def test_key_fn_turns_the_arguments_of_the_mutation_into_those_of_the_function() -> None:
    @AsyncLRU
    async def get(uid: int, flag: bool = False) -> None:
        pass

    given = []

    def key_fn(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given.append((args, kwargs))
        return (args[0]["id"],), {"flag": True}

    @AsyncLRUInvalidator(get, key_fn=key_fn)
    async def save(user: dict[str, int], *, force: bool = False) -> None:
        pass

    await load(get, (1,), (1, True), (2, True))
    await save({"id": 1}, force=True)
    assert left(get, (1,), (1, True), (2, True)) == [True, False, True]
    assert given == [(({"id": 1},), {"force": True})]


async def test_key_fn_may_return_a_list_of_calls() -> None:
    @AsyncLRU
    async def get(uid: int) -> None:
        pass

    @AsyncLRUInvalidator(get, key_fn=lambda args, _: [((uid,), {}) for uid in args[0]])
    async def save_all(uids: list[int]) -> None:
        ran.append("save_all")

    await load(get, (1,), (2,), (3,))
    await save_all([1, 3])
    assert left(get, (1,), (2,), (3,)) == [False, True, False]
    await save_all([])
    assert left(get, (2,)) == [True]
    assert ran == ["save_all", "save_all"]


async def test_key_fn_speaks_of_each_of_several_functions() -> None:
    @AsyncLRU
    async def get(uid: int) -> None:
        pass

    @AsyncLRU
    async def name_of(user: int) -> None:
        pass

    @invalidates(get, name_of, key_fn=lambda args, _: (args, {}))
    async def save(number: int) -> None:
        pass

    await load(get, (1,), (2,))
    await load(name_of, (1,), (2,))
    await save(1)
    assert left(get, (1,), (2,)) + left(name_of, (1,), (2,)) == [False, True] * 2


async def test_key_fn_replaces_skip_args() -> None:
    @cached(skip_args=1)
    async def get(session: Any, uid: int) -> None:
        pass

    @AsyncLRUInvalidator(get, key_fn=lambda args, _: ((None, args[1]), {}))
    async def save(connection: Any, number: int) -> None:
        pass

    await load(get, ("s", 1), ("s", 2))
    await save("c", 1)
    assert left(get, ("s", 1), ("s", 2)) == [False, True]

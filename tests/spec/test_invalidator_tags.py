from __future__ import annotations

from typing import Any

import pytest

from cache import AsyncLRU, AsyncLRUInvalidator, AsyncTTLInvalidator, cached, invalidates
from cache.testing import FakeClock
from tests.spec.steering import Loader, start
from tests.spec.stored import left, load


async def test_a_mutation_may_name_tags_alone() -> None:
    @cached(tags=("user:{uid}", "users"))
    async def get(uid: int) -> None:
        pass

    @invalidates(tags=("user:{number}",))
    async def save(number: int) -> None:
        pass

    @invalidates(tags=("users",))
    async def truncate() -> None:
        pass

    await load(get, (1,), (2,))
    await save(1)
    assert left(get, (1,), (2,)) == [False, True]
    await truncate()
    assert left(get, (1,), (2,)) == [False, False]


@pytest.mark.parametrize("preset", [AsyncLRUInvalidator, AsyncTTLInvalidator, invalidates], ids=["lru", "ttl", "both"])
async def test_every_invalidator_takes_tags_beside_functions(preset: Any) -> None:
    @AsyncLRU
    async def get(uid: int) -> None:
        pass

    @cached(tags=("user:{uid}",))
    async def posts(uid: int, page: int) -> None:
        pass

    async def save(uid: int) -> None:
        pass

    await load(get, (1,), (2,))
    await load(posts, (1, 1), (1, 2), (2, 1))
    await preset(get, tags=("user:{uid}",))(save)(1)
    assert left(get, (1,), (2,)) == [False, True]
    assert left(posts, (1, 1), (1, 2), (2, 1)) == [False, False, True]


async def test_the_tags_of_a_mutation_may_look_into_its_arguments_and_use_its_defaults() -> None:
    @cached(tags=("user:{uid}",))
    async def get(uid: int) -> None:
        pass

    @invalidates(tags=("user:{user[id]}", "user:{other}"))
    async def save(user: dict[str, int], other: int = 2) -> None:
        pass

    await load(get, (1,), (2,), (3,))
    await save({"id": 1})
    assert left(get, (1,), (2,), (3,)) == [False, False, True]


async def test_the_tags_are_covered_while_the_mutation_runs() -> None:
    loader, body = Loader(), Loader()

    @cached(tags=("user:{uid}",))
    async def get(uid: int) -> Any:
        return await loader()

    @invalidates(tags=("user:{uid}",))
    async def save(uid: int) -> None:
        await body()

    saving = await start(save(1))
    reader = await start(get(1))
    loader.end("not committed")
    assert await reader == "not committed"
    assert left(get, (1,)) == [False]
    body.end(None)
    await saving


async def test_the_tags_live_where_those_of_the_functions_do() -> None:
    @cached(tags=("users",), namespace="tenant")
    async def get(uid: int) -> None:
        pass

    @cached(tags=("users",))
    async def elsewhere(uid: int) -> None:
        pass

    @invalidates(get, tags=("users",), key_fn=lambda _, __: [])
    async def save() -> None:
        pass

    await load(get, (1,))
    await load(elsewhere, (1,))
    await save()
    assert left(get, (1,)) + left(elsewhere, (1,)) == [False, True]


@pytest.mark.parametrize("namespace", [None, "default", "tenant"])
async def test_a_namespace_may_be_named(namespace: str | None) -> None:
    @cached(tags=("users",), namespace="tenant")
    async def theirs(uid: int) -> None:
        pass

    @cached(tags=("users",))
    async def ours(uid: int) -> None:
        pass

    @invalidates(tags=("users",), namespace=namespace)
    async def save() -> None:
        pass

    await load(theirs, (1,))
    await load(ours, (1,))
    await save()
    assert left(theirs, (1,)) == [namespace != "tenant"]
    assert left(ours, (1,)) == [namespace == "tenant"]


async def test_tags_linger_as_keys_do(clock: FakeClock) -> None:
    @cached(tags=("users",), clock=clock)
    async def get(uid: int) -> None:
        pass

    @AsyncLRUInvalidator(get, tags=("users",), linger=2.0)
    async def save(uid: int) -> None:
        pass

    await save(1)
    await load(get, (1,), (2,))
    assert left(get, (1,), (2,)) == [False, False]
    clock.advance(2.0)
    await load(get, (1,), (2,))
    assert left(get, (1,), (2,)) == [True, True]

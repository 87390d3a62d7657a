from __future__ import annotations

from typing import Any

import pytest

from cache import AsyncLRU, AsyncLRUInvalidator
from tests.spec.stored import left, load


async def test_a_parameter_with_a_default_that_the_mutation_lacks_is_a_wildcard() -> None:
    @AsyncLRU
    async def page(uid: int, number: int = 1, *, size: int = 10) -> None:
        pass

    @AsyncLRUInvalidator(page)
    async def post(uid: int) -> None:
        pass

    stored: list[tuple[Any, ...]] = [(1,), (1, 2), (1, 3), (2,), (2, 2)]
    await load(page, *stored)
    await page(1, size=20)
    await post(1)
    assert left(page, *stored) == [False, False, False, True, True]
    assert page.cache_key(1, size=20) not in page.cache


async def test_a_wildcard_fences_loads_and_covers_keys_that_nobody_has_asked_for() -> None:
    @AsyncLRU
    async def page(uid: int, number: int = 1) -> None:
        pass

    @AsyncLRUInvalidator(page)
    async def post(uid: int) -> None:
        page.cache.set(page.cache_key(2, 7), "other user")
        assert not page.cache.set(page.cache_key(1, 8), "seen too early"), "the mutation covers it"
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await post(1)
    assert left(page, (2, 7), (1, 8)) == [True, False]


async def test_a_wildcard_may_be_one_of_several_parameters() -> None:
    @AsyncLRU
    async def page(tenant: str, uid: int = 0, number: int = 1) -> None:
        pass

    @AsyncLRUInvalidator(page)
    async def of_user(tenant: str, uid: int) -> None:
        pass

    @AsyncLRUInvalidator(page)
    async def of_tenant(tenant: str) -> None:
        pass

    stored: list[tuple[Any, ...]] = [("a", 1), ("a", 1, 2), ("a", 2), ("b", 1)]
    await load(page, *stored)
    await of_user("a", 1)
    assert left(page, *stored) == [False, False, True, True]
    await load(page, *stored)
    await of_tenant("a")
    assert left(page, *stored) == [False, False, False, True]


async def test_where_nothing_is_named_everything_goes() -> None:
    @AsyncLRU
    async def everything(number: int = 1) -> None:
        pass

    @AsyncLRUInvalidator(everything)
    async def post(text: str) -> None:
        pass

    await load(everything, (), (2,))
    await post("x")
    assert left(everything, (), (2,)) == [False, False]


async def test_a_function_without_parameters_is_invalidated_by_any_mutation() -> None:
    @AsyncLRU
    async def everything() -> None:
        pass

    @AsyncLRUInvalidator(everything)
    async def post(text: str) -> None:
        pass

    await everything()
    await post("x")
    assert left(everything, ()) == [False]


async def test_entries_made_before_a_wildcard_was_declared_are_not_forgotten() -> None:
    @AsyncLRU
    async def page(uid: int, number: int = 1) -> None:
        pass

    await load(page, (1,), (1, 2))

    @AsyncLRUInvalidator(page)
    async def post(uid: int) -> None:
        pass

    await post(1)
    assert left(page, (1,), (1, 2)) == [False, False]


async def test_a_value_set_under_its_key_is_found_by_wildcards() -> None:
    @AsyncLRU
    async def page(uid: int, number: int = 1) -> None:
        pass

    @AsyncLRUInvalidator(page)
    async def post(uid: int) -> None:
        pass

    page.cache.set(page.cache_key(1, 2), "set")
    await post(1)
    assert left(page, (1, 2)) == [False]

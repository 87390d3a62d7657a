from __future__ import annotations

from typing import Any

import pytest

from cache import AsyncLRU

numbers = iter(range(1_000_000))


def next_number() -> int:
    return next(numbers)


class Repo:
    @classmethod
    @AsyncLRU()
    async def of_class(cls, uid: int) -> str:
        return f"{cls.__name__}:{uid}:{next_number()}"

    @staticmethod
    @AsyncLRU()
    async def of_nobody(uid: int) -> str:
        return f"{uid}:{next_number()}"


class SubRepo(Repo):
    pass


#: Repo, for calls that type checkers do not understand.
AnyRepo: Any = Repo


@pytest.fixture(autouse=True)
def _empty() -> None:
    Repo.of_class.clear_cache()
    Repo.of_nobody.clear_cache()


async def test_a_class_method_has_entries_for_each_class() -> None:
    first = await AnyRepo.of_class(1)
    assert await AnyRepo().of_class(1) == first
    assert await AnyRepo.of_class(1) == first
    sub: Any = SubRepo
    assert (await sub.of_class(1)).startswith("SubRepo:1:")
    assert await AnyRepo.of_class(1) == first


async def test_a_class_method_is_invalidated_on_its_class_which_is_given_again() -> None:
    first = await AnyRepo.of_class(1)
    assert AnyRepo.of_class.invalidate_cache(Repo, 1)
    assert await AnyRepo.of_class(1) != first


async def test_an_instance_is_no_class() -> None:
    await AnyRepo.of_class(1)
    with pytest.raises(TypeError, match=r"Repo\.of_class\.\w+\(Repo, "):
        AnyRepo.of_class.invalidate_cache(Repo(), 1)


async def test_a_static_method_is_like_a_function() -> None:
    first = await AnyRepo.of_nobody(1)
    assert [await AnyRepo().of_nobody(1), await AnyRepo.of_nobody(uid=1)] == [first] * 2
    assert AnyRepo.of_nobody.invalidate_cache(1)
    assert await AnyRepo.of_nobody(1) != first


async def test_with_skip_args_all_instances_share() -> None:
    class Shared:
        @AsyncLRU(skip_args=1)
        async def get(self, uid: int) -> int:
            return next_number()

    get: Any = Shared.get
    first = await Shared().get(1)
    assert await Shared().get(1) == first
    assert get.peek(None, 1) == first, "any placeholder will do"
    assert get.invalidate_cache("any", 1)
    assert await Shared().get(1) != first


async def test_a_parameter_of_another_name_is_an_ordinary_argument() -> None:
    @AsyncLRU
    async def names(this: tuple[str, ...], uid: int) -> str:
        return this[uid]

    assert [await names(("a", "b"), 1), await names(("a", "c"), 1)] == ["b", "c"]
    assert names.peek(("a", "b"), 1) == "b", "an equal argument finds the entry, for it is no instance"

from __future__ import annotations

from typing import Any

import pytest

from cache import AsyncLRU, AsyncLRUInvalidator, invalidates
from tests.spec.refusal import refused
from tests.spec.stored import left, load

ran: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


class Repo:
    @AsyncLRU()
    async def get(self, uid: int, flag: bool = False) -> int:
        return uid

    @AsyncLRU()
    async def find(self, name: str) -> str:
        return name

    @AsyncLRUInvalidator(get)
    async def update(self, uid: int) -> None:
        pass

    @invalidates(get, find, clear_all=True)
    async def truncate(self) -> None:
        pass

    @AsyncLRUInvalidator(find, key_fn=lambda args, _: ((args[0], args[1].lower()), {}))
    async def rename(self, name: str) -> None:
        pass


async def test_a_mutation_that_is_a_method_changes_the_results_of_its_instance() -> None:
    one, two = Repo(), Repo()
    await load(Repo.get, (one, 1), (one, 1, True), (one, 2), (two, 1))
    await one.update(1)
    assert left(Repo.get, (one, 1), (one, 1, True), (one, 2), (two, 1)) == [False, False, True, True]


async def test_clear_all_in_a_class_clears_for_all_instances() -> None:
    one, two = Repo(), Repo()
    await load(Repo.get, (one, 1), (two, 1))
    await one.find("a")
    await one.truncate()
    assert left(Repo.get, (one, 1), (two, 1)) + left(Repo.find, (one, "a")) == [False] * 3


async def test_key_fn_of_a_method_is_given_the_instance_first() -> None:
    one, two = Repo(), Repo()
    await load(Repo.find, (one, "a"), (two, "a"))
    await one.rename("A")
    assert left(Repo.find, (one, "a"), (two, "a")) == [False, True]


async def test_a_function_may_change_the_results_of_a_method() -> None:
    @AsyncLRUInvalidator(Repo.get, key_fn=lambda args, _: (args, {}))
    async def save(repo: Repo, uid: int) -> None:
        pass

    one, two = Repo(), Repo()
    await load(Repo.get, (one, 1), (two, 1))
    await save(one, 1)
    assert left(Repo.get, (one, 1), (two, 1)) == [False, True]


async def test_a_method_of_another_class_must_say_which_instance_it_means() -> None:
    class Service:
        @AsyncLRUInvalidator(Repo.get)
        async def update(self, uid: int) -> None:
            ran.append("update")

    repo = Repo()
    await repo.get(1)
    with refused(TypeError, "update", "Repo.get", "key_fn="):
        await Service().update(1)
    assert ran == []
    assert left(Repo.get, (repo, 1)) == [True]


async def test_class_methods_and_static_methods_can_be_named_in_the_body_of_their_class() -> None:
    class Registry:
        @classmethod
        @AsyncLRU()
        async def get(cls, uid: int) -> int:
            return uid

        @staticmethod
        @AsyncLRU()
        async def find(name: str) -> str:
            return name

        @classmethod
        @AsyncLRUInvalidator(get)
        async def update(cls, uid: int) -> None:
            pass

        @staticmethod
        @AsyncLRUInvalidator(find)
        async def rename(name: str) -> None:
            pass

    registry: Any = Registry
    await registry.get(1)
    await registry.find("a")
    await registry.update(1)
    await registry.rename("a")
    assert len(registry.get.cache) == len(registry.find.cache) == 0

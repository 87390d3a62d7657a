from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock

import pytest

from cache import AsyncLRU


class Repo:
    """Counts its reads, and gives its own name back."""

    def __init__(self, name: str = "repo") -> None:
        self.name = name
        self.reads = 0

    @AsyncLRU()
    async def get(self, uid: int, flag: bool = False) -> str:
        self.reads += 1
        return f"{self.name}:{uid}"


class SubRepo(Repo):
    pass


#: Repo, for calls that type checkers refuse or do not understand.
AnyRepo: Any = Repo


@pytest.fixture(autouse=True)
def _empty() -> None:
    Repo.get.clear_cache()


# -- whose entries -----------------------------------------------------------------------------------------------


async def test_an_instance_hits_what_it_has_loaded() -> None:
    repo = Repo()
    assert [await repo.get(1), await repo.get(uid=1), await repo.get(1, flag=False)] == ["repo:1"] * 3
    assert repo.reads == 1


async def test_two_instances_never_share() -> None:
    one, two = Repo("one"), Repo("two")
    assert [await one.get(1), await two.get(1), await one.get(1), await two.get(1)] == ["one:1", "two:1"] * 2


async def test_a_method_called_on_its_class_is_the_same_call() -> None:
    repo = Repo()
    await repo.get(1)
    assert await Repo.get(repo, 1) == "repo:1"
    assert repo.reads == 1


async def test_equal_instances_do_not_share() -> None:
    @dataclass(frozen=True)
    class Point:
        x: int

        @AsyncLRU()
        async def address(self) -> int:
            return id(self)

    one, two = Point(1), Point(1)
    assert one == two
    assert [await one.address(), await two.address()] == [id(one), id(two)]


async def test_an_instance_need_not_be_hashable_nor_comparable() -> None:
    class Odd:
        def __hash__(self) -> int:
            raise AssertionError("identity needs no hash")

        def __eq__(self, other: object) -> bool:
            raise AssertionError("identity needs no comparison")

        @AsyncLRU()
        async def address(self) -> int:
            return id(self)

    one, two = Odd(), Odd()
    for _ in range(2):
        assert [await one.address(), await two.address()] == [id(one), id(two)]


async def test_a_copy_is_another_instance() -> None:
    repo = Repo()
    await repo.get(1)
    for other in (copy.copy(repo), copy.deepcopy(repo), pickle.loads(pickle.dumps(repo))):  # noqa: S301 - its own
        other.name, other.reads = "other", 0
        assert await other.get(1) == "other:1"


async def test_subclasses_share_the_method_and_not_the_entries() -> None:
    base, sub = Repo("base"), SubRepo("sub")
    assert [await base.get(1), await sub.get(1)] == ["base:1", "sub:1"]
    assert SubRepo.get.cache is Repo.get.cache


async def test_an_overridden_method_has_entries_of_its_own() -> None:
    class Loud(Repo):
        @AsyncLRU()
        async def get(self, uid: int, flag: bool = False) -> str:
            return (await super().get(uid, flag)).upper()

    loud = Loud("loud")
    for _ in range(2):
        assert await loud.get(1) == "LOUD:1"
    assert loud.reads == 1
    assert await Repo.get(loud, 1) == "loud:1"
    assert Repo.get.invalidate_cache(loud, 1)
    assert await loud.get(1) == "LOUD:1"
    assert loud.reads == 2, "the overriding result rests on the overridden one"


async def test_changing_an_instance_does_not_change_its_keys() -> None:
    repo = Repo("before")
    await repo.get(1)
    repo.name = "after"
    assert await repo.get(1) == "before:1"


# -- what is called on the class ---------------------------------------------------------------------------------


async def test_one_result_of_one_instance_is_invalidated() -> None:
    one, two = Repo(), Repo()
    for repo in (one, two):
        await repo.get(1)
        await repo.get(2)
    assert Repo.get.invalidate_cache(one, 1)
    for repo in (one, two):
        await repo.get(1)
        await repo.get(2)
    assert (one.reads, two.reads) == (3, 2)


async def test_the_cache_of_a_method_is_cleared_for_all_instances() -> None:
    one, two = Repo(), Repo()
    await one.get(1)
    await two.get(1)
    assert Repo.get.clear_cache()
    assert (Repo.get.peek(one, 1), Repo.get.peek(two, 1)) == (None, None)


async def test_peek_refresh_and_cache_key_take_the_instance_first() -> None:
    repo = Repo("old")
    await repo.get(1)
    repo.name = "new"
    assert Repo.get.peek(repo, 1) == "old:1"
    assert await Repo.get.refresh(repo, uid=1) == "new:1"
    assert Repo.get.cache.peek(Repo.get.cache_key(repo, 1)) == "new:1"


async def test_the_instance_may_be_given_by_name() -> None:
    repo = Repo()
    await repo.get(1)
    assert Repo.get.invalidate_cache(self=repo, uid=1)


FORGOTTEN: dict[str, Any] = {
    "invalidate_cache(5)": lambda repo: repo.get.invalidate_cache(5),
    "invalidate_cache(uid=5)": lambda repo: repo.get.invalidate_cache(uid=5),
    "invalidate_cache()": lambda repo: repo.get.invalidate_cache(),
    "invalidate_cache(5, flag)": lambda repo: repo.get.invalidate_cache(5, True),
    "cache_key(5)": lambda repo: repo.get.cache_key(5),
    "the class in its place": lambda _: AnyRepo.get.invalidate_cache(Repo, 5),
    "an instance of another class": lambda _: AnyRepo.get.invalidate_cache(Mock(), 5),
    "None": lambda _: AnyRepo.get.invalidate_cache(None, 5),
}


@pytest.mark.parametrize("mistake", FORGOTTEN)
async def test_a_forgotten_instance_is_an_error_that_shows_the_right_line(mistake: str) -> None:
    repo = Repo()
    await repo.get(5)
    with pytest.raises(TypeError, match=r"Repo\.get\.\w+\(repo, "):
        FORGOTTEN[mistake](repo)
    assert Repo.get.peek(repo, 5) == "repo:5"


async def test_an_instance_forgotten_at_refresh_is_an_error_that_shows_the_right_line() -> None:
    repo = AnyRepo()
    with pytest.raises(TypeError, match=r"Repo\.get\.\w+\(repo, "):
        await repo.get.refresh(5)


# -- instances out of the ordinary -------------------------------------------------------------------------------


async def test_a_method_may_be_borrowed_by_another_class() -> None:
    class Other:
        name, reads = "other", 0
        get = AnyRepo.get

    assert await Other().get(1) == "other:1"


async def test_a_class_may_be_renamed() -> None:
    class Plain:
        @AsyncLRU()
        async def answer(self) -> int:
            return 42

    Plain.__name__ = Plain.__qualname__ = "Fancy"
    plain = Plain()
    assert await plain.answer() == 42
    assert await Plain.answer(plain) == 42


async def test_a_mock_of_the_class_may_stand_for_an_instance() -> None:
    mock = Mock(spec=Repo, reads=0)
    mock.name = "mock"
    assert await Repo.get(mock, 1) == "mock:1"


async def test_a_method_of_a_metaclass_may_be_cached() -> None:
    class Meta(type):
        @AsyncLRU()
        async def title(cls) -> str:
            return cls.__name__

    class One(metaclass=Meta):
        pass

    class Two(metaclass=Meta):
        pass

    one, two = One, Two  # as values: what a checker finds in a metaclass is tested elsewhere
    assert [await Meta.title(one), await Meta.title(two)] == ["One", "Two"]

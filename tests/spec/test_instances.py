from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cache import AsyncCache, AsyncLRU, cached


class Repo:
    """Counts its reads, and gives its own name back."""

    def __init__(self, name: str = "repo") -> None:
        self.name = name
        self.reads = 0

    @AsyncLRU()
    async def get(self, uid: int, flag: bool = False) -> str:
        self.reads += 1
        return f"{self.name}:{uid}"


@pytest.fixture(autouse=True)
def _empty() -> None:
    Repo.get.clear_cache()


async def test_the_cache_keeps_no_instance_alive() -> None:
    repo = Repo()
    gone = weakref.ref(repo)
    await repo.get(1)
    Repo.get.cache_key(repo, 2)
    Repo.get.peek(repo, 3)
    del repo
    gc.collect()
    assert gone() is None


async def test_an_instance_that_dies_takes_its_entries_with_it() -> None:
    one, two = Repo("one"), Repo("two")
    for uid in range(5):
        await one.get(uid)
        await two.get(uid)
    assert len(Repo.get.cache) == 10
    del one
    gc.collect()
    assert len(Repo.get.cache) == 5
    assert [Repo.get.peek(two, uid) for uid in range(5)] == [f"two:{uid}" for uid in range(5)]


async def test_a_value_set_for_an_instance_dies_with_it() -> None:
    repo = Repo()
    Repo.get.cache.set(Repo.get.cache_key(repo, 1), "set")
    assert await repo.get(1) == "set"
    del repo
    gc.collect()
    assert len(Repo.get.cache) == 0


async def test_an_instance_that_dies_in_a_cycle_takes_its_entries_with_it() -> None:
    repo = Repo()
    repo.name = repo  # type: ignore[assignment]  # a cycle that only the collector can break
    await Repo.get.refresh(repo, 1)
    del repo
    gc.collect()
    assert len(Repo.get.cache) == 0


async def test_an_address_that_is_used_again_is_another_instance() -> None:
    addresses = set()
    for number in range(100):
        repo = Repo(str(number))
        addresses.add(id(repo))
        assert [await repo.get(1), await repo.get(1)] == [f"{number}:1"] * 2
        assert repo.reads == 1
        del repo
    assert len(addresses) < 100, "no address was used again: this has shown nothing"
    assert len(Repo.get.cache) == 0


async def test_what_was_computed_from_a_dead_instance_stays_correct() -> None:
    @AsyncLRU
    async def name_of(number: int) -> str:
        return await Repo(str(number)).get(1)

    assert [await name_of(1), await name_of(2), await name_of(1)] == ["1:1", "2:1", "1:1"]


async def test_an_instance_with_slots_needs_a_slot_for_weak_references() -> None:
    @dataclass(slots=True, weakref_slot=True)
    class Point:
        x: int

        @AsyncLRU()
        async def double(self) -> int:
            return 2 * self.x

    assert await Point(2).double() == 4


async def test_an_instance_that_cannot_be_weakly_referenced_is_refused_with_three_remedies() -> None:
    @dataclass(slots=True)
    class Point:
        x: int

        @AsyncLRU()
        async def double(self) -> int:
            return 2 * self.x

    with pytest.raises(TypeError) as refusal:
        await Point(2).double()
    for remedy in ("weakref_slot=True", "skip_args=1", "key="):
        assert remedy in str(refusal.value)
    assert "Point.double" in str(refusal.value)
    assert len(Point.double.cache) == 0


async def test_its_remedies_are_remedies() -> None:
    @dataclass(slots=True)
    class Point:
        x: int

        @AsyncLRU(skip_args=1)
        async def skipped(self) -> int:
            return 2 * self.x

        @cached(key=lambda self: self.x)
        async def keyed(self) -> int:
            return 2 * self.x

    assert [await Point(2).skipped(), await Point(3).skipped()] == [4, 4]
    assert [await Point(2).keyed(), await Point(3).keyed()] == [4, 6]


class Meddler:
    """A key that does something when it is compared, which is in the middle of a change of the cache."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        self.meddle = meddle

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        self.meddle()
        return False


async def test_an_address_that_is_used_again_before_its_death_was_noticed_is_another_instance() -> None:
    # Whether an address is used again is up to the allocator, so it is tried until it is.
    assert any([await address_is_used_again() for _ in range(50)]), "no address was used again: this has shown nothing"


async def address_is_used_again() -> bool:
    """Have an instance die, and another take its address, in the middle of a change of the cache; whether it did."""
    cache, address, served = AsyncCache(), 0, []
    instances = [Repo("old")]
    await instances[0].get(1)

    def swap() -> None:
        nonlocal address
        if not address:
            address = id(instances[0])
            instances.clear()
            while len(instances) < 100 and address not in map(id, instances):
                instances.append(Repo("new"))
            call = instances[-1].get(1)
            try:
                call.send(None)
            except StopIteration as hit:
                served.append(hit.value)
            finally:
                call.close()

    cache.set(Meddler(swap), 1)
    cache.set(Meddler(lambda: None), 2)
    assert served == []
    assert await instances[-1].get(1) == "new:1"
    return address in map(id, instances)

"""Loads that begin in one turn of a loop ask the tier together, and then go on, each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from cache import AsyncCache, LoadCancelled, cached
from cache._backing import Backing
from cache._cache import living
from cache._stable import encode
from cache._tier import Address, Record
from tests.unit.test_backing import MOMENT, Answer, Scripted, cache_before


class Asked(Scripted):
    """A tier that has some keys, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[Address, Record] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.cancelled = 0

    def keep(self, backing: Backing | None, keys: str) -> None:
        assert backing is not None
        for key in keys:
            address = backing.address(key)
            self.kept[address] = Record(address, backing.envelope.encode(f"{key} of the tier"), None, ())

    async def read(self, addresses: Sequence[Address]) -> list[Answer]:
        self.asked.append(tuple(addresses))
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return [self.kept.get(address, MOMENT) for address in addresses]

    def keys(self) -> list[list[str]]:
        """What it was asked for, each time."""
        codes = {encode(key): key for key in "abcdef"}
        return [[codes[address.key] for address in addresses] for addresses in self.asked]


def made(keys: str = "", **options: Any) -> tuple[Asked, AsyncCache]:
    """A tier that has these keys, and a cache before it."""
    tier = Asked()
    cache = cache_before(tier, **options)
    tier.keep(cache._loads.backing, keys)
    return tier, cache


async def until(is_so: Callable[[], object]) -> None:
    for _ in range(20):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never is")


def load(key: str) -> Callable[[], Awaitable[str]]:
    async def loader() -> str:
        return f"{key} of the loader"

    return loader


async def load_many(keys: list[str]) -> list[str]:
    return [f"{key} of the batch loader" for key in keys]


async def test_what_is_missed_in_one_turn_is_asked_for_at_once_and_what_the_tier_lacks_is_loaded() -> None:
    tier, cache = made("ac")
    assert list(await asyncio.gather(*(cache.get(key, load(key)) for key in "abcd"))) == [
        "a of the tier",
        "b of the loader",
        "c of the tier",
        "d of the loader",
    ]
    assert tier.keys() == [["a", "b", "c", "d"]]
    assert [cache.peek(key) for key in "abcd"] == [
        "a of the tier",
        "b of the loader",
        "c of the tier",
        "d of the loader",
    ]


async def test_what_is_missed_while_the_tier_is_asked_is_asked_for_by_itself() -> None:
    tier, cache = made("ab")
    tier.may_answer.clear()
    first = asyncio.ensure_future(cache.get("a", load("a")))
    await until(lambda: tier.asked)
    second = asyncio.ensure_future(cache.get("b", load("b")))
    await until(lambda: len(tier.asked) == 2)
    tier.may_answer.set()
    assert list(await asyncio.gather(first, second)) == ["a of the tier", "b of the tier"]
    assert tier.keys() == [["a"], ["b"]]


async def test_the_keys_of_a_batch_are_asked_for_with_all_others() -> None:
    tier, cache = made("ae", batch_window_ms=0)
    found: list[Any] = await asyncio.gather(
        *(cache.get(key, batch_loader=load_many) for key in "ab"),
        cache.get("d", batch_loader=load_many),
        cache.get("e", batch_loader=load_many),
    )
    assert found == ["a of the tier", "b of the batch loader", "d of the batch loader", "e of the tier"]
    assert tier.keys() == [["a", "b", "d", "e"]]


async def test_what_nobody_wants_any_more_is_asked_for_in_vain_and_the_others_get_theirs() -> None:
    tier, cache = made("ab")
    tier.may_answer.clear()
    calls = [asyncio.ensure_future(cache.get(key, load(key))) for key in "ab"]
    await until(lambda: tier.asked)
    calls[0].cancel()
    await asyncio.wait(calls[:1])
    tier.may_answer.set()
    assert await calls[1] == "b of the tier"
    assert calls[0].cancelled()
    assert (cache.peek("a"), cache.peek("b")) == (None, "b of the tier")
    assert not tier.cancelled


@pytest.mark.parametrize("turns", range(5))
async def test_with_the_last_who_waits_goes_the_question(turns: int) -> None:
    tier, cache = made()
    tier.may_answer.clear()
    calls = [asyncio.ensure_future(cache.get(key, load(key))) for key in "ab"]
    for _ in range(turns):
        await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.wait(calls[:1])
    if tier.asked:
        assert not tier.cancelled
    calls[1].cancel()
    await asyncio.wait(calls)
    await until(lambda: len(asyncio.all_tasks()) == 1)  # the question was another
    assert tier.cancelled == len(tier.asked)
    tier.may_answer.set()
    assert await cache.get("a", load("a")) == "a of the loader"


async def test_a_tier_that_fails_after_all_fails_all_who_wait_and_nobody_else() -> None:
    tier, cache = made()
    read = tier.read

    async def broken(addresses: Sequence[Address]) -> list[Answer]:
        raise OSError(f"{len(addresses)} addresses")

    tier.read = broken  # type: ignore[method-assign]  # as a tier of a user's own, which may not raise
    found = await asyncio.gather(*(cache.get(key, load(key)) for key in "ab"), return_exceptions=True)
    assert [str(error) for error in found] == ["2 addresses"] * 2
    tier.read = read  # type: ignore[method-assign]  # as above
    assert await cache.get("a", load("a")) == "a of the loader"


async def test_closing_the_cache_ends_the_question() -> None:
    tier, cache = made()
    tier.may_answer.clear()
    call = asyncio.ensure_future(cache.get("a", load("a")))
    await until(lambda: tier.asked)
    await cache.aclose()
    with pytest.raises(LoadCancelled):
        await call
    assert tier.cancelled == 1
    assert len(asyncio.all_tasks()) == 1


def test_the_end_of_a_loop_ends_the_question_and_another_loop_asks_anew() -> None:
    _, cache = made("a")

    async def ask() -> None:
        call = asyncio.ensure_future(cache.get("a", load("a")))
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())  # and the loop is closed before the question is sent
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert asyncio.run(cache.get("a", load("a"))) == "a of the tier"


async def test_the_tags_of_what_the_tier_has_are_computed_where_it_would_have_been_loaded() -> None:
    tenant: ContextVar[str] = ContextVar("tenant")
    tier = Asked()
    seen: list[tuple[str, str]] = []

    def tags_of(value: str, key: str) -> list[str]:
        seen.append((value, tenant.get()))
        return []

    @cached(name="c", backup=tier, key=lambda key: key, tags=tags_of)
    async def get(key: str) -> str:
        return key

    (backing,) = [each for cache in living() if (each := cache._loads.backing) is not None and each.tier is tier]
    tier.keep(backing, "ab")

    async def call(key: str) -> str:
        tenant.set(f"tenant {key}")
        return await get(key)

    assert list(await asyncio.gather(call("a"), call("b"))) == ["a of the tier", "b of the tier"]
    assert seen == [("a of the tier", "tenant a"), ("b of the tier", "tenant b")]

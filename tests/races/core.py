"""The core object: set, delete, clear, mutating, batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context

from cache import AsyncCache
from cache.testing import CommitRefused, Race, Row
from tests.races.catalogue import batch_of, cache_of, end_quietly, scenario


def change_after_the_write(race: Race, change: Callable[[AsyncCache, Row], Awaitable[object]]) -> None:
    """The cache is told of a write when it is over, in the way that ``change`` does."""
    users, cache, get_user = cache_of(race)

    async def update(uid: int) -> None:
        await users.write(uid)
        await change(cache, users.committed(uid))

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario(allow={"stale-commit"})
def a_delete_after_the_write(race: Race) -> None:
    change_after_the_write(race, lambda cache, row: cache.delete(row.key))


@scenario(allow={"stale-commit"})
def a_clear_after_the_write(race: Race) -> None:
    change_after_the_write(race, lambda cache, _: cache.clear())


@scenario(allow={"stale-commit"})
def a_set_after_the_write(race: Race) -> None:
    change_after_the_write(race, lambda cache, row: cache.set(row.key, row))


@scenario(allow={"stale-commit"})
def a_set_under_an_outer(race: Race) -> None:
    users = race.source("users")
    cache = AsyncCache(clock=race.clock)

    async def load_page(uid: int) -> tuple[str, Row]:
        row = await cache.get(uid, lambda: users.load(uid))
        await race.checkpoint("the page computes")
        return ("page", row)

    async def get_page(uid: int) -> tuple[str, Row]:
        page: tuple[str, Row] = await cache.get(("page", uid), lambda: load_page(uid))
        return page

    async def update(uid: int) -> None:
        await users.write(uid)
        await cache.set(uid, users.committed(uid))

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)
    end_quietly(race, cache)


@scenario(small=False)
def a_set_inside_a_mutation(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)
            row = users.committed(uid)
            await race.checkpoint("between the commit and the set")
            assert not await cache.set(uid, row)

    race.read(get_user, 1)
    race.mutate(update, 1)
    race.mutate(update, 1)


@scenario()
def a_set_inside_a_mutation_alone_is_kept(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)
            cache.set(uid, users.committed(uid))
        assert uid in cache, "what its own body has set is stored at the end"

    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario()
def a_set_inside_a_mutation_inside_a_mutation(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            async with cache.mutating(uid):
                await users.write(uid)
                cache.set(uid, users.committed(uid))
            await users.write(uid)

    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario()
def a_queued_load_after_the_end_of_the_mutation(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    async def slow(gate: asyncio.Event) -> Row:
        await gate.wait()
        return await users.load(1)

    async def update() -> None:
        gate = asyncio.Event()
        async with cache.mutating(1):
            # Readers outside: what a body begins in its own context reads privately.
            first = asyncio.create_task(cache.get(1, lambda: slow(gate)), context=Context())
            await race.checkpoint("the first reader loads")
            second = asyncio.create_task(cache.get(1, lambda: users.load(1)), context=Context())
            await race.checkpoint("the second reader is queued")
            await users.write(1)
        await second
        gate.set()
        await first

    race.read(get_user, 2)
    race.mutate(update)


@scenario()
def a_set_inside_a_mutation_that_is_refused(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    async def update(uid: int) -> None:
        async with cache.mutating(uid), users.transaction(ending="refused") as tx:
            await tx.write(uid)
            cache.set(uid, await users.load(uid))

    race.read(get_user, 1)
    race.mutate(update, 1, expect=(CommitRefused,))


@scenario(small=False)
def a_set_by_a_stranger_during_a_mutation(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)

    async def meddle(uid: int) -> None:
        row = await users.load(uid)
        if users.committed(uid) == row:
            cache.set(uid, row)

    race.read(get_user, 1)
    race.actor(meddle, 1)
    race.mutate(update, 1)


@scenario(small=False)
def a_transaction_over_two_keys(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    async def update() -> None:
        async with cache.mutating(1, 2), users.transaction() as tx:
            await tx.write(1)
            await tx.write(2)

    race.read(get_user, 1)
    race.read(get_user, 2)
    race.mutate(update)


@scenario(small=False)
def everything_during_a_mutation_of_one_key(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    async def update() -> None:
        async with cache.mutating(1):
            await users.write(1)

    async def rewrite() -> None:
        async with cache.mutating(everything=True):
            await users.write(1)

    race.read(get_user, 1)
    race.mutate(update)
    race.mutate(rewrite)


@scenario(small=False)
def a_batch_and_a_mutation_of_one_of_its_keys(race: Race) -> None:
    users, cache, get_user = batch_of(race, batch_window_ms=0)

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)

    race.read(get_user, 1)
    race.read(get_user, 2)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario(small=False)
def a_batch_that_collects_and_cancelled_readers(race: Race) -> None:
    users, cache, get_user = batch_of(race, batch_window_ms=5, max_batch_size=2)

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)

    race.read(get_user, 1, cancel=True)
    race.read(get_user, 2, cancel=True)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario(small=False)
def a_batch_whose_loader_reads_the_cache(race: Race) -> None:
    users = race.source("users")
    cache = AsyncCache(clock=race.clock, batch_window_ms=0)

    async def load_pages(keys: list[tuple[str, int]]) -> dict[tuple[str, int], tuple[str, Row]]:
        pages = {}
        for key in keys:
            row = await cache.get(key[1], lambda key=key: users.load(key[1]))  # type: ignore[misc]  # a default binds
            pages[key] = ("page", row)
        await race.checkpoint("the pages compute")
        return pages

    async def get_page(uid: int) -> tuple[str, Row] | None:
        page: tuple[str, Row] | None = await cache.get(("page", uid), batch_loader=load_pages)
        return page

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)
    end_quietly(race, cache)

"""Readers and mutations of tags."""

from __future__ import annotations

from cache import AsyncCache, AsyncLRU, cached, invalidate, invalidates, mutating
from cache.testing import Race, Row
from tests.races.catalogue import end_quietly, scenario


@scenario()
def a_tag_and_a_mutation_of_it(race: Race) -> None:
    users = race.source("users")

    @cached(tags=("user:{uid}", "users"), clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @invalidates(tags=("user:{uid}",))
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)
    end_quietly(race, get_user)


@scenario(small=False)
def two_mutations_of_a_tag(race: Race) -> None:
    users = race.source("users")

    @cached(tags=("users",), clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @invalidates(tags=("users",))
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)
    race.mutate(update, 1)
    end_quietly(race, get_user)


@scenario(allow={"stale-commit"})
def a_tag_invalidated_after_the_write(race: Race) -> None:
    users = race.source("users")

    @cached(tags=("users",), clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    async def update(uid: int) -> None:
        await users.write(uid)
        await invalidate("users")

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)
    end_quietly(race, get_user)


@scenario(small=False)
def tags_computed_from_the_result(race: Race) -> None:
    users = race.source("users")

    @cached(tags=lambda row, uid: (f"row:{row.key}", f"asked:{uid}"), clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @invalidates(tags=("row:{uid}",))
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)
    end_quietly(race, get_user)


@scenario(small=False)
def tags_computed_from_the_result_and_a_mutation_of_the_key(race: Race) -> None:
    """A load that another tag's death has detached must still be found when its own key changes."""
    users = race.source("users")

    @cached(tags=lambda row, uid: ("users",), clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @invalidates(get_user)
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.call(invalidate, "another")
    race.mutate(update, 1)
    end_quietly(race, get_user)


@scenario(small=False)
def an_outer_of_tags_computed_from_the_result(race: Race) -> None:
    users = race.source("users")

    @cached(tags=lambda row, uid: ("users",), clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, Row]:
        return ("page", await get_user(uid))

    @invalidates(tags=("users",))
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)
    end_quietly(race, get_user, get_page)


@scenario(small=False)
def a_tag_inherited_over_two_levels(race: Race) -> None:
    users = race.source("users")

    @cached(tags=("users",), clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRU(clock=race.clock)
    async def get_card(uid: int) -> tuple[str, Row]:
        return ("card", await get_user(uid))

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, tuple[str, Row]]:
        return ("page", await get_card(uid))

    @invalidates(tags=("users",))
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_page, 1)
    race.read(get_card, 1)
    race.mutate(update, 1)
    end_quietly(race, get_user, get_card, get_page)


@scenario(small=False)
def a_value_set_with_a_tag(race: Race) -> None:
    users = race.source("users")
    cache = AsyncCache(clock=race.clock)

    async def get_user(uid: int) -> Row:
        row: Row = await cache.get(uid, lambda: users.load(uid), tags=("users",))
        return row

    async def update(uid: int) -> None:
        async with mutating((cache, uid), tags=("users",)):
            await users.write(uid)
            cache.set(uid, users.committed(uid), tags=("users",))

    @invalidates(tags=("users",))
    async def rewrite(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1)
    race.mutate(update, 1)
    race.mutate(rewrite, 1)
    end_quietly(race, cache)


@scenario(small=False)
def a_value_set_with_a_tag_that_only_another_mutation_covers(race: Race) -> None:
    users = race.source("users")
    cache = AsyncCache(clock=race.clock)

    async def get_user(uid: int) -> Row:
        row: Row = await cache.get(uid, lambda: users.load(uid), tags=("users",))
        return row

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)
            row = users.committed(uid)
            await race.checkpoint("between the commit and the set")
            cache.set(uid, row, tags=("users",))

    @invalidates(tags=("users",))
    async def rewrite(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1)
    race.mutate(update, 1)
    race.mutate(rewrite, 1)
    end_quietly(race, cache)


@scenario(small=False)
def a_value_set_with_a_tag_that_another_does_not_name(race: Race) -> None:
    users = race.source("users")
    cache = AsyncCache(clock=race.clock)

    async def get_user(uid: int) -> Row:
        row: Row = await cache.get(uid, lambda: users.load(uid), tags=("users",))
        return row

    async def update(uid: int) -> None:
        async with cache.mutating(tags=("users",)):
            await users.write(uid)
            row = users.committed(uid)
            await race.checkpoint("between the commit and the set")
            cache.set(uid, row, tags=("users",))
            await race.checkpoint("after the set")

    async def rewrite(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)

    race.read(get_user, 1)
    race.mutate(update, 1)
    race.mutate(rewrite, 1)
    end_quietly(race, cache)

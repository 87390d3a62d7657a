"""Readers and mutations of tags."""

from __future__ import annotations

import asyncio
from contextvars import Context

from cache import cached, invalidate, invalidates, mutating
from cache.testing import Race, Row
from tests.races.catalogue import cache_of, end_quietly, outer_of, scenario, update_of, users_of


@scenario()
def a_tag_and_a_mutation_of_it(race: Race) -> None:
    users, get_user = users_of(race, tags=("user:{uid}", "users"))
    update = update_of(users, tags=("user:{uid}",))

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario(small=False)
def two_mutations_of_a_tag(race: Race) -> None:
    users, get_user = users_of(race, tags=("users",))
    update = update_of(users, tags=("users",))

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)
    race.mutate(update, 1)


@scenario(allow={"stale-commit"})
def a_tag_invalidated_after_the_write(race: Race) -> None:
    users, get_user = users_of(race, tags=("users",))

    async def update(uid: int) -> None:
        await users.write(uid)
        await invalidate("users")

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario(small=False)
def tags_computed_from_the_result(race: Race) -> None:
    users, get_user = users_of(race, tags=lambda row, uid: (f"row:{row.key}", f"asked:{uid}"))
    update = update_of(users, tags=("row:{uid}",))

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario(small=False)
def tags_computed_from_the_result_and_a_commit_that_lands_late(race: Race) -> None:
    """A load that begins while the mutation lingers, and ends after that."""
    users = race.source("users")

    @cached(tags=lambda row, uid: (f"row:{uid}",), clock=race.clock)
    async def get_user(uid: int) -> Row:
        row = await users.load(uid)
        await asyncio.sleep(2.0)
        return row

    @invalidates(get_user, tags=("row:{uid}",), key_fn=lambda args, _: [])
    async def update(uid: int) -> None:
        await users.write(uid, ending="late", delay=0.5)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1, expect=(TimeoutError,))


@scenario()
def a_queued_load_of_unknown_tags_after_the_end_of_the_mutation(race: Race) -> None:
    users = race.source("users")
    gates: list[asyncio.Event] = []

    @cached(tags=lambda row, uid: ("users",), clock=race.clock)
    async def get_user(uid: int) -> Row:
        if not gates:
            gates.append(asyncio.Event())
            await gates[0].wait()
        return await users.load(uid)

    async def change() -> None:
        with mutating((get_user.cache, "nothing"), tags=("another",)):
            # Readers outside: what a body begins in its own context reads privately.
            first = asyncio.create_task(get_user(1), context=Context())
            await race.checkpoint("the first reader loads")
            second = asyncio.create_task(get_user(1), context=Context())
            await race.checkpoint("the second reader is queued")
        await second
        gates[0].set()
        await first

    @cached(clock=race.clock)
    async def get_other(uid: int) -> Row:
        return await users.load(uid)

    race.actor(change)
    race.read(get_other, 2)
    end_quietly(race, get_user, get_other)


@scenario(small=False)
def tags_computed_from_the_result_and_a_mutation_of_the_key(race: Race) -> None:
    """A load that another tag's death has detached must still be found when its own key changes."""
    users, get_user = users_of(race, tags=lambda row, uid: ("users",))
    update = update_of(users, get_user)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.call(invalidate, "another")
    race.mutate(update, 1)


@scenario(small=False)
def an_outer_of_tags_computed_from_the_result(race: Race) -> None:
    users, get_user = users_of(race, tags=lambda row, uid: ("users",))
    get_page = outer_of(race, "page", get_user)
    update = update_of(users, tags=("users",))

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)


@scenario(small=False)
def a_tag_inherited_over_two_levels(race: Race) -> None:
    users, get_user = users_of(race, tags=("users",))
    get_card = outer_of(race, "card", get_user)
    get_page = outer_of(race, "page", get_card)
    update = update_of(users, tags=("users",))

    race.read(get_page, 1)
    race.read(get_card, 1)
    race.mutate(update, 1)


@scenario(small=False)
def a_value_set_with_a_tag(race: Race) -> None:
    users, cache, get_user = cache_of(race, tags=("users",))
    rewrite = update_of(users, tags=("users",))

    async def update(uid: int) -> None:
        async with mutating((cache, uid), tags=("users",)):
            await users.write(uid)
            cache.set(uid, users.committed(uid), tags=("users",))

    race.read(get_user, 1)
    race.mutate(update, 1)
    race.mutate(rewrite, 1)


@scenario(small=False)
def a_value_set_with_a_tag_that_only_another_mutation_covers(race: Race) -> None:
    users, cache, get_user = cache_of(race, tags=("users",))
    rewrite = update_of(users, tags=("users",))

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)
            row = users.committed(uid)
            await race.checkpoint("between the commit and the set")
            cache.set(uid, row, tags=("users",))

    race.read(get_user, 1)
    race.mutate(update, 1)
    race.mutate(rewrite, 1)


@scenario(small=False)
def a_value_set_with_a_tag_that_another_does_not_name(race: Race) -> None:
    users, cache, get_user = cache_of(race, tags=("users",))

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

"""Cached functions that call cached functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cache import AsyncLRU, AsyncLRUInvalidator, CacheCycleError, mutating
from cache.testing import Race, Row
from tests.races.catalogue import end_quietly, outer_of, scenario, update_of, users_of


def outer_that_reads(race: Race, call: Callable[[Any, int], Awaitable[Row]], *, readers: int = 1) -> None:
    """A page computed from a user, who is read in the way that ``call`` reads."""
    users, get_user = users_of(race)
    update = update_of(users, get_user)

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, Row]:
        return ("page", await call(get_user, uid))

    for _ in range(readers):
        race.read(get_page, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)
    end_quietly(race, get_page)


async def plainly(get_user: Any, uid: int) -> Row:
    row: Row = await get_user(uid)
    return row


@scenario(small=False)
def an_outer_and_its_inner(race: Race) -> None:
    outer_that_reads(race, plainly)


@scenario(small=False)
def two_readers_of_an_outer(race: Race) -> None:
    outer_that_reads(race, plainly, readers=2)


@scenario(small=False)
def an_inner_that_is_refreshed(race: Race) -> None:
    async def anew(get_user: Any, uid: int) -> Row:
        row: Row = await get_user.refresh(uid)
        return row

    outer_that_reads(race, anew)


@scenario(small=False)
def an_inner_read_in_gather(race: Race) -> None:
    async def gathered(get_user: Any, uid: int) -> Row:
        rows: list[Row] = await asyncio.gather(get_user(uid), get_user(uid))
        return min(rows)

    outer_that_reads(race, gathered)


@scenario(small=False)
def an_inner_read_in_a_task_group(race: Race) -> None:
    async def in_group(get_user: Any, uid: int) -> Row:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(get_user(uid))
        row: Row = task.result()
        return row

    outer_that_reads(race, in_group)


@scenario(small=False)
def an_inner_read_in_a_thread(race: Race) -> None:
    async def in_thread(get_user: Any, uid: int) -> Row:
        await get_user(uid)
        row = await asyncio.to_thread(get_user.peek, uid)
        again: Row = await get_user(uid) if row is None else row
        return again

    outer_that_reads(race, in_thread)


@scenario(small=False)
def an_inner_read_after_a_pause(race: Race) -> None:
    async def late(get_user: Any, uid: int) -> Row:
        row: Row = await get_user(uid)
        await race.checkpoint("the outer computes")
        return row

    outer_that_reads(race, late, readers=2)


def slowly(race: Race, read: Callable[[int], Awaitable[Any]]) -> Callable[[int], Awaitable[Any]]:
    """Read, and go on computing while others have their turn."""

    async def read_and_compute(uid: int) -> Any:
        row = await read(uid)
        await race.checkpoint("the page computes")
        return row

    return read_and_compute


@scenario(small=False)
def three_levels(race: Race) -> None:
    users, get_user = users_of(race)
    update = update_of(users, get_user)
    get_card = outer_of(race, "card", get_user)
    get_page = outer_of(race, "page", slowly(race, get_card))

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.read(get_card, 1)
    race.mutate(update, 1)


@scenario(small=False)
def three_levels_whose_middle_is_evicted(race: Race) -> None:
    users, get_user = users_of(race)
    update = update_of(users, get_user)
    get_card = outer_of(race, "card", get_user, maxsize=1)
    get_page = outer_of(race, "page", get_card)

    race.read(get_page, 1)
    race.read(get_card, 2, hits=False)
    race.mutate(update, 1)


@scenario(small=False)
def an_outer_of_many(race: Race) -> None:
    """A load that has read more than can be remembered one by one."""
    users, get_user = users_of(race, maxsize=None)
    update = update_of(users, get_user)

    @AsyncLRU(maxsize=None, clock=race.clock)
    async def get_flag(uid: int, n: int) -> int:
        return n

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, Row]:
        row = await get_user(uid)
        for n in range(300):
            get_flag.cache.peek((uid, n))
            get_user.cache.peek((uid, n))
        await race.checkpoint("the page computes")
        return ("page", row)

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)
    end_quietly(race, get_page, get_flag)


@scenario(small=False)
def an_inner_cleared_under_its_outer(race: Race) -> None:
    users, get_user = users_of(race)
    get_page = outer_of(race, "page", slowly(race, get_user))

    @AsyncLRUInvalidator(get_user, clear_all=True)
    async def rewrite() -> None:
        await users.write(1)

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(rewrite)


@scenario(small=False, allow={"stale-commit"})
def a_clear_under_an_outer(race: Race) -> None:
    users, get_user = users_of(race)
    get_page = outer_of(race, "page", slowly(race, get_user))

    async def update(uid: int) -> None:
        await users.write(uid)
        get_user.clear_cache()

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)


@scenario(small=False)
def an_outer_lives_no_longer_than_its_inner(race: Race) -> None:
    users, get_user = users_of(race, ttl=10)
    get_page = outer_of(race, "page", get_user)

    async def write_and_wait(uid: int) -> None:
        await get_user(uid)
        await asyncio.sleep(5)
        await get_page(uid)
        await users.write(uid)
        await asyncio.sleep(5)
        assert await get_page(uid) == ("page", users.committed(uid)), "the page outlived the user it was made of"

    race.actor(write_and_wait, 1)


@scenario(small=False)
def a_mutation_inside_a_load(race: Race) -> None:
    """What a load reads inside its own mutation is not committed yet, and must not be stored with its result."""
    users, get_user = users_of(race)

    @AsyncLRU(clock=race.clock)
    async def touch(uid: int) -> tuple[str, int]:
        async with mutating((get_user, get_user.cache_key(uid))), users.transaction() as tx:
            await tx.write(uid)
            row = await get_user(uid)
            assert row.version not in (0, users.committed(uid).version), "the body reads what it has written"
            await tx.rollback()
        return ("touched", uid)

    async def check(uid: int) -> None:
        await touch(uid)
        assert touch.peek(uid) is None, "a result that rests on what was never committed is stored"

    race.read(get_user, 1)
    race.actor(check, 1)
    end_quietly(race, touch)


@scenario(small=False)
def a_private_read_of_what_nobody_covers(race: Race) -> None:
    """Inside a mutation even a read that it does not declare may see what is not committed."""
    users, get_user = users_of(race)

    @AsyncLRU(clock=race.clock)
    async def get_name(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRU(clock=race.clock)
    async def try_out(uid: int) -> Row:
        async with mutating((get_user, get_user.cache_key(uid))), users.transaction() as tx:
            await tx.write(uid)
            row: Row = await get_name(uid)
            await tx.rollback()
        return row

    async def check(uid: int) -> None:
        await try_out(uid)
        assert try_out.peek(uid) in (None, users.committed(uid)), "a result that rests on it is stored"
        assert get_name.peek(uid) in (None, users.committed(uid)), "what was never committed is stored"

    race.actor(check, 1)
    race.read(get_name, 1)
    end_quietly(race, get_name, try_out)


@scenario(small=False)
def an_outer_that_looks_and_loads_for_itself(race: Race) -> None:
    """To find nothing is to have read: it rests on the key, during a mutation too."""
    users, get_user = users_of(race)
    update = update_of(users, get_user)

    @AsyncLRU(clock=race.clock)
    async def get_page(uid: int) -> tuple[str, Row]:
        return ("page", get_user.peek(uid) or await users.load(uid))

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)
    end_quietly(race, get_page)


@scenario()
def a_cycle_of_two(race: Race) -> None:
    @AsyncLRU(clock=race.clock)
    async def left(n: int) -> int:
        await race.checkpoint("left")
        value: int = await right(n)
        return value

    @AsyncLRU(clock=race.clock)
    async def right(n: int) -> int:
        await race.checkpoint("right")
        value: int = await left(n)
        return value

    race.actor(left, 1, expect=(CacheCycleError,))
    race.actor(right, 1, expect=(CacheCycleError,))
    end_quietly(race, left, right)


@scenario(small=False)
def a_cycle_of_three_in_gather(race: Race) -> None:
    @AsyncLRU(clock=race.clock)
    async def one(n: int) -> int:
        await race.checkpoint("one")
        return sum(await asyncio.gather(two(n), leaf(n)))

    @AsyncLRU(clock=race.clock)
    async def two(n: int) -> int:
        return sum(await asyncio.gather(leaf(n), three(n)))

    @AsyncLRU(clock=race.clock)
    async def three(n: int) -> int:
        value: int = await one(n)
        return value

    @AsyncLRU(clock=race.clock)
    async def leaf(n: int) -> int:
        await race.checkpoint("leaf")
        return n

    race.actor(one, 1, expect=(CacheCycleError,))
    race.actor(three, 1, expect=(CacheCycleError,))
    end_quietly(race, one, two, three, leaf)


@scenario(small=False)
def a_cycle_during_a_mutation(race: Race) -> None:
    @AsyncLRU(clock=race.clock)
    async def left(n: int) -> int:
        await race.checkpoint("left")
        value: int = await right(n)
        return value

    @AsyncLRU(clock=race.clock)
    async def right(n: int) -> int:
        value: int = await left(n)
        return value

    async def write() -> None:
        async with mutating(left, right):
            await race.checkpoint("write")
            await left(1)

    race.actor(left, 1, expect=(CacheCycleError,))
    race.actor(right, 1, expect=(CacheCycleError,))
    race.mutate(write, expect=(CacheCycleError,))
    end_quietly(race, left, right)


@scenario(small=False, allow={"stuck", "stale-after", "stale-commit", "dirty"})
def an_untracked_inner(race: Race) -> None:
    """What opts out is not promised to be fresh, only to end well."""
    users, get_user = users_of(race, track=False)
    get_page = outer_of(race, "page", get_user)
    update = update_of(users, get_user)

    race.read(get_page, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)

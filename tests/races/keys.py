"""Readers and mutations of keys."""

from __future__ import annotations

from cache import AsyncLRU, AsyncLRUInvalidator, AsyncTTL, invalidates, mutating
from cache.testing import CommitRefused, Race, Row
from tests.races.catalogue import end_quietly, outer_of, scenario, update_of, users_of


class Failed(Exception):
    """The error of a mutation."""


def one_key(race: Race, *, readers: int, mutations: int) -> None:
    users, get_user = users_of(race)
    update = update_of(users, get_user)

    for _ in range(readers):
        race.read(get_user, 1)
    for _ in range(mutations):
        race.mutate(update, 1)


@scenario()
def a_reader_and_a_mutation(race: Race) -> None:
    one_key(race, readers=1, mutations=1)


@scenario()
def two_readers_and_a_mutation(race: Race) -> None:
    one_key(race, readers=2, mutations=1)


@scenario()
def a_reader_and_two_mutations(race: Race) -> None:
    one_key(race, readers=1, mutations=2)


@scenario(small=False)
def two_readers_and_two_mutations(race: Race) -> None:
    one_key(race, readers=2, mutations=2)


@scenario(small=False)
def five_readers_and_three_mutations(race: Race) -> None:
    one_key(race, readers=5, mutations=3)


@scenario(small=False)
def many_readers_and_mutations_of_two_keys(race: Race) -> None:
    users, get_user = users_of(race, ttl=60, maxsize=1)

    @invalidates(get_user)
    async def update(uid: int) -> None:
        async with users.transaction() as tx:
            await tx.write(uid)

    for uid in (1, 2):
        race.read(get_user, uid)
        race.read(get_user, uid)
        race.mutate(update, uid)


@scenario()
def a_mutation_that_fails_after_its_commit(race: Race) -> None:
    users, get_user = users_of(race)

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        await users.write(uid)
        raise Failed

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1, expect=(Failed,))


@scenario()
def a_mutation_that_is_refused(race: Race) -> None:
    users, get_user = users_of(race)

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        async with users.transaction(ending="refused") as tx:
            await tx.write(uid)
            await get_user(uid)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1, expect=(CommitRefused,))


@scenario(small=False)
def a_mutation_that_is_cancelled(race: Race) -> None:
    users, get_user = users_of(race)

    @AsyncLRUInvalidator(get_user, linger=0)
    async def update(uid: int) -> None:
        async with users.transaction() as tx:
            await tx.write(uid)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1, cancel=True)


@scenario(small=False)
def a_commit_that_lands_after_its_error(race: Race) -> None:
    """The mutation lingers on when all is quiet: this alone leaves something behind."""
    users = race.source("users")

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        await users.write(uid, ending="late", delay=0.5)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1, expect=(TimeoutError,))


@scenario()
def a_mutation_that_reads_what_it_changes(race: Race) -> None:
    users, get_user = users_of(race)

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        async with users.transaction() as tx:
            await tx.write(uid)
            await get_user(uid)
        await race.observe(get_user, uid)

    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario(small=False)
def a_mutation_within_a_mutation(race: Race) -> None:
    users, get_user = users_of(race)
    rename = update_of(users, get_user)

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        await rename(uid)
        await users.write(uid)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)


@scenario()
def a_read_that_goes_on_after_its_mutation(race: Race) -> None:
    """A task begun by the body outlives it, and is then a reader like any other."""
    users, get_user = users_of(race)

    async def update_and_read(uid: int) -> None:
        async with mutating((get_user, get_user.cache_key(uid))):
            await users.write(uid)
        await race.observe(get_user, uid)
        assert get_user.peek(uid) is not None or get_user.get_metrics()["fenced"], "a read after a mutation is stored"

    race.read(get_user, 1)
    race.mutate(update_and_read, 1)


@scenario(small=False)
def a_mutation_of_two_cached_functions(race: Race) -> None:
    users, get_user = users_of(race)

    @AsyncTTL(60, clock=race.clock)
    async def get_name(uid: int) -> Row:
        return await users.load(uid)

    update = update_of(users, get_user, get_name)

    race.read(get_user, 1)
    race.read(get_name, 1)
    race.mutate(update, 1)
    end_quietly(race, get_name)


@scenario(small=False)
def a_mutation_of_everything(race: Race) -> None:
    users, get_user = users_of(race)

    @AsyncLRUInvalidator(get_user, clear_all=True)
    async def rewrite() -> None:
        async with users.transaction() as tx:
            await tx.write(1)
            await tx.write(2)

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.read(get_user, 2)
    race.mutate(rewrite)


@scenario()
def a_mutation_of_all_that_agree(race: Race) -> None:
    users = race.source("users")

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int, fields: str = "all") -> Row:
        return await users.load(uid)

    update = update_of(users, get_user)

    race.read(get_user, 1, "name")
    race.read(get_user, 1)
    race.mutate(update, 1)
    end_quietly(race, get_user)


@scenario(small=False)
def a_refresh_and_a_mutation(race: Race) -> None:
    users, get_user = users_of(race)
    update = update_of(users, get_user)

    race.read(get_user, 1)
    race.actor(get_user.refresh, 1)
    race.mutate(update, 1)


@scenario()
def a_refresh_and_an_older_load(race: Race) -> None:
    """Who refreshes after their own write must not be given what was read before it."""
    users, get_user = users_of(race)

    async def write_and_refresh(uid: int) -> None:
        await users.write(uid)
        version = users.committed(uid)
        assert await get_user.refresh(uid) == version, "a refresh returned what was read before it began"

    race.read(get_user, 1)
    race.actor(write_and_refresh, 1)


@scenario(small=False)
def a_refresh_that_joins_a_queued_load(race: Race) -> None:
    """It queues behind a load whose tags are not known, while a mutation of some tag goes on."""
    users, get_user = users_of(race, tags=lambda row, uid: ("users",))
    get_page = outer_of(race, "page", get_user)

    async def write_and_refresh(uid: int) -> None:
        await users.write(uid)
        await get_user.refresh(uid)

    async def change_another() -> None:
        with mutating((get_user, "nothing"), tags=("another",)):
            await race.checkpoint("another tag is being changed")

    race.read(get_user, 1)
    race.read(get_user, 1)
    race.read(get_page, 1)
    race.actor(write_and_refresh, 1)
    race.actor(change_another)


@scenario()
def a_refresh_sees_what_nobody_declared(race: Race) -> None:
    users, get_user = users_of(race)
    get_page = outer_of(race, "page", get_user)

    async def write_and_refresh(uid: int) -> None:
        await users.write(uid)
        await get_user.refresh(uid)

    race.read(get_page, 1)
    race.actor(write_and_refresh, 1)


@scenario(small=False)
def a_herd_in_a_window(race: Race) -> None:
    """In a window one load runs and one is queued behind it, however many readers come."""
    users = race.source("users")
    running = peak = 0

    @AsyncLRU(clock=race.clock)
    async def get_user(uid: int) -> Row:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        try:
            return await users.load(uid)
        finally:
            running -= 1

    async def update(uid: int) -> None:
        async with mutating((get_user, get_user.cache_key(uid))):
            await users.write(uid)

    for _ in range(4):
        race.read(get_user, 1)
    race.mutate(update, 1)

    def check() -> None:
        # One that began before the mutation, one inside, one after.
        assert peak <= 3, f"{peak} loads of one key at once"

    race.at_quiet(check)
    end_quietly(race, get_user)

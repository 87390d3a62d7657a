"""What a result in the tier was computed from, which only its record tells."""

from __future__ import annotations

from cache import AsyncLRU, cached
from cache.testing import Race, Row
from tests.races.catalogue import end_quietly, scenario, update_of
from tests.races.shelf import Host, Shelf
from tests.races.tiers import a_user_and_a_page, after_a_restart, one_user


@scenario(small=False)
def a_page_in_the_tier_and_a_mutation_of_what_it_was_computed_from(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.read(get_user, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def a_page_in_the_tier_and_a_mutation_of_all_that_it_was_computed_from(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user, clear_all=True), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False, allow={"stale-commit"})
def a_page_in_the_tier_and_a_clear_of_what_it_was_computed_from(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)

    async def update(uid: int) -> None:
        await users.write(uid)
        await get_user.clear_cache()

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update, 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def a_page_in_the_tier_and_a_wildcard_of_what_it_was_computed_from(race: Race) -> None:
    users = race.source("users")
    host = Host(race, Shelf(race.clock))

    @cached(name="get_user", **host.options())
    async def get_user(uid: int, page: int = 0) -> Row:
        return await users.load(uid)

    host.meet(get_user.cache)
    get_page = host.outer(get_user)
    host.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)))
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def a_page_in_the_tier_whose_tags_only_the_record_tells(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race, tags=lambda row, uid: (f"user:{uid}",))
    host.shelve(get_user, 1, users.committed(1), ("#tags", "user:1"))
    host.shelve(get_page, 1, ("get_page", users.committed(1)), ("get_user", get_user.cache_key(1)), ("#tags", "user:1"))
    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, tags=("user:{uid}",), namespace=host.name), 1)
    after_a_restart(race, host, get_page)


@scenario(small=False)
def three_levels_of_which_the_middle_is_in_the_tier(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    get_site = host.outer(get_page, "get_site")
    race.read(get_site, 1)
    race.read(get_site, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_site)


@scenario(small=False)
def three_levels_in_the_tier(race: Race) -> None:
    users, host, get_user, get_page = a_user_and_a_page(race)
    get_site = host.outer(get_page, "get_site")
    row = users.committed(1)
    grounds = ("get_user", get_user.cache_key(1)), ("get_page", get_page.cache_key(1))
    host.shelve(get_site, 1, ("get_site", ("get_page", row)), *grounds)
    race.read(get_site, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user), 1)
    after_a_restart(race, host, get_site)


@scenario(small=False)
def a_page_of_this_process_over_a_value_in_the_tier(race: Race) -> None:
    users, host, get_user = one_user(race)
    host.shelve(get_user, 1, users.committed(1))

    @AsyncLRU(clock=race.clock, bus=None, backup=None)
    async def get_page(uid: int) -> tuple[str, Row]:
        row = await get_user(uid)
        await race.checkpoint("the page computes")
        return ("page", row)

    race.read(get_page, 1)
    race.read(get_page, 1)
    race.mutate(update_of(users, get_user), 1)
    end_quietly(race, get_page)

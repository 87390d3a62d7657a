"""Several event loops, and threads that have none."""

from __future__ import annotations

from cache.testing import Race
from tests.races.catalogue import batch_of, cache_of, outer_of, scenario, update_of, users_of


@scenario(small=False)
def readers_and_a_mutation_on_two_loops(race: Race) -> None:
    users, get_user = users_of(race)
    update = update_of(users, get_user)

    race.read(get_user, 1, loop="a")
    race.read(get_user, 1, loop="b")
    race.mutate(update, 1, loop="b")


@scenario(small=False)
def readers_on_two_loops_and_a_mutation_on_a_third(race: Race) -> None:
    users, get_user = users_of(race)
    get_page = outer_of(race, "page", get_user)
    update = update_of(users, get_user)

    race.read(get_page, 1, loop="a")
    race.read(get_page, 1, loop="b", cancel=True)
    race.mutate(update, 1, loop="c")


@scenario(allow={"stale-commit"})
def a_delete_from_a_thread_without_a_loop(race: Race) -> None:
    users, cache, get_user = cache_of(race)

    def update(uid: int) -> None:
        users.write_now(uid)
        cache.delete(uid)

    race.read(get_user, 1)
    race.read(get_user, 1, loop="b")
    race.call(update, 1)


@scenario(small=False)
def a_mutation_in_a_thread_without_a_loop(race: Race) -> None:
    """The end of the mutation starts, on another loop, the load that was queued behind it."""
    users, cache, get_user = cache_of(race)

    def finish() -> None:
        with cache.mutating(1):
            users.write_now(1)

    race.read(get_user, 1)
    race.read(get_user, 1, loop="b")
    race.call(finish)
    race.call(finish)


@scenario(small=False)
def a_batch_on_two_loops(race: Race) -> None:
    users, cache, get_user = batch_of(race, batch_window_ms=0)

    async def update(uid: int) -> None:
        async with cache.mutating(uid):
            await users.write(uid)

    race.read(get_user, 1, loop="a")
    race.read(get_user, 1, loop="b")
    race.read(get_user, 2, loop="b")
    race.mutate(update, 1, loop="a")

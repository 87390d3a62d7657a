"""Tools of agents: reads and writes of resources, sessions, users, tools within tools, and tools that are both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from typing import Any

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from cache.testing import Race, Row, assert_sound
from tests.races.catalogue import scenario


def end_soundly(race: Race, *tools: Any) -> None:
    """When all is quiet, the caches of these tools agree with themselves.

    What is left of tags is another's question: they are those of the process, and of all schedules before.
    """

    def check() -> None:
        for tool in tools:
            assert_sound(tool.__agent_cache_reads__.cache)

    race.at_quiet(check, kind="leaks")


@scenario(small=False, costly=True)
def a_tool_that_reads_and_one_that_writes(race: Race) -> None:
    users = race.source("users")

    @AgentCache("user:{uid}")
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AgentCacheInvalidator("user", linger=0)
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(get_user, 1, cancel=True)
    race.read(get_user, 1)
    race.mutate(update, 1, cancel=True)
    end_soundly(race, get_user)


@scenario(small=False, costly=True)
def a_tool_that_writes_one_of_those_that_are_read(race: Race) -> None:
    """The list above rests on it, and so does the one call that it maps to."""
    users = race.source("users")

    @AgentCache("group")
    async def list_users(uid: int) -> list[Row]:
        return [await users.load(uid)]

    @AgentCache("group:{uid}")
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AgentCacheInvalidator("group:{uid}", clear_all=False)
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(list_users, 1)
    race.read(get_user, 1)
    race.mutate(update, 1)
    end_soundly(race, list_users, get_user)


me: ContextVar[int] = ContextVar("me")


def as_user(uid: int, tool: Callable[..., Awaitable[Any]], *args: Any) -> Awaitable[Any]:
    """A call by a user, of whom nothing but the context says who it is."""
    context = Context()
    context.run(me.set, uid)
    call: Any = tool(*args)
    return asyncio.get_running_loop().create_task(call, context=context)


@scenario(small=False, costly=True)
def two_sessions_and_a_write_in_one_of_them(race: Race) -> None:
    """It reaches what was read for a user in the other, whose forks share it."""
    users = race.source("users")

    @AgentCache("user", scope="session", vary=lambda uid: uid)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AgentCacheInvalidator("user", vary=lambda uid: uid)
    async def update(uid: int) -> None:
        await users.write(uid)

    session = AgentCacheSession("readers")
    Context().run(session.__enter__)

    async def in_the_session(uid: int) -> Row:
        async with session.fork("reader"):
            return await get_user(uid)

    async def in_another(uid: int) -> None:
        async with AgentCacheSession("writer"):
            await update(uid)

    race.read(in_the_session, 1)
    race.read(in_the_session, 1)
    race.mutate(in_another, 1)
    end_soundly(race, get_user)


@scenario(small=False, costly=True)
def two_users_of_a_tool_for_everybody_that_reads_what_is_theirs(race: Race) -> None:
    """Neither is given what was made for the other, kept or in progress."""
    users = race.source("users")

    @AgentCache("user", vary=me.get)
    async def get_me() -> Row:
        return await users.load(me.get())

    @AgentCache("summary")
    async def summarise() -> list[Row]:
        row = await get_me()
        await race.checkpoint("it is summed up")
        return [row]

    @AgentCacheInvalidator("user")
    async def update(uid: int) -> None:
        await users.write(uid)

    async def read(uid: int) -> list[Row]:
        rows: list[Row] = await as_user(uid, summarise)
        assert [row.key for row in rows] == [uid], "a user was given what is another's"
        return rows

    race.read(read, 1, hits=False)
    race.read(read, 2, hits=False)
    race.mutate(update, 1)
    end_soundly(race, get_me, summarise)


@scenario(small=False, costly=True)
def a_tool_that_is_both(race: Race) -> None:
    """It reads what another writes, and writes what another reads."""
    users, log = race.source("users"), race.source("log")

    @AgentCacheInvalidator("log")
    @AgentCache("user")
    async def find_user(uid: int) -> Row:
        await log.write(0)
        return await users.load(uid)

    @AgentCache("log")
    async def read_log() -> Row:
        return await log.load(0)

    @AgentCacheInvalidator("user")
    async def update(uid: int) -> None:
        await users.write(uid)

    race.read(find_user, 1)
    race.read(read_log)
    race.mutate(update, 1)
    end_soundly(race, find_user, read_log)

"""The same race on every policy of eviction and every variant of the generated wrapper."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cache import AsyncLRUInvalidator, cached, invalidates
from cache.testing import Race, Row, Source
from tests.races.catalogue import end_quietly, scenario

Get = Callable[..., Awaitable[Row]]


def of_one_argument(users: Source, **options: Any) -> tuple[Any, Get, Any]:
    """The cached function, a way to read through it, and a mutation of what it reads."""

    @cached(**options)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @AsyncLRUInvalidator(get_user)
    async def update(uid: int) -> None:
        await users.write(uid)

    return get_user, get_user, update


def of_many_arguments(users: Source, **options: Any) -> tuple[Any, Get, Any]:
    @cached(**options)
    async def get_user(session: str, /, uid: int, *more: int, flag: bool = False, **rest: Any) -> Row:
        return await users.load(uid)

    @invalidates(get_user, key_fn=lambda args, _: (("session", args[0], 7), {"flag": True, "extra": [1]}))
    async def update(uid: int) -> None:
        await users.write(uid)

    async def read(uid: int) -> Row:
        return await get_user("session", uid, 7, flag=True, extra=[1])

    return get_user, read, update


def of_a_method(users: Source, **options: Any) -> tuple[Any, Get, Any]:
    class Repository:
        @cached(**options)
        async def get_user(self, uid: int) -> Row:
            return await users.load(uid)

        @AsyncLRUInvalidator(get_user)
        async def update(self, uid: int) -> None:
            await users.write(uid)

    repository = Repository()
    return Repository.get_user, repository.get_user, repository.update


def of_a_classmethod(users: Source, **options: Any) -> tuple[Any, Get, Any]:
    class Repository:
        @classmethod
        @cached(**options)
        async def get_user(cls, uid: int) -> Row:
            return await users.load(uid)

        @classmethod
        @AsyncLRUInvalidator(get_user)
        async def update(cls, uid: int) -> None:
            await users.write(uid)

    return Repository.get_user, Repository.get_user, Repository.update


def by_tag(users: Source, **options: Any) -> tuple[Any, Get, Any]:
    @cached(**options)
    async def get_user(uid: int) -> Row:
        return await users.load(uid)

    @invalidates(tags=("user:{uid}",))
    async def update(uid: int) -> None:
        await users.write(uid)

    return get_user, get_user, update


VARIANTS: dict[str, tuple[Callable[..., tuple[Any, Get, Any]], dict[str, Any]]] = {
    "lru": (of_one_argument, {"maxsize": 1}),
    "s3fifo": (of_one_argument, {"maxsize": 1, "policy": "s3fifo"}),
    "unbounded": (of_one_argument, {"maxsize": None}),
    "large": (of_one_argument, {"maxsize": 100_000}),
    "large_s3fifo": (of_one_argument, {"maxsize": 100_000, "policy": "s3fifo"}),
    "large_many_arguments": (of_many_arguments, {"maxsize": 100_000}),
    "ttl": (of_one_argument, {"ttl": 1.0}),
    "ttl_of_the_result": (of_one_argument, {"ttl": lambda _: 1.0}),
    "s3fifo_ttl": (of_one_argument, {"policy": "s3fifo", "ttl": 1.0}),
    "untracked": (of_one_argument, {"track": False}),
    "untracked_ttl": (of_one_argument, {"track": False, "ttl": 1.0}),
    "typed": (of_one_argument, {"typed": True}),
    "key": (of_one_argument, {"key": lambda uid: ("user", uid)}),
    "tags": (by_tag, {"tags": ("user:{uid}",)}),
    "tags_ttl": (by_tag, {"tags": ("user:{uid}",), "ttl": 1.0}),
    "s3fifo_tags": (by_tag, {"policy": "s3fifo", "tags": ("user:{uid}",)}),
    "tags_of_the_result": (by_tag, {"tags": lambda row, uid: [f"user:{uid}"]}),
    "untracked_tags": (by_tag, {"track": False, "tags": ("user:{uid}",)}),
    "many_arguments": (of_many_arguments, {}),
    "many_arguments_typed": (of_many_arguments, {"typed": True}),
    "ignored_argument": (of_many_arguments, {"ignore": ("session",)}),
    "skipped_argument": (of_many_arguments, {"skip_args": 1}),
    "method": (of_a_method, {}),
    "method_ttl": (of_a_method, {"ttl": 1.0}),
    "method_s3fifo": (of_a_method, {"policy": "s3fifo"}),
    "method_tags": (of_a_method, {"tags": ("user:{uid}",)}),
    "classmethod": (of_a_classmethod, {}),
}


def _add(name: str) -> None:
    make, options = VARIANTS[name]

    def race_on(race: Race) -> None:
        users = race.source("users")
        get_user, read, update = make(users, clock=race.clock, **options)
        race.read(read, 1)
        race.read(read, 1)
        race.read(read, 2)
        race.mutate(update, 1)
        end_quietly(race, get_user)

    race_on.__name__ = f"variant_{name}"
    scenario(small=False)(race_on)


for _name in VARIANTS:
    _add(_name)

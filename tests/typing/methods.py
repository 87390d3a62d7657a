"""Cached methods keep their types, called on an instance or on the class."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import assert_type

from cache import AsyncLRU, AsyncTTL, cached


class User:
    pass


class Repo:
    @AsyncLRU()
    async def get(self, uid: int, flag: bool = False) -> User:
        return User()

    @AsyncLRU
    async def bare(self, uid: int) -> User:
        return User()

    @AsyncTTL(60, skip_args=1)
    async def shared(self, uid: int) -> str:
        return ""

    @cached(ttl=5)
    async def everything(self) -> list[User]:
        return []

    @classmethod
    @AsyncLRU()
    async def of_class(cls, uid: int) -> User:
        return User()

    @classmethod
    @AsyncLRU
    async def bare_of_class(cls, uid: int) -> User:
        return User()

    @staticmethod
    @AsyncLRU()
    async def of_nobody(uid: int) -> User:
        return User()

    @staticmethod
    @AsyncTTL
    async def bare_of_nobody(uid: int) -> User:
        return User()


class SubRepo(Repo):
    pass


class Wrong(Repo):
    @AsyncLRU()
    async def get(self, uid: str) -> User:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return User()


def a_str(_: str) -> None: ...
def a_function_of_uid(_: Callable[[int], Awaitable[User]]) -> None: ...
def a_function_of_name(_: Callable[[str], Awaitable[User]]) -> None: ...


async def on_an_instance(repo: Repo, sub: SubRepo) -> None:
    assert_type(await repo.get(1), User)
    assert_type(await repo.get(uid=1, flag=True), User)
    assert_type(await repo.bare(1), User)
    assert_type(await repo.shared(1), str)
    assert_type(await repo.everything(), list[User])
    assert_type(await sub.get(1), User)
    assert_type(await repo.get(1, use_cache=False), User)
    a_function_of_uid(repo.get)


async def wrong_on_an_instance(repo: Repo) -> None:
    await repo.get(repo, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await repo.get("1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await repo.get()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await repo.get(1, page=2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await repo.get(1, use_cache="no")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    a_str(await repo.get(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_function_of_name(repo.get)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def on_the_class(repo: Repo, sub: SubRepo) -> None:
    assert_type(await Repo.get(repo, 1), User)
    assert_type(await Repo.get.refresh(repo, 1), User)
    assert_type(Repo.get.peek(repo, 1), User | None)
    assert_type(await Repo.get.invalidate_cache(repo, 1), bool)
    assert_type(await Repo.get.invalidate_cache(sub, uid=1, flag=True), bool)
    assert_type(await Repo.get.clear_cache(), bool)
    assert_type(Repo.get.get_metrics(), dict[str, int | float])
    Repo.get.cache.set(Repo.get.cache_key(repo, 1), User())


async def wrong_on_the_class(repo: Repo) -> None:
    await Repo.get(repo, "1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await Repo.get.refresh(1)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    Repo.get.peek(repo)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Repo.get.invalidate_cache(1)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    Repo.get.invalidate_cache(repo, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Repo.get.invalidate_cache(Repo, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    repo.get.invalidate_cache(1)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]


async def class_methods(repo: Repo) -> None:
    assert_type(await Repo.of_class(1), User)
    assert_type(await repo.of_class(1), User)
    assert_type(await SubRepo.of_class(uid=1), User)
    assert_type(await Repo.bare_of_class(1), User)
    assert_type(await Repo.of_class(1, use_cache=False), User)
    assert_type(await Repo.of_class.invalidate_cache(Repo, 1), bool)


async def wrong_class_methods(repo: Repo) -> None:
    await Repo.of_class("1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await repo.of_class()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await Repo.bare_of_class("1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


async def static_methods() -> None:
    assert_type(await Repo.of_nobody(1), User)
    assert_type(await Repo.bare_of_nobody(uid=1), User)
    assert_type(await Repo.of_nobody(1, use_cache=False), User)
    assert_type(await Repo.of_nobody.invalidate_cache(1), bool)


async def wrong_static_methods() -> None:
    await Repo.of_nobody("1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await Repo.bare_of_nobody("1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    Repo.of_nobody.invalidate_cache("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- where the checkers err ---------------------------------------------------------------------------------------
# mypy does not compare the first parameter of a method with what it is called on, and pyright takes a method that
# is an object of its own for a variable, whose type no subclass may change.


async def an_instance_forgotten_on_the_class() -> None:
    await Repo.get(1)  # pyright: ignore[reportCallIssue]


async def a_static_method_looked_up_on_an_instance(repo: Repo) -> None:
    await repo.of_nobody(1)  # type: ignore[call-overload]


class Overriding(Repo):
    @AsyncLRU()
    async def get(self, uid: int, flag: bool = False) -> User:  # pyright: ignore[reportIncompatibleVariableOverride]
        return await super().get(uid, flag)

"""Invalidators keep the types of the mutations that they decorate."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

from cache import AsyncLRU, AsyncLRUInvalidator, AsyncTTL, AsyncTTLInvalidator, invalidates


@AsyncLRU
async def get_user(uid: int) -> str:
    return ""


@AsyncTTL(60)
async def find_user(name: str) -> str:
    return ""


@AsyncLRUInvalidator(get_user)
async def update(uid: int, *, name: str = "") -> bool:
    return True


@AsyncTTLInvalidator(find_user, clear_all=True, tags=("users",), linger=0.5)
async def rename(uid: int) -> list[int]:
    return []


@invalidates(
    get_user, find_user, key_fn=lambda args, kwargs: [(args, kwargs)], tags=("user:{uid}",), linger=lambda error: 1.0
)
async def save(uid: int) -> None: ...


@invalidates(tags=("users",), namespace="tenant")
async def truncate() -> int:
    return 0


@AsyncLRUInvalidator(get_user)
@AsyncTTLInvalidator(find_user, clear_all=True)
async def stacked(uid: int) -> bool:
    return True


class Repo:
    @AsyncLRU()
    async def get(self, uid: int) -> str:
        return ""

    @AsyncLRUInvalidator(get)
    async def update(self, uid: int, name: str) -> bool:
        return True

    @classmethod
    @AsyncLRUInvalidator(get, clear_all=True)
    async def truncate(cls) -> int:
        return 0


def a_str(_: str) -> None: ...


async def right_calls(repo: Repo) -> None:
    assert_type(await update(1, name="a"), bool)
    assert_type(await rename(1), list[int])
    assert_type(await truncate(), int)
    assert_type(await stacked(1), bool)
    assert_type(await repo.update(1, "a"), bool)
    assert_type(await Repo.update(repo, 1, name="a"), bool)
    assert_type(await Repo.truncate(), int)
    coroutine: Coroutine[Any, Any, bool] = update(1)
    await coroutine


async def wrong_calls(repo: Repo) -> None:
    await update("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await update()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await update(1, nickname="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await update(1, use_cache=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await stacked("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await repo.update("1", "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await repo.update(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await Repo.update(1, "a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    a_str(await update(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    update.invalidate_cache(1)  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]


@AsyncLRUInvalidator(get_user)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def plain(uid: int) -> None: ...


AsyncLRUInvalidator()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
AsyncLRUInvalidator(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
AsyncLRUInvalidator(get_user, key_fn=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
AsyncLRUInvalidator(get_user, linger="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
AsyncLRUInvalidator(get_user, namespace="tenant")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
invalidates(get_user, tags=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
invalidates(get_user, clear=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

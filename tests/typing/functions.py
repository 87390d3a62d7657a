"""Cached functions keep their types: right calls are accepted, and each wrong one is marked with what it gets."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from typing import Any, TypeVar, assert_type

from cache import AsyncCache, AsyncLRU, AsyncTTL, cached

T = TypeVar("T")


class User:
    def rename(self) -> None: ...


@AsyncLRU
async def bare(uid: int) -> User:
    return User()


@AsyncTTL
async def bare_ttl(uid: int) -> str:
    return ""


@AsyncLRU()
async def called(uid: int, flag: bool = False) -> User:
    return User()


@AsyncLRU(10, tags=("user:{uid}",), typed=True)
async def sized(uid: int, *, page: int = 1) -> list[User]:
    return []


@AsyncTTL(60, 10)
async def brief(uid: int, /, *more: str) -> str:
    return ""


@AsyncTTL(time_to_live=lambda user: 5.0 if user else None)
async def computed_ttl(uid: int, **named: str) -> str:
    return ""


def tags_of(result: User, uid: int) -> list[str]:
    return [f"user:{uid}"]


def key_of(uid: int) -> int:
    return uid


@cached(
    maxsize=None,
    ttl=None,
    tags=tags_of,
    key=key_of,
    policy="s3fifo",
    track=False,
    namespace="tenant",
    name="users",
    cache_errors={KeyError: 5.0},
)
async def with_options(uid: int) -> User:
    return User()


@AsyncLRU
async def takes_anything(x: object, page: int = 1) -> User:
    return User()


@AsyncLRU(skip_args=1)
async def untyped_first(session: Any, uid: int) -> User:
    return User()


@AsyncLRU
async def generic(x: T, *more: T) -> list[T]:
    return [x]


@AsyncLRU()
async def of_a_class(kind: type[T], uid: int) -> T:
    return kind()


async def two(uid: int, name: str) -> User:
    return User()


partial = AsyncLRU()(functools.partial(two, 1))


def a_str(_: str) -> None: ...
def a_function_of_uid(_: Callable[[int], Awaitable[User]]) -> None: ...
def a_function_of_name(_: Callable[[str], Awaitable[User]]) -> None: ...
def a_coroutine_function(_: Callable[[int], Coroutine[Any, Any, User]]) -> None: ...
def a_function_with_flag(_: Callable[[int, bool], Awaitable[User]]) -> None: ...
def a_function_to_name(_: Callable[[int], Awaitable[str]]) -> None: ...


async def right_calls() -> None:
    assert_type(await bare(1), User)
    assert_type(await bare(uid=1), User)
    assert_type(await bare_ttl(1), str)
    assert_type(await called(1, flag=True), User)
    assert_type(await sized(1, page=2), list[User])
    assert_type(await brief(1, "a", "b"), str)
    assert_type(await computed_ttl(1, a="b"), str)
    assert_type(await with_options(1), User)
    assert_type(await takes_anything(1, page=2), User)
    assert_type(await takes_anything(x="a"), User)
    assert_type(await untyped_first(object(), 1), User)
    assert_type(await untyped_first(session=None, uid=1), User)
    assert_type(await generic(1), list[int])
    assert_type(await generic("a", "b"), list[str])
    assert_type(await of_a_class(User, 1), User)
    assert_type(await of_a_class(kind=User, uid=1), User)
    assert_type(await partial("a"), User)


async def wrong_calls() -> None:
    await bare("1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await bare()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await bare(1, 2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await bare(user=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await called(1, flag="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await called(1, page=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await sized(1, 2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await brief(uid=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await brief(1, 2)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await computed_ttl(1, a=2)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await takes_anything()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await takes_anything(1, page="2")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await untyped_first(object(), "1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    a_str(await bare(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def use_cache() -> None:
    assert_type(await bare(1, use_cache=False), User)
    assert_type(await called(1, flag=True, use_cache=True), User)
    await bare(1, use_cache="no")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await bare(1, use_cahce=False)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


async def what_the_wrapper_offers() -> None:
    assert_type(await called.refresh(1, flag=True), User)
    assert_type(called.peek(1), User | None)
    assert_type(await called.invalidate_cache(1), bool)
    assert_type(await called.clear_cache(), bool)
    assert_type(await called.cache_clear(), bool)
    assert_type(called.cache_key(uid=1), Hashable)
    assert_type(called.cache, AsyncCache)
    assert_type(called.get_metrics(), dict[str, int | float])
    assert_type(called.cache_info().hits, int)
    assert_type(called.cache_info().maxsize, int | None)
    assert_type(called.cache_parameters(), dict[str, Any])
    assert_type(called.__name__, str)
    if called.invalidate_cache(1):
        called.cache.set(called.cache_key(1), User())


async def wrong_uses_of_what_the_wrapper_offers() -> None:
    await called.refresh("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await called.refresh(1, use_cache=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    called.peek()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    called.peek(1).rename()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    called.invalidate_cache("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    called.invalidate_cache(1, page=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    called.cache_key()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    called.clear_cache(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    called.invalidate(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def as_values() -> None:
    a_function_of_uid(bare)
    a_coroutine_function(bare)
    a_function_with_flag(called)
    a_function_of_name(bare)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_function_to_name(bare)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await asyncio.gather(bare(1), bare_ttl(1)), tuple[User, str])
    assert_type(await asyncio.create_task(bare(1)), User)
    assert_type(await asyncio.wait_for(bare(1), 1.0), User)


# -- what cannot be decorated, and options that do not exist -----------------------------------------------------


@AsyncLRU  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def plain(uid: int) -> str:
    return ""


@AsyncLRU()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def plain_called(uid: int) -> str:
    return ""


@cached()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def streaming(uid: int) -> AsyncIterator[int]:
    yield uid


AsyncLRU(max_size=10)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
AsyncLRU(ttl=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
AsyncLRU("10")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
AsyncTTL("60")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
cached(10)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
cached(ttl="60")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
cached(tags=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
cached(key=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
cached(cache_errors={"KeyError": 5.0})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]

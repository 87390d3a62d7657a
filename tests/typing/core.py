"""`AsyncCache.get` takes its type from the loader; what stands beside it takes what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Self, assert_type

import cache as door
from cache import DEFAULT, AsyncCache, AsyncLRU


class User:
    pass


def load_plain() -> User:
    return User()


async def load() -> User:
    return User()


async def load_mapping(keys: list[int]) -> Mapping[int, User]:
    return {}


async def load_dict(keys: list[int]) -> dict[int, User]:
    return {}


async def load_sequence(keys: list[int]) -> Sequence[User]:
    return []


def load_plain_mapping(keys: list[int]) -> dict[int, User]:
    return {}


def load_plain_list(keys: list[int]) -> list[User]:
    return []


async def load_all() -> list[User]:
    return []


async def load_table() -> dict[int, User]:
    return {}


def answer(number: int) -> int:
    return number


async def answer_late(number: int) -> int:
    return number


def a_bool(_: bool) -> None: ...
def a_str(_: str) -> None: ...
def a_user(_: User) -> None: ...
def an_awaitable(_: Awaitable[bool]) -> None: ...
def a_coroutine(_: Coroutine[Any, Any, bool]) -> None: ...


async def right_reads(cache: AsyncCache) -> None:
    assert_type(await cache.get(1, load), User)
    assert_type(await cache.get(1, load_plain), User)
    assert_type(await cache.get("users", load_all), list[User])
    assert_type(await cache.get(1, loader=load, ttl=5, tags=("users",)), User)
    assert_type(await cache.get(1, load, ttl=None), User)
    assert_type(await cache.get(1, load, ttl=DEFAULT, tags=["users"]), User)
    assert_type(await cache.get(1, load, ttl=lambda user: 5.0), User)
    assert_type(await cache.get(1, lambda: answer(1)), int)
    assert_type(await cache.get(1, lambda: answer_late(1)), int)
    assert_type(await cache.get((1, "a"), load), User)


async def right_batches(cache: AsyncCache) -> None:
    assert_type(await cache.get(1, batch_loader=load_mapping), User | None)
    assert_type(await cache.get(1, batch_loader=load_dict), User | None)
    assert_type(await cache.get(1, batch_loader=load_sequence), User)
    assert_type(await cache.get(1, batch_loader=load_plain_mapping, ttl=5, tags=("users",)), User | None)
    assert_type(await cache.get(1, batch_loader=load_plain_list), User)


async def reads_without_a_loader(cache: AsyncCache) -> None:
    a_user(await cache.get(1))
    a_user(await cache.get(1, default="nobody"))
    a_user(cache.peek(1))


async def wrong_reads(cache: AsyncCache) -> None:
    await cache.get()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await cache.get([1], load)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, 5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, "load")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, load_mapping)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, load, load_mapping)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, load, ttl="5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, load, tags=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, load, tag="users")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await cache.get("1", batch_loader=load_mapping)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, batch_loader=load)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await cache.get(1, batch_loader=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def right_blocking_reads(cache: AsyncCache) -> None:
    assert_type(cache.get_blocking(1, load_plain), User)
    assert_type(cache.get_blocking(1, loader=load_plain, ttl=5, tags=("users",)), User)
    assert_type(cache.get_blocking(1, load_plain, None), User)
    assert_type(cache.get_blocking((1, "a"), load_plain, DEFAULT, tags=["users"]), User)
    assert_type(cache.get_blocking(1, load_plain, ttl=lambda user: 5.0), User)
    assert_type(cache.get_blocking(1, lambda: answer(1)), int)
    a_user(cache.get_blocking(1))
    a_user(cache.get_blocking(1, default="nobody"))


def wrong_blocking_reads(cache: AsyncCache) -> None:
    cache.get_blocking()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    cache.get_blocking([1], load_plain)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    cache.get_blocking(1, 5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    cache.get_blocking(1, load_plain_mapping)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    cache.get_blocking(1, load_plain, ttl="5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cache.get_blocking(1, load_plain, tags=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cache.get_blocking(1, load_plain, tag="users")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    cache.get_blocking(1, batch_loader=load_plain_mapping)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    a_str(cache.get_blocking(1, load_plain))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_user(cache.get_blocking(1, load))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_results(cache: AsyncCache) -> None:
    a_str(await cache.get(1, load))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_str(await cache.get(1, load_plain))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_str(await cache.get(1, load, ttl=5))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_user(await cache.get(1, batch_loader=load_mapping))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_str(await cache.get(1, batch_loader=load_sequence))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- changes -----------------------------------------------------------------------------------------------------


async def right_changes(cache: AsyncCache) -> None:
    assert_type(await cache.set(1, User(), ttl=5, tags=("users",)), bool)
    assert_type(bool(cache.delete(1)), bool)
    assert_type(await cache.invalidate("users", "user:1"), bool)
    assert_type(await cache.clear(), bool)
    assert_type(await door.invalidate("users", namespace="tenant"), bool)
    an_awaitable(cache.delete(1))
    if cache.delete(1) or 1 in cache:
        assert_type(len(cache), int)


async def wrong_changes(cache: AsyncCache) -> None:
    cache.set(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    cache.set([1], User())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.set(1, User(), ttl="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.delete()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    cache.delete([1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.invalidate(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.invalidate(("users",))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    door.invalidate(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_bool(cache.delete(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_coroutine(cache.delete(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    a_str(await cache.delete(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@AsyncLRU
async def get_user(uid: int) -> User:
    return User()


async def mutations(cache: AsyncCache) -> None:
    with cache.mutating(1, "a", tags=("users",), everything=True, linger=0.5):
        pass
    async with cache.mutating(1, linger=lambda error: 1.0 if error else 0.0):
        pass
    async with door.mutating((get_user, get_user.cache_key(1)), get_user, cache, (cache, 1), tags=("users",)):
        pass
    cache.mutating([1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.mutating(1, tags=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.mutating(1, linger="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    door.mutating(tags=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with cache.mutating(1) as nothing:
        nothing.end()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


# -- life --------------------------------------------------------------------------------------------------------


async def life() -> None:
    async with AsyncCache(10, 60, name="users", namespace="tenant", policy="lru") as cache:
        assert_type(cache, AsyncCache)
        loaders: dict[int, Callable[[], Awaitable[User]]] = {1: load}
        await cache.warmup(loaders, concurrency=2, on_progress=lambda done, in_all: None)
        await cache.warmup({1: load, 2: load_plain})
        assert_type(cache.get_metrics(), dict[str, int | float])
        await cache.aclose(timeout=1)
    await door.shutdown()


async def wrong_lives(cache: AsyncCache) -> None:
    AsyncCache("10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCache(default_ttl="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCache(max_size=10)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncCache(10, 60, 5, 100, "users")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCache(10, 60, 5, 100, None, "users")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCache(10, 60, 5, 100, None, None, "users")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncCache(bus="shop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncCache(clock=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await cache.warmup([1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await cache.warmup({1: 5})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await cache.warmup({1: load}, concurrency="8")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await cache.aclose("5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await door.shutdown("5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Sub(AsyncCache):
    async def entered(self) -> Self:
        return await self.__aenter__()


async def a_subclass_enters_as_itself() -> None:
    async with Sub() as sub:
        assert_type(sub, Sub)

"""Tools keep their types: whoever decorates one calls it as before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

from agent_cache import (
    AgentCache,
    AgentCacheInvalidator,
    AgentCacheSession,
    AgentLoopDetectedError,
    Loop,
    explain,
    get_metrics,
)


class Cart: ...


def whose(cart_id: int) -> int:
    return cart_id


@AgentCache("cart:{cart_id}")
async def get_cart(cart_id: int, *, full: bool = False) -> Cart:
    return Cart()


@AgentCache(("cart", "prices"), "session", 5.0, vary=whose, tags=("a",), ignore="full", copy=id)
def get_cart_now(cart_id: int, full: bool = False) -> Cart:
    return Cart()


@AgentCache("cart", ttl=lambda cart: 5 if cart else None, cache_errors={KeyError: 5.0}, poll=False, maxsize=None)
async def stream(to: int) -> AsyncIterator[int]:
    yield to


@AgentCache("cart")
def count(to: int) -> Iterator[int]:
    yield to


@AgentCacheInvalidator("cart:{cart_id}", linger=lambda error: 5.0 if error else 0.0)
async def add_item(cart_id: int, item: str) -> bool:
    return True


@AgentCacheInvalidator("cart", "global", False, lambda args, kwargs: ((args[0],), {}), vary=lambda: "all")
def add_item_now(cart_id: int, item: str) -> bool:
    return True


@AgentCacheInvalidator("cart")
@AgentCache("cart")
async def get_or_create(cart_id: int) -> Cart:
    return Cart()


class Shop:
    @AgentCache("cart")
    async def get(self, cart_id: int) -> Cart:
        return Cart()

    @classmethod
    @AgentCacheInvalidator("cart")
    async def add(cls, cart_id: int) -> bool:
        return True


async def right() -> None:
    assert_type(await get_cart(1), Cart)
    assert_type(await get_cart(cart_id=1, full=True), Cart)
    as_before: Callable[[int], Coroutine[Any, Any, Cart]] = get_cart
    assert_type(await as_before(1), Cart)
    assert_type(get_cart_now(1, True), Cart)
    assert_type([item async for item in stream(1)], list[int])
    assert_type(list(count(1)), list[int])
    assert_type(await add_item(1, item="tea"), bool)
    assert_type(add_item_now(1, "tea"), bool)
    assert_type(await get_or_create(1), Cart)
    assert_type(await Shop().get(1), Cart)
    assert_type(await Shop.get(Shop(), 1), Cart)
    assert_type(await Shop.add(1), bool)
    plain: Callable[[int, bool], Cart] = get_cart_now
    assert_type(plain(1, True), Cart)


async def wrong() -> None:
    await get_cart("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await get_cart(1, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await get_cart()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await get_cart_now(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    add_item_now(1, item=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await Shop().get("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_options() -> None:
    AgentCache()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AgentCache(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AgentCache("cart", "user")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AgentCache("cart", ttl="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AgentCacheInvalidator("cart", clear_all="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AgentCacheSession(on_loop="stop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def sessions() -> None:
    async with AgentCacheSession("chat", True, 3, 4, "warn") as session:
        assert_type(session, AgentCacheSession)
        assert_type(session.loops, list[Loop])
        assert_type(session.session_id, str)
        assert_type(session.fork("helper"), AgentCacheSession)
        assert_type(session.get_metrics(), dict[str, dict[str, int | float]])
    with AgentCacheSession() as plain:
        assert_type(plain, AgentCacheSession)
    try:
        pass
    except AgentLoopDetectedError as error:
        assert_type(error.loop, Loop)
        assert_type(error.loop.tools, tuple[str, ...])


def looking() -> None:
    assert_type(explain(get_cart, 1, full=True), str)
    assert_type(get_metrics(), dict[str, dict[str, dict[str, int | float]]])

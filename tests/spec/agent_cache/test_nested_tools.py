"""A tool that calls others: what is made from somebody's own results is delivered to its caller, and to nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession, AgentLoopDetectedError, explain
from cache import cached
from tests.spec.agent_cache.people import RunContext, Shop, counted
from tests.spec.steering import Loader, settle, start
from tests.spec.threads import HeldLoader, a_crowd

me: ContextVar[str] = ContextVar("me", default="nobody")


@asynccontextmanager
async def session_of(name: str) -> AsyncIterator[AgentCacheSession]:
    """A session in which somebody is."""
    before = me.set(name)
    async with AgentCacheSession() as session:
        yield session
    me.reset(before)


@AgentCache("cart", scope="session")
async def get_cart() -> str:
    return f"{me.get()}'s cart"


@AgentCache("cart", vary=me.get)
async def get_account() -> str:
    return f"{me.get()}'s account"


@AgentCache("cart", scope="session", poll=True)
async def poll_cart() -> str:
    return f"{me.get()}'s cart of now"


@AgentCache("cart", scope="session")
async def stream_cart() -> AsyncIterator[str]:
    yield f"{me.get()}'s"
    yield "cart"


@AgentCache("cart", scope="session")
def iterate_cart() -> Iterator[str]:
    yield f"{me.get()}'s"
    yield "cart"


async def streamed() -> str:
    return " ".join([item async for item in stream_cart()])


async def iterated() -> str:
    return " ".join(iterate_cart())


async def by_write() -> str:
    return await read_after_write()


@AgentCacheInvalidator("log")
async def read_after_write() -> str:
    return await get_cart()


async def in_a_thread() -> str:
    return await asyncio.to_thread(lambda: asyncio.run(_called()))


async def _called() -> str:
    return await get_cart()


async def in_a_group() -> str:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_called())
    return task.result()


PRIVATE = {
    "session": get_cart,
    "partition": get_account,
    "poll": poll_cart,
    "stream": streamed,
    "generator": iterated,
    "write": by_write,
    "thread": in_a_thread,
    "group": in_a_group,
}


@pytest.fixture(params=sorted(PRIVATE))
def private(request: pytest.FixtureRequest) -> Any:
    """A way to something of one's own."""
    return PRIVATE[request.param]


async def test_a_global_tool_that_calls_a_private_one_is_delivered_and_not_kept(private: Any) -> None:
    @AgentCache("summary")
    async def summary() -> str:
        return f"summary of {await private()}"

    for _ in range(2):
        for name in ("ann", "bob"):
            async with session_of(name):
                for _ in range(2):
                    assert (await summary()).startswith(f"summary of {name}'s")
    assert explain(summary).endswith("it was made from what not everybody may see who may see it")


async def test_nor_is_one_three_levels_above(private: Any) -> None:
    @AgentCache("a")
    async def inner() -> str:
        return await private()  # type: ignore[no-any-return]  # whichever it is

    @cached
    async def price() -> int:
        return 7

    @AgentCache("b")
    async def middle() -> str:
        return f"{await inner()} {await price()}"

    @AgentCache("c")
    async def outer() -> str:
        return await middle()

    for _ in range(2):
        for name in ("ann", "bob"):
            async with session_of(name):
                for tool in (outer, middle, inner):
                    assert (await tool()).startswith(f"{name}'s")


async def test_those_who_joined_from_another_session_are_not_given_it(private: Any) -> None:
    gate = Loader()

    @AgentCache("summary")
    async def summary() -> str:
        part = await private()
        await gate(me.get())
        return f"summary of {part}"

    async def ask(name: str) -> str:
        async with session_of(name):
            return await summary()

    first, *others = [await start(ask(name)) for name in ("ann", "bob", "cid")]
    if gate.calls:
        assert gate.calls == [("ann",)], "they wait for the first"
    await _end_all(gate)
    assert (await first).startswith("summary of ann's")
    assert [(await other)[:14] for other in others] == ["summary of bob", "summary of cid"]


async def _end_all(gate: Loader) -> None:
    ended = 0
    for _ in range(1000):
        await asyncio.sleep(0.001 if not gate.calls else 0)  # a thread may be on its way
        await settle()
        while ended < len(gate.calls):
            gate.end(None, ended)
            ended += 1
        if ended == 3:
            await settle()
            return


async def test_joiners_of_a_level_in_between_are_not_given_it_either() -> None:
    gate = Loader()

    @AgentCache("a")
    async def inner() -> str:
        part = await get_cart()
        await gate(me.get())
        return part

    @AgentCache("b")
    async def outer(n: int) -> str:
        return f"{n}: {await inner()}"

    async def ask(name: str, n: int) -> str:
        async with session_of(name):
            return await outer(n)

    first, second = await start(ask("ann", 1)), await start(ask("bob", 2))
    assert gate.calls == [("ann",)]
    gate.end(None)
    await settle()
    gate.end(None)
    assert (await first, await second) == ("1: ann's cart", "2: bob's cart")
    third = await start(ask("cid", 2))
    gate.end(None)
    assert await third == "2: cid's cart", "what the joiner has made was not kept"


class NotFoundError(Exception):
    """What is not there."""


@pytest.mark.parametrize("keep", [None, {Exception: 5}], ids=["errors", "kept errors"])
async def test_errors_made_from_what_is_private_are_for_their_caller_alone(keep: Any) -> None:
    gate = Loader()

    @AgentCache("summary", cache_errors=keep)
    async def summary() -> str:
        part = await get_cart()
        await gate(me.get())
        raise NotFoundError(part)

    async def ask(name: str) -> str:
        async with session_of(name):
            with pytest.raises(NotFoundError) as caught:
                await summary()
            return str(caught.value)

    first, second = await start(ask("ann")), await start(ask("bob"))
    gate.end(None)
    await settle()
    gate.end(None)
    assert (await first, await second) == ("ann's cart", "bob's cart")
    third = await start(ask("cid"))
    gate.end(None)
    assert await third == "cid's cart"


async def test_the_loop_of_one_run_is_not_that_of_those_who_joined() -> None:
    gate = Loader()

    @AgentCache("status", ttl=0)
    async def status() -> str:
        return "same"

    @AgentCache("report", cache_errors={Exception: 5})
    async def report() -> str:
        await gate()
        for _ in range(2 if detecting.get() else 1):
            await status()
        return "report"

    async def looping() -> str:
        detecting.set(True)
        async with AgentCacheSession("of ann", loop_detection=True, max_tool_repeats=2):
            return await report()

    first = await start(looping())
    second = await start(report())
    gate.end(None)
    with pytest.raises(AgentLoopDetectedError):
        await first
    await settle()
    gate.end(None)
    assert await second == "report"


detecting: ContextVar[bool] = ContextVar("detecting", default=False)


@pytest.mark.parametrize("which", ["read", "write"])
async def test_a_result_that_a_loop_left_empty_is_not_built_upon(which: str) -> None:
    @AgentCache("status", ttl=0)
    async def status() -> str | None:
        return "same"

    @AgentCacheInvalidator("log")
    async def log() -> str | None:
        return "logged"

    tool = status if which == "read" else log

    @AgentCache("report")
    async def report() -> list[str | None]:
        return [await tool() for _ in range(3)]

    async with AgentCacheSession(loop_detection=True, max_tool_repeats=2, on_loop="short_circuit"):
        assert (await report())[-1] is None
    assert None not in await report()


async def test_a_private_tool_may_be_built_on_what_is_everybodys_and_is_kept(shop: Shop) -> None:
    @AgentCache("prices")
    async def prices() -> int:
        return shop.read("prices")

    @AgentCache("cart", scope="session")
    async def total() -> tuple[str, int]:
        shop.read(me.get())
        return me.get(), await prices()

    for _ in range(2):
        for name in ("ann", "bob"):
            async with session_of(name):
                assert [await total(), await total()] == [(name, 0)] * 2
    assert shop.reads == {"prices": 1, "ann": 2, "bob": 2}


def of_user(ctx: RunContext) -> Any:
    return ctx.deps.user


def of_tenant(ctx: RunContext) -> Any:
    return ctx.deps.user // 10


@pytest.mark.parametrize(
    ("outer_vary", "inner_vary", "kept"),
    [
        (of_user, of_user, True),
        (lambda ctx: ctx.deps.user, lambda ctx: ctx.deps.user, True),
        (of_tenant, of_user, False),
        (lambda ctx: ctx.deps.user, lambda ctx: ctx.deps.user * 1, False),
        (lambda user: user, lambda tenant: tenant, False),
        (lambda ctx, u="user": getattr(ctx.deps, u), lambda ctx, u="user": getattr(ctx.deps, u), False),
    ],
    ids=["one function", "lambdas alike", "another", "written otherwise", "other arguments", "other defaults"],
)
async def test_results_of_one_partition_are_kept_if_they_are_made_of_those_of_the_same(
    outer_vary: Any, inner_vary: Any, kept: bool, shop: Shop
) -> None:
    """That two numbers are equal does not make a user of a tenant."""

    @AgentCache("inner", vary=inner_vary)
    async def inner(ctx: RunContext, user: int, tenant: int) -> int:
        return ctx.deps.user  # type: ignore[no-any-return]  # Deps is of anybody

    @AgentCache("outer", vary=outer_vary)
    async def outer(ctx: RunContext, user: int, tenant: int) -> int:
        shop.read("outer")
        return await inner(ctx, user, tenant)

    for _ in range(2):
        assert await outer(RunContext(1), 1, 1) == 1
    assert shop.reads["outer"] == (1 if kept else 2)


async def test_the_user_7_and_the_tenant_7_are_two(shop: Shop) -> None:
    @AgentCache("profile", vary=of_user)
    async def profile(ctx: RunContext) -> Any:
        return ctx.deps.user

    @AgentCache("page", vary=of_tenant)
    async def page(ctx: RunContext) -> Any:
        return await profile(ctx)

    for user in (0, 1, 7, 70, 77):
        assert await page(RunContext(user)) == user


async def test_what_is_everybodys_in_a_session_may_not_rest_on_one_user_of_it() -> None:
    @AgentCache("profile", scope="session", vary=of_user)
    async def profile(ctx: RunContext) -> Any:
        return ctx.deps.user

    @AgentCache("page", scope="session", vary=lambda: "all")
    async def page(ctx: RunContext) -> Any:
        return await profile(ctx)

    @AgentCache("front", vary=of_user)
    async def front(ctx: RunContext) -> Any:
        return f"{me.get()} {await profile(ctx)}"

    for name in ("ann", "bob"):
        async with session_of(name):
            for user in (1, 2):
                assert (await page(RunContext(user)), await front(RunContext(user))) == (user, f"{name} {user}")


async def test_a_result_that_was_there_before_is_not_built_upon_by_others() -> None:
    """A hit on what is private counts as much as a load."""

    @AgentCache("summary")
    async def summary() -> str:
        return await get_cart()

    async with session_of("ann"):
        await get_cart()
        assert await summary() == "ann's cart"
    async with session_of("bob"):
        assert await summary() == "bob's cart"


def test_plain_tools_in_threads_that_joined_are_not_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = HeldLoader()

    @AgentCache("cart", scope="session")
    def read_cart() -> str:
        return f"{threading.current_thread().name}'s"

    @AgentCache("summary")
    def summary() -> str:
        part = read_cart()
        gate()
        return f"{threading.current_thread().name}: {part}"

    def ask() -> tuple[str, str]:
        with AgentCacheSession():
            return threading.current_thread().name, summary()

    with a_crowd(monkeypatch) as crowd:
        first = crowd.start(ask)
        gate.begins()
        second = crowd.seat(ask)
        gate.end(None)
        name, result = first.result()
        assert result == f"{name}: {name}'s"
        gate.begins()
        gate.end(None)
        name, result = second.result()
        assert result == f"{name}: {name}'s"


async def test_what_taints_is_said_in_the_metrics() -> None:
    @AgentCache("summary")
    async def tainted_summary() -> str:
        return await get_cart()

    async with session_of("ann"):
        await tainted_summary(), await tainted_summary()
    assert (counted("tainted_summary", "loads"), counted("tainted_summary", "size")) == (2, 0)


async def test_what_a_read_was_answered_in_place_of_a_loop_is_not_built_upon() -> None:
    @AgentCache("inner", maxsize=0)
    async def get_inner(_: int) -> int | None:
        return 7

    @AgentCache("outer")
    async def get_outer(_: int) -> list[int | None]:
        return [await get_inner(1) for _ in range(6)]

    async with AgentCacheSession(loop_detection=True, on_loop="short_circuit"):
        assert await get_outer(1) == [7] * 5 + [None]
    assert await get_outer(1) == [7] * 6

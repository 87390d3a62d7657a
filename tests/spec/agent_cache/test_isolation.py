"""Nobody gets another's data: not by an equal identity, nor in another session, a fork, a task or a thread."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from decimal import Decimal
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator, AgentCacheSession
from cache import LoadCancelled
from tests.spec.agent_cache.people import RunContext, Shop, counted
from tests.spec.steering import Loader, settle, start

# -- vary ------------------------------------------------------------------------------------------------------------


def whose(ctx: RunContext) -> Any:
    return ctx.deps.user


class Same:
    """An identity that has one hash with all others, and one text."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.name == other.name

    def __repr__(self) -> str:
        return "7"


ALIKE = [7, "7", 7.0, 7 + 0j, Same("a"), Same("b"), (7,), (7.0,), ("7",), ((7,),), True, 1, 1.0, "", (), -1, -2]


async def test_users_who_are_alike_but_not_the_same_are_kept_apart() -> None:
    @AgentCache("cart", vary=whose)
    async def get_cart(ctx: RunContext) -> tuple[type, str]:
        return (type(ctx.deps.user), ascii([ctx.deps.user, getattr(ctx.deps.user, "name", None)]))

    for _ in range(2):
        for user in ALIKE:
            assert await get_cart(RunContext(user)) == (type(user), ascii([user, getattr(user, "name", None)]))


async def test_a_write_for_one_of_those_who_are_alike_reaches_at_least_them(shop: Shop) -> None:
    @AgentCache("cart", vary=whose)
    async def get_cart(ctx: RunContext) -> int:
        return shop.read(type(ctx.deps.user))

    @AgentCacheInvalidator("cart", vary=whose)
    async def add_item(ctx: RunContext) -> None:
        shop.write(type(ctx.deps.user))

    for user in ALIKE:
        await get_cart(RunContext(user))
        await add_item(RunContext(user))
        assert await get_cart(RunContext(user)) == shop.versions[type(user)]


async def test_executions_in_progress_are_kept_apart_too() -> None:
    load = Loader()

    @AgentCache("cart", vary=whose)
    async def get_cart(ctx: RunContext) -> Any:
        return await load(ctx.deps.user)

    readers = [await start(get_cart(RunContext(user))) for user in ("ann", "bob", "ann")]
    assert load.calls == [("ann",), ("bob",)]
    load.end("ann's", 0)
    load.end("bob's", 1)
    assert [await reader for reader in readers] == ["ann's", "bob's", "ann's"]


@pytest.mark.parametrize(
    "vary",
    [
        lambda context: context.deps.user,
        lambda user: user,
        lambda user, ctx: (user, ctx.deps.user),
        lambda *, user=None: user,
    ],
    ids=["another name", "an argument", "both", "nothing, by default"],
)
async def test_vary_is_given_what_it_names(vary: Any, shop: Shop) -> None:
    @AgentCache("cart", vary=vary)
    async def get_cart(ctx: RunContext, user: str = "ann") -> int:
        return shop.read(user)

    for _ in range(2):
        await get_cart(RunContext("ann"))
        await get_cart(ctx=RunContext("ann"))
        await get_cart(RunContext("ann"), user="ann")
    assert shop.reads["ann"] in {1, 6}, "a parameter with a default is not given"


async def test_vary_without_parameters_is_called_bare(shop: Shop) -> None:
    user: ContextVar[str] = ContextVar("user")

    @AgentCache("cart", vary=user.get)
    async def get_cart() -> str:
        shop.read(user.get())
        return user.get()

    async def read(name: str) -> list[str]:
        user.set(name)
        return [await get_cart(), await get_cart()]

    both = await asyncio.gather(read("ann"), read("bob"))
    assert list(both) == [["ann"] * 2, ["bob"] * 2]
    assert shop.reads == {"ann": 1, "bob": 1}
    with pytest.raises(LookupError):
        await get_cart()


async def test_whose_result_it_is_nobody_knows_is_not_cached_and_said_once(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    @AgentCache("cart", vary=whose)
    async def get_cart_of_nobody(ctx: RunContext) -> int:
        return shop.read("cart")

    for _ in range(3):
        await get_cart_of_nobody(RunContext(None))
    assert shop.reads["cart"] == 3
    assert counted("get_cart_of_nobody", "bypassed") == 3
    assert [record.message for record in caplog.records] == [
        "get_cart_of_nobody is not cached: vary returned None, so that nobody knows whose result it is"
    ]


async def test_an_identity_that_cannot_be_told_from_others_is_refused(shop: Shop) -> None:
    def in_a_list(ctx: RunContext) -> Any:
        return [ctx.deps.user]

    @AgentCache("cart", vary=in_a_list)
    async def get_cart(ctx: RunContext) -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart", vary=in_a_list)
    async def add_item(ctx: RunContext) -> None:
        shop.write("cart")

    for tool in (get_cart, add_item):
        with pytest.raises(TypeError, match=r"returned \['ann'\], which is not hashable"):
            await tool(RunContext("ann"))
    assert not shop.reads
    assert not shop.versions


async def test_an_error_of_vary_reaches_the_caller_and_nothing_runs(shop: Shop) -> None:
    @AgentCache("cart", vary=lambda ctx: ctx.deps.missing)
    async def get_cart(ctx: RunContext) -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart", vary=lambda ctx: ctx.deps.missing)
    async def add_item(ctx: RunContext) -> None:
        shop.write("cart")

    for tool in (get_cart, add_item):
        with pytest.raises(AttributeError, match="missing"):
            await tool(RunContext("ann"))
    assert not shop.reads
    assert not shop.versions


def test_a_vary_that_asks_for_what_there_is_not_is_refused_at_decoration() -> None:
    async def with_context(ctx: RunContext, cart_id: int) -> None:
        """Read."""

    async def without(cart_id: int) -> None:
        """Read."""

    async def a_coroutine(ctx: Any) -> None:
        """Ask."""

    wrong: list[tuple[Any, Any, str]] = [
        (with_context, lambda one, other: one, "'one', 'other'"),
        (without, lambda ctx: ctx, "'ctx'"),
        (with_context, a_coroutine, "plain function"),
        (with_context, "user", "plain function"),
    ]
    for tool, vary, words in wrong:
        for decorator in (AgentCache, AgentCacheInvalidator):
            with pytest.raises(TypeError, match=words):
                decorator("cart", vary=vary)(tool)


# -- sessions --------------------------------------------------------------------------------------------------------


@pytest.fixture
def load() -> Loader:
    return Loader()


@pytest.fixture
def in_session(shop: Shop) -> Any:
    """A session-scoped tool that says in which run it was executed."""

    @AgentCache("cart", scope="session")
    async def get_cart() -> Any:
        shop.read(run.get())
        return run.get()

    return get_cart


run: ContextVar[str] = ContextVar("run", default="nobody's")


async def test_sessions_share_nothing_even_by_one_name(in_session: Any, shop: Shop) -> None:
    for name in ("a", "b"):
        run.set(name)
        async with AgentCacheSession("same"):
            assert [await in_session(), await in_session()] == [name, name]
    assert shop.reads == {"a": 1, "b": 1}


async def test_two_runs_at_once_are_kept_apart(load: Loader) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart() -> Any:
        return await load(run.get())

    async def converse(name: str) -> list[Any]:
        run.set(name)
        async with AgentCacheSession():
            return [*await asyncio.gather(get_cart(), get_cart()), await get_cart()]

    runs = [await start(converse(name)) for name in "ab"]
    assert load.calls == [("a",), ("b",)]
    load.end("b's", 1)
    load.end("a's", 0)
    assert [await each for each in runs] == [["a's"] * 3, ["b's"] * 3]


async def test_without_a_session_nothing_is_cached_and_that_is_said_once(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart_anywhere() -> int:
        return shop.read("cart")

    for _ in range(3):
        await get_cart_anywhere()
    assert shop.reads["cart"] == 3
    assert counted("get_cart_anywhere", "bypassed") == 3
    [record] = caplog.records
    assert (record.name, record.levelno) == ("agent_cache", logging.WARNING)
    assert "get_cart_anywhere is not cached: its scope is the session, and none is open" in record.message


async def test_a_session_that_is_closed_counts_as_none(in_session: Any, shop: Shop) -> None:
    late = asyncio.Event()

    async def stream_consumed_later() -> list[Any]:
        first = await in_session()
        await late.wait()
        return [first, await in_session(), await in_session()]

    run.set("a")
    async with AgentCacheSession():
        task = await start(stream_consumed_later())
    late.set()
    assert await task == ["a"] * 3
    assert shop.reads["a"] == 3


async def test_what_is_loading_when_its_session_closes_is_delivered_and_dropped(load: Loader) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart() -> Any:
        return await load()

    async with AgentCacheSession() as session:
        task = await start(get_cart())
    load.end("v")
    assert await task == "v"
    assert session.get_metrics() == {}


async def test_an_inner_session_is_isolated_and_the_outer_goes_on(in_session: Any, shop: Shop) -> None:
    run.set("outer")
    async with AgentCacheSession():
        assert await in_session() == "outer"
        run.set("inner")
        async with AgentCacheSession():
            assert [await in_session(), await in_session()] == ["inner", "inner"]
        assert await in_session() == "outer"
    assert shop.reads == {"outer": 1, "inner": 1}


async def test_a_fork_shares_the_results_of_its_parent_and_of_no_other(in_session: Any, shop: Shop) -> None:
    run.set("a")
    async with AgentCacheSession() as session:
        async with session.fork("early"):
            assert await in_session() == "a"
        run.set("b")
        assert await in_session() == "a"
        async with AgentCacheSession() as other, other.fork("of another"):
            assert await in_session() == "b"
        async with session.fork("late"), session.fork("in it"):
            assert await in_session() == "a"
    assert shop.reads == {"a": 1, "b": 1}


async def test_a_fork_and_its_parent_share_an_execution(load: Loader) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart() -> Any:
        return await load()

    async def forked() -> Any:
        async with session.fork("sub"):
            return await get_cart()

    async with AgentCacheSession() as session:
        readers = [await start(get_cart()), await start(forked())]
        load.end("v")
        assert [await reader for reader in readers] == ["v", "v"]
    assert len(load.calls) == 1


async def test_a_write_in_a_fork_reaches_its_parent_and_the_other_way_round(shop: Shop) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart", scope="session")
    async def add_item() -> None:
        shop.write("cart")

    async with AgentCacheSession() as session:
        assert await get_cart() == 0
        async with session.fork("sub"):
            await add_item()
            assert await get_cart() == 1
        await add_item()
        assert await get_cart() == 2


async def test_a_session_write_leaves_other_sessions_alone_and_a_global_one_does_not(shop: Shop) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart", scope="session")
    async def add_item() -> None:
        """Write."""

    @AgentCacheInvalidator("cart")
    async def close_shop() -> None:
        """Write."""

    async with AgentCacheSession():
        await get_cart()
        async with AgentCacheSession():
            await get_cart()
            await add_item()
            await get_cart()
            assert shop.reads["cart"] == 3
            await close_shop()
            await get_cart()
        assert shop.reads["cart"] == 4
        await get_cart()
        assert shop.reads["cart"] == 5
    await close_shop()
    await add_item()


async def test_a_session_write_without_a_session_reaches_global_results_only(shop: Shop) -> None:
    @AgentCache("cart", scope="session")
    async def get_cart() -> int:
        return shop.read("session")

    @AgentCache("cart")
    async def count_carts() -> int:
        return shop.read("global")

    @AgentCacheInvalidator("cart", scope="session")
    async def add_item() -> None:
        """Write."""

    async with AgentCacheSession():
        for _ in range(2):
            await get_cart(), await count_carts()
            await asyncio.get_running_loop().create_task(add_item(), context=Context())
    assert shop.reads == {"session": 1, "global": 2}


async def test_a_session_of_one_user_does_not_serve_another_who_is_in_it(shop: Shop) -> None:
    @AgentCache("cart", scope="session", vary=whose)
    async def get_cart(ctx: RunContext) -> Any:
        shop.read(ctx.deps.user)
        return ctx.deps.user

    async with AgentCacheSession():
        for _ in range(2):
            assert [await get_cart(RunContext(user)) for user in ("ann", "bob")] == ["ann", "bob"]
    assert shop.reads == {"ann": 1, "bob": 1}


async def test_a_session_entered_in_another_task_is_not_that_of_this_one(in_session: Any, shop: Shop) -> None:
    leave = asyncio.Event()

    async def other() -> None:
        run.set("other")
        async with AgentCacheSession():
            await in_session()
            await leave.wait()

    task = await start(other())
    run.set("this")
    assert [await in_session(), await in_session()] == ["this", "this"]
    leave.set()
    await task
    assert shop.reads == {"other": 1, "this": 2}


# -- threads ---------------------------------------------------------------------------------------------------------


async def test_to_thread_takes_the_session_along_and_a_plain_thread_does_not(shop: Shop) -> None:
    @AgentCache("cart", scope="session")
    def get_cart() -> int:
        return shop.read(threading.current_thread() is threading.main_thread())

    async with AgentCacheSession():
        await asyncio.to_thread(get_cart)
        get_cart()
        await asyncio.to_thread(get_cart)
        assert shop.reads == {False: 1}
        with ThreadPoolExecutor(1) as pool:
            for _ in range(2):
                pool.submit(get_cart).result()
    assert shop.reads == {False: 3}


def test_sessions_in_threads_at_once_are_kept_apart() -> None:
    @AgentCache("cart", scope="session")
    def get_cart() -> str:
        barrier.wait(30)
        return threading.current_thread().name

    def converse() -> tuple[str, list[str]]:
        with AgentCacheSession("same"):
            return threading.current_thread().name, [get_cart(), get_cart()]

    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(converse) for _ in range(4)]
        results = [each.result(30) for each in runs]
    assert len({name for name, _ in results}) == 4
    assert all(read == [name, name] for name, read in results)


def test_users_in_threads_at_once_are_kept_apart() -> None:
    @AgentCache("cart", vary=whose)
    def get_cart(ctx: RunContext) -> Any:
        barrier.wait(30)
        return ctx.deps.user

    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(get_cart, RunContext(user)) for user in (7, "7", 7.0, (7,))]
        assert [ascii(each.result(30)) for each in runs] == ["7", "'7'", "7.0", "(7,)"]


# -- nothing is left -------------------------------------------------------------------------------------------------


class Secret:
    """Something of a user's."""


async def test_nothing_of_a_session_outlives_it(shop: Shop) -> None:
    made: list[weakref.ref[Secret]] = []

    @AgentCache("cart", scope="session")
    async def get_secret(n: int) -> Secret:
        secret = Secret()
        made.append(weakref.ref(secret))
        return secret

    @AgentCacheInvalidator("cart", scope="session")
    async def add_item() -> None:
        """Write."""

    sessions = []
    for _ in range(50):
        async with AgentCacheSession() as session:
            sessions.append(weakref.ref(session))
            for n in range(3):
                await get_secret(n), await get_secret(n)
            async with session.fork("sub"):
                await get_secret(0)
            await add_item()
            await get_secret(0)
        del session
    await settle()
    gc.collect()
    assert not [ref for ref in made if ref() is not None]
    assert not [ref for ref in sessions if ref() is not None]
    reading = get_secret.__agent_cache_reads__  # type: ignore[attr-defined]  # the mark of a tool that reads
    assert len(reading._in_sessions) == 0


async def test_what_was_counted_in_a_session_counts_on_after_it(shop: Shop) -> None:
    @AgentCache("cart", scope="session")
    async def get_counted_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart")
    async def touch() -> None:
        """Write."""

    for _ in range(3):
        async with AgentCacheSession() as session:
            await get_counted_cart(), await get_counted_cart()
            assert session.get_metrics()["get_counted_cart"]["hits"] == 1
            await touch()
            await get_counted_cart()
    shown = {
        name: counted("get_counted_cart", name) for name in ("hits", "misses", "loads", "size", "hit_rate", "bypassed")
    }
    assert shown == {"hits": 3, "misses": 6, "loads": 6, "size": 0, "hit_rate": 1 / 3, "bypassed": 0}


async def test_a_session_write_without_a_session_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    @AgentCacheInvalidator("cart", scope="session")
    async def add_item_anywhere() -> None:
        """Write."""

    await add_item_anywhere()
    await add_item_anywhere()
    [record] = caplog.records
    assert "add_item_anywhere reaches no session" in record.message


@pytest.mark.parametrize(("read", "written"), [(16.0, 16), (Decimal(16), 16), (16, 16.0), (True, 1)])
async def test_a_write_reaches_the_partition_of_an_equal_identity(read: Any, written: Any, shop: Shop) -> None:
    @AgentCache("cart", vary=lambda: read)
    async def get_cart() -> int:
        return shop.read("cart")

    @AgentCacheInvalidator("cart", vary=lambda: written)
    async def put() -> None:
        """Whatever it writes."""

    await get_cart()
    await put()
    await get_cart()
    assert shop.reads == {"cart": 2}


async def test_no_error_tells_whose_call_it_was() -> None:
    @AgentCache("cart", vary=lambda: "ann@example.com")
    async def get_cart() -> None:
        raise asyncio.CancelledError

    with pytest.raises(LoadCancelled) as raised:
        await get_cart()
    assert "ann@example.com" not in str(raised.value)

"""A read tool: where its results are, and what a call gets that is not run."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from agent_cache import AgentCache, AgentCacheSession, explain
from agent_cache._read_call import ReadCall
from agent_cache._reading import readings
from agent_cache.integrations import Rules
from tests.spec.agent_cache.people import ModelRetry, Shop


def looping(**options: Any) -> AgentCacheSession:
    return AgentCacheSession(loop_detection=True, max_tool_repeats=2, on_loop="short_circuit", **options)


async def test_a_call_that_is_part_of_a_loop_gets_a_copy_of_what_is_kept() -> None:
    shop = Shop()

    @AgentCache("cart")
    async def get_cart() -> dict[str, int]:
        return {"read": shop.read("cart")}

    async with looping():
        results = [await get_cart() for _ in range(4)]
    assert results == [{"read": 0}] * 4
    assert len({id(result) for result in results}) == 4
    assert shop.reads["cart"] == 1


def test_so_does_one_of_a_plain_tool_or_none() -> None:
    shop = Shop()

    @AgentCache("cart")
    def get_cart() -> list[int]:
        return [shop.read("cart")]

    @AgentCache("cart", ttl=0)
    def get_nothing() -> list[int] | None:
        return [shop.read("nothing")]

    with looping():
        assert [get_cart() for _ in range(4)] == [[0]] * 4
        assert [get_nothing() for _ in range(4)] == [[0], [0], None, None]
    assert shop.reads == {"cart": 1, "nothing": 2}


async def test_a_session_that_closes_in_this_moment_keeps_nothing() -> None:
    shop = Shop()

    @AgentCache("cart", scope="session")
    async def get_cart() -> int:
        return shop.read("cart")

    async with AgentCacheSession() as session:
        session.memory.close()
        assert [await get_cart(), await get_cart()] == [0, 0]
        assert explain(get_cart) == "miss: its session was closed in this moment"
    assert shop.reads["cart"] == 2


async def test_a_tool_without_a_rule_passes_through_and_is_watched() -> None:
    shop = Shop()

    async def run(_: Any, arguments: dict[str, Any]) -> int:
        return shop.read("cart")

    rules = Rules()
    async with looping():
        assert [await rules.call("get", None, {}, run) for _ in range(3)] == [0, 0, None]
    assert shop.reads["cart"] == 2


def test_a_plain_tool_raises_what_it_raises_in_a_thread_or_not() -> None:
    error = KeyError("cart")

    @AgentCache("cart", scope="session")
    def get_cart() -> int:
        raise error

    def call() -> None:
        with pytest.raises(KeyError) as caught:
            get_cart()
        assert caught.value is error

    call()
    with AgentCacheSession():
        call()


def test_a_signal_of_a_plain_tool_is_its_callers() -> None:
    @AgentCache("cart", cache_errors={Exception: 5})
    def get_cart() -> int:
        raise ModelRetry

    seen = []
    for _ in range(2):
        with pytest.raises(ModelRetry) as caught:
            get_cart()
        seen.append(caught.value)
    assert seen[0] is not seen[1]


def test_what_is_kept_nowhere_rests_on_nothing() -> None:
    @AgentCache("cart", poll=True)
    def poll() -> None:
        """Read."""

    reading: Any = poll.__agent_cache_reads__  # type: ignore[attr-defined]  # the mark of a tool that reads
    assert list(ReadCall(reading, (), {}, poll)) == []


def test_read_tools_may_be_made_while_others_are_looked_at() -> None:
    """In any number of threads."""
    failures: list[BaseException] = []
    made: list[Any] = []

    def make() -> None:
        for _ in range(30):

            @AgentCache("cart")
            def tool() -> None:
                """Read."""

            made.append(tool)

    def look() -> None:
        try:
            for _ in range(2000):
                readings()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is a failure
            failures.append(error)

    threads = [threading.Thread(target=target) for target in (make, look, make, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert {tool.__agent_cache_reads__ for tool in made} <= set(readings())


async def test_the_loads_of_two_sessions_are_two_and_those_of_one_are_one() -> None:
    shop = Shop()

    @AgentCache("cart", scope="session")
    async def get_cart() -> int:
        await asyncio.sleep(0)
        return shop.read("cart")

    async def converse() -> None:
        async with AgentCacheSession():
            await asyncio.gather(get_cart(), get_cart())

    await asyncio.gather(converse(), converse())
    assert shop.reads["cart"] == 2

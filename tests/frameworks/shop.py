"""Shop: what the tools of the tests read and write, and the conversations that every framework holds about it.

A test builds a `Play` of its framework over a shop, with the decorators or with the adapter; the conversations below
are the same for all of them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol, TypeAlias

import pytest

from agent_cache import AgentCacheSession, AgentLoopDetectedError, get_metrics

#: The calls of tools in each answer of the model: ``[[(tool, arguments), ...], ...]``.
Turns: TypeAlias = list[list[tuple[str, dict[str, Any]]]]

_numbers = count(1)


@dataclass(frozen=True)
class Customer:
    """Who talks to the agent: what the framework hands to the tools."""

    user_id: str


class Shop:
    """The carts of all customers. ``executed`` counts the tools whose bodies have run.

    ``cart`` is the name of the resource, another one for each shop, so that its metrics are this shop's alone.
    """

    def __init__(self) -> None:
        self.cart = f"cart{next(_numbers)}"
        self.executed: Counter[str] = Counter()
        self._carts: dict[tuple[str, int], list[str]] = {}
        self._lock = threading.Lock()

    def get_cart(self, user_id: str, cart_id: int) -> dict[str, Any]:
        with self._lock:
            self.executed["get_cart"] += 1
            return {"owner": user_id, "items": list(self._carts.get((user_id, cart_id), ()))}

    def add_item(self, user_id: str, cart_id: int, item: str) -> str:
        with self._lock:
            self.executed["add_item"] += 1
            self._carts.setdefault((user_id, cart_id), []).append(item)
            return f"added {item}"

    def get_hours(self) -> str:
        """What no rule speaks of."""
        with self._lock:
            self.executed["get_hours"] += 1
            return "9 to 5"

    @staticmethod
    async def turn() -> None:
        """Let whatever else is going on take its turn, as the database of a shop does."""
        for _ in range(3):
            await asyncio.sleep(0)

    def metrics(self) -> dict[str, int | float]:
        """What is counted of the carts of this shop, by however many tools."""
        total: Counter[str] = Counter()
        for resource, counted in get_metrics()["resources"].items():
            if resource.partition(":")[0] == self.cart:
                total.update({name: int(value) for name, value in counted.items() if name != "hit_rate"})
        return dict(total)


class Play(Protocol):
    """A conversation: the model makes these calls for a user, and what the tools have answered comes back in order.

    Each conversation is a session of its own, and all of one play share the tools.
    """

    async def __call__(self, turns: Turns, user_id: str = "ann") -> list[Any]: ...


#: Makes a play over the tools ``get_cart(cart_id)``, ``add_item(cart_id, item)`` and ``get_hours()`` of a shop.
Build: TypeAlias = Callable[[Shop], Play]

GET = ("get_cart", {"cart_id": 1})
GET_OTHER = ("get_cart", {"cart_id": 2})
ADD = ("add_item", {"cart_id": 1, "item": "tea"})
HOURS: tuple[str, dict[str, Any]] = ("get_hours", {})


def cart(owner: str, *items: str) -> dict[str, Any]:
    """What `Shop.get_cart` answers."""
    return {"owner": owner, "items": list(items)}


# -- conversations ---------------------------------------------------------------------------------------------


async def reads_are_kept_until_something_is_written(build: Build) -> None:
    shop = Shop()
    play = build(shop)  # whose tools are counted as long as they live
    answers = await play([[GET], [GET], [ADD], [GET]])
    assert answers == [cart("ann"), cart("ann"), "added tea", cart("ann", "tea")]
    assert shop.executed == {"get_cart": 2, "add_item": 1}
    counted = shop.metrics()
    assert {name: counted[name] for name in ("hits", "misses", "loads", "writes", "invalidations", "bypassed")} == {
        "hits": 1,
        "misses": 2,
        "loads": 2,
        "writes": 1,
        "invalidations": 1,
        "bypassed": 0,
    }


async def a_write_leaves_other_carts_alone(build: Build) -> None:
    shop = Shop()
    answers = await build(shop)([[GET, GET_OTHER], [ADD], [GET_OTHER], [GET]])
    assert answers == [cart("ann"), cart("ann"), "added tea", cart("ann"), cart("ann", "tea")]
    assert shop.executed == {"get_cart": 3, "add_item": 1}


async def users_stay_apart(build: Build) -> None:
    shop = Shop()
    play = build(shop)
    ann, bob = await asyncio.gather(play([[ADD], [GET], [GET]], "ann"), play([[GET], [GET]], "bob"))
    assert ann == ["added tea", cart("ann", "tea"), cart("ann", "tea")]
    assert bob == [cart("bob"), cart("bob")]
    assert await play([[GET]], "bob") == [cart("bob")]
    assert await play([[GET]], "ann") == [cart("ann", "tea")]


async def identical_calls_of_one_turn_run_once(build: Build) -> None:
    shop = Shop()
    play = build(shop)
    answers = await play([[GET, GET, GET]])
    assert answers == [cart("ann")] * 3
    assert shop.executed == {"get_cart": 1}
    counted = shop.metrics()
    assert counted["loads"] == 1
    assert counted["hits"] + counted["misses"] == 3


async def a_tool_without_a_rule_runs_each_time(build: Build) -> None:
    shop = Shop()
    assert await build(shop)([[HOURS], [GET], [HOURS]]) == ["9 to 5", cart("ann"), "9 to 5"]
    assert shop.executed == {"get_hours": 2, "get_cart": 1}


#: The conversations that every framework, and every way to the cache, must hold.
CONVERSATIONS = (
    reads_are_kept_until_something_is_written,
    a_write_leaves_other_carts_alone,
    users_stay_apart,
    identical_calls_of_one_turn_run_once,
    a_tool_without_a_rule_runs_each_time,
)


# -- loops -----------------------------------------------------------------------------------------------------

#: A model that adds the same item again and again, and the most that it is let.
ENDLESS: Turns = [[ADD]] * 9
REPEATS = 3


async def is_ended_by_a_loop(shop: Shop, run: Callable[[], Awaitable[Any]]) -> None:
    """``run`` makes the calls of `ENDLESS`, is stopped, and leaves its task as it was."""
    task = asyncio.current_task()
    assert task is not None
    has_ended_by_itself = False

    async def watched() -> None:
        nonlocal has_ended_by_itself
        async with AgentCacheSession(loop_detection=True, max_tool_repeats=REPEATS):
            await run()
            has_ended_by_itself = True

    with pytest.raises(AgentLoopDetectedError) as caught:
        await watched()
    assert not has_ended_by_itself
    assert (caught.value.loop.kind, caught.value.loop.tool, caught.value.loop.calls) == ("repeat", "add_item", REPEATS)
    assert shop.executed == {"add_item": REPEATS}
    assert task.cancelling() == 0
    await shop.turn()  # where a cancellation that had leaked would arrive
    assert shop.executed == {"add_item": REPEATS}


async def cancellation_from_outside_stays_one(run: Callable[[], Awaitable[Any]], began: asyncio.Event) -> None:
    """``run`` calls a tool that sets ``began`` and never ends."""

    async def hold() -> None:
        async with AgentCacheSession(loop_detection=True, max_tool_repeats=REPEATS):
            await run()

    task = asyncio.create_task(hold())
    await began.wait()
    task.cancel("from outside")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()

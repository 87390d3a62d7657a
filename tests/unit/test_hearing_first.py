"""Before anybody knows what other machines change nothing that is loaded could be stored, so loads wait to be told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from cache import AsyncCache, LoadCancelled
from cache._blocking import ThreadFlight
from cache._bus import Stamps
from cache._keyspace import Keyspace
from cache._stable import encode
from cache._tags import Tag
from cache._tier import Address, Moment
from cache.testing import FakeClock
from cache.tiers._unordered import Never
from tests.races.machine import Machine, Process
from tests.unit.test_backing import MOMENT, Answer, Scripted


class Line(Process):
    """A bus that has heard of nothing until the tier is reached."""

    is_up = False

    @property
    def stamps(self) -> Stamps:
        return self.machine.stamps if self.is_up else Nothing()

    @stamps.setter
    def stamps(self, _: Stamps) -> None:
        """They are those of the machine."""

    def mark(self) -> bytes:
        return super().mark() if self.is_up else b""

    def is_changing(self, slots: Sequence[int]) -> bool:
        return not self.is_up or super().is_changing(slots)


class Nothing(Sequence[int]):
    def __getitem__(self, index: Any) -> Any:
        return Never()

    def __len__(self) -> int:
        return 4097


class Away(Scripted):
    """A tier that is reached when it is let, if it is there at all; and then has nothing."""

    def __init__(self, line: Line, *, is_there: bool = True) -> None:
        super().__init__()
        self.line = line
        self.is_there = is_there
        self.may_answer = asyncio.Event()
        self.waits = 0

    async def moment(self) -> Moment | None:
        self.waits += 1
        await self.may_answer.wait()
        return self.moment_blocking()

    def moment_blocking(self) -> Moment | None:
        self.line.is_up = self.is_there
        return MOMENT if self.is_there else None

    def read_blocking(self, addresses: Sequence[Address]) -> list[Answer]:
        self.asked.append(tuple(addresses))
        return [MOMENT if self.is_there else None] * len(addresses)


def made(*, is_there: bool = True, **options: Any) -> tuple[Away, AsyncCache]:
    clock = FakeClock()
    line = Line(Machine(clock))
    tier = Away(line, is_there=is_there)
    return tier, AsyncCache(name="c", bus=line, backup=tier, namespace=line.name, clock=clock, **options)


def counting(loads: list[str], key: str) -> Callable[[], Awaitable[str]]:
    async def load() -> str:
        loads.append(key)
        return f"{key} {len(loads)}"

    return load


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_is_asked_for_first_is_loaded_when_it_can_be_stored() -> None:
    tier, cache = made()
    loads: list[str] = []
    call = asyncio.ensure_future(cache.get("a", counting(loads, "a")))
    await turns()
    assert (loads, tier.waits) == ([], 1)
    tier.may_answer.set()
    assert await call == await cache.get("a", counting(loads, "a")) == "a 1"
    assert [record.address for record, _, _ in tier.written] == [Address("c", encode("a"))]


async def test_all_who_ask_meanwhile_wait_for_one_load() -> None:
    tier, cache = made()
    loads: list[str] = []
    calls = []
    for _ in range(3):
        calls.append(asyncio.ensure_future(cache.get("a", counting(loads, "a"))))
        await turns(2)
    tier.may_answer.set()
    assert await asyncio.gather(*calls) == ["a 1"] * 3
    assert cache.get_metrics()["coalesced"] == 2


async def test_keys_of_a_batch_wait_too() -> None:
    tier, cache = made(batch_window_ms=0)
    batches: list[list[str]] = []

    async def load_many(keys: list[str]) -> list[str]:
        batches.append(keys)
        return [f"{key} 1" for key in keys]

    calls = [asyncio.ensure_future(cache.get(key, batch_loader=load_many)) for key in "ab"]
    await turns()
    assert not batches
    calls[1].cancel()
    await turns()
    tier.may_answer.set()
    assert await calls[0] == "a 1"
    assert await cache.get("a", batch_loader=load_many) == "a 1"
    assert batches == [["a"]]


async def test_what_changes_meanwhile_is_in_what_is_loaded_afterwards() -> None:
    tier, cache = made()
    truth = ["old"]
    call = asyncio.ensure_future(cache.get("a", lambda: truth[0]))
    await turns()
    truth[0] = "new"
    await cache.delete("a")
    tier.may_answer.set()
    assert await call == "new"
    assert cache.peek("a") == "new"


async def test_of_a_server_that_is_away_everybody_is_told_and_loads_for_the_moment() -> None:
    tier, cache = made(is_there=False)
    tier.may_answer.set()
    loads: list[str] = []
    assert [await cache.get("a", counting(loads, "a")) for _ in range(2)] == ["a 1", "a 2"]
    assert not tier.written


async def test_who_does_not_want_to_wait_leaves_and_nothing_is_loaded() -> None:
    tier, cache = made()
    loads: list[str] = []
    call = asyncio.ensure_future(cache.get("a", counting(loads, "a")))
    await turns()
    call.cancel()
    await asyncio.wait([call])
    tier.may_answer.set()
    await turns()
    assert not loads
    assert len(asyncio.all_tasks()) == 1


async def test_closing_the_cache_ends_the_wait() -> None:
    _, cache = made()
    call = asyncio.ensure_future(cache.get("a", lambda: "a"))
    await turns()
    await cache.aclose()
    with pytest.raises(LoadCancelled):
        await call


async def test_a_load_that_waits_for_one_that_waits_rests_on_it() -> None:
    tier, cache = made()
    loads: list[str] = []

    async def outer() -> str:
        return f"outer of {await cache.get('a', counting(loads, 'a'))}"

    call = asyncio.ensure_future(cache.get("o", outer))
    await turns()
    tier.may_answer.set()
    assert await call == await cache.get("o", outer) == "outer of a 1"
    await cache.delete("a")
    assert await cache.get("o", outer) == "outer of a 2"


def test_a_thread_waits_too() -> None:
    tier, cache = made()
    loads: list[str] = []

    def load() -> str:
        loads.append("a")
        return f"a {len(loads)}"

    assert [cache.get_blocking("a", load) for _ in range(2)] == ["a 1", "a 1"]
    assert len(tier.written) == 1


def test_what_goes_wrong_when_the_wait_is_over_fails_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(keyspace: Keyspace, key: object) -> list[Tag]:
        raise OSError(f"nothing is known of {key}")

    tier, cache = made()
    tier.may_answer.set()
    monkeypatch.setattr(Keyspace, "grounds", broken)
    with pytest.raises(OSError, match="nothing is known of a"):
        asyncio.run(cache.get("a", lambda: "a"))
    with pytest.raises(OSError, match="nothing is known of b"):
        cache.get_blocking("b", lambda: "b")


def test_a_thread_that_is_interrupted_while_it_waits_leaves_that_to_the_next() -> None:
    tier, cache = made()
    found: list[str] = []

    def interrupted() -> Moment | None:
        del tier.moment_blocking  # from here on it is that of the class
        other.start()
        (board,) = cache._store.flights.values()
        (flight,) = board.values()
        assert isinstance(flight, ThreadFlight)
        while len(flight.waiters) < 2:
            time.sleep(0)
        raise KeyboardInterrupt

    other = threading.Thread(target=lambda: found.append(cache.get_blocking("a", lambda: "a")))
    tier.moment_blocking = interrupted  # type: ignore[method-assign]  # it is called by the first of the two
    with pytest.raises(KeyboardInterrupt):
        cache.get_blocking("a", lambda: "a")
    other.join()
    assert found == ["a"]
    assert cache.peek("a") == "a"


async def test_what_goes_wrong_before_a_load_has_begun_is_not_kept_for_it_rests_on_nothing() -> None:
    tier, cache = made(cache_errors={OSError: 60.0})

    async def broken() -> Moment | None:
        raise OSError("no thread")

    tier.moment = broken  # type: ignore[method-assign]  # as a tier whose thread cannot begin
    with pytest.raises(OSError, match="no thread"):
        await cache.get("a", lambda: "a", tags=("t",))
    del tier.moment
    tier.may_answer.set()
    assert await cache.get("a", lambda: "a", tags=("t",)) == "a"


async def test_a_bus_that_cannot_say_what_it_has_heard_fails_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tier, cache = made(batch_window_ms=0)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told_of: told.append(told_of))

    def broken() -> bytes:
        raise OSError("no memory")

    monkeypatch.setattr(tier.line, "mark", broken)
    with pytest.raises(OSError, match="no memory"):
        await cache.get("a", batch_loader=lambda keys: keys)
    assert [str(each["exception"]) for each in told] == ["no memory"]  # the loop hears of it, too


def test_a_thread_that_takes_over_from_one_that_was_interrupted_does_not_ask_the_tier_again() -> None:
    tier, cache = made()
    found: list[str] = []

    def load() -> str:
        if other.ident is not None:
            return "a"
        other.start()
        (board,) = cache._store.flights.values()
        (flight,) = board.values()
        assert isinstance(flight, ThreadFlight)
        while len(flight.waiters) < 2:
            time.sleep(0)
        raise KeyboardInterrupt

    other = threading.Thread(target=lambda: found.append(cache.get_blocking("a", load)))
    with pytest.raises(KeyboardInterrupt):
        cache.get_blocking("a", load)
    other.join()
    assert found == ["a"]
    assert len(tier.asked) == 1  # for which the first has a lease, that is for the second now
    assert len(tier.written) == 1

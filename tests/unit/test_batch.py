from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cache import AsyncCache
from tests.spec.steering import TURNS, Loader, metric, settle, start
from tests.unit.batches import HOUR_MS, Many, made
from tests.unit.fragile import FragileClock

# -- collecting ------------------------------------------------------------------------------------------------


async def test_keys_asked_for_in_one_turn_are_one_call_each_key_once() -> None:
    cache, many = made(), Many()
    values = await asyncio.gather(*[cache.get(key, batch_loader=many.load) for key in "abcab"])
    assert values == ["<a>", "<b>", "<c>", "<a>", "<b>"]
    assert many.calls == [["a", "b", "c"]]
    assert (metric(cache, "loads"), metric(cache, "coalesced"), metric(cache, "misses")) == (3, 2, 5)


async def test_a_full_batch_does_not_wait() -> None:
    cache, many = made(batch_window_ms=HOUR_MS, max_batch_size=2), Many()
    readers = [await start(cache.get(key, batch_loader=many.load)) for key in "abc"]
    assert many.calls == [["a", "b"]]
    assert await asyncio.gather(*readers[:2]) == ["<a>", "<b>"]
    await start(cache.get("d", batch_loader=many.load))
    assert many.calls == [["a", "b"], ["c", "d"]]
    assert await readers[2] == "<c>"


async def test_two_loaders_share_no_batch_and_a_bound_method_is_one_loader() -> None:
    cache, one, other = made(), Many(), Many()
    await asyncio.gather(*[cache.get(n, batch_loader=(one, other)[n % 2].load) for n in range(4)])
    assert one.calls == [[0, 2]]
    assert other.calls == [[1, 3]]


async def test_a_key_that_nobody_waits_for_any_more_is_not_asked_for() -> None:
    cache, many = made(batch_window_ms=HOUR_MS, max_batch_size=2), Many()
    leaving = await start(cache.get("a", batch_loader=many.load))
    leaving.cancel()
    await settle()
    readers = [await start(cache.get(key, batch_loader=many.load)) for key in "bc"]
    assert many.calls == [["b", "c"]]
    await asyncio.gather(*readers)


async def test_a_batch_that_nobody_waits_for_any_more_is_not_sent() -> None:
    cache, many = made(batch_window_ms=HOUR_MS), Many()
    leaving = await start(cache.get("a", batch_loader=many.load))
    leaving.cancel()
    await settle()
    assert not cache._batches.collecting
    assert not many.calls


# -- in flight -------------------------------------------------------------------------------------------------


async def in_flight(cache: AsyncCache, loader: Loader, keys: str) -> list[asyncio.Task[Any]]:
    readers = [asyncio.ensure_future(cache.get(key, batch_loader=loader)) for key in keys]
    await settle()
    assert loader.calls[-1] == (list(keys),)
    return readers


async def test_a_batch_that_was_sent_goes_on_until_its_last_key_has_no_waiter() -> None:
    cache, loader = made(), Loader()
    first, second = await in_flight(cache, loader, "ab")
    first.cancel()
    await settle()
    assert loader.cancelled == 0
    second.cancel()
    await settle()
    assert loader.cancelled == 1


async def test_a_key_whose_waiter_has_left_is_not_stored_and_its_neighbour_is() -> None:
    cache, loader = made(), Loader()
    first, second = await in_flight(cache, loader, "ab")
    first.cancel()
    await settle()
    loader.end({"a": 1, "b": 2})
    assert await second == 2
    assert "a" not in cache
    assert cache.peek("b") == 2


async def test_a_key_invalidated_meanwhile_is_given_to_those_who_had_asked_and_not_stored() -> None:
    cache, loader = made(), Loader()
    readers = await in_flight(cache, loader, "ab")
    cache.delete("a")
    loader.end({"a": 1, "b": 2})
    assert await asyncio.gather(*readers) == [1, 2]
    assert "a" not in cache
    assert cache.peek("b") == 2
    assert metric(cache, "fenced") == 1


async def test_an_invalidation_costs_nothing_while_a_batch_collects() -> None:
    cache, many = made(batch_window_ms=HOUR_MS, max_batch_size=2), Many()
    first = await start(cache.get("a", batch_loader=many.load))
    cache.delete("a")
    second = await start(cache.get("b", batch_loader=many.load))
    assert [await first, await second] == ["<a>", "<b>"]
    assert cache.peek("a") == "<a>"
    assert len(many.calls) == 1


async def test_what_the_loader_reads_every_key_rests_on() -> None:
    cache, inner = made(), AsyncCache()

    async def load(keys: list[str]) -> dict[str, Any]:
        factor = await inner.get("factor", lambda: 2)
        return {key: key * factor for key in keys}

    assert await asyncio.gather(*[cache.get(key, batch_loader=load) for key in "ab"]) == ["aa", "bb"]
    inner.delete("factor")
    assert "a" not in cache
    assert "b" not in cache


async def test_an_invalidation_of_what_the_loader_has_read_reaches_keys_in_flight() -> None:
    cache, inner, loader = made(), AsyncCache(), Loader()

    async def load(keys: list[str]) -> Any:
        await inner.get("factor", lambda: 2)
        return await loader(keys)

    readers = [asyncio.ensure_future(cache.get(key, batch_loader=load)) for key in "ab"]
    await settle()
    inner.delete("factor")
    loader.end({"a": 1, "b": 2})
    await asyncio.gather(*readers)
    assert len(cache) == 0


# -- errors ----------------------------------------------------------------------------------------------------


async def test_an_error_of_the_loader_reaches_everybody_as_it_was_raised() -> None:
    cache, loader = made(), Loader()
    readers = await in_flight(cache, loader, "ab")
    error = KeyError("no")
    loader.fail(error)
    assert await asyncio.gather(*readers, return_exceptions=True) == [error, error]
    assert metric(cache, "load_errors") == 2


@pytest.mark.parametrize("error", [ZeroDivisionError("no ttl"), GeneratorExit("no ttl")])
async def test_a_key_that_cannot_be_kept_takes_no_other_with_it(error: BaseException) -> None:
    cache = made()

    def ttl_of(value: str) -> float:
        if value == "<b>":
            raise error
        return 5.0

    async def ask(key: str) -> object:
        try:
            return await cache.get(key, batch_loader=many.load, ttl=ttl_of)
        except BaseException as caught:  # noqa: BLE001 - whatever it is, it is what the test is about
            return caught

    many = Many()
    assert await asyncio.gather(*map(ask, "abc")) == ["<a>", error, "<c>"]
    assert "b" not in cache
    assert cache.peek("c") == "<c>"


def test_an_interrupt_of_one_key_leaves_no_other_waiting() -> None:
    cache, many = made(), Many()

    def ttl_of(value: str) -> float:
        if value == "<a>":
            raise KeyboardInterrupt
        return 5.0

    async def ask(key: str) -> object:
        return await cache.get(key, batch_loader=many.load, ttl=ttl_of)

    loop, interrupts = asyncio.new_event_loop(), 0
    readers = [loop.create_task(ask(key)) for key in "ab"]
    for _ in range(TURNS):
        loop.call_soon(loop.stop)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            interrupts += 1
    assert interrupts
    assert isinstance(readers[0].exception(), KeyboardInterrupt)
    assert readers[1].result() == "<b>"
    loop.close()


async def test_a_batch_that_cannot_be_sent_says_so_to_all_who_wait() -> None:
    clock, many = FragileClock(), Many()
    cache = made(batch_window_ms=HOUR_MS, max_batch_size=2, clock=clock)
    with cache.mutating("b", linger=5.0):  # from now on who loads b has to ask the clock
        pass
    first = await start(cache.get("a", batch_loader=many.load))
    clock.broken = True
    for waiting in (cache.get("b", batch_loader=many.load), first):
        with pytest.raises(ZeroDivisionError, match="no time"):
            await waiting
    clock.broken, clock.now = False, 5.0
    assert not many.calls


# -- loops that end --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_batch_left_on_a_closed_loop_is_in_nobodys_way() -> None:
    cache, many = made(batch_window_ms=HOUR_MS, max_batch_size=2), Many()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it says that a task is pending, which is the test
    reader = loop.create_task(cache.get("a", batch_loader=many.load))
    loop.run_until_complete(settle())
    loop.close()
    del reader

    async def ask() -> list[Any]:
        return list(await asyncio.gather(*[cache.get(key, batch_loader=many.load) for key in "ab"]))

    assert asyncio.run(ask()) == ["<a>", "<b>"]
    assert many.calls == [["a", "b"]]

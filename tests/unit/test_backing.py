"""One cache's way to its tier, with a tier that answers what the test has written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cache import AsyncCache
from cache._backing import TRIES, check_codec, codec_of
from cache._stable import encode
from cache._tier import Address, Covering, Moment, Record, Slice
from cache.codec import MsgspecCodec, PickleCodec
from cache.testing import FakeClock

Answer = Record | Moment | None
MOMENT = Moment(1, 7)


class Scripted:
    """A tier that gives ``answers`` one after the other, and remembers what was written."""

    codec = None
    compress_above = 1024
    closed = False

    def __init__(self, *answers: Callable[[], Answer] | Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Address, ...]] = []
        self.written: list[tuple[Record, Moment, bool]] = []
        self.told: list[Address] = []
        self.released: dict[Address, Moment] = {}
        self.moments = 0
        self.clock = FakeClock(1_000.0)

    async def read(self, addresses: Sequence[Address]) -> list[Answer]:
        return self.read_blocking(addresses)

    def read_blocking(self, addresses: Sequence[Address]) -> list[Answer]:
        self.asked.append(tuple(addresses))
        answer = self.answers.pop(0)
        return [answer() if callable(answer) else answer] * len(addresses)

    async def moment(self) -> Moment | None:
        return self.moment_blocking()

    def moment_blocking(self) -> Moment | None:
        self.moments += 1
        return MOMENT

    def release(self, given: Mapping[Address, Moment]) -> None:
        self.released |= given

    def write(self, record: Record, moment: Moment, *, replaces: bool = False) -> None:
        self.written.append((record, moment, replaces))

    def assign(self, record: Record, then: Callable[[], object] | None = None) -> None:
        raise NotImplementedError

    def invalidate(
        self, addresses: Sequence[Address], spaces: Sequence[str] = (), then: Callable[[], object] | None = None
    ) -> None:
        self.told += addresses
        if then is not None:
            then()

    def begin(self, covering: Covering) -> None:
        raise NotImplementedError

    def end(self, covering: Covering, linger: float = 0.0) -> None:
        raise NotImplementedError

    async def flush(self) -> int:
        return 0

    def flush_blocking(self) -> int:
        return 0

    async def scan(self, space: str, after: int | None = None) -> tuple[Moment | None, Slice]:
        raise NotImplementedError

    async def aclose(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - as every tier has it
        return True

    def close(self, timeout: float = 5.0) -> bool:
        return True


def cache_before(tier: Scripted, clock: FakeClock | None = None, **options: Any) -> AsyncCache:
    return AsyncCache(name="c", backup=tier, bus=None, namespace="backing", clock=clock or FakeClock(), **options)


def record_of(cache: AsyncCache, value: Any, *grounds: str, expires: float | None = None) -> Record:
    backing = cache._loads.backing
    assert backing is not None
    rested = tuple(Address("#backing", encode(ground)) for ground in grounds)
    return Record(backing.address("a"), backing.envelope.encode(value), expires, rested)


def counted(cache: AsyncCache) -> dict[str, int | float]:
    return {name[7:]: count for name, count in cache.get_metrics().items() if name.startswith("backup_") and count}


async def test_a_record_that_rests_on_nothing_but_itself_is_taken_at_once() -> None:
    tier = Scripted()
    cache = cache_before(tier)
    tier.answers = [record_of(cache, "kept")]
    assert await cache.get("a", lambda: "loaded") == "kept"
    assert tier.asked == [(Address("c", encode("a")),)]
    assert not tier.written
    assert counted(cache) == {"hits": 1}


async def test_a_record_that_tells_of_something_new_is_asked_for_again() -> None:
    tier = Scripted()
    cache = cache_before(tier)
    tier.answers = [record_of(cache, "kept", "t")] * 2
    assert await cache.get("a", lambda: "loaded") == "kept"
    assert len(tier.asked) == 2
    assert counted(cache) == {"hits": 1}
    await cache.invalidate("t")
    assert "a" not in cache


async def test_what_was_known_before_is_taken_at_once() -> None:
    tier = Scripted()
    cache = cache_before(tier)
    tier.answers = [record_of(cache, "kept", "t")]
    assert await cache.get("a", lambda: "loaded", tags=("t",)) == "kept"


async def test_of_one_that_tells_of_something_new_each_time_the_tier_is_not_asked_for_ever() -> None:
    tier = Scripted()
    cache = cache_before(tier)
    tier.answers = [record_of(cache, "kept", f"t{number}") for number in range(10)]
    assert await cache.get("a", lambda: "loaded") == "loaded"
    assert len(tier.asked) == TRIES
    assert [moment for _, moment, _ in tier.written] == [MOMENT]


async def test_what_is_missing_is_written_with_the_moment_of_the_answer() -> None:
    tier = Scripted(Moment(1, 3))
    cache = cache_before(tier)
    await cache.get("a", lambda: "loaded", tags=("t",))
    assert tier.written == [(record_of(cache, "loaded", "t"), Moment(1, 3), False)]
    assert tier.moments == 0
    assert counted(cache) == {"misses": 1}


async def test_where_the_tier_can_say_nothing_nothing_is_written() -> None:
    tier = Scripted(None)
    cache = cache_before(tier)
    assert await cache.get("a", lambda: "loaded") == "loaded"
    assert not tier.written
    assert cache.peek("a") == "loaded"


@pytest.mark.parametrize("wrong", ["bytes", "lacks a tag", "unknown space"])
async def test_what_cannot_be_used_is_refused_counted_once_and_replaced(wrong: str) -> None:
    tier = Scripted()
    cache = cache_before(tier)
    record = record_of(cache, "kept", "t")
    if wrong == "bytes":
        record = Record(record.address, b"?", None, record.grounds)
    elif wrong == "lacks a tag":
        record = record_of(cache, "kept")
    else:
        record = Record(record.address, record.value, None, (*record.grounds, Address("nobody", b"i1")))
    tier.answers = [record]
    assert await cache.get("a", lambda: "loaded", tags=("t",)) == "loaded"
    assert len(tier.asked) == 1
    assert counted(cache) == {"refused": 1}
    assert [moment for _, moment, _ in tier.written] == [MOMENT]


async def test_times_are_those_of_the_wall_there_and_of_the_cache_here() -> None:
    tier, clock = Scripted(MOMENT), FakeClock(5.0)
    cache = cache_before(tier, clock)
    await cache.get("a", lambda: "loaded", ttl=30)
    ((written, _, _),) = tier.written
    assert written.expires == 1_030.0
    await cache.aclose()
    tier.clock.advance(20)
    tier.answers = [written]
    assert await cache.get("a", lambda: "again") == "loaded"
    clock.advance(10)
    tier.answers = [None]
    assert await cache.get("a", lambda: "again") == "again"


async def test_what_rests_on_something_that_others_do_not_know_is_kept_in_memory_only() -> None:
    tier = Scripted(MOMENT)
    own = AsyncCache(bus=None, backup=None)
    cache = cache_before(tier)

    async def load() -> str:
        return str(await own.get("x", lambda: "loaded"))

    assert await cache.get("a", load) == "loaded"
    assert not tier.written
    assert cache.peek("a") == "loaded"


async def test_what_rests_on_very_much_is_kept_in_memory_only() -> None:
    tier = Scripted(*[MOMENT] * 1_001)
    cache = cache_before(tier, maxsize=None)

    async def load() -> int:
        return sum([await cache.get(number, lambda: 1) for number in range(1_000)])

    assert await cache.get("a", load) == 1_000
    assert len(tier.written) == 1_000


async def test_a_thread_asks_in_the_same_words() -> None:
    tier = Scripted()
    cache = cache_before(tier)
    tier.answers = [record_of(cache, "kept", "t")] * 2
    assert await asyncio.to_thread(cache.get_blocking, "a", lambda: "loaded") == "kept"
    assert len(tier.asked) == 2


def test_the_codec_is_that_of_the_cache_or_that_of_the_tier_or_for_plain_values() -> None:
    tier: Any = Scripted()
    assert isinstance(codec_of(tier, None, lambda: int), MsgspecCodec)
    pickles = PickleCodec(key=b"k" * 16)
    assert codec_of(tier, pickles, lambda: int) is pickles
    made: list[Any] = []
    assert codec_of(tier, lambda own: made.append(own) or pickles, lambda: int) is pickles  # type: ignore[func-returns-value]  # it is None, which is wanted
    assert isinstance(made[0], MsgspecCodec)
    tier.codec = pickles
    assert isinstance(codec_of(tier, None, lambda: int), PickleCodec)


def test_check_codec_lets_pass_what_makes_bytes() -> None:
    assert check_codec(None) is None
    for codec in (PickleCodec(key=b"k" * 16), lambda own: own):
        assert check_codec(codec) is codec
    with pytest.raises(TypeError, match="codec="):
        check_codec(MsgspecCodec)


class Refusing:
    """Annotated to return what it does not."""


@pytest.mark.parametrize("load", ["fails", "is_cancelled", "has_no_bytes", "is_invalidated", "expires_at_once"])
async def test_who_will_write_nothing_says_so(load: str) -> None:
    tier = Scripted(MOMENT)
    cache = cache_before(tier)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def loader() -> object:
        begun.set()
        await go_on.wait()
        if load == "fails":
            raise LookupError
        return Refusing() if load == "has_no_bytes" else "loaded"

    task = asyncio.ensure_future(cache.get("a", loader, ttl=0 if load == "expires_at_once" else None))
    await begun.wait()
    assert not tier.released
    if load == "is_cancelled":
        task.cancel()
    if load == "is_invalidated":
        cache.delete("a")
    go_on.set()
    await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None or load == "fails"
    assert tier.released == {Address("c", encode("a")): MOMENT}
    assert not tier.written


async def test_who_writes_does_not_say_otherwise_nor_who_was_given_nothing() -> None:
    tier = Scripted(MOMENT, None)
    cache = cache_before(tier)
    await cache.get("a", lambda: "loaded")
    assert await cache.get("b", lambda: "loaded") == "loaded"
    assert len(tier.written) == 1
    assert not tier.released


async def test_of_a_load_that_nobody_waits_for_when_the_tier_answers_nothing_will_be_written() -> None:
    tier, answered = Scripted(MOMENT), asyncio.Event()
    cache = cache_before(tier)
    read = tier.read

    async def slow(addresses: Sequence[Address]) -> list[Answer]:
        try:
            await answered.wait()
        except asyncio.CancelledError:  # it is too late for that
            return await read(addresses)
        raise AssertionError("it was not cancelled")

    tier.read = slow  # type: ignore[method-assign]  # as a tier that has the answer in the turn of the cancellation
    task = asyncio.ensure_future(cache.get("a", lambda: "loaded"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    for _ in range(3):
        await asyncio.sleep(0)
    assert tier.released == {Address("c", encode("a")): MOMENT}

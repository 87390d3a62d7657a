"""A mutation and the tiers behind what it changes: they know of it from before its body until after that."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import coroutine
from typing import Any

import pytest

import cache
from cache import AsyncCache, CacheError, FileBusy
from cache._tier import Address, Moment, Record
from cache.testing import FakeClock
from cache.tiers import _changes
from cache.tiers._disk import DiskBackend
from cache.tiers._file_worker import Seat
from tests.spec.backed import until
from tests.unit.tiers.files import let_go, rows

LONG = 60.0  # seconds after which what waits for itself has failed
OPEN = "SELECT count(*) FROM mutations"


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return [str(tmp_path / name) for name in ("one.db", "two.db")]


@pytest.fixture
def tiers(paths: list[str]) -> Iterator[list[DiskBackend]]:
    made = [DiskBackend(path, patience=0.05) for path in paths]
    yield made
    for backend in made:
        backend.close()
        let_go(backend._thread._worker.file)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def caches(tiers: list[DiskBackend], clock: FakeClock) -> list[AsyncCache]:
    return [AsyncCache(name=f"cache {number}", backup=tier, clock=clock) for number, tier in enumerate(tiers)]


def covered(paths: list[str]) -> list[int]:
    return [rows(path, OPEN)[0][0] for path in paths]


def both(caches: list[AsyncCache]) -> cache.Mutating:
    """One mutation of what lies in two files."""
    return cache.mutating(*((each, "a") for each in caches))


@contextmanager
def held_up(path: str) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def busy(tier: DiskBackend) -> Iterator[None]:
    """Its thread is in the middle of something, for as long as it takes."""
    may_go, done = threading.Event(), Seat()
    assert tier._thread.post((lambda _: may_go.wait(LONG), (), {}), done)
    yield
    may_go.set()
    assert done.take(), "somebody has waited for it"


async def opened(tiers: list[DiskBackend]) -> None:
    for tier in tiers:
        await tier.moment()


async def test_while_the_body_runs_all_tiers_know_of_it_and_then_none(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str]
) -> None:
    async with both(caches):
        assert covered(paths) == [1, 1]
    assert covered(paths) == [0, 0]


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()], ids=repr)
async def test_however_the_body_ends_the_tiers_know(
    caches: list[AsyncCache], paths: list[str], error: BaseException
) -> None:
    with pytest.raises(type(error)):
        async with both(caches):
            raise error
    assert covered(paths) == [0, 0]


async def test_who_is_cancelled_at_the_end_has_told_the_tiers(caches: list[AsyncCache], paths: list[str]) -> None:
    entered = asyncio.Event()

    async def change() -> None:
        async with caches[0].mutating("a", linger=0):
            entered.set()

    changing = asyncio.ensure_future(change())
    await entered.wait()
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    assert covered(paths[:1]) == [0]


async def test_of_a_body_that_is_thrown_away_the_tiers_know_and_nobody_waits(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str]
) -> None:
    entered, left = asyncio.Event(), []

    async def change() -> None:
        try:
            async with both(caches):
                entered.set()
                await asyncio.Event().wait()
        finally:
            left.append(True)

    thrown_away = change()
    await drive(thrown_away, entered)
    thrown_away.close()
    assert left
    await settled(tiers)
    assert covered(paths) == [0, 0]


@pytest.mark.parametrize("where", ["as it begins", "in its body"])
def test_so_it_is_where_no_loop_runs_any_more_and_another_holds_the_file(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str], where: str
) -> None:
    thrown: list[Coroutine[Any, Any, None]] = []
    left: list[object] = []

    async def change(entered: asyncio.Event) -> None:
        try:
            async with both(caches):
                entered.set()
                await asyncio.Event().wait()
        except BaseException as error:  # what it is shows how it was left
            left.append(type(error))
            raise

    async def begin() -> None:
        entered = asyncio.Event()
        thrown.append(change(entered))
        if where == "in its body":
            await drive(thrown[0], entered)
        else:
            thrown[0].send(None)

    with ExitStack() as stack:
        for tier in tiers:
            tier.moment_blocking()
            if where == "as it begins":
                stack.enter_context(busy(tier))
        asyncio.run(begin())
        if where == "in its body":
            for tier in tiers:
                stack.enter_context(busy(tier))
        thrown.pop().close()
    assert left == [GeneratorExit]
    for tier in tiers:
        tier.moment_blocking()
    assert covered(paths) == [0, 0]


async def test_in_a_thread_the_tiers_know_too(caches: list[AsyncCache], paths: list[str]) -> None:
    def change() -> list[int]:
        with both(caches):
            return covered(paths)

    assert await asyncio.to_thread(change) == [1, 1]
    assert covered(paths) == [0, 0]


async def test_if_one_tier_cannot_be_told_the_body_does_not_run_and_the_others_know_that_it_is_over(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str]
) -> None:
    await opened(tiers)
    with held_up(paths[1]), pytest.raises(CacheError, match="is being written by another process"):
        async with both(caches):
            pytest.fail("the body runs")
    await settled(tiers)
    assert covered(paths) == [0, 0]


async def test_in_a_thread_it_does_not_run_either(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str]
) -> None:
    await opened(tiers)

    def change() -> None:
        with both(caches):
            pytest.fail("the body runs")

    with held_up(paths[1]), pytest.raises(CacheError, match="is being written by another process"):
        await asyncio.to_thread(change)
    await settled(tiers)
    assert covered(paths) == [0, 0]


async def test_who_is_cancelled_while_the_tiers_are_told_leaves_nothing_covered(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str]
) -> None:
    await opened(tiers)

    async def change() -> None:
        async with both(caches):
            pytest.fail("the body runs")

    for turns in range(4):
        changing = asyncio.ensure_future(change())
        for _ in range(1 + turns):
            await asyncio.sleep(0)
        assert changing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await changing
        await settled(tiers)
        assert covered(paths) == [0, 0]


async def test_who_is_cancelled_after_the_tiers_have_answered_leaves_nothing_covered(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = DiskBackend.begin
    begun: list[Any] = []

    def noted(self: DiskBackend, *args: Any) -> Any:
        begun.append(begin(self, *args))
        return begun[-1]

    monkeypatch.setattr(DiskBackend, "begin", noted)

    async def change() -> None:
        async with caches[0].mutating("a"):
            pytest.fail("the body runs")

    changing = asyncio.ensure_future(change())
    await asyncio.sleep(0)
    begun[0].add_done_callback(lambda _: changing.cancel())  # before the task hears of it
    with pytest.raises(asyncio.CancelledError):
        await changing
    await settled(tiers)
    assert covered(paths[:1]) == [0]


async def test_a_tier_that_was_closed_meanwhile_stays_covered_and_that_is_logged(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with both(caches):
        await tiers[1].aclose()
    assert covered(paths) == [0, 1]
    assert [record.message for record in caplog.records] == [
        "A tier was told that a mutation began, and could not be told that it has ended"
    ]


async def by_itself(_: DiskBackend, path: str) -> None:
    await until(lambda: covered([path]) == [0])


async def by_the_next_change(tier: DiskBackend, _: str) -> None:
    await tier.invalidate([])  # type: ignore[misc]  # there is a loop


async def by_a_flush(tier: DiskBackend, _: str) -> None:
    await tier.flush()


@pytest.mark.parametrize("told", [by_itself, by_the_next_change, by_a_flush])
async def test_an_end_that_a_file_could_not_be_told_in_time_is_told_when_it_can(
    tiers: list[DiskBackend],
    caches: list[AsyncCache],
    paths: list[str],
    told: Callable[[DiskBackend, str], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_changes, "REST", 0.01 if told is by_itself else 3_600.0)
    await opened(tiers)
    with ExitStack() as stack:
        async with caches[0].mutating("a"):
            stack.enter_context(held_up(paths[0]))
        assert covered(paths) == [1, 0]
    await told(tiers[0], paths[0])
    assert covered(paths) == [0, 0]
    assert not tiers[0]._changes


async def test_so_is_the_end_of_one_that_has_lingered(
    tiers: list[DiskBackend],
    caches: list[AsyncCache],
    paths: list[str],
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await opened(tiers)
    with ExitStack() as stack:
        async with caches[0].mutating("a", linger=0.001):
            stack.enter_context(held_up(paths[0]))
        clock.advance(0.001)
        told = "until it is, nothing of that is stored"
        await until(lambda: any(message.endswith(told) for message in caplog.messages))
    await tiers[0].flush()
    assert covered(paths) == [0, 0]


@contextmanager
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        yield


CHANGES: dict[str, Callable[[AsyncCache], Awaitable[object]]] = {
    "delete": lambda cached: cached.delete("a"),
    "set": lambda cached: cached.set("a", "set"),
    "invalidate": lambda cached: cached.invalidate("tag"),
    "tags of two tiers": lambda _: cache.invalidate("tag"),
    "clear": lambda cached: cached.clear(),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_for_which_no_thread_is_to_be_had_fails_and_is_over(
    caches: list[AsyncCache], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_threads(monkeypatch):
        with pytest.raises(FileBusy, match="can't start new thread"):
            await CHANGES[change](caches[0])
        assert await caches[0].get("a", lambda: "loaded", tags=("tag",)) == ("set" if change == "set" else "loaded")
    for each in caches:
        assert not each._store.windows
        assert not each._namespace.windows
    assert await caches[0].delete("a")


async def test_a_mutation_for_which_no_thread_is_to_be_had_does_not_run(
    caches: list[AsyncCache], paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_threads(monkeypatch), pytest.raises(FileBusy, match="can't start new thread"):
        async with both(caches):
            pytest.fail("the body runs")
    async with both(caches):
        assert covered(paths) == [1, 1]


async def test_a_flush_for_which_no_thread_is_to_be_had_is_over_at_once(
    tiers: list[DiskBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_threads(monkeypatch):
        tiers[0].write(Record(Address("texts", b"a"), b"v"), Moment(1, 1))
        assert await tiers[0].flush() == tiers[0].flush_blocking() == 0
    assert tiers[0].metrics().dropped == 1


async def test_while_an_end_is_owed_a_file_that_another_holds_is_read(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str]
) -> None:
    await caches[0].get("b", lambda: "text")
    await tiers[0].flush()
    await caches[0].aclose()
    with ExitStack() as stack:
        async with caches[0].mutating("a"):
            stack.enter_context(held_up(paths[0]))
        assert tiers[0]._changes
        assert await caches[0].get("b", lambda: "loaded") == "text"


async def test_an_end_that_is_owed_as_the_file_is_closed_stays_covered_and_that_is_logged(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    await opened(tiers[:1])
    with ExitStack() as stack:
        async with caches[0].mutating("a"):
            stack.enter_context(held_up(paths[0]))
        await tiers[0].aclose(0.0)
    assert covered(paths[:1]) == [1]
    assert caplog.messages[-1].endswith("until this process ends, nothing of that is stored")


@pytest.mark.parametrize("patience", [0.0, 0.2])
async def test_a_mutation_that_waits_for_a_file_which_another_holds_ends_when_the_file_is_closed(
    paths: list[str], caplog: pytest.LogCaptureFixture, patience: float
) -> None:
    tier = DiskBackend(paths[0], patience=60.0)
    cached = AsyncCache(name="cache", backup=tier)
    await tier.moment()
    with ExitStack() as stack:
        async with cached.mutating("a"):
            stack.enter_context(held_up(paths[0]))
            closing = asyncio.ensure_future(tier.aclose(patience))
        with pytest.raises(CacheError, match="closed by its user"):
            await cached.delete("a")
        await closing
    assert "A tier was told that a mutation began, and could not be told that it has ended" in caplog.messages
    assert not cached._store.windows
    let_go(tier._thread._worker.file)


async def test_a_tier_that_came_to_stand_behind_the_cache_during_a_mutation_is_told_of_its_end(
    tiers: list[DiskBackend], caches: list[AsyncCache]
) -> None:
    share = caches[0]._store.share
    assert share is not None
    share.tiers = ()  # as if it were configured for the application in the middle of the body
    async with caches[0].mutating("a"):
        share.tiers = (tiers[0],)
        before = await tiers[0].moment()
    assert before is not None
    assert await tiers[0].moment() == before._replace(number=1)


async def test_what_a_mutation_covers_stays_covered_in_the_file_while_it_lingers(
    tiers: list[DiskBackend], caches: list[AsyncCache], paths: list[str], clock: FakeClock
) -> None:
    async with caches[0].mutating("a", linger=3_600):
        (begun,) = rows(paths[0], "SELECT number FROM state")
    assert covered(paths[:1]) == [1]
    (ended,) = rows(paths[0], "SELECT number FROM state")
    assert ended > begun
    clock.advance(3_600)


async def test_after_an_error_that_leaves_the_write_open_it_lingers(
    caches: list[AsyncCache], paths: list[str], clock: FakeClock
) -> None:
    with pytest.raises(TimeoutError):
        async with caches[0].mutating("a", linger=lambda error: 3_600 if isinstance(error, TimeoutError) else 0):
            raise TimeoutError
    assert covered(paths[:1]) == [1]
    clock.advance(3_600)


async def test_a_linger_function_that_fails_keeps_nothing_covered(caches: list[AsyncCache], paths: list[str]) -> None:
    def fail(_: BaseException | None) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with caches[0].mutating("a", linger=fail):
            pass
    assert covered(paths[:1]) == [0]
    with pytest.raises(KeyboardInterrupt):
        await asyncio.to_thread(enter_and_exit, caches[0], fail)
    assert covered(paths[:1]) == [0]


def enter_and_exit(texts: AsyncCache, linger: Any) -> None:
    with texts.mutating("a", linger=linger):
        pass


@coroutine
def drive(body: Coroutine[Any, Any, None], entered: asyncio.Event) -> Generator[Any]:
    """Run it as a task would, until that has happened."""
    while waits_for := body.send(None):
        if entered.is_set():
            return
        yield waits_for


async def settled(tiers: list[DiskBackend]) -> None:
    """What was asked for, and what came of that in the loop, has been done."""
    for _ in range(4):
        for tier in tiers:
            await tier.moment()

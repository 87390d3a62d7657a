from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cache import CacheError
from cache._tier import Covering, Moment, Record, Tier
from cache.codec import MsgspecCodec, PickleCodec
from cache.testing import FakeClock
from cache.tiers import _behind, _changes, _disk, _file_thread
from cache.tiers._changes import Change
from cache.tiers._disk import DiskBackend
from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._file_worker import Seat
from cache.tiers._records import OVERHEAD
from cache.tiers._sqlite_entries import SLICE, Entries
from cache.tiers._tally import Metrics
from tests.unit.tiers.files import TAG, A, B, C, rows

LONG = 60.0  # seconds after which a test that hangs fails

MakeBackend = Callable[..., DiskBackend]


@pytest.fixture
def make_backend(path: str, clock: FakeClock) -> Iterator[MakeBackend]:
    made: list[DiskBackend] = []

    def make_backend(**options: Any) -> DiskBackend:
        made.append(DiskBackend(path, **{"clock": clock, **options}))
        return made[-1]

    yield make_backend
    for backend in made:
        assert backend.close(LONG)


@pytest.fixture
def backend(make_backend: MakeBackend) -> DiskBackend:
    return make_backend()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written because of the time that has passed."""
    monkeypatch.setattr(_behind, "DELAY", 3_600.0)
    monkeypatch.setattr(_behind, "PAUSE", 3_600.0)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation waits for next to no time for other processes."""
    monkeypatch.setattr(_disk, "ATTEMPT", 0.001)


@contextmanager
def held_by_another(path: str) -> Iterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def held_up(backend: DiskBackend) -> Iterator[None]:
    """The thread of the file is in the middle of something."""
    begun, let_go = threading.Event(), threading.Event()

    def hold(entries: Entries) -> None:
        begun.set()
        assert let_go.wait(LONG)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(backend._thread.call, hold)
        assert begun.wait(LONG)
        try:
            yield
        finally:
            let_go.set()
            holding.result(LONG)


def store(backend: DiskBackend, *records: Record) -> int:
    moment = backend.moment_blocking()
    assert moment is not None
    for record in records:
        backend.write(record, moment)
    return backend.flush_blocking()


def keys_in(path: str) -> list[bytes]:
    return [key for (key,) in rows(path, "SELECT key FROM entries ORDER BY used")]


def test_it_is_a_tier(backend: DiskBackend, path: str) -> None:
    tier: Tier = backend
    assert tier.codec is None
    assert tier.compress_above == 1024
    assert repr(backend) == f"DiskBackend({path!r})"


def test_nothing_is_opened_before_it_is_needed(backend: DiskBackend, path: str) -> None:
    before = threading.active_count()
    assert backend.metrics() == Metrics(0, 0, 0, 0, 0, 0, 0)
    assert not Path(path).exists()
    assert threading.active_count() == before
    backend.moment_blocking()
    assert Path(path).exists()


@pytest.mark.parametrize("codec", [MsgspecCodec(), PickleCodec(key=b"0123456789abcdef")])
def test_a_codec_is_kept_for_the_caches(make_backend: MakeBackend, codec: Any) -> None:
    backend = make_backend(codec=codec, compress_above=0)
    assert backend.codec is codec
    assert backend.compress_above == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": 7}, TypeError, "path=7 is no path: give a str or an os.PathLike, such as 'cache.db'"),
        ({"path": None}, TypeError, "path=None is no path"),
        ({"path": b"cache.db"}, TypeError, "path=b'cache.db' is no path"),
        ({"path": ""}, ValueError, "path='' names no file"),
        ({"path": "a\0b"}, ValueError, "names no file"),
        ({"max_bytes": 0}, ValueError, "max_bytes=0 is too small: give 1 or more"),
        ({"max_bytes": -1}, ValueError, "max_bytes=-1 is too small"),
        ({"max_bytes": "1 GB"}, TypeError, "max_bytes='1 GB' is no number of bytes: give an int, such as 104857600"),
        ({"max_bytes": True}, TypeError, "max_bytes=True is no number of bytes"),
        ({"max_bytes": 1e9}, TypeError, "max_bytes=1000000000.0 is no number of bytes"),
        ({"compress_above": -1}, ValueError, "compress_above=-1 is too small: give 0 or more"),
        ({"compress_above": None}, TypeError, "compress_above=None is no number of bytes"),
        ({"patience": -1}, ValueError, "patience=-1 is no time to wait: give a finite number of seconds, 0 or more"),
        ({"patience": float("nan")}, ValueError, "patience=nan is no time to wait"),
        ({"patience": "5"}, TypeError, "patience='5' is no number of seconds"),
        ({"clock": 5}, TypeError, "clock=5 is no clock: give a callable that returns the seconds since the epoch"),
        ({"codec": "pickle"}, TypeError, "codec='pickle' is no codec: .*PickleCodec\\(key=...\\)"),
        ({"codec": PickleCodec}, TypeError, "is no codec"),
        ({"codec": object()}, TypeError, "is no codec"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_at_once_and_says_what_to_give(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = options.pop("path", "cache.db")
    with pytest.raises(error, match=message):
        DiskBackend(path, **options)


def test_without_msgspec_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "msgspec" else find(name))
    with pytest.raises(ImportError, match=r"pip install 'async-cache\[disk\]'"):
        DiskBackend(path)
    DiskBackend(path, codec=PickleCodec(key=b"0123456789abcdef"))


@pytest.mark.usefixtures("patient")
def test_what_is_read_and_written_is_counted(backend: DiskBackend) -> None:
    moment = backend.moment_blocking()
    assert moment is not None
    backend.write(Record(A, b"v", grounds=(TAG,)), moment)
    backend.write(Record(B, b"v"), moment)
    backend.read_blocking([A, B, C])
    backend.invalidate([TAG])
    backend.write(Record(C, b"v", grounds=(TAG,)), moment)
    backend.flush_blocking()
    assert backend.metrics() == Metrics(reads=3, hits=2, unanswered=0, written=2, refused=1, dropped=0, warnings=0)


def test_the_usage_is_that_of_the_file(backend: DiskBackend) -> None:
    store(backend, Record(A, b"v"))
    usage = backend.usage_blocking()
    assert usage is not None
    assert usage[:3] == (1, OVERHEAD + 2, 0)
    assert asyncio.run(backend.usage()) == usage


def test_a_file_is_kept_below_its_bound_and_what_was_read_last_is_kept(make_backend: MakeBackend, path: str) -> None:
    backend = make_backend(max_bytes=2 * (OVERHEAD + 2))
    store(backend, Record(A, b"1"), Record(B, b"2"))
    assert backend.read_blocking([A]) == [Record(A, b"1")]
    assert store(backend, Record(C, b"3")) == 1
    assert keys_in(path) == [b"a", b"c"]


def test_what_is_much_too_much_is_evicted_in_slices(make_backend: MakeBackend, path: str) -> None:
    make_backend().flush_blocking()
    store(make_backend(), *(Record(A._replace(key=b"%d" % number), b"v") for number in range(600)))
    backend = make_backend(max_bytes=5 * (OVERHEAD + 4))
    backend.flush_blocking()
    assert len(keys_in(path)) == 5


async def test_changes_that_are_asked_for_together_are_made_once_each_and_together(backend: DiskBackend) -> None:
    await backend.moment()
    with held_up(backend):
        changes = [backend.invalidate([A]) for _ in range(100)]
        assert len(backend._thread._worker._asked) == 1
    await asyncio.gather(*(change for change in changes if change is not None))
    moment = await backend.moment()
    assert moment is not None
    assert moment.number == 100


async def test_a_read_after_a_change_finds_it_made_whenever_the_thread_has_looked(backend: DiskBackend) -> None:
    changes, make = backend._changes, backend._changes._look
    late: list[Seat] = []

    def look() -> list[Change]:
        found = make()
        if not late:  # it has looked, and is not done
            late.append(Seat())
            changes._ask(Record(B, b"late"), late[0], None)
        return found

    changes._look = look  # type: ignore[method-assign]  # to be in between
    await backend.assign(Record(A, b"v"))  # type: ignore[misc]  # there is a loop
    assert await backend.read([A, B]) == [Record(A, b"v"), Record(B, b"late")]
    assert late[0].take(LONG) is None
    assert not changes


def test_a_file_is_swept_of_the_marks_of_a_process_that_only_invalidates(
    backend: DiskBackend, clock: FakeClock
) -> None:
    for number in range(20):
        backend.invalidate([A._replace(key=b"%d %d" % (number, each)) for each in range(SLICE)], ["s"])
        clock.advance(_behind.REST)
    backend.flush_blocking()
    while backend._behind._tidying:
        backend.moment_blocking()
    usage = backend.usage_blocking()
    assert usage is not None
    assert usage.marks <= 4 * (SLICE + 1)


def test_a_child_does_not_make_the_changes_of_its_parent(backend: DiskBackend) -> None:
    backend.moment_blocking()
    parent, wake = backend._thread._worker.thread, backend._thread._worker._wake
    backend._changes._waiting.append(Change(Record(A, b"v"), Seat(), 0.0, None))
    _file_thread._before_fork()
    _file_thread._in_child()
    assert not backend._changes
    backend.invalidate([B])
    assert not isinstance(backend.read_blocking([A])[0], Record)
    assert backend.close(LONG)
    wake.put(None)  # here, where there was no fork, the thread of the parent is there to end
    assert parent is not None
    parent.join(LONG)
    assert not parent.is_alive()


async def test_reads_of_one_turn_travel_together(backend: DiskBackend) -> None:
    await backend.moment()
    hops: list[int] = []
    run = backend._thread._worker.file.run
    backend._thread._worker.file.run = lambda calls: hops.append(len(calls)) or run(calls)  # type: ignore[method-assign, func-returns-value]  # to count
    await asyncio.gather(*(backend.read([A]) for _ in range(50)))
    assert hops == [50]


async def test_an_invalidation_that_is_waited_for_raises_and_logs_nothing(
    backend: DiskBackend, caplog: pytest.LogCaptureFixture
) -> None:
    await backend.aclose()
    done = backend.invalidate([A])
    assert done is not None
    with pytest.raises(FileClosed):
        await done
    del done
    gc.collect()
    assert caplog.records == []


@pytest.mark.parametrize("how", ["exception", "gather", "callback"])
async def test_whoever_asks_for_the_error_in_any_way_has_heard_of_it(
    backend: DiskBackend, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    await backend.aclose()
    done = backend.assign(Record(A, b"v"))
    assert done is not None
    heard: list[object] = []
    if how == "exception":
        await asyncio.wait([done])
        heard.append(done.exception())
    elif how == "gather":
        heard += await asyncio.gather(done, return_exceptions=True)
    else:
        done.add_done_callback(lambda future: heard.append(future.exception()))
        await asyncio.wait([done])
        await asyncio.sleep(0)
    assert isinstance(heard[0], FileClosed)
    del done
    heard.clear()
    gc.collect()
    assert caplog.records == []


@pytest.mark.parametrize("cancelled", [False, True])
async def test_the_error_of_an_invalidation_that_nobody_waits_for_is_logged_once(
    backend: DiskBackend, path: str, caplog: pytest.LogCaptureFixture, cancelled: bool
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await backend.aclose()
    done = backend.invalidate([A])
    assert done is not None
    if cancelled:
        done.cancel()
    await asyncio.wait([done])
    await asyncio.sleep(0)
    del done
    gc.collect()
    assert complaints == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"{path}: an invalidation is not in the file, and others may read what it was to end"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], FileClosed)


def test_the_error_of_an_invalidation_whose_loop_is_gone_is_logged_once(
    make_backend: MakeBackend, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = make_backend()

    async def invalidate() -> None:
        backend.invalidate([A])

    with held_up(backend):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(invalidate())
        loop.close()
        assert not backend.close(timeout=0)
    gc.collect()
    assert backend.close(LONG)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path}: an invalidation is not in the file")


def test_a_blocking_invalidation_raises(backend: DiskBackend) -> None:
    assert backend.close()
    with pytest.raises(FileClosed):
        backend.invalidate([A])
    with pytest.raises(FileClosed):
        backend.assign(Record(A, b"v"))


@pytest.mark.usefixtures("hasty")
async def test_an_invalidation_waits_until_another_process_lets_go_of_the_file(
    make_backend: MakeBackend, path: str
) -> None:
    backend = make_backend(patience=LONG)
    await backend.moment()
    with held_by_another(path):
        first, second = backend.invalidate([A]), backend.assign(Record(A, b"v"))
        assert first is not None
        assert second is not None
        await backend.moment()  # which is asked for after the first attempt
        assert backend._changes.held_up
        third = backend.assign(Record(B, b"v"))
        assert not first.done()
    assert third is not None
    await asyncio.gather(first, second, third)
    assert not backend._changes.held_up
    assert await backend.read([A, B]) == [Record(A, b"v"), Record(B, b"v")]


@pytest.mark.usefixtures("hasty")
async def test_as_long_as_a_change_has_to_wait_nothing_is_read_that_it_may_end(
    make_backend: MakeBackend, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = make_backend(patience=LONG)
    await asyncio.to_thread(store, backend, Record(A, b"v", grounds=(TAG,)))
    with held_by_another(path):
        done = backend.invalidate([TAG])
        assert await backend.read([A]) == [None]
        await backend.moment()  # which is asked for after the first attempt
        assert backend._changes.held_up
        assert await backend.read([A]) == [None]
    assert done is not None
    await done
    assert await backend.read([A]) == [await backend.moment()]


@pytest.mark.usefixtures("hasty")
async def test_changes_that_had_to_wait_keep_their_order(make_backend: MakeBackend, path: str) -> None:
    backend = make_backend(patience=LONG)
    await backend.moment()
    with held_by_another(path):
        backend.assign(Record(A, b"1"))
        await backend.moment()  # which is asked for after the first attempt
        assert backend._changes.held_up
        backend.assign(Record(A, b"2"))
        backend.assign(Record(B, b"1"))
        last = backend.invalidate([B])
    assert last is not None
    await last
    assert await backend.read([A, B]) == [Record(A, b"2"), await backend.moment()]


@pytest.mark.usefixtures("hasty", "patient")
@pytest.mark.parametrize("patience", [0, 0.02])
async def test_an_invalidation_that_has_lost_patience_is_an_error_and_was_not_done(
    make_backend: MakeBackend, path: str, patience: float
) -> None:
    backend = make_backend(patience=patience)
    await asyncio.to_thread(store, backend, Record(A, b"v"))
    with held_by_another(path):
        done = backend.invalidate([A])
        assert done is not None
        with pytest.raises(FileBusy, match=f"since more than {patience:g} s"):
            await done
        with pytest.raises(CacheError):
            await asyncio.to_thread(backend.invalidate, [A])
    assert await backend.read([A]) == [Record(A, b"v")]


@pytest.mark.usefixtures("hasty")
def test_a_read_that_another_process_keeps_from_the_file_is_answered_and_warned_of_once(
    make_backend: MakeBackend, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    store(make_backend(), Record(A, b"v"))
    backend = make_backend()
    other = sqlite3.connect(f"{path}-guard", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")  # as who opens the file
    assert [backend.read_blocking([A]) for _ in range(3)] == [[None]] * 3
    assert backend.moment_blocking() is None
    other.execute("ROLLBACK")
    other.close()
    assert backend.read_blocking([A]) == [Record(A, b"v")]
    (message,) = caplog.messages
    assert message.startswith(f"{path} is being written by another process")
    assert message.endswith("The cache goes on without what it asked for.")
    assert backend.metrics()[:3] == (4, 1, 3)
    assert backend.metrics().warnings == 1


async def test_a_change_that_the_file_refuses_for_another_reason_is_the_error_of_whoever_made_it(
    backend: DiskBackend,
) -> None:
    done = backend.invalidate([A._replace(key="text")])  # type: ignore[arg-type]  # it is no bytes
    assert done is not None
    with pytest.raises(TypeError):
        await done
    await backend.invalidate([A])  # type: ignore[misc]  # there is a loop


async def test_a_mutation_that_is_refused_is_refused_alone(backend: DiskBackend) -> None:
    await asyncio.to_thread(store, backend, Record(A, b"v"), Record(B, b"v"))
    backend._thread._worker.file._owners.folder.touch()
    begun, done = backend.begin(Covering((A,), (), 1)), backend.invalidate([B])
    assert begun is not None
    assert done is not None
    with pytest.raises(FileBusy, match="let its user own that folder, or delete it"):
        await begun
    await done
    assert await backend.read([A, B]) == [Record(A, b"v"), await backend.moment()]


def test_closing_ends_in_time_whatever_the_file_is_doing(make_backend: MakeBackend, path: str) -> None:
    backend = make_backend()
    moment = backend.moment_blocking()
    assert moment is not None
    with held_up(backend):
        backend.write(Record(A, b"v"), moment)
        assert not backend.close(timeout=0.01)
        assert not asyncio.run(backend.aclose(timeout=0.01))
        backend.write(Record(B, b"v"), moment)
    assert backend.close(LONG)
    assert backend.metrics().dropped >= 1
    assert not backend._behind


async def test_it_is_closed_at_the_end_of_a_block(path: str) -> None:
    async with DiskBackend(path) as backend:
        backend.write(Record(A, b"v"), await backend.moment() or Moment(0, 0))
    assert keys_in(path) == [b"a"]
    assert await backend.moment() is None


def test_one_that_is_dropped_has_written_what_waited_and_leaves_no_thread(path: str) -> None:
    backend = DiskBackend(path)
    moment = backend.moment_blocking()
    assert moment is not None
    worker = backend._thread._worker.thread
    assert worker is not None
    backend.write(Record(A, b"v"), moment)
    dropped = weakref.ref(backend)
    del backend
    gc.collect()
    worker.join(LONG)
    assert not worker.is_alive()
    assert dropped() is None
    assert keys_in(path) == [b"a"]


def test_a_path_may_be_a_path(tmp_path: Path) -> None:
    backend = DiskBackend(tmp_path / "cache.db")
    assert backend.path == os.fspath(tmp_path / "cache.db")


def test_a_pause_between_attempts_is_shorter_than_anybody_waits() -> None:
    assert _changes.PAUSE < _disk.ATTEMPT

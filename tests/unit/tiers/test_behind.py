from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cache._tier import Address, Moment, Record
from cache.tiers import _behind
from cache.tiers._behind import BATCH, MOST, USES, Behind, Waiting
from cache.tiers._file_thread import FileThread
from cache.tiers._file_worker import Seat, Then
from cache.tiers._sqlite_entries import SLICE, Entries
from cache.tiers._sqlite_file import Call, SqliteFile
from cache.tiers._tally import Tally
from tests.unit.tiers.conftest import MakeFile
from tests.unit.tiers.files import A, B, rows

LONG = 60.0  # seconds after which a test that hangs fails
MOMENT = Moment(0, 0)


class Watched:
    """A file, and what its thread was asked to write; it can be made to wait."""

    def __init__(self, file: SqliteFile, thread: FileThread) -> None:
        self.path = file.path
        self.thread = thread
        self.tally = Tally(file.path)
        self.behind = Behind(thread, self.tally)
        self.batches: list[int] = []
        self.operations: list[Callable[..., Any]] = []
        self.wrote = threading.Semaphore(0)
        #: What happens while an operation is done for the first time.
        self.during: dict[Callable[..., Any], Callable[[], None]] = {}
        self.moment = thread.call(Entries.moment)
        run = file.run

        def watch(calls: Sequence[Call]) -> list[Any]:
            for operation, args, _ in calls:
                self.operations.append(operation)
                self.during.pop(operation, lambda: None)()
                if operation is _behind._write:
                    self.batches.append(len(args[0]))
            results = run(calls)
            for _ in range(sum(operation is _behind._write for operation, _, _ in calls)):
                self.wrote.release()
            return results

        file.run = watch  # type: ignore[method-assign]  # to watch

    def write(self, count: int, size: int = 1) -> None:
        for number in range(count):
            self.behind.write((Record(Address("s", b"%d" % number), bytes(size)), self.moment, False))

    def wait(self, batches: int = 1) -> None:
        for _ in range(batches):
            assert self.wrote.acquire(timeout=LONG)
        self.thread.call(Entries.moment)
        while self.behind._tidying or self.behind._under_way:
            self.thread.call(Entries.moment)

    def hold(self) -> threading.Event:
        begun, let_go = threading.Event(), threading.Event()

        def hold(entries: Entries) -> None:
            begun.set()
            assert let_go.wait(LONG)

        self.thread.post((hold, (), {}), Seat())
        assert begun.wait(LONG)
        return let_go

    @property
    def stored(self) -> int:
        ((count,),) = rows(self.path, "SELECT count(*) FROM entries")
        return int(count)


@pytest.fixture
def watched(file: SqliteFile, thread: FileThread) -> Watched:
    return Watched(file, thread)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_behind, "DELAY", 3_600.0)


@pytest.fixture
def pausing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_behind, "PAUSE", 3_600.0)


def test_what_waits_is_written_together_after_a_moment(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_behind, "DELAY", 0.2)
    watched.write(5)
    assert watched.behind
    watched.wait()
    assert watched.batches == [5]
    assert watched.stored == 5
    assert not watched.behind
    watched.write(1)
    watched.wait()
    assert watched.batches == [5, 1]


@pytest.mark.usefixtures("patient")
def test_a_batch_that_is_full_is_written_at_once(watched: Watched) -> None:
    watched.write(BATCH - 1)
    watched.thread.call(Entries.moment)
    assert watched.batches == []
    watched.write(1)
    watched.wait()
    assert watched.batches == [BATCH]


@pytest.mark.usefixtures("patient")
def test_while_a_batch_is_being_written_no_second_one_is_asked_for(watched: Watched) -> None:
    let_go = watched.hold()
    watched.write(3 * BATCH + 1)
    assert watched.behind._under_way == 1
    let_go.set()
    watched.wait(3)
    assert watched.batches == [BATCH] * 3
    assert watched.behind
    watched.behind.send()
    watched.wait()
    assert watched.stored == 3 * BATCH + 1


@pytest.mark.usefixtures("patient")
def test_of_what_a_slow_file_leaves_waiting_the_oldest_is_dropped(watched: Watched) -> None:
    let_go = watched.hold()
    watched.write(BATCH + MOST + 10)
    assert len(watched.behind._waiting) == MOST
    assert watched.tally.metrics().dropped == 10
    let_go.set()
    watched.behind.send()
    watched.wait(1 + MOST // BATCH)
    assert watched.tally.metrics().written == BATCH + MOST


@pytest.mark.usefixtures("patient")
def test_large_values_that_wait_are_bounded_by_their_bytes(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_behind, "MOST_BYTES", 1_000)
    watched.write(10, size=300)
    assert len(watched.behind._waiting) == 3
    watched.write(1, size=5_000)
    assert len(watched.behind._waiting) == 1
    watched.behind.send()
    watched.wait()
    assert watched.stored == 1
    assert watched.tally.metrics().dropped == 10


@pytest.mark.usefixtures("patient")
def test_only_a_read_of_what_waits_sends_it(watched: Watched) -> None:
    watched.write(3)
    watched.behind.let_pass([A, B])
    watched.thread.call(Entries.moment)
    assert watched.batches == []
    watched.behind.let_pass([A, Address("s", b"2")])
    watched.wait()
    assert watched.batches == [3]
    watched.behind.let_pass([Address("s", b"2")])
    watched.thread.call(Entries.moment)
    assert watched.batches == [3]


@pytest.mark.usefixtures("patient")
def test_after_a_batch_room_is_made_and_one_slice_is_swept_with_others_in_between(
    make_file: MakeFile, make_thread: Callable[[SqliteFile], FileThread]
) -> None:
    file = make_file(max_bytes=10_000)
    watched = Watched(file, make_thread(file))
    let_go = watched.hold()
    watched.write(BATCH * 3)
    watched.behind.send()
    let_go.set()
    watched.wait(3)
    tail = [operation for operation in watched.operations if operation is not Entries.moment]
    first = tail.index(Entries.evict)
    assert tail[first:].count(Entries.sweep) >= 1
    assert tail[-1] is Entries.sweep
    assert Entries.evict in tail[-3:-1]
    assert watched.thread.call(Entries.usage).size <= 10_000


@pytest.mark.usefixtures("patient")
def test_room_is_made_again_for_what_was_written_meanwhile(watched: Watched) -> None:
    watched.during[Entries.evict] = lambda: watched.write(BATCH)  # it travels with the sweep
    watched.write(BATCH)
    watched.wait(2)
    after = watched.operations[len(watched.operations) - watched.operations[::-1].index(_behind._write) :]
    assert Entries.evict in after


@pytest.mark.usefixtures("patient")
def test_what_was_used_is_written_along_with_the_next_batch(watched: Watched) -> None:
    watched.write(3)
    watched.behind.send()
    watched.wait()
    watched.behind.use([Address("s", b"0")])
    watched.behind.use([Address("s", b"2"), Address("s", b"0")])
    watched.behind.write((Record(A, b"v"), watched.moment, False))
    watched.behind.send()
    watched.wait()
    assert [key for (key,) in rows(watched.path, "SELECT key FROM entries ORDER BY used")] == [b"1", b"2", b"0", b"a"]


@pytest.mark.usefixtures("patient")
def test_a_process_that_only_reads_tells_now_and_then_what_it_has_used(watched: Watched) -> None:
    for number in range(USES):
        watched.behind.use([Address("s", b"%d" % number)])
    watched.wait()
    assert watched.batches == [0]
    assert watched.behind._waiting.take_used() == []


@pytest.mark.usefixtures("patient", "pausing")
def test_what_another_process_keeps_from_being_written_waits_in_front_of_the_rest(
    make_file: MakeFile, make_thread: Callable[[SqliteFile], FileThread]
) -> None:
    file = make_file(patience=0.001)
    watched = Watched(file, make_thread(file))
    other = sqlite3.connect(watched.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    watched.write(BATCH)
    watched.wait()
    watched.write(BATCH)
    watched.behind.let_pass([Address("s", b"0")])
    watched.thread.call(Entries.moment)
    assert watched.batches == [BATCH]  # and it is left alone for a while
    assert len(watched.behind._waiting) == 2 * BATCH
    other.execute("ROLLBACK")
    other.close()
    watched.behind._alarm()
    watched.wait(2)
    assert watched.batches == [BATCH] * 3
    assert watched.tally.metrics().written == 2 * BATCH
    assert watched.tally.metrics().dropped == watched.tally.metrics().warnings == 0


@pytest.mark.usefixtures("patient")
def test_what_the_file_refuses_for_a_defect_is_dropped_with_one_warning(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        watched.behind.write((Record(A, "text"), watched.moment, False))  # type: ignore[arg-type]  # it is no bytes
        watched.behind.send()
        watched.wait()
    assert watched.tally.metrics().dropped == 2
    (record,) = caplog.records
    assert record.getMessage() == f"{watched.path}: what was asked of the file has failed."
    assert record.exc_info is not None


@pytest.mark.usefixtures("patient")
def test_a_process_that_only_invalidates_sweeps_for_every_slice_of_marks(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_behind, "REST", 0.0)
    for number in range(10):
        watched.thread.call(Entries.invalidate, [Address("s", b"%d %d" % (number, each)) for each in range(100)])
        watched.thread.post((Entries.moment, (), {}), Then(lambda _: watched.behind.changed(100)))
        watched.wait(0)
    assert watched.operations.count(Entries.sweep) == 1_000 // SLICE
    assert watched.thread.call(Entries.usage).marks < 3 * SLICE + 100
    watched.thread.post((Entries.moment, (), {}), Then(lambda _: watched.behind.changed(4 * SLICE)))
    watched.wait(0)
    assert watched.operations.count(Entries.sweep) == 1_000 // SLICE + 4


@pytest.mark.usefixtures("patient")
def test_of_a_thread_that_was_closed_everything_is_dropped(watched: Watched) -> None:
    watched.write(2)
    assert watched.thread.close()
    watched.write(3)
    assert not watched.behind
    assert watched.tally.metrics().dropped == 5


def test_what_waits_knows_its_addresses_and_its_size() -> None:
    waiting = Waiting()
    first, second = (Record(A, b"12"), MOMENT, False), (Record(A, b"3"), MOMENT, False)
    waiting.add(first)
    waiting.add(second)
    assert waiting.take() == [first, second]
    assert not waiting.holds_any([A])
    waiting.add(second)
    waiting.put_back([first])
    assert waiting.holds_any([B, A])
    assert waiting.take() == [first, second]
    assert waiting._size == 0
    assert not waiting.holds_any([A])


def test_then_gives_what_it_was_given() -> None:
    given: list[object] = []
    Then(given.append).give(7)
    assert given == [7]

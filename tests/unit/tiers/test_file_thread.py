from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, cast

import pytest

from cache._step import step
from cache._tier import Address, Record
from cache.tiers import _file_thread
from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._file_thread import FileThread
from cache.tiers._file_worker import Asked, Seat, Then, Worker
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Failed, SqliteFile
from tests.spec.steering import Elsewhere
from tests.unit.tiers.conftest import MakeFile
from tests.unit.tiers.files import A, B, Recording, do

LONG = 60.0  # seconds after which a test that hangs fails


class Hold:
    """An operation that is under way until it is let go."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._let_go = threading.Event()

    def __call__(self, entries: Entries) -> str:
        self._begun.set()
        assert self._let_go.wait(LONG)
        return "held"

    def wait(self) -> None:
        assert self._begun.wait(LONG)

    def let_go(self) -> None:
        self._let_go.set()


def fail(entries: Entries) -> None:
    raise LookupError("no such thing")


def where(entries: Entries) -> threading.Thread:
    return threading.current_thread()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    loop = Elsewhere()
    yield loop
    loop.stop()


async def test_the_operations_of_one_turn_travel_in_one_hop_and_in_order(thread: FileThread, file: Recording) -> None:
    missing = thread.submit(Entries.read, [A])
    written = thread.submit(Entries.assign, Record(A, b"1"))
    found = thread.submit(Entries.read, [A])
    assert file.hops == []
    assert await found == [Record(A, b"1")]
    assert missing.done()
    assert written.result() is True
    assert file.hops == [[Entries.read, Entries.assign, Entries.read]]
    await thread.submit(Entries.usage)
    assert file.hops[1:] == [[Entries.usage]]


async def test_nothing_travels_before_the_end_of_the_turn_and_then_once(thread: FileThread) -> None:
    hold, wake = Hold(), thread._worker._wake
    held = thread.submit(hold)
    await asyncio.sleep(0)
    hold.wait()
    waiting = [thread.submit(Entries.usage) for _ in range(3)]
    assert wake.empty()
    await asyncio.sleep(0)
    assert wake.qsize() == 1
    hold.let_go()
    await asyncio.gather(held, *waiting)


async def test_all_results_of_a_hop_come_back_in_one_turn(thread: FileThread) -> None:
    calls = []
    loop = asyncio.get_running_loop()
    there = loop.call_soon_threadsafe
    loop.call_soon_threadsafe = lambda *args, **kwargs: calls.append(args) or there(*args, **kwargs)  # type: ignore[method-assign, func-returns-value]  # to count
    await asyncio.gather(*(thread.submit(Entries.read, [A]) for _ in range(100)))
    assert len(calls) == 1


async def test_operations_of_several_tasks_of_a_turn_travel_together(thread: FileThread, file: Recording) -> None:
    async def task() -> None:
        await thread.submit(Entries.read, [A])

    await asyncio.gather(*(task() for _ in range(10)))
    assert [len(hop) for hop in file.hops] == [10]


async def test_there_is_one_thread_whoever_asks_and_it_begins_when_it_is_needed(
    make_thread: Callable[[SqliteFile], FileThread], file: SqliteFile
) -> None:
    before = threading.active_count()
    thread = make_thread(file)
    assert threading.active_count() == before
    seen = {await thread.submit(where), await thread.submit(where), await asyncio.to_thread(thread.call, where)}
    (worker,) = seen
    assert worker is not threading.current_thread()
    assert worker.daemon
    assert worker.name == f"cache {file.path}"


def test_a_thread_without_a_loop_waits_for_its_result(thread: FileThread) -> None:
    assert thread.call(Entries.assign, Record(A, b"1"))
    assert thread.call(Entries.read, [A]) == [Record(A, b"1")]
    with pytest.raises(LookupError, match="no such thing"):
        thread.call(fail)


def test_many_threads_are_served_at_once(thread: FileThread) -> None:
    def work(number: int) -> bool:
        return thread.call(Entries.assign, Record(A._replace(key=b"%d" % number), b"v"))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(200))) == [True] * 200
    assert thread.call(Entries.usage).entries == 200


async def test_an_error_reaches_whoever_asked_and_nobody_else(thread: FileThread) -> None:
    first, failing, last = thread.submit(Entries.read, [A]), thread.submit(fail), thread.submit(Entries.read, [A])
    with pytest.raises(LookupError, match="no such thing"):
        await failing
    assert await first == await last


async def test_even_what_is_no_error_of_an_operation_reaches_those_who_wait(thread: FileThread) -> None:
    def interrupt(entries: Entries) -> None:
        raise KeyboardInterrupt

    first, second = thread.submit(interrupt), thread.submit(Entries.moment)
    for future in (first, second):
        with pytest.raises(KeyboardInterrupt):
            await future
    assert (await thread.submit(Entries.usage)).entries == 0


async def test_several_loops_get_their_own_results(thread: FileThread, elsewhere: Elsewhere) -> None:
    async def there(address: Address) -> object:
        await thread.submit(Entries.assign, Record(B, b"there"))
        return await thread.submit(Entries.read, [address])

    await thread.submit(Entries.assign, Record(A, b"here"))
    assert await elsewhere.do(there(A)) == [Record(A, b"here")]
    assert await thread.submit(Entries.read, [B]) == [Record(B, b"there")]


def test_one_loop_after_the_other_is_served(thread: FileThread) -> None:
    async def ask() -> int:
        return (await thread.submit(Entries.usage)).entries

    assert [asyncio.run(ask()) for _ in range(3)] == [0, 0, 0]


def test_what_a_loop_that_was_closed_had_asked_for_is_done_with_the_next(thread: FileThread) -> None:
    async def ask() -> None:
        thread.submit(Entries.assign, Record(A, b"1"))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())  # ends before its turn has
    loop.close()
    assert thread.call(Entries.read, [A]) == [Record(A, b"1")]
    assert thread._worker._turns == set()


def test_the_error_of_which_nobody_hears_is_logged(thread: FileThread, caplog: pytest.LogCaptureFixture) -> None:
    hold = Hold()

    async def ask() -> None:
        thread.submit(hold)
        thread.submit(fail)
        await asyncio.sleep(0)
        hold.wait()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())
    loop.close()
    hold.let_go()
    thread.call(Entries.usage)
    (record,) = caplog.records
    assert record.getMessage() == "An operation on a file has failed, and nobody waits for it any more"
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


async def test_a_cancelled_caller_takes_nothing_back(thread: FileThread, caplog: pytest.LogCaptureFixture) -> None:
    writing, failing = thread.submit(Entries.assign, Record(A, b"1")), thread.submit(fail)
    writing.cancel()
    failing.cancel()
    assert await thread.submit(Entries.read, [A]) == [Record(A, b"1")]
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [LookupError]


async def test_what_was_asked_for_in_different_turns_keeps_its_order(thread: FileThread, file: Recording) -> None:
    hold = Hold()
    held = thread.submit(hold)
    await asyncio.sleep(0)
    hold.wait()
    thread.submit(Entries.assign, Record(A, b"1"))
    await asyncio.sleep(0)
    thread.submit(Entries.invalidate, [A])
    await asyncio.sleep(0)
    last = thread.submit(Entries.read, [A])
    await asyncio.sleep(0)
    hold.let_go()
    assert await held == "held"
    assert not isinstance((await last)[0], Record)
    asked = [operation for hop in file.hops for operation in hop]
    assert asked == [hold, Entries.assign, Entries.invalidate, Entries.read]


async def test_closing_does_what_was_asked_for_and_may_be_repeated(
    make_thread: Callable[[SqliteFile], FileThread], file: SqliteFile, make_file: MakeFile
) -> None:
    thread = make_thread(file)
    assert thread.closed is None
    written = thread.submit(Entries.assign, Record(A, b"1"))
    assert await thread.aclose()
    assert written.result() is True
    assert thread.closed == file.closed == "it was closed by its user"
    assert await thread.aclose()
    assert thread.close()
    with pytest.raises(FileClosed):
        thread.submit(Entries.usage)
    with pytest.raises(FileClosed):
        thread.call(Entries.usage)
    assert do(make_file(), Entries.read, [A]) == [Record(A, b"1")]


def test_closing_without_a_loop_does_what_was_asked_for(thread: FileThread, file: SqliteFile) -> None:
    thread.call(Entries.usage)
    assert thread.close()
    assert file.closed is not None
    worker = thread._worker.thread
    assert worker is not None
    worker.join(LONG)
    assert not worker.is_alive()


def test_a_thread_that_was_never_needed_closes_without_one(thread: FileThread, file: SqliteFile) -> None:
    assert thread.close()
    assert asyncio.run(thread.aclose())
    assert file.closed is not None
    assert thread._worker.thread is None


async def test_closing_ends_in_time_and_answers_what_has_not_begun(
    make_thread: Callable[[SqliteFile], FileThread], file: SqliteFile
) -> None:
    thread, hold = make_thread(file), Hold()
    held = thread.submit(hold)
    await asyncio.sleep(0)
    hold.wait()
    waiting = thread.submit(Entries.usage)
    assert not await thread.aclose(timeout=0)
    with pytest.raises(FileClosed, match="before it got to that"):
        await waiting
    assert not thread.close(timeout=0)
    hold.let_go()
    assert await held == "held"
    assert await thread.aclose(LONG)
    assert file.closed is not None


async def test_two_may_wait_for_the_end(make_thread: Callable[[SqliteFile], FileThread], file: SqliteFile) -> None:
    thread, hold = make_thread(file), Hold()
    held = thread.submit(hold)
    await asyncio.sleep(0)
    hold.wait()
    ends = [asyncio.ensure_future(thread.aclose(LONG)), asyncio.ensure_future(thread.aclose(LONG))]
    await asyncio.sleep(0)
    hold.let_go()
    assert await asyncio.gather(held, *ends) == ["held", True, True]


def test_an_end_that_is_asked_for_as_the_thread_ends_is_answered(thread: FileThread, file: Recording) -> None:
    worker = thread._worker
    answered: list[Seat] = []
    answer = worker._answer

    def late(asked: list[object], results: list[object]) -> None:
        if worker.ended and not answered:
            seat = Seat()
            answered.append(seat)
            worker._asked.append(Asked(None, seat))
        answer(asked, results)  # type: ignore[arg-type]  # what it was given

    worker._answer = late  # type: ignore[assignment, method-assign]  # to be in between
    thread.call(Entries.usage)
    assert thread.close()
    assert answered[0].take(LONG) is None


def test_what_is_posted_is_done_in_order_with_the_rest_and_given_in_the_thread_of_the_file(thread: FileThread) -> None:
    given: list[object] = []
    assert thread.post((where, (), {}), Then(lambda worker: given.append(worker is threading.current_thread())))
    assert thread.post((fail, (), {}), Then(given.append))
    thread.call(Entries.usage)
    there, failed = given
    assert there is True
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, LookupError)
    assert thread.close()
    assert not thread.post((where, (), {}), Then(given.append))


def test_an_alarm_goes_off_once_and_at_the_earliest_of_its_times(thread: FileThread) -> None:
    rung: SimpleQueue[threading.Thread] = SimpleQueue()

    def ring() -> None:
        rung.put(threading.current_thread())

    assert thread.set_alarm(0.0, ring)
    assert thread.set_alarm(LONG, lambda: rung.put(None))  # type: ignore[arg-type]  # it must not ring
    assert rung.get(timeout=LONG) is thread.call(where)
    for delays in ((0.0, LONG), (LONG, 0.0)):
        for delay in delays:
            assert thread.set_alarm(delay, ring)
        assert rung.get(timeout=LONG) is thread._worker.thread
    assert thread.close()
    assert not thread.set_alarm(0.0, ring)
    assert rung.empty()


def test_an_alarm_goes_off_however_much_else_there_is_to_do(thread: FileThread) -> None:
    rung = threading.Event()
    thread.set_alarm(0.0, rung.set)
    for _ in range(100):  # each of them finds the thread awake already
        thread.post((where, (), {}), Seat())
    thread.call(where)
    assert rung.is_set()


def test_a_child_forgets_the_alarms_of_its_parent_and_what_else_it_is_told_to(thread: FileThread) -> None:
    class Other:
        forgotten = 0

        def forget(self) -> None:
            self.forgotten += 1

    one, other = Other(), Other()
    thread.when_forked(one.forget)
    thread.when_forked(other.forget)
    del other
    thread.set_alarm(LONG, one.forget)
    parent, wake = cast("threading.Thread", thread._worker.thread), thread._worker._wake
    _file_thread._before_fork()
    _file_thread._in_child()
    assert one.forgotten == 1
    assert thread._worker._alarms == {}
    thread._worker.ended = True
    wake.put(None)  # here, where there was no fork, the thread of the parent is there to end
    parent.join(LONG)
    assert not parent.is_alive()


def test_a_thread_that_is_dropped_ends_and_closes_its_file(make_file: MakeFile) -> None:
    file = make_file()
    thread = FileThread(file)
    worker = thread.call(where)
    dropped = weakref.ref(thread)
    del thread
    gc.collect()
    assert dropped() is None
    worker.join(LONG)
    assert not worker.is_alive()
    assert file.closed is not None


def test_one_that_is_dropped_unused_leaves_nothing(make_file: MakeFile) -> None:
    thread = FileThread(make_file())
    worker = weakref.ref(thread._worker)
    del thread
    gc.collect()
    assert worker() is None


def test_a_thread_that_cannot_begin_is_the_error_of_whoever_asked(
    thread: FileThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(FileBusy, match="can't start new thread"):
            thread.call(Entries.usage)
        assert not thread.begin()
        assert not thread.set_alarm(0.0, thread.begin)
    assert thread.call(Entries.usage).entries == 0


@pytest.mark.parametrize("used", [False, True])
def test_a_file_is_not_closed_under_the_lock(
    thread: FileThread, file: SqliteFile, monkeypatch: pytest.MonkeyPatch, used: bool
) -> None:
    held: list[bool] = []
    close = file.close
    monkeypatch.setattr(file, "close", lambda: held.append(step.is_mine()) or close())  # type: ignore[func-returns-value]  # two in one
    if used:
        thread.call(Entries.usage)
    assert thread.close(LONG)
    assert thread.close(LONG)
    assert held
    assert not any(held)


def test_a_thread_that_is_closed_as_it_is_made_does_not_begin(
    thread: FileThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(threading.Thread):
        """As it is made, another thread closes it."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            assert thread.close(LONG)

    monkeypatch.setattr(threading, "Thread", Closed)
    assert not thread.begin()
    assert not thread.post((where, (), {}), Seat())


def test_nor_does_anybody_wait_who_has_asked_while_it_was_to_begin(
    thread: FileThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def refuse(self: threading.Thread) -> None:
        assert thread.post((where, (), {}), Then(given.append))  # as another thread
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert not thread.begin()
    (failed,) = given
    assert isinstance(failed.error, FileBusy)


async def test_a_file_that_was_given_up_says_so(
    thread: FileThread, file: SqliteFile, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkdir(path)  # noqa: PTH102 - a string, as everywhere here
    with pytest.raises(FileClosed, match="it is no regular file"):
        await thread.submit(Entries.usage)
    assert thread.closed == "it is no regular file"


def test_before_a_fork_the_connection_is_closed_and_afterwards_opened_again(
    thread: FileThread, file: SqliteFile
) -> None:
    thread.call(Entries.assign, Record(A, b"1"))
    _file_thread._before_fork()
    try:
        assert file._opened is None
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(thread.call, Entries.read, [A])
            _file_thread._in_parent()
            assert reading.result(LONG) == [Record(A, b"1")]
    finally:
        assert not _file_thread._forking.locked()


def test_in_a_child_there_is_another_thread(thread: FileThread) -> None:
    thread.call(Entries.assign, Record(A, b"1"))
    worker = thread._worker
    parent, wake = cast("threading.Thread", worker.thread), worker._wake
    _file_thread._before_fork()
    _file_thread._in_child()
    assert thread.call(Entries.read, [A]) == [Record(A, b"1")]
    assert worker.thread is not parent
    assert thread.close(LONG)
    wake.put(None)  # here, where there was no fork, the thread of the parent is there to end
    parent.join(LONG)
    assert not parent.is_alive()


def test_a_child_does_not_touch_a_connection_that_its_parent_is_using(
    make_thread: Callable[[SqliteFile], FileThread],
    file: SqliteFile,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_file_thread, "FORK_PATIENCE", 0)
    thread, hold = make_thread(file), Hold()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(thread.call, hold)
        hold.wait()
        opened = file._opened
        _file_thread._before_fork()
        child = FileThread.__new__(FileThread)
        child._worker = Worker(file)
        assert thread._worker not in _file_thread._held
        _file_thread._in_parent()
        hold.let_go()
        assert held.result(LONG) == "held"
    assert opened is not None
    references = sys.getrefcount(opened)
    _file_thread._leave_alone(file)
    assert sys.getrefcount(opened) == references  # the end of the interpreter will not close it either
    assert file._opened is None
    with pytest.raises(FileClosed, match="forked in the middle of a long operation"):
        do(file, Entries.usage)
    assert opened.connection.execute("SELECT 1").fetchone() == (1,)
    opened.connection.close()
    assert "The cache goes on without it here." in caplog.messages[-1]


def test_it_does_not_keep_the_interpreter_alive(path: str) -> None:
    code = f"""
import threading
from cache.tiers._file_thread import FileThread
from cache._tier import Address, Record
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
thread = FileThread(SqliteFile({path!r}))
print(thread.call(Entries.assign, Record(Address("s", b"k"), b"v")))
begun = threading.Event()
threading.Thread(target=lambda: thread.call(lambda _: begun.set() or threading.Event().wait()), daemon=True).start()
begun.wait()
"""
    done = subprocess.run(  # noqa: S603 - the program is written here
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=LONG, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")

"""A finalizer may run in the middle of anything, on the same thread, and ask for a change of a file."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cache import AsyncCache
from cache._step import step
from cache._tier import Address, Record
from cache.tiers import _file_worker
from cache.tiers._disk import DiskBackend
from cache.tiers._file_worker import Seat
from tests.unit.tiers.files import A, B, rows

LONG = 60.0  # seconds after which what waits for itself has failed


class Collecting:
    """The step; the first who takes its lock runs the garbage collector, and that a finalizer."""

    def __init__(self, finalizer: Callable[[], object]) -> None:
        self.lock = self
        self.is_mine = step.is_mine
        self.finalizers = [finalizer]

    def __enter__(self) -> None:
        step.lock.acquire()
        if self.finalizers:
            self.finalizers.pop()()

    def __exit__(self, *_: object) -> None:
        step.lock.release()


def collect_under_the_lock(monkeypatch: pytest.MonkeyPatch, room: str, finalizer: Callable[[], object]) -> Collecting:
    lock = Collecting(finalizer)
    monkeypatch.setattr(f"cache.tiers.{room}.step", lock)
    return lock


def in_time(do: Callable[[], Any]) -> Any:
    """What it returns, in a thread that nobody waits for if it waits for itself."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(do()), daemon=True)
    thread.start()
    thread.join(LONG)
    assert results, "it waits for itself"
    return results[0]


def store(backend: DiskBackend) -> None:
    for address in (A, B):
        moment = backend.moment_blocking()
        assert moment is not None
        backend.write(Record(address, b"v"), moment)
    assert backend.flush_blocking() == 2


def held(backend: DiskBackend, *addresses: Address) -> list[bool]:
    return [isinstance(each, Record) for each in backend.read_blocking(addresses)]


@pytest.mark.parametrize("room", ["_changes", "_file_worker"])
def test_a_finalizer_under_the_lock_of_a_thread_without_a_loop_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    backend = DiskBackend(tmp_path / "cache.db")
    store(backend)
    lock = collect_under_the_lock(monkeypatch, room, lambda: backend.invalidate([B]))
    assert in_time(lambda: backend.invalidate([A])) is None
    assert not lock.finalizers
    assert held(backend, A, B) == [False, False]
    assert backend.close()


@pytest.mark.parametrize("room", ["_changes", "_file_worker"])
def test_a_finalizer_under_the_lock_of_an_event_loop_is_told_like_everybody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    backend = DiskBackend(tmp_path / "cache.db")
    store(backend)
    asked: list[Any] = []

    async def change() -> None:
        lock = collect_under_the_lock(monkeypatch, room, lambda: asked.append(backend.invalidate([B])))
        told = backend.invalidate([A])
        assert told is not None
        assert not lock.finalizers
        await asyncio.gather(told, *asked)

    in_time(lambda: asyncio.run(change()))
    assert held(backend, A, B) == [False, False]
    assert backend.close()


def test_a_finalizer_waits_for_the_thread_of_no_other_file_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = DiskBackend(tmp_path / "one.db"), DiskBackend(tmp_path / "other.db")
    store(other)
    collect_under_the_lock(monkeypatch, "_changes", lambda: other.invalidate([A]))
    assert in_time(lambda: one.invalidate([A])) is None
    assert held(other, A) == [False]
    assert one.close()
    assert other.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_is_forked_while_another_thread_holds_the_lock_finds_it_free() -> None:
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with step.lock:
            is_held.set()
            may_go.wait(LONG)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(LONG)
    threading.Timer(0.05, may_go.set).start()  # as the fork waits for it, which makes it none if it does not
    child = os.fork()
    if not child:
        os._exit(0 if step.lock.acquire(blocking=False) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not step.is_mine()
    thread.join(LONG)


def test_a_finalizer_in_the_thread_of_a_file_that_is_just_beginning_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = DiskBackend(tmp_path / "cache.db")
    began: list[object] = []

    class Beginning(threading.Event):
        """As the thread says that it has begun, before it is known as the current one."""

        def set(self) -> None:
            if not began:
                began.append(threading.get_ident())
                backend.invalidate([A])
            super().set()

    class Thread(threading.Thread):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._started = Beginning()

    monkeypatch.setattr(_file_worker, "threading", SimpleNamespace(Thread=Thread))
    assert in_time(lambda: backend.invalidate([B])) is None
    worker = backend._thread._worker
    assert worker.thread is not None
    assert began == [worker.thread.ident]
    assert backend.close()


def test_a_finalizer_under_the_lock_has_told_the_tier_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = DiskBackend(tmp_path / "cache.db")
    cached = AsyncCache(name="texts", backup=backend)
    assert cached.get_blocking("a", lambda: "text") == "text"
    backend.flush_blocking()
    collect_under_the_lock(monkeypatch, "_changes", lambda: cached.delete("a"))
    assert in_time(lambda: backend.invalidate([A])) is None
    assert rows(str(tmp_path / "cache.db"), "SELECT key FROM entries") == []
    assert backend.close()


def test_a_finalizer_in_a_step_has_nobody_wait_for_the_file(tmp_path: Path) -> None:
    backend, path = DiskBackend(tmp_path / "cache.db"), str(tmp_path / "cache.db")
    cached = AsyncCache(name="texts", backup=backend)
    assert cached.get_blocking("a", lambda: "text") == "text"
    backend.flush_blocking()
    begun, may_go = threading.Event(), threading.Event()
    backend._thread.post((lambda _: begun.set() or may_go.wait(LONG), (), {}), Seat())  # type: ignore[func-returns-value]  # two in one
    assert begun.wait(LONG)

    def change() -> bool:
        with step:
            cached.delete("a")
        return True

    assert in_time(change)
    may_go.set()
    backend.moment_blocking()  # which is asked for after the change
    assert rows(path, "SELECT key FROM entries") == []
    assert not cached._store.windows
    assert backend.close()


def test_what_is_read_before_the_tier_hears_of_a_finalizer_is_not_kept(tmp_path: Path) -> None:
    backend = DiskBackend(tmp_path / "cache.db")
    cached = AsyncCache(name="texts", backup=backend)
    cached.get_blocking("a", lambda: "old")
    backend.flush_blocking()
    read: list[str] = []

    class Reading:
        """Another thread, which is quicker."""

        def launch(self) -> None:
            read.append(cached.get_blocking("a", lambda: "loaded"))

    with step:
        step.launches.append(Reading())
        cached.delete("a")
    assert read == ["old"]
    assert cached.get_blocking("a", lambda: "new") == "new"
    assert backend.close()


def test_the_thread_of_a_file_that_is_needed_in_a_step_starts_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, plain = DiskBackend(tmp_path / "cache.db"), AsyncCache()
    cached = AsyncCache(name="texts", backup=backend)

    class Beginning(threading.Event):
        """As the thread says that it has begun a finalizer runs in it, which needs the step."""

        def set(self) -> None:
            plain.delete("a")
            super().set()

    class Thread(threading.Thread):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._started = Beginning()

    monkeypatch.setattr(_file_worker, "threading", SimpleNamespace(Thread=Thread))

    def change() -> bool:
        with step:
            cached.delete("a")
        return True

    assert in_time(change)
    assert backend.close()


def test_what_a_finalizer_in_a_step_asks_for_in_vain_is_logged_when_that_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backend = DiskBackend(tmp_path / "cache.db")
    assert backend.close()
    with step:
        backend.invalidate([A])
        assert caplog.messages == []
    assert "an invalidation is not in the file" in caplog.text


def test_two_finalizers_one_in_a_step_and_one_under_the_lock_do_not_wait_for_each_other(tmp_path: Path) -> None:
    backend, plain = DiskBackend(tmp_path / "cache.db"), AsyncCache()
    backend.moment_blocking()
    in_step, in_lock = threading.Event(), threading.Event()

    class Collecting(deque[Any]):
        """To append is to run the garbage collector, and that a finalizer."""

        def append(self, item: Any) -> None:
            if threading.current_thread() is asking:
                in_lock.set()
                plain.delete("a")
            super().append(item)

    def change() -> None:
        with step:
            in_step.set()
            in_lock.wait(0.1)  # which makes it no deadlock if it is not there by then
            backend.invalidate([A])

    asking = threading.Thread(target=backend.moment_blocking, daemon=True)
    changing = threading.Thread(target=change, daemon=True)
    backend._thread._worker._asked = Collecting()
    changing.start()
    assert in_step.wait(LONG)
    asking.start()
    for thread in (asking, changing):
        thread.join(LONG)
        assert not thread.is_alive(), "they wait for each other"
    assert backend.close()


def test_a_thread_begins_once_although_a_finalizer_needs_it_as_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = DiskBackend(tmp_path / "cache.db")
    made: list[threading.Thread] = []
    begun: list[threading.Thread] = []

    class Collected(threading.Thread):
        """As it is made the garbage collector runs, and that a finalizer."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)
            if len(made) == 1:
                backend._thread.begin()

        def start(self) -> None:
            begun.append(self)
            super().start()

    monkeypatch.setattr(threading, "Thread", Collected)
    backend._thread.begin()
    monkeypatch.undo()
    assert len(made) == 2
    assert begun == [backend._thread._worker.thread]
    assert backend.close()

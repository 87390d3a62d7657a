"""How the thread of a backend begins, and what is asked for when it cannot, or when the interpreter ends."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cache import BusError, RedisBackend
from cache._tier import Address, Moment, Record

pytest.importorskip("redis")

A = Address("users", b"a")

#: Where nobody listens.
NOWHERE = "redis://localhost:1"


@pytest.fixture
def backend() -> Iterator[RedisBackend]:
    backend = RedisBackend(NOWHERE)
    yield backend
    assert backend.close()


def test_a_thread_that_cannot_be_started_is_an_error_each_time_and_is_tried_again(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="new thread"):
                backend.read_blocking([A])
    assert backend.read_blocking([A]) == [None]


def test_a_finalizer_may_invalidate_while_the_thread_begins(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Dropped:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            backend.invalidate([A])

    start = threading.Thread.start

    def collect_and_start(thread: threading.Thread) -> None:
        gc.collect()
        start(thread)

    Dropped()
    monkeypatch.setattr(threading.Thread, "start", collect_and_start)
    assert backend.read_blocking([A]) == [None]
    assert backend.flush_blocking() == 0
    assert "an invalidation may not be known to other processes" in caplog.text


def test_a_finalizer_that_the_end_of_the_interpreter_runs_is_refused_and_does_not_wait() -> None:
    program = f"""
import sys
from cache import BusError, RedisBackend
from cache._tier import Address

class Late:
    def __init__(self):
        self.backend = RedisBackend({NOWHERE!r})
        self.backend.read_blocking([Address("users", b"a")])

    def __del__(self, sys=sys, BusError=BusError, Address=Address, print=print):
        try:
            self.backend.invalidate([Address("users", b"a")])
        except BusError as error:
            print(sys.is_finalizing(), error, flush=True)

late = Late()
"""
    ended = subprocess.run(  # noqa: S603 - as written above
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.startswith("True other processes were not told of a change: the thread that talks to redis")
    assert "stopped with the interpreter" in ended.stdout


async def test_a_thread_that_has_failed_is_not_said_to_be_closed_by_its_user(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await backend.read([A])
    work: Any = backend._engine.work()

    def fail(_: object) -> None:
        raise ZeroDivisionError("by the test")

    monkeypatch.setattr(work, "take", fail)
    told: Any = backend.invalidate([A])
    for _ in range(2):
        with pytest.raises(BusError, match=r"has failed, as the log says.*Make another backend"):
            await asyncio.wait_for(told, 60)
        told = backend.invalidate([A])
    with pytest.raises(BusError, match="has failed"):
        await told
    assert "by the test" in caplog.text


def test_a_loop_that_was_closed_before_the_end_of_its_turn_is_forgotten(backend: RedisBackend) -> None:
    async def ask_and_stop(loop: asyncio.AbstractEventLoop) -> None:
        loop.stop()
        backend.write(Record(A, b"1"), Moment(1, 1))

    loops = [asyncio.SelectorEventLoop() for _ in range(3)]
    for loop in loops:
        loop.call_soon(loop.stop)
        task = loop.create_task(ask_and_stop(loop))
        loop.run_forever()
        assert task.done()
        loop.close()
    assert backend._engine._turns == {loops[-1]}

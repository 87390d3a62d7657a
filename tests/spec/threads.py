"""Threads that a test starts, holds up and lets go on, without ever waiting for a length of time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from queue import SimpleQueue
from typing import Any

import pytest

from cache import _blocking
from cache._entry import Failure

#: After so many seconds a thread hangs, and the test has failed.
HANGS = 30.0


def arrives(signal: threading.Event | threading.Semaphore) -> None:
    """Wait for something that another thread is certain to do."""
    arrived = signal.wait(HANGS) if isinstance(signal, threading.Event) else signal.acquire(timeout=HANGS)
    assert arrived, "a thread hangs"


class Call:
    """A call in a thread of its own."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], context: Context) -> None:
        self._outcome: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=context.run, args=(self._run, function, args), daemon=True)
        self.thread.start()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self._outcome = function(*args)
        except BaseException as error:  # noqa: BLE001 - it is the outcome, whatever it is
            self.error = error

    def end(self) -> None:
        """Wait until it has ended."""
        self.thread.join(HANGS)
        assert not self.thread.is_alive(), "a thread hangs"

    def result(self) -> Any:
        self.end()
        if self.error is not None:
            raise self.error
        return self._outcome

    def failure(self) -> BaseException:
        """The error with which it has ended."""
        self.end()
        assert self.error is not None, self._outcome
        return self.error


class Crowd:
    """The threads of a test; ``seated`` are those that have waited for the load of another, in the order they came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        crowd = self

        class Watched(_blocking.Seat):
            __slots__ = ()

            def result(self) -> Any:
                if self._given.empty():
                    crowd.seated.append(self)
                    crowd._sat_down.release()
                return super().result()

        monkeypatch.setattr(_blocking, "Seat", Watched)
        self.calls: list[Call] = []
        self.seated: list[_blocking.Seat] = []
        self._sat_down = threading.Semaphore(0)

    def start(self, function: Callable[..., Any], *args: Any, context: Context | None = None) -> Call:
        """Begin a call in a new thread, by default in an empty context, as threads do."""
        self.calls.append(Call(function, args, context or Context()))
        return self.calls[-1]

    def seat(self, function: Callable[..., Any], *args: Any) -> Call:
        """As `start`, and wait until it waits for the load of another."""
        call = self.start(function, *args)
        self.sits_down()
        return call

    def sits_down(self) -> None:
        """One more thread waits for the load of another."""
        arrives(self._sat_down)

    def interrupt(self, index: int) -> None:
        """Wake a thread that waits, as Ctrl-C does."""
        self.seated[index]._given.put(Failure(KeyboardInterrupt("Ctrl-C")))


class HeldLoader:
    """A plain loader each call of which goes on until the test ends it."""

    def __init__(self) -> None:
        self.calls = 0
        self._begun = threading.Semaphore(0)
        self._ends: list[SimpleQueue[Any]] = []

    def __call__(self) -> Any:
        end: SimpleQueue[Any] = SimpleQueue()
        self._ends.append(end)
        self.calls += 1
        self._begun.release()
        outcome = end.get(timeout=HANGS)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def begins(self) -> None:
        """One more call has begun."""
        arrives(self._begun)

    def end(self, outcome: Any, call: int = -1) -> None:
        """Let one call, by default the newest, return ``outcome``, or raise it if it is an error."""
        self._ends[call].put(outcome)


@contextmanager
def a_crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    """A crowd, none of which may be left at the end."""
    crowd = Crowd(monkeypatch)
    yield crowd
    for call in crowd.calls:
        call.end()

"""An event loop without input, output or real time, run one callback at a time by whoever holds it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from contextvars import Context

    from ._clock import FakeClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Task(asyncio.Task[Any]):
    """A task that hashes by its number on its loop: every run walks a set of tasks in the same order."""

    _number: int

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:  # the first time: the constructor enrols the task in a set
            self._number = next(cast("RaceLoop", self.get_loop()).numbers)
            return self._number


class RaceLoop(asyncio.BaseEventLoop):
    """An event loop whose callbacks are run from outside, by `step`, in virtual time.

    What needs no file descriptor works: tasks, futures, timeouts, locks, executors. Errors that asyncio would
    log are given to `on_error`, jobs for an executor to `on_job`.
    """

    def __init__(
        self,
        name: str,
        clock: FakeClock,
        on_error: Callable[[dict[str, Any]], None],
        on_job: Callable[[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]], None],
    ) -> None:
        super().__init__()
        self.set_debug(False)  # whatever the environment says: its stacks cost far more than the race
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.numbers: itertools.count[int] = itertools.count()
        self._clock = clock
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._on_error = on_error
        self._on_job = on_job

    # -- run from outside --

    def step(self) -> None:
        """Run the callback that has waited longest. The loop must be the running one."""
        handle = self.ready.popleft()
        if not handle.cancelled():
            handle._run()

    def next_timer(self) -> float | None:
        """Return when the next timer is due, or None."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def release_due(self) -> None:
        """Make the callbacks of all timers that are due ready, in the order of their times."""
        now = self._clock()
        while (when := self.next_timer()) is not None and when <= now:
            self.ready.append(heapq.heappop(self._timers)[2])

    def make_current(self) -> None:
        """Make this the running loop of the thread."""
        own: Any = self  # the hooks are in every CPython, and in no stub
        _set_running_loop(self)
        sys.set_asyncgen_hooks(
            firstiter=own._asyncgen_firstiter_hook,
            finalizer=own._asyncgen_finalizer_hook,
        )

    # -- what asyncio asks of a loop --

    def is_running(self) -> bool:
        return _get_running_loop() is self

    def time(self) -> float:
        return self._clock()

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self._check_open()
        handle = asyncio.Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._clock() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._check_open()
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if when < math.inf:
            heapq.heappush(self._timers, (when, next(self.numbers), timer))
        return timer

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        if self.get_task_factory() is None:
            return _Task(coro, loop=self, **options)
        return super().create_task(coro, **options)

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - whichever it is, the job is a step of the schedule
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        self._on_job(future, func, args)
        return future

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self._on_error(context)

    def close(self) -> None:
        super().close()
        self.ready.clear()
        self._timers.clear()

    def _check_open(self) -> None:
        if self.is_closed():
            raise RuntimeError(f"the event loop {self.name!r} is closed: its race is over")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}{' closed' if self.is_closed() else ''}>"


@contextmanager
def no_running_loop() -> Iterator[None]:
    """Run the body as a thread without an event loop would."""
    loop = _get_running_loop()
    _set_running_loop(None)
    try:
        yield
    finally:
        _set_running_loop(loop)

"""What one run of a scenario is made of: its time, loops, actors and sources, and what waits its turn."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from asyncio.events import _get_running_loop
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from ._clock import FakeClock
from ._loop import RaceLoop, no_running_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ._actor import Actor, Cancel, Read, Reader
    from ._table import Table

acting: ContextVar[Actor | None] = ContextVar("acting", default=None)
"""The actor in whose context the code runs, child tasks and shared loads included."""


class Option(ABC):
    """Something that the schedule may let happen next."""

    __slots__ = ()

    def is_alive(self) -> bool:
        """Whether anybody still waits for it."""
        return True

    def is_free(self) -> bool:
        """Whether it may happen now."""
        return True

    @abstractmethod
    def take(self) -> None:
        """Let it happen."""


class Gate(Option):
    """Where a coroutine waits until the schedule lets it go on."""

    __slots__ = ("_actor", "_future", "_is_free", "_what")

    def __init__(self, future: asyncio.Future[None], what: tuple[Any, ...], is_free: Callable[[], bool] | None) -> None:
        self._future = future
        self._what = what
        self._is_free = is_free
        self._actor = acting.get()

    def is_alive(self) -> bool:
        return not self._future.done()

    def is_free(self) -> bool:
        return self._is_free is None or self._is_free()

    def take(self) -> None:
        self._future.set_result(None)

    def __str__(self) -> str:
        template, *values = self._what
        return f"{self._actor or 'somebody'}: {template.format(*values)}"


class Job(Option):
    """A function handed to an executor: it runs at one go, as in a thread without an event loop."""

    __slots__ = ("_actor", "_args", "_func", "_future")

    def __init__(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._future = future
        self._func = func
        self._args = args
        self._actor = acting.get()

    # A job is always alive: a thread cannot be cancelled, and runs even when nobody waits for it any more.

    def take(self) -> None:
        try:
            with no_running_loop():
                result = Context().run(self._func, *self._args)
        except Exception as exc:  # noqa: BLE001 - a stranger's error: it belongs to whoever awaits the job
            if not self._future.done():
                self._future.set_exception(exc)
        else:
            if not self._future.done():
                self._future.set_result(result)

    def __str__(self) -> str:
        func, *args = getattr(self._func, "args", None) or (self._func,)  # to_thread passes partial(run, func)
        call = spelled(func, (*args, *self._args))
        return f"{self._actor or 'somebody'}: the executor runs {call}"


class Errors:
    """What the event loops of one run could not deliver to anybody, such as exceptions never retrieved.

    Some of it comes to light only when the garbage collector finds a dead future, maybe after the run: that
    goes to `late`, with the schedule it belongs to.
    """

    __slots__ = ("_late", "_schedule", "muted", "texts")

    def __init__(self, late: list[tuple[str, str]]) -> None:
        self._late = late
        self._schedule: str | None = None
        self.muted: bool = False
        self.texts: list[str] = []

    def add(self, context: dict[str, Any]) -> None:
        if self.muted:
            return
        text = str(context.get("message", "unhandled error"))
        if (exception := context.get("exception")) is not None:
            text += f": {exception!r}"
        if self._schedule is None:
            self.texts.append(text)
        else:
            self._late.append((self._schedule, text))

    def close(self, schedule: str) -> None:
        """Say that the run is over: what comes from now on is late."""
        self._schedule = schedule


class Stage:
    """The state of one run: declared by `Race`, moved by `Run`, read by the judge."""

    def __init__(self, errors: Errors, *, tracing: bool = False) -> None:
        self.clock: FakeClock = FakeClock()
        self.loops: dict[str, RaceLoop] = {}
        self.tables: dict[str, Table] = {}
        self.actors: list[Actor] = []
        self.readers: list[Reader] = []
        self.reads: list[Read] = []
        self.checks: list[tuple[str, Callable[[], object]]] = []
        self.pending: list[Option] = []
        self.cancellations: list[Cancel] = []
        self.landings: int = 0  # commits that are under way though their clients have given up
        self.loads: int = 0
        self.trace: list[str] | None = [] if tracing else None
        self.misuse: Exception | None = None
        self._errors = errors
        self._moments = 0

    def moment(self) -> int:
        """Return the number of a new moment: later ones are greater, no two are equal."""
        self._moments += 1
        return self._moments

    def loop(self, name: str) -> RaceLoop:
        """Return the event loop of this name, made at its first use."""
        loop = self.loops.get(name)
        if loop is None:
            loop = self.loops[name] = RaceLoop(name, self.clock, self._errors.add, self._add_job)
        return loop

    def gate(self, *what: Any, is_free: Callable[[], bool] | None = None) -> asyncio.Future[None]:
        """Return a future that the schedule resolves; `what`, a template and its values, names it."""
        loop = _get_running_loop()
        if not isinstance(loop, RaceLoop) or self.loops.get(loop.name) is not loop:
            raise RuntimeError(
                "a source or a checkpoint was awaited outside its race: build all a scenario uses inside it"
            )
        future: asyncio.Future[None] = loop.create_future()
        self.pending.append(Gate(future, what, is_free))
        return future

    def load_counts(self) -> dict[tuple[str, Any], tuple[int, int]]:
        """Return for each row how often it was loaded so far, and how often at most at the same time."""
        return {
            (table.name, key): (record.loads, record.peak)
            for table in self.tables.values()
            for key, record in table.records.items()
        }

    def note(self, text: str) -> None:
        """Add a line to the trace. Callers test `trace` first where making the text costs something."""
        if self.trace is not None:
            self.trace.append(f"        {text}")

    def misused(self, error: Exception) -> NoReturn:
        """Raise a mistake of the scenario, which leaves `explore` even if the code under test swallows it."""
        self.misuse = self.misuse or error
        raise error

    def close(self) -> None:
        """Close the loops and let go of everything: what is lost comes to light now, by reference counts."""
        for loop in self.loops.values():
            loop.close()
        self.loops.clear()
        for table in self.tables.values():
            table.records.clear()
        self.tables.clear()
        for part in (
            self.actors,
            self.readers,
            self.reads,
            self.checks,
            self.pending,
            self.cancellations,
        ):
            part.clear()

    def _add_job(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.pending.append(Job(future, func, args))


def is_plain_function(value: object) -> bool:
    """Whether this can be called, and needs no await."""
    return callable(value) and not inspect.iscoroutinefunction(value)


def spelled(fn: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return a call as one would write it."""
    return f"{getattr(fn, '__name__', None) or repr(fn)}({', '.join(map(repr, args))})"

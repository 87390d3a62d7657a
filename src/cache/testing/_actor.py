"""Those who take part in a race, and what they read."""

from __future__ import annotations

import traceback
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ._loop import no_running_loop
from ._source import Source
from ._stage import Option, acting, spelled
from ._table import Row

if TYPE_CHECKING:
    import asyncio

    from ._loop import RaceLoop
    from ._stage import Stage

AsyncFunction = Callable[..., Awaitable[Any]]

Of = tuple[Source, object] | Callable[[Any], Iterable[Row]] | None
"""Which rows a result is made of: one named row, a function of the result, or None for the `Row`s in it."""

Role = Literal["reader", "mutation", "actor", "call"]


@dataclass(slots=True, eq=False)
class Actor:
    """One participant: a function that the schedule starts, lets go on at its gates, and may cancel."""

    stage: Stage
    role: Role
    name: str
    loop: RaceLoop | None
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    expect: tuple[type[BaseException], ...] = ()
    of: Of = None
    task: asyncio.Task[None] | None = None  # while it runs
    begun: bool = False  # its task has made its first step; one that is cancelled before never runs
    cancelled: bool = False
    ended: int = 0  # at which moment
    result: Any = None
    error: BaseException | None = None

    def start(self) -> None:
        """Begin on the actor's loop, or run at one go where it has none."""
        if self.loop is None:
            with no_running_loop():
                Context().run(self._call)
        else:
            self.loop.make_current()
            task = self.loop.create_task(self._run(), name=self.name)
            if not self.ended:
                self.task = task

    async def _run(self) -> None:
        self.begun = True
        acting.set(self)
        try:
            if self.role == "reader":
                self.result = await observe(self.stage, self.fn, self.args, self.of)
            else:
                self.result = await awaited(self.stage, self.fn, self.args)
        except (Exception, CancelledError) as exc:  # noqa: BLE001 - the judge knows which it may end with
            self._end(exc)
        else:
            self._end()

    def _call(self) -> None:
        acting.set(self)
        try:
            self.result = self.fn(*self.args)
        except Exception as exc:  # noqa: BLE001 - the judge knows which it may end with
            self._end(exc)
        else:
            self._end()

    def _end(self, error: BaseException | None = None) -> None:
        self.ended = self.stage.moment()
        self.task = None  # whose context holds this actor
        if error is None:
            if self.stage.trace is not None:
                self.stage.note(f"{self.name} returned {self.result!r}")
            return
        if self.stage.trace is not None:
            self.stage.note(f"{self.name} ended with {error!r}")
            if not isinstance(error, (CancelledError, *self.expect)):
                for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
                    self.stage.note(f"  {line}")
        self.error = error.with_traceback(None)  # it would hold the frames, and one of them this actor

    def __str__(self) -> str:
        return self.name


class Start(Option):
    """The beginning of an actor, as something that the schedule may let happen."""

    __slots__ = ("_actor",)

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def take(self) -> None:
        self._actor.start()

    def __str__(self) -> str:
        actor = self._actor
        return f"{actor.name} starts: {spelled(actor.fn, actor.args)}"


class Cancel(Option):
    """The cancellation of an actor that was declared with `cancel=True`."""

    __slots__ = ("_actor",)

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def is_alive(self) -> bool:
        return not self._actor.cancelled and not self._actor.ended

    def is_free(self) -> bool:
        return self._actor.task is not None and self._actor.begun

    def take(self) -> None:
        task = self._actor.task
        if task is not None:
            self._actor.cancelled = True
            task.cancel()

    def __str__(self) -> str:
        return f"{self._actor.name} is cancelled"


class Read(NamedTuple):
    """A finished read: which rows it returned, and between which moments."""

    call: tuple[Callable[..., Any], tuple[Any, ...]]
    of: Of
    began: int
    ended: int
    rows: tuple[Row, ...]
    actor: Actor | None


class Reader(NamedTuple):
    """A read that must be fresh, and a hit the second time, when all is quiet."""

    fn: Callable[..., Awaitable[Any]]
    args: tuple[Any, ...]
    of: Of
    loop: RaceLoop
    expect: tuple[type[BaseException], ...]
    hits: bool


async def awaited(stage: Stage, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call `fn` and await what it returns."""
    awaitable = fn(*args)
    if not isinstance(awaitable, Awaitable):
        stage.misused(
            TypeError(
                f"{spelled(fn, args)} returned {awaitable!r}, which cannot be awaited: give an async "
                "function, or use race.call() for a plain one"
            )
        )
    return await awaitable


async def observe(stage: Stage, fn: Callable[..., Any], args: tuple[Any, ...], of: Of) -> Any:
    """Await `fn(*args)` and note what it read, for the judge."""
    began = stage.moment()
    result = await awaited(stage, fn, args)
    rows = _rows_in(stage, result, of, (fn, args))
    stage.reads.append(Read((fn, args), of, began, stage.moment(), rows, acting.get()))
    return result


def _rows_in(stage: Stage, result: Any, of: Of, call: tuple[Callable[..., Any], tuple[Any, ...]]) -> tuple[Row, ...]:
    if isinstance(of, tuple):
        source, key = of
        if type(result) is int:
            return (Row(source.name, key, result),)
        found: Iterable[Any] = (result,)
    elif of is not None:
        found = of(result)
    else:
        found = _walk(result)
    rows = tuple(found)
    if (of is None and not rows) or not all(isinstance(row, Row) for row in rows):
        stage.misused(
            TypeError(
                f"{spelled(*call)} returned {result!r}, in which there is no Row to judge: return what the "
                "source gave, or pass of=(source, key) for a plain version, or of=function for its Rows"
            )
        )
    return rows


def _walk(result: Any) -> Iterable[Row]:
    if isinstance(result, Row):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from _walk(value)
    elif isinstance(result, list | tuple | set | frozenset):
        for value in result:
            yield from _walk(value)

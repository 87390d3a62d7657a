"""Agents: what a call of a tool costs whose result is kept. Lives in the worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from bench import timers
from bench.cases import Case
from bench.contenders import Contender, impossible
from bench.floor import Floor, cycle

#: So many different calls, round and round: none comes back often enough within those remembered to be a loop.
CALLS = range(40)

#: The first arguments with which a tool was executed, in their order.
Loads = list[int]


class RunContext:
    """What a framework hands to its tools: known by its name and that of its package."""

    __module__ = "pydantic_ai"

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id


@dataclass(frozen=True)
class Kind:
    """A kind of tool: how it is made and cached, how its calls are timed, and what each is handed over at first."""

    make: Callable[[Loads], Any]
    timer: Any
    options: dict[str, Any]
    before: tuple[Any, ...] = ()


def _async(loads: Loads) -> Any:
    async def tool(first: int, second: int) -> int:
        loads.append(first)
        return second

    return tool


def _plain(loads: Loads) -> Any:
    def tool(first: int, second: int) -> int:
        loads.append(first)
        return second

    return tool


def _personal(loads: Loads) -> Any:
    async def tool(ctx: RunContext, first: int, second: int) -> int:  # noqa: ARG001 - it is there for `vary`
        loads.append(first)
        return second

    return tool


KINDS = {
    "async": Kind(_async, timers.two_arguments, {}),
    "plain": Kind(_plain, timers.synchronous_two_arguments, {}),
    "personal": Kind(_personal, timers.with_context, {"vary": lambda ctx: ctx.user_id}, (RunContext(7),)),
}


class ToolHit(Case):
    """A call whose result is kept, but for the copy of the result, within a session that watches for loops or none."""

    def __init__(self, contender: Contender, *, kind: str, watched: bool, scope: str = "global") -> None:
        self._kind = KINDS[kind]
        self._loads: Loads = []
        decorate = (contender.tool or impossible)("bench", scope, copy=lambda value: value, **self._kind.options)
        self._tool = decorate(self._kind.make(self._loads))
        self._session = contender.session or impossible
        self._watched = watched
        self._time = timers.fresh(self._kind.timer)
        self._floor = Floor(CALLS)

    async def answers(self) -> Any:
        """Each call's result, twice.

        Raises:
            ValueError: a call was no hit, so that its time would say nothing.

        """
        async with AsyncExitStack() as stack:
            await self._enter(stack)
            found = [await self._call_all() for _ in range(2)]
        if self._loads != list(CALLS):
            raise ValueError(f"each of {list(CALLS)} was to be executed once, and executed were {self._loads}")
        return found

    async def run(self, count: int) -> int:
        """Nanoseconds of so many hits."""
        async with AsyncExitStack() as stack:
            await self._enter(stack)
            await self._call_all()  # what one session keeps the next one does not know
            nanoseconds: int = await self._time(self._tool, cycle(CALLS, count), *self._kind.before)
        return nanoseconds

    async def bare(self, count: int) -> int:
        """Nanoseconds of so many looks into a dict."""
        return await self._floor.run(cycle(CALLS, count))

    async def _enter(self, stack: AsyncExitStack) -> None:
        if self._watched:
            await stack.enter_async_context(self._session(loop_detection=True))

    async def _call_all(self) -> list[Any]:
        answers = [self._tool(*self._kind.before, key, key) for key in CALLS]
        return [await answer if isawaitable(answer) else answer for answer in answers]


class Watching(Case):
    """The arrival and the end of a call, as the watch of a session sees them, and nothing else."""

    def __init__(self, contender: Contender) -> None:
        self._session = contender.session or impossible
        self._time = timers.fresh(timers.watched)
        self._floor = Floor(CALLS)

    async def answers(self) -> Any:
        """The loops found where there are none, and where one call is made five times.

        Raises:
            ValueError: the watch was blind, or saw what was not there.

        """
        found = []
        for calls in (cycle(CALLS, 1000), [7] * 5):
            session = self._session(loop_detection=True)
            await self._time(session.watch, _signatures(calls))
            found.append([loop.kind for loop in session.loops])
        if found != [[], ["repeat"]]:
            raise ValueError(f"no loop and then one repetition were to be found, and found were {found}")
        return found

    async def run(self, count: int) -> int:
        """Nanoseconds of so many calls."""
        watch = self._session(loop_detection=True).watch
        nanoseconds: int = await self._time(watch, _signatures(cycle(CALLS, count)))
        return nanoseconds

    async def bare(self, count: int) -> int:
        """Nanoseconds of so many looks into a dict."""
        return await self._floor.run(cycle(CALLS, count))


def _signatures(calls: list[int]) -> list[tuple[str, tuple[int, int]]]:
    return [("tool", (key, key)) for key in calls]

from __future__ import annotations

import asyncio
import contextvars
import sys
from typing import Any

import pytest

from cache._eager import EAGER_DEPTH, start_task

#: Whether tasks of this Python can begin at once; else they do with the next turn of the loop.
CAN = sys.version_info >= (3, 12)

name_of: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def started(coroutine: Any) -> asyncio.Task[None]:
    return start_task(coroutine, asyncio.get_running_loop(), contextvars.copy_context(), "a load")


async def note(events: list[object], event: object = "begun") -> None:
    events.append(event)


async def test_a_task_has_its_name_and_runs_in_its_context() -> None:
    events: list[object] = []

    async def look() -> None:
        events.append(name_of.get())
        name_of.set("changed")

    context = contextvars.copy_context()
    context.run(name_of.set, "somebody")
    task = start_task(look(), asyncio.get_running_loop(), context, "a load")
    assert task.get_name() == "a load"
    await task
    assert events == ["somebody"]
    assert name_of.get() == "nobody"
    assert context[name_of] == "changed"


async def test_what_does_not_suspend_is_done_at_once_where_tasks_can_begin() -> None:
    events: list[object] = []
    task = started(note(events))
    assert task.done() is CAN
    assert events == ["begun"] * CAN
    await task


async def test_what_suspends_has_gone_as_far_as_it_can() -> None:
    events: list[object] = []

    async def work() -> None:
        await note(events)
        await asyncio.sleep(0)
        await note(events, "ended")

    task = started(work())
    assert events == ["begun"] * CAN
    await task
    assert events == ["begun", "ended"]


async def test_tasks_that_begin_inside_one_another_do_not_fill_the_stack() -> None:
    levels = 0

    async def descend(level: int) -> None:
        nonlocal levels
        levels = max(levels, level)
        if level < 20 * EAGER_DEPTH:
            await started(descend(level + 1))

    await started(descend(1))
    assert levels == 20 * EAGER_DEPTH


async def test_a_task_that_fails_as_it_begins_makes_room_for_the_next() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    for _ in range(2 * EAGER_DEPTH):
        with pytest.raises(ZeroDivisionError):
            await started(fail())
    task = started(note([]))
    assert task.done() is CAN
    await task


async def test_a_task_factory_makes_the_task_and_begins_it_when_it_likes() -> None:
    made: list[asyncio.Task[Any]] = []
    events: list[object] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(asyncio.Task(coroutine, loop=loop, **options))
        return made[-1]

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        task = started(note(events))
    finally:
        loop.set_task_factory(None)
    assert made == [task]
    assert not events
    await task
    assert events == ["begun"]

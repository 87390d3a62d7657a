"""What a hit executes, counted in bytecode instructions, which no machine and no neighbour can make fewer or more.

The marks below are exact, for each version of Python. After a change that is meant to move them, print the new ones
in the environment of each version, ``.venv-3.13/bin/python tests/unit/test_hit_path.py``, and record them here: the
commit then shows what the change costs, or gains, on every hit.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import pytest

from cache import AsyncCache, _codegen, _generated, cached
from tests.races.machine import Machine

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

#: A call of which the first one loads, and every other is a hit.
Call = Callable[[], Coroutine[Any, Any, object]]


async def _load(uid: int) -> int:
    return uid


async def _load_two(uid: int, other: int) -> int:
    return uid + other


def _one_argument(**options: Any) -> Call:
    call = cached(**options)(_load)
    return lambda: call(1)


def _two_arguments(**options: Any) -> Call:
    call = cached(**options)(_load_two)
    return lambda: call(1, 2)


def _on_a_bus(**options: Any) -> Call:
    return _one_argument(namespace="of a bus", bus=Machine(time.monotonic).process(), name="load", **options)


def _over_one_on_a_bus() -> Call:
    inner = cached(namespace="of another bus", bus=Machine(time.monotonic).process(), name="load")(_load)

    @cached()
    async def outer(uid: int) -> int:
        return await inner(uid)

    return lambda: outer(1)


def _keyword() -> Call:
    call = cached()(_load)
    return lambda: call(uid=1)


class _Repository:
    @cached()
    async def load(self, uid: int) -> int:
        return uid


def _method() -> Call:
    repository = _Repository()
    return lambda: repository.load(1)


def _core(**options: Any) -> Call:
    cache = AsyncCache(**options)

    async def load() -> int:
        return 1

    return lambda: cache.get(1, loader=load)


def _peek(**options: Any) -> Call:
    call = cached(**options)(_load)
    loads = iter([call])

    async def peek() -> object:
        for load in loads:  # the first time only
            await load(1)
        return call.peek(1)

    return peek


def _core_peek() -> Call:
    cache = AsyncCache()
    cache.set(1, 1)

    async def peek() -> object:
        return cache.peek(1)

    return peek


def _tags_of(result: int, uid: int) -> list[str]:
    return [f"result:{result}", f"user:{uid}"]


VARIANTS: dict[str, Callable[[], Call]] = {
    "one argument": _one_argument,
    "keyword call": _keyword,
    "two arguments": _two_arguments,
    "method": _method,
    "track=False": lambda: _one_argument(track=False),
    "ttl": lambda: _one_argument(ttl=60),
    "ttl, two arguments": lambda: _two_arguments(ttl=60),
    "ttl, track=False": lambda: _one_argument(ttl=60, track=False),
    "tags": lambda: _one_argument(tags=("user:{uid}",)),
    "tags of the result": lambda: _one_argument(tags=_tags_of),
    "tags and ttl": lambda: _one_argument(tags=("user:{uid}",), ttl=60),
    "s3fifo": lambda: _one_argument(policy="s3fifo"),
    "typed": lambda: _one_argument(typed=True),
    "key=": lambda: _one_argument(key=str),
    "peek": _peek,
    "peek, ttl": lambda: _peek(ttl=60),
    "AsyncCache.peek": _core_peek,
    "AsyncCache.get": _core,
    "AsyncCache.get, ttl": lambda: _core(default_ttl=60),
    "bus": _on_a_bus,
    "bus, tags": lambda: _on_a_bus(tags=("user:{uid}",)),
    "bus, ttl": lambda: _on_a_bus(ttl=60),
    "no bus, over one on a bus": _over_one_on_a_bus,
}

MARKS: dict[str, dict[str, int]] = {
    "3.11": {
        "one argument": 24,
        "keyword call": 24,
        "two arguments": 26,
        "method": 45,
        "track=False": 22,
        "ttl": 32,
        "ttl, two arguments": 34,
        "ttl, track=False": 30,
        "tags": 32,
        "tags of the result": 32,
        "tags and ttl": 40,
        "s3fifo": 29,
        "typed": 61,
        "key=": 28,
        "peek": 13,
        "peek, ttl": 21,
        "AsyncCache.peek": 25,
        "AsyncCache.get": 29,
        "AsyncCache.get, ttl": 73,
        "bus": 38,
        "bus, tags": 38,
        "bus, ttl": 46,
        "no bus, over one on a bus": 63,
    },
    "3.12": {
        "one argument": 25,
        "keyword call": 25,
        "two arguments": 27,
        "method": 44,
        "track=False": 23,
        "ttl": 32,
        "ttl, two arguments": 34,
        "ttl, track=False": 30,
        "tags": 33,
        "tags of the result": 33,
        "tags and ttl": 40,
        "s3fifo": 30,
        "typed": 57,
        "key=": 28,
        "peek": 14,
        "peek, ttl": 21,
        "AsyncCache.peek": 24,
        "AsyncCache.get": 30,
        "AsyncCache.get, ttl": 79,
        "bus": 39,
        "bus, tags": 39,
        "bus, ttl": 46,
        "no bus, over one on a bus": 62,
    },
    "3.13": {
        "one argument": 27,
        "keyword call": 27,
        "two arguments": 28,
        "method": 46,
        "track=False": 24,
        "ttl": 34,
        "ttl, two arguments": 35,
        "ttl, track=False": 31,
        "tags": 35,
        "tags of the result": 35,
        "tags and ttl": 42,
        "s3fifo": 32,
        "typed": 59,
        "key=": 30,
        "peek": 15,
        "peek, ttl": 22,
        "AsyncCache.peek": 26,
        "AsyncCache.get": 32,
        "AsyncCache.get, ttl": 89,
        "bus": 41,
        "bus, tags": 41,
        "bus, ttl": 48,
        "no bus, over one on a bus": 65,
    },
}


class Count:
    """Instructions of all Python code, but for that of this module."""

    def __init__(self) -> None:
        self.instructions = 0

    def on_instruction(self, code: CodeType, _: int) -> None:
        if code.co_filename != __file__:
            self.instructions += 1

    def on_event(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self.on_instruction(frame.f_code, 0)
        return self.on_event


@contextmanager
def counting() -> Iterator[Count]:
    """Count what is executed in the block; whoever was tracing goes on afterwards."""
    count = Count()
    tracer = sys.gettrace()
    gc.disable()
    try:
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            tool = next(tool for tool in range(6) if monitoring.get_tool(tool) is None)
            monitoring.use_tool_id(tool, "hit path")
            monitoring.register_callback(tool, monitoring.events.INSTRUCTION, count.on_instruction)
            try:
                monitoring.set_events(tool, monitoring.events.INSTRUCTION)
                yield count
            finally:
                monitoring.set_events(tool, 0)
                monitoring.register_callback(tool, monitoring.events.INSTRUCTION, None)
                monitoring.free_tool_id(tool)
        else:
            sys.settrace(count.on_event)
            yield count
    finally:
        sys.settrace(tracer)
        gc.enable()


async def instructions_of(call: Call) -> int:
    """Of one hit, when the interpreter has adapted its code to what it does."""
    for _ in range(100):
        await call()
    with counting() as count:
        coroutine = call()
        try:
            coroutine.send(None)
        except StopIteration:
            return count.instructions
    raise AssertionError("a hit has suspended")


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_hit_executes_exactly_the_instructions_that_are_recorded(variant: str) -> None:
    assert VERSION in MARKS, f"no marks are recorded for Python {VERSION}: record them as this module says"
    found, mark = await instructions_of(VARIANTS[variant]()), MARKS[VERSION][variant]
    assert found == mark, (
        f"a hit ({variant}) executes {found} instructions, where {mark} are recorded: if that is on purpose, "
        f"record the new marks as this module says"
    )


async def test_the_count_is_the_same_each_time() -> None:
    call = _one_argument()
    assert await instructions_of(call) == await instructions_of(call) > 0


async def test_one_statement_more_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load(before: int) -> int:
        return before

    async def load_slower(after: int) -> int:  # by another name, for what is known is not generated again
        return after

    plain, hit = cached()(load), _codegen._hit
    monkeypatch.setattr(_generated, "_compile_anonymous", _generated._compile_anonymous.__wrapped__)
    monkeypatch.setattr(_codegen, "_hit", lambda shape: [f"{shape.prefix}store", *hit(shape)])
    slower = cached()(load_slower)
    assert await instructions_of(lambda: slower(1)) > await instructions_of(lambda: plain(1))


async def _marks() -> dict[str, int]:
    return {variant: await instructions_of(make()) for variant, make in VARIANTS.items()}


if __name__ == "__main__":
    print({VERSION: asyncio.run(_marks())})  # noqa: T201 - it is asked for them

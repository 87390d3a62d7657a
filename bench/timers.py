"""Timers: the loops that are timed, one for each shape of a call. Lives in the worker.

Time is that of the processor, which what else the machine does meanwhile has no part in; threads that a library started
are included. Where another process does a part of the work it is that of the wall. The interpreter adapts the code of a
loop to what the loop calls, so each use takes a copy of its own with `fresh`, which also says by which clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter_ns, process_time_ns
from types import FunctionType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


#: What tells nanoseconds, by name: those of all threads of this process, or those that pass.
CLOCKS: dict[str, Callable[[], int]] = {"processor": process_time_ns, "wall": perf_counter_ns}
#: By which the timers go; `fresh` gives each copy its own.
clock = process_time_ns


def fresh(function: F, by: str = "processor") -> F:
    """A copy of a timer that has not yet been adapted to anything, and goes by one of the `CLOCKS`."""
    names = {**function.__globals__, "clock": CLOCKS[by]}
    copy: Any = FunctionType(function.__code__.replace(), names, function.__name__)
    return copy  # type: ignore[no-any-return]  # the copy of a function has its type


async def one_argument(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(key)`` for all keys."""
    began = clock()
    for key in keys:
        await call(key)
    return clock() - began


async def gathered(call: Any, groups: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(key)`` for all keys of a group at once, for all groups."""
    began = clock()
    for keys in groups:
        await asyncio.gather(*[call(key) for key in keys])
    return clock() - began


async def two_arguments(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(key, key)`` for all keys."""
    began = clock()
    for key in keys:
        await call(key, key)
    return clock() - began


async def with_context(call: Any, keys: Iterable[Any], context: Any) -> int:
    """Nanoseconds of ``await call(context, key, key)`` for all keys."""
    began = clock()
    for key in keys:
        await call(context, key, key)
    return clock() - began


async def keyword(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(uid=key)`` for all keys."""
    began = clock()
    for key in keys:
        await call(uid=key)
    return clock() - began


async def method(instance: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await instance.load(key)`` for all keys."""
    began = clock()
    for key in keys:
        await instance.load(key)
    return clock() - began


async def with_loader(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(key, loader=loader)`` for all keys."""
    loader = unused
    began = clock()
    for key in keys:
        await call(key, loader=loader)
    return clock() - began


async def synchronous(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``call(key)`` for all keys."""
    began = clock()
    for key in keys:
        call(key)
    return clock() - began


async def synchronous_two_arguments(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``call(key, key)`` for all keys."""
    began = clock()
    for key in keys:
        call(key, key)
    return clock() - began


async def watched(watch: Any, signatures: Iterable[Any]) -> int:
    """Nanoseconds of a call of each signature, all with one outcome, under the eyes of ``watch``."""
    began = clock()
    for signature in signatures:
        ticket = watch.arrive(signature, 1)
        watch.finish(ticket, 0, failed=False, wrote=False)
    return clock() - began


async def unused() -> None:
    """A loader for keys that are stored."""
    raise AssertionError("a hit has called its loader")

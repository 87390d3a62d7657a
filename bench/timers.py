"""Timers: the loops that are timed, one for each shape of a call. Lives in the worker.

Time is that of the processor, which what else the machine does meanwhile has no part in; threads that a library started
are included. The interpreter adapts the code of a loop to what the loop calls, so each use takes a copy of its own with
`fresh`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import process_time_ns
from types import FunctionType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def fresh(function: F) -> F:
    """A copy of a function that has not yet been adapted to anything."""
    copy: Any = FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    return copy  # type: ignore[no-any-return]  # the copy of a function has its type


async def one_argument(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(key)`` for all keys."""
    began = process_time_ns()
    for key in keys:
        await call(key)
    return process_time_ns() - began


async def gathered(call: Any, groups: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(key)`` for all keys of a group at once, for all groups."""
    began = process_time_ns()
    for keys in groups:
        await asyncio.gather(*[call(key) for key in keys])
    return process_time_ns() - began


async def two_arguments(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(key, key)`` for all keys."""
    began = process_time_ns()
    for key in keys:
        await call(key, key)
    return process_time_ns() - began


async def with_context(call: Any, keys: Iterable[Any], context: Any) -> int:
    """Nanoseconds of ``await call(context, key, key)`` for all keys."""
    began = process_time_ns()
    for key in keys:
        await call(context, key, key)
    return process_time_ns() - began


async def keyword(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(uid=key)`` for all keys."""
    began = process_time_ns()
    for key in keys:
        await call(uid=key)
    return process_time_ns() - began


async def method(instance: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await instance.load(key)`` for all keys."""
    began = process_time_ns()
    for key in keys:
        await instance.load(key)
    return process_time_ns() - began


async def with_loader(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``await call(key, loader=loader)`` for all keys."""
    loader = unused
    began = process_time_ns()
    for key in keys:
        await call(key, loader=loader)
    return process_time_ns() - began


async def synchronous(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``call(key)`` for all keys."""
    began = process_time_ns()
    for key in keys:
        call(key)
    return process_time_ns() - began


async def synchronous_two_arguments(call: Any, keys: Iterable[Any]) -> int:
    """Nanoseconds of ``call(key, key)`` for all keys."""
    began = process_time_ns()
    for key in keys:
        call(key, key)
    return process_time_ns() - began


async def watched(watch: Any, signatures: Iterable[Any]) -> int:
    """Nanoseconds of a call of each signature, all with one outcome, under the eyes of ``watch``."""
    began = process_time_ns()
    for signature in signatures:
        ticket = watch.arrive(signature, 1)
        watch.finish(ticket, 0, failed=False, wrote=False)
    return process_time_ns() - began


async def unused() -> None:
    """A loader for keys that are stored."""
    raise AssertionError("a hit has called its loader")

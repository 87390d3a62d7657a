"""Decorating: what it costs to wrap a function, once for each function of a program. Lives in the worker."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import count
from time import process_time_ns
from typing import Any

from bench.cases import Case
from bench.contenders import Contender

_numbers = count()


class Decorate(Case):
    """Decorate a function; with ``new`` one whose parameters have names never seen. Without a cache: `functools.wraps`.

    Signatures that differ in names alone are compiled once, so a form never seen takes longer, but only once.
    """

    def __init__(self, contender: Contender, *, new: bool) -> None:
        self._lru = contender.lru
        self._new = new

    async def answers(self) -> Any:
        """That the decorated function does what the function does."""
        call = self._decorate(_function("uid"))
        return [await call(1), await call(2), await call(1)]

    async def run(self, count: int) -> int:
        """Nanoseconds of so many decorations."""
        return self._time(self._decorate, count)

    async def bare(self, count: int) -> int:
        """Nanoseconds of so many plain wrappers."""
        return self._time(_wrap, count)

    def _time(self, decorate: Callable[[Any], Any], count: int) -> int:
        functions = [_function(f"uid_{next(_numbers)}" if self._new else "uid") for _ in range(count)]
        began = process_time_ns()
        for function in functions:
            decorate(function)
        return process_time_ns() - began

    def _decorate(self, function: Any) -> Any:
        return self._lru(128)(function) if self._lru is not None else function


def _wrap(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


def _function(parameter: str) -> Any:
    made: dict[str, Any] = {}
    exec(f"async def load({parameter}, flag=False):\n    return {parameter}", made)  # noqa: S102 - the source is ours
    return made["load"]

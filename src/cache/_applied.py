"""Applied: what an operation that takes effect at once returns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any


class Applied:
    """The outcome of an operation that has already taken effect in this process when it returns.

    ``bool(applied)`` says whether it found something to do. Awaiting it gives the same bool; without suspending, or,
    where there is a tier behind the cache, when that knows as well, or with the error that keeps it from it. Not
    awaiting it is fine, and warns about nothing: what goes wrong is then logged.
    """

    __slots__ = ("_outcome", "_told")

    def __init__(self, outcome: bool, told: tuple[Awaitable[None], ...] = ()) -> None:
        self._outcome = outcome
        self._told = told

    def __bool__(self) -> bool:
        return self._outcome

    def __await__(self) -> Generator[Any, None, bool]:
        for told in self._told:
            yield from asyncio.shield(told).__await__()
        return self._outcome

    def __repr__(self) -> str:
        return f"Applied({self._outcome})"

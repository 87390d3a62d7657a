"""Applied: what an operation that takes effect at once returns."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


class Applied:
    """The outcome of an operation that has already taken effect when it returns.

    ``bool(applied)`` says whether it found something to do. Awaiting it gives the same bool, without suspending;
    not awaiting it is fine, and warns about nothing.
    """

    __slots__ = ("_outcome",)

    def __init__(self, outcome: bool) -> None:
        self._outcome = outcome

    def __bool__(self) -> bool:
        return self._outcome

    def __await__(self) -> Generator[Any, None, bool]:
        return self._outcome
        yield  # what makes this a generator: it never suspends

    def __repr__(self) -> str:
        return f"Applied({self._outcome})"

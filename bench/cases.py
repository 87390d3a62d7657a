"""Cases: what a contender is asked to do, first to show its answers, then again and again. Lives in the worker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Case(ABC):
    """One operation of one contender, and the same without a cache."""

    @abstractmethod
    async def answers(self) -> Any:
        """What the operation gives; the same for every contender, or they are not compared."""

    @abstractmethod
    async def run(self, count: int) -> int:
        """Nanoseconds that ``count`` operations take."""

    async def bare(self, count: int) -> int | None:  # noqa: ARG002 - for those that have a counterpart
        """Nanoseconds that as many take with no cache, if that makes sense."""
        return None

"""Stored: which results of a cached function are there."""

from __future__ import annotations

from typing import Any


async def load(get: Any, *calls: tuple[Any, ...]) -> None:
    """Make each of these calls of a cached function."""
    for arguments in calls:
        await get(*arguments)


def left(get: Any, *calls: tuple[Any, ...]) -> list[bool]:
    """For each of these calls, whether its result is still stored."""
    return [get.cache_key(*arguments) in get.cache for arguments in calls]

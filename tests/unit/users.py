"""A cached function of two arguments, and which of its results are kept."""

from __future__ import annotations

from typing import Any

from cache import cached

CALLS = ((1, False), (1, True), (2, False))


def users(**options: Any) -> Any:
    async def get(uid: int, flag: bool = False) -> tuple[int, bool]:
        return uid, flag

    return cached(**options)(get)


async def update(uid: int, name: str = "") -> str:
    return f"updated {uid}"


async def filled(f: Any, *calls: tuple[Any, ...]) -> Any:
    for call in calls:
        await f(*call)
    return f


def kept(f: Any, *calls: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return [call for call in calls if f.peek(*call) is not None]

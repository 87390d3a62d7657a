"""Warming up: loading many keys before they are asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from typing import Any

from cache._arguments import check_callable, check_count, shown

logger = logging.getLogger("cache")

Get = Callable[[Hashable, Callable[[], Any]], Awaitable[Any]]


async def warm_up(
    get: Get,
    loaders: Mapping[Any, Callable[[], Any]],
    *,
    concurrency: int,
    on_progress: Callable[[int, int], object] | None,
) -> None:
    """``get`` every key, ``concurrency`` at a time; raise what failed when all have been tried."""
    if not isinstance(loaders, Mapping):
        raise TypeError(f"loaders={loaders!r}: pass a mapping of keys to loaders, {{7: load_user_7}}")
    for key, loader in loaders.items():
        check_callable(loader, f"the loader of {key!r}", "loader() -> value")
    check_count(concurrency, "concurrency", least=1)
    if on_progress is not None:
        check_callable(on_progress, "on_progress", "on_progress(done, in_all)")
    failed: dict[Hashable, Exception] = {}
    done = 0

    async def work(todo: Iterator[tuple[Hashable, Callable[[], Any]]]) -> None:
        nonlocal done
        for key, loader in todo:
            try:
                await get(key, loader)
            except Exception as error:  # noqa: BLE001 - one failing loader stops no other; all are raised at the end
                failed[key] = error
            done += 1
            if on_progress is not None:
                _report(on_progress, done, len(loaders))

    todo = iter(tuple(loaders.items()))
    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(loaders))):
            group.create_task(work(todo), name="cache warmup")
    if failed:
        keys = ", ".join(shown(key) for key in failed)
        raise ExceptionGroup(f"{len(failed)} of {len(loaders)} keys could not be loaded: {keys}", list(failed.values()))


def _report(on_progress: Callable[[int, int], object], done: int, in_all: int) -> None:
    try:
        on_progress(done, in_all)
    except Exception:  # it only watches: the loads go on
        logger.exception("on_progress=%r failed", on_progress)

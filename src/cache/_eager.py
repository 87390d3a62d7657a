"""Eager: a load that does not suspend costs no turn of the loop, where Python can do that."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

#: Tasks that start at once nest on the stack: this many at most.
EAGER_DEPTH = 32
_HAS_EAGER_START = sys.version_info >= (3, 12)


class _Depth(threading.local):
    """How many tasks are being started inside one another on this thread's stack."""

    now = 0


_depth = _Depth()


def start_task(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, context: Context, name: str
) -> asyncio.Task[None]:
    """A task for ``coroutine``, begun at once where that is possible.

    Not begun at once under a task factory, which may have its own idea of what a task is, nor deep in the stack.
    """
    if loop.get_task_factory() is not None:
        return context.run(loop.create_task, coroutine)
    if not _HAS_EAGER_START or _depth.now >= EAGER_DEPTH:
        return asyncio.Task(coroutine, loop=loop, name=name, context=context)
    _depth.now += 1
    try:
        eager: Any = asyncio.Task  # its eager_start is not known to the stubs of older versions
        task: asyncio.Task[None] = eager(coroutine, loop=loop, name=name, context=context, eager_start=True)
    finally:
        _depth.now -= 1
    return task

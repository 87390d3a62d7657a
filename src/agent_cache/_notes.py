"""Notes: what was executed and written last, for those who ask why a call would miss. Bounded, and only for that."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST = 4096


class Latest(Generic[K, V]):
    """The values that were put last, by key."""

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._lock = threading.RLock()

    def put(self, key: K, value: V) -> None:
        """Remember a value; the one that was put longest ago may go for it."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value
            if len(self._values) > MOST:
                del self._values[next(iter(self._values))]

    def get(self, key: K) -> V | None:
        """What was put last under ``key``, if it is still known."""
        return self._values.get(key)


class Execution:
    """An execution of a read tool: when it began and ended, and why its result was not kept, if so."""

    __slots__ = ("at", "began", "reason", "ttl")

    def __init__(self, began: float, reason: str | None, ttl: float | None) -> None:
        self.began = began
        self.at = time.monotonic()
        self.reason = reason
        self.ttl = ttl


class Write:
    """A write: by which tool, of which resource, and when it ended; None while it has not."""

    __slots__ = ("ended", "template", "tool")

    def __init__(self, tool: str, template: str) -> None:
        self.tool = tool
        self.template = template
        self.ended: float | None = None


#: By tag, the writes in progress, and the one that has ended last.
_running: dict[str, list[Write]] = {}
_ended: Latest[str, Write] = Latest()
# Reentrant, for a finalizer may end a write in the middle of another's.
_lock = threading.RLock()


@contextmanager
def writing(tool: str, tags_of: Iterable[tuple[str, Iterable[str]]]) -> Iterator[None]:
    """Around a write of resources, each given with its tags."""
    noted = [(tag, write) for template, tags in tags_of for write in [Write(tool, template)] for tag in tags]
    with _lock:
        for tag, write in noted:
            _running.setdefault(tag, []).append(write)
    try:
        yield
    finally:
        now = time.monotonic()
        with _lock:
            for tag, write in noted:
                write.ended = now
                _ended.put(tag, write)
                left = _running.get(tag, [])
                if write in left:
                    left.remove(write)
                if not left:
                    _running.pop(tag, None)


def last_write(tags: Iterable[str]) -> Write | None:
    """The write that reached any of these tags last; one that has not ended is the last."""
    found: list[Write] = []
    for tag in tags:
        with _lock:
            found += _running.get(tag, ())
        ended = _ended.get(tag)
        if ended is not None:
            found.append(ended)
    return max(found, key=lambda write: float("inf") if write.ended is None else write.ended, default=None)

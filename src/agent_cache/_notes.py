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
        self._lock = threading.Lock()

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


_writes: Latest[str, Write] = Latest()


@contextmanager
def writing(tool: str, tags_of: Iterable[tuple[str, Iterable[str]]]) -> Iterator[None]:
    """Around a write of resources, each given with its tags."""
    noted = [(Write(tool, template), tags) for template, tags in tags_of]
    for write, tags in noted:
        for tag in tags:
            _writes.put(tag, write)
    try:
        yield
    finally:
        now = time.monotonic()
        for write, _ in noted:
            write.ended = now


def last_write(tags: Iterable[str]) -> Write | None:
    """The write that reached any of these tags last; one that has not ended is the last."""
    found = [write for write in map(_writes.get, tags) if write is not None]
    return max(found, key=lambda write: float("inf") if write.ended is None else write.ended, default=None)

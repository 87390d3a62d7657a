"""Tally: what a backend has done, counted from any thread."""

from __future__ import annotations

import threading
from typing import NamedTuple


class RedisMetrics(NamedTuple):
    """What a backend has done since it was made, in this process.

    ``reads`` counts the records asked for, ``hits`` those that were there, and ``unanswered`` those of which nothing
    could be said. ``foreign`` are values that were refused because they were not whole, of another version, for another
    address or too large; and messages that made no sense. ``leases`` were got to load a value, and ``waits`` counts the
    reads that waited for the load of another process. Of the records given to be written ``written`` were sent,
    ``refused`` rested on something that was invalidated meanwhile, or had expired, ``oversized`` were too large, and
    ``dropped`` those for which there was no server. ``changes`` were made, ``owed`` those that could not be, and are
    made up for when the server is back. ``trips`` are requests or bundles of them that went to the server together,
    ``connections`` how often it was connected, and ``warnings`` those that were logged.
    """

    reads: int
    hits: int
    unanswered: int
    foreign: int
    leases: int
    waits: int
    written: int
    refused: int
    oversized: int
    dropped: int
    changes: int
    owed: int
    trips: int
    connections: int
    warnings: int


class Tally:
    """The counts behind `RedisMetrics`."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(RedisMetrics._fields, 0)
        self._flushed = 0
        self._lock = threading.Lock()

    def add(self, **counts: int) -> None:
        """Count these."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    def since_last_flush(self) -> int:
        """How many records were written since this was last asked."""
        with self._lock:
            written: int = self._counts["written"]
            since, self._flushed = written - self._flushed, written
        return since

    def metrics(self) -> RedisMetrics:
        """The counts of this moment."""
        with self._lock:
            return RedisMetrics(**self._counts)

"""Tally: what a tier has done and what it could not do, counted from any thread, and told of once for each reason."""

from __future__ import annotations

import logging
from typing import NamedTuple

from cache._step import step
from cache.tiers._file_errors import FileBusy, FileClosed

logger = logging.getLogger("cache")


class Metrics(NamedTuple):
    """What a tier has done since it was made, in this process.

    ``reads`` counts the records asked for, and ``unanswered`` those of which nothing could be said. Of the records
    given to be written, ``refused`` were those that rested on something that was invalidated meanwhile, had expired or
    were too large, and ``dropped`` those for which there was no file, or for which a slow one had no time. ``warnings``
    are the reasons of which a warning was logged.
    """

    reads: int
    hits: int
    unanswered: int
    written: int
    refused: int
    dropped: int
    warnings: int


class Tally:
    """The counts behind `Metrics`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._counts = Metrics(0, 0, 0, 0, 0, 0, 0)._asdict()
        self._reasons: set[str] = set()
        self._flushed = 0

    def add(self, **counts: int) -> None:
        """Count these."""
        with step.lock:
            for name, count in counts.items():
                self._counts[name] += count

    def warn(self, error: BaseException) -> None:
        """Log why something could not be done: once for every reason, however often it is the reason."""
        if isinstance(error, FileClosed) and not error.given_up:
            return  # it was closed by its user, who knows
        reason = type(error).__name__
        with step.lock:
            if reason in self._reasons:
                return
            self._reasons.add(reason)
            self._counts["warnings"] += 1
        if isinstance(error, FileBusy):
            logger.warning("%s. The cache goes on without what it asked for.", error)
        elif not isinstance(error, FileClosed):  # of which the file has told
            logger.warning("%s: what was asked of the file has failed.", self._path, exc_info=error)

    def since_last_flush(self) -> int:
        """How many records were written since this was last asked."""
        with step.lock:
            written: int = self._counts["written"]
            since, self._flushed = written - self._flushed, written
        return since

    def metrics(self) -> Metrics:
        """The counts of this moment."""
        with step.lock:
            return Metrics(**self._counts)

"""Lingering: slots that mutations cover for a while after their end, and the thread that waits for that to be over."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final
from weakref import WeakMethod

from cache._step import step

logger = logging.getLogger("cache")

#: The longest that a thread can wait at once, in seconds.
LONGEST: Final = 3600.0

Slots = Sequence[int]


class Lingering:
    """Calls ``end`` with the slots of each mutation when it has lingered long enough, in a step.

    It is changed in steps too. Its thread is there only as long as anything lingers, and keeps nobody alive: it goes
    with whoever ``end`` is a method of, and nothing is ended then.
    """

    def __init__(self, name: str, end: Callable[[Slots], None]) -> None:
        self._name = name
        #: Deadlines by the monotonic clock, and their slots.
        self._items: list[tuple[float, int, Slots]] = []
        self._order = itertools.count()
        self._begin(end)

    def _begin(self, end: Callable[[Slots], None]) -> None:
        wake: SimpleQueue[None] = SimpleQueue()
        self._wake = wake
        self._end = WeakMethod(end, lambda _: wake.put(None))
        self._thread: threading.Thread | None = None

    def add(self, slots: Slots, seconds: float) -> None:
        """These linger for so many seconds from now on."""
        item = (monotonic() + seconds, next(self._order), tuple(slots))
        heapq.heappush(self._items, item)
        if self._thread is None:
            # Not in a step, which a finalizer may need that runs in the thread before it is under way.
            if not step.after(self):
                self.launch()
        elif self._items[0] is item:
            self._wake.put(None)

    def clear(self) -> None:
        """Nothing lingers any more, and nothing is ended."""
        self._items.clear()
        self._wake.put(None)

    def separate(self, end: Callable[[Slots], None]) -> list[Slots]:
        """In a forked process, which has no thread: forget what lingers, since it is the parent's, and return it."""
        slots = [each for _, _, each in self._items]
        self._items.clear()
        self._begin(end)
        return slots

    def end_elapsed(self) -> float | None:
        """End what has lingered long enough; seconds until there is more, None if there is none."""
        with step:
            end = self._end()
            now = monotonic()
            while end is not None and self._items and self._items[0][0] <= now:
                end(heapq.heappop(self._items)[2])
            if end is not None and self._items:
                return min(self._items[0][0] - now, LONGEST)
            self._thread = None
            return None

    def launch(self) -> None:
        """Have a thread wait, unless one does."""
        with step:
            if self._thread is not None or not self._items:
                return
            self._thread = thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the interpreter is ending, and the kernel will end the mutations with it
            logger.debug("%s", error)
            self._thread = None

    def _run(self) -> None:
        wake = self._wake
        while (seconds := self.end_elapsed()) is not None:
            try:
                wake.get(timeout=seconds)
            except Empty:
                continue

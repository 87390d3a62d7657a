"""Step: one indivisible change of everything that loads, mutations and entries share.

There is one lock for the whole process, because what one cache invalidates may rest in any other: locks per cache
would have to be taken in an order that the data decides, and would deadlock. No hit takes it.

Nothing of a stranger runs under it. Loaders are started, and dropped values finalised, after it is released; and a
finalizer that the garbage collector runs in the middle of a step, on the same thread, has its change put off to the
end of the step. So every change that a finalizer may ask for, be it a ``__del__`` or the last breath of a coroutine
that was thrown away, goes by ``step.run``.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar

logger = logging.getLogger("cache")


T = TypeVar("T")
Change: TypeAlias = Callable[..., object]
#: A change that was put off, and what it raised.
Failed: TypeAlias = tuple[Exception, Change, tuple[Any, ...]]


class Launchable(Protocol):
    def launch(self) -> None: ...


class Queued(Protocol):
    def resume(self) -> None: ...


class Step:
    """``with step:`` around every change; ``step.run(change)`` for those that a finalizer might ask for.

    These are filled during the step: ``queued``, loads that have waited for another, to begin when everything else of
    the step is done; and, for when the lock is released, ``launches``, loads to set going, ``doomed``, values to drop,
    and ``heaps``, collections of them that are so large that dropping them takes care.
    """

    __slots__ = ("_depth", "_put_off", "doomed", "heaps", "launches", "let_go", "lock", "queued")

    def __init__(self) -> None:
        #: For a change so small that nothing has to be done at its end.
        self.lock = threading.RLock()
        self._depth = 0
        self._put_off: list[tuple[Change, tuple[Any, ...]]] = []
        self.queued: list[Queued] = []
        self.launches: list[Launchable] = []
        self.doomed: list[Any] = []
        self.heaps: list[Any] = []
        #: Drops the heaps; replaced where there are event loops that must not be held up by it.
        self.let_go: Callable[[list[Any]], None] = list.clear

    def __enter__(self) -> None:
        self.lock.acquire()
        self._depth += 1

    def __exit__(self, _: object, __: object, ___: object) -> None:
        if self._depth > 1:
            self._depth -= 1
            self.lock.release()
            return
        failed = None
        try:
            if self._put_off or self.queued:
                failed = self._settle()
        finally:
            launches, doomed, heaps = self.launches, self.doomed, self.heaps
            if launches:
                self.launches = []
            if doomed:
                self.doomed = []
            if heaps:
                self.heaps = []
            self._depth = 0
            self.lock.release()
        try:
            doomed.clear()
            if failed or heaps:
                self._clear_up(failed, heaps)
        finally:  # whatever a stranger's finalizer or an interrupt does, the loads begin
            if len(launches) == 1:
                launches[0].launch()
            elif launches:
                for_each(_launch, iter(launches))

    def _settle(self) -> list[Failed]:
        """Do what was put off to the end of the step, and give back what failed."""
        failed: list[Failed] = []
        while self._put_off or self.queued:
            if self.queued:
                self.queued.pop(0).resume()
                continue
            change, args = self._put_off.pop(0)
            try:
                change(*args)
            except Exception as error:  # noqa: BLE001 - logged when no handler of a stranger is under the lock
                failed.append((error, change, args))
        return failed

    def _clear_up(self, failed: list[Failed] | None, heaps: list[Any]) -> None:
        for error, change, args in failed or ():  # whoever asked is gone, and the caller of this step is innocent
            logger.error("An invalidation asked for by a finalizer failed: %r%r", change, args, exc_info=error)
        if heaps:
            self.let_go(heaps)

    def is_mine(self) -> bool:
        """Whether this thread is in the middle of one: a finalizer may ask."""
        lock: Any = self.lock
        return bool(lock._is_owned())

    def run(self, change: Change, *args: Any) -> bool:
        """``change(*args)`` as one step; True if it says so. Inside a step of this thread, put off to its end."""
        with self.lock:
            if self._depth:
                self._put_off.append((change, args))
                return False
        with self:
            return bool(change(*args))

    def after(self, launchable: Launchable) -> bool:
        """Launch this when the step is over that this thread is in the middle of; False if it is in none."""
        with self.lock:
            if self._depth:
                self.launches.append(launchable)
            return self._depth > 0

    def guard_forks(self) -> None:
        """See to it that a process that is forked while another thread is in a step finds the lock free."""
        if hasattr(os, "register_at_fork"):
            lock = self.lock
            os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def for_each(do: Callable[[T], object], items: Iterator[T]) -> None:
    """``do`` with every item, also with those that come after one with which it raises; then that is raised."""
    try:
        for item in items:
            do(item)
    except BaseException:  # an interrupt, too: what is owed to the others is still owed
        for_each(do, items)
        raise


def _launch(launchable: Launchable) -> None:
    launchable.launch()


#: The one step of this process.
step = Step()
step.guard_forks()

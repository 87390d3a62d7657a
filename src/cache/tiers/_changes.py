"""Changes: the invalidations, assignments and mutations that a file is told of at once, in order, until it has them.

change -> waiting -> one operation that does all that wait, in order -> each is told: a future, or a seat

While another process holds the file, all of them wait and are tried again, so none overtakes another; each of them
for as long as is patient from when it was asked for, and then it has failed. But the end of a mutation stays owed after
that: until the file has it, nothing is stored of what it covers.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from cache._step import step
from cache._tier import Address, Covering, Record
from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._file_thread import FileThread
from cache.tiers._file_worker import Seat, Then, Waiter
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Failed
from cache.tiers._sqlite_operations import owes

logger = logging.getLogger("cache")

#: For how many seconds a file that is held by another process is left alone.
PAUSE = 0.01
#: The same where all that it has to be told is owed, and nobody waits.
REST = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A mutation that is over."""

    covering: Covering


#: What is done to the file: an address is assigned, addresses and spaces are invalidated, a mutation begins or ends.
What: TypeAlias = Record | tuple[tuple[Address, ...], tuple[str, ...]] | Covering | Ended


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """Something that has changed, who waits until the file knows, and until when it is tried."""

    what: What
    waiter: Waiter
    deadline: float
    then: Callable[[], object] | None

    @property
    def is_owed(self) -> bool:
        """Whether it has failed before, and is tried for as long as it takes."""
        return self.deadline == math.inf

    @property
    def count(self) -> int:
        """How many truths and spaces that is."""
        match self.what:
            case Record():
                return 1
            case Covering(addresses, spaces) | Ended(Covering(addresses, spaces)) | (addresses, spaces):
                return len(addresses) + len(spaces)


class Changes:
    """The changes of which a file is being told."""

    def __init__(self, thread: FileThread, path: str, patience: float, changed: Callable[[int], None]) -> None:
        self._thread = thread
        #: Told in the thread of the file how many truths have changed.
        self._changed = changed
        self._path = path
        self._patience = patience
        self.forget()
        thread.when_forked(self.forget)
        thread.when_ended(self._give_up)

    def forget(self) -> None:
        """Begin with nothing: a process that is forked tells the file itself of what has changed."""
        self._waiting: deque[Change] = deque()
        #: Whether the thread was asked, and has not looked at what waits since.
        self._asked = False
        #: Whether one of them that may end what is read was tried and has to be tried again.
        self.held_up = False

    def __bool__(self) -> bool:
        """Whether there is any of which the file does not know yet."""
        return bool(self._waiting)

    def send(self) -> None:
        """Have what waits tried now."""
        if self._waiting and not self._send():
            self._give_up()

    def make(self, what: What, then: Callable[[], object] | None = None) -> asyncio.Future[None] | None:
        """Tell the file now; in an event loop return a future, without one wait. ``then`` comes before either ends."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # A finalizer may ask where to wait would never end.
            if step.is_mine() or self._thread.is_current():
                self._ask(what, Unheard(self._path, what), then)
                return None
            seat = Seat()
            self._ask(what, seat, then)
            seat.take()
            return None
        told = Told(self._path, what, loop=loop)
        self._ask(what, Away(told), then)
        return told

    def _ask(self, what: What, waiter: Waiter, then: Callable[[], object] | None) -> None:
        change = Change(what, waiter, time.monotonic() + self._patience, then)
        self._thread.begin()
        with step.lock:
            self._waiting.append(change)
            asked = self._send()
        if not asked:
            self._give_up()

    def _give_up(self) -> None:
        """Nothing that waits will be made: the file was closed, or no thread is to be had."""
        self._settle(self._look(), _verdict(self._thread.error()))

    def _send(self) -> bool:
        # Not without the lock: what anybody asks for after this has to come after it in the thread, too.
        with step.lock:
            self._asked = self._asked or self._thread.post((_make, (self._look,), {}), Then(self._made))
            return self._asked

    def _look(self) -> list[Change]:
        """What waits; what comes later is asked for anew."""
        with step.lock:
            self._asked = False
            return list(self._waiting)

    def _made(self, result: Any) -> None:
        if not isinstance(result, Failed):
            self.held_up = False
            for change, refusal in result.items():
                self._settle([change], refusal)
            self._changed(sum(change.count for change in result))
        elif isinstance(result.error, FileBusy):
            now = time.monotonic()
            late = [change for change in self._look() if change.deadline <= now]
            self._settle(late, Failed(FileBusy(self._path, self._patience, result.error.reason)))
            waiting = self._look()
            self.held_up = not all(change.is_owed for change in waiting)
            if waiting and not self._thread.set_alarm(PAUSE if self.held_up else REST, self.send):
                self._give_up()
        else:
            self.held_up = False
            self._settle(self._look(), _verdict(result.error))

    def _settle(self, settled: Iterable[Change], result: Failed | None) -> None:
        for change in settled:
            with step.lock:
                waits = change in self._waiting
                if waits:
                    self._waiting.remove(change)
                    if result is not None and isinstance(change.what, Ended) and isinstance(result.error, FileBusy):
                        self._waiting.append(Change(change.what, Unheard(self._path, change.what), math.inf, None))
            if waits:
                try:
                    if change.then is not None:
                        change.then()
                except Exception:  # of a stranger's: neither the thread nor who waits is to suffer from it
                    logger.exception("%s: what was to follow a change has failed", self._path)
                finally:
                    change.waiter.give(result)


@owes
def _make(entries: Entries, waiting: Callable[[], list[Change]]) -> dict[Change, Failed | None]:
    """Make all that wait, and tell which those were: they wait on, until it is certain that this was not undone.

    A mutation may be refused, alone: the others are made.
    """
    made: dict[Change, Failed | None] = dict.fromkeys(waiting())
    for change in made:
        match change.what:
            case Record() as record:
                entries.assign(record)
            case Covering() as covering:
                try:
                    entries.cover(covering)
                except FileBusy as error:
                    made[change] = Failed(error)
            case Ended(covering):
                entries.uncover(covering)
            case (addresses, spaces):
                entries.invalidate(addresses, spaces)
    return made


class Told(asyncio.Future[None]):
    """Done when the file knows; what went wrong is logged, once, if it is dropped before anybody has asked."""

    def __init__(self, path: str, what: What, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.nobody = Unheard(path, what)

    def __del__(self) -> None:
        if self._log_traceback and self._exception:  # as asyncio keeps it: the error was not retrieved
            self.nobody.give(Failed(self._exception))


class Unheard:
    """Takes a result for which nobody waits."""

    def __init__(self, path: str, what: What) -> None:
        self._path = path
        self._is_end = isinstance(what, Ended)
        self._error: BaseException | None = None

    def give(self, result: Any, /) -> None:
        """Log what went wrong; when a step is over, for handlers are strangers."""
        if isinstance(result, Failed):
            self._error = result.error
            if not step.after(self):
                self.launch()

    def launch(self) -> None:
        """Say what the file does not know, and what comes of that."""
        if not self._is_end:
            text = "an invalidation is not in the file, and others may read what it was to end"
        elif isinstance(self._error, FileBusy):
            text = "the end of a mutation is not in the file: until it is, nothing of that is stored"
        else:
            text = "the end of a mutation is not in the file: until this process ends, nothing of that is stored"
        logger.error("%s: %s", self._path, text, exc_info=self._error)


class Away:
    """Gives a result from the thread of the file to a future of an event loop."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def give(self, result: Any) -> None:
        """Settle the future in its loop; if that is closed, nobody waits."""
        try:
            self._told.get_loop().call_soon_threadsafe(self._settle, result)
        except RuntimeError:
            self._told.nobody.give(result)

    def _settle(self, result: Any) -> None:
        if self._told.done():  # cancelled: whoever waited is gone
            self._told.nobody.give(result)
        elif isinstance(result, Failed):
            self._told.set_exception(result.error)
        else:
            self._told.set_result(None)


def _verdict(error: BaseException) -> Failed | None:
    """Where nothing is served any more, by anybody, there is nothing to invalidate."""
    return None if isinstance(error, FileClosed) and error.given_up and not error.stays else Failed(error)

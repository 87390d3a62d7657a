"""SharedMemoryBus: processes of one machine tell one another what was invalidated, without a server.

The state of a bus is changed in steps of the process, as everything that invalidates is; that lock is also what a fork
waits for, so a child finds every bus in order.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import platform
import re
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final, overload
from zlib import crc32

from cache._arguments import shown
from cache._bus import Stamps, when_closed
from cache._step import step
from cache.errors import BusError
from cache.tiers._stamp_file import StampFile
from cache.tiers._stamp_layout import FIRST_SLOT, SLOTS, WORDS

logger = logging.getLogger("cache")

#: Where Linux keeps files in memory.
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - that is the point; who may use the file is checked
#: How many seconds to leave a file alone that could not be opened.
RETRY: Final = 1.0
#: The longest that a thread can wait at once, in seconds.
LONGEST: Final = 3600.0
#: Whether this processor shows stores, and does loads, in the order in which they are written.
IN_ORDER: Final = platform.machine() in {"x86_64", "AMD64", "i686"}


class Never(int):
    """A stamp that is equal to nothing, not even to itself."""

    __slots__ = ()
    __hash__ = int.__hash__

    def __eq__(self, _: object) -> bool:
        return False

    def __ne__(self, _: object) -> bool:
        return True


class Unordered(Sequence[int]):
    """Stamps whose first is never shown, so that readers look at those of their slots; or, without any, at none."""

    __slots__ = ("_stamps",)

    def __init__(self, stamps: Stamps = ()) -> None:
        self._stamps = stamps

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        # A new one each time: what is compared inside a tuple is equal if it is the same object.
        return self._stamps[index] if index and self._stamps else Never()

    def __len__(self) -> int:
        return len(self._stamps)


class SharedMemoryBus:
    """Tells the processes of one machine and one user of one another's invalidations, through a file in memory.

    Once a mutation that any of them declared has returned, raised, been cancelled or died with its process, no read
    that starts later in any process gets an older value than it committed. There is no server, no message and no
    timeout: a hit compares numbers in memory, and the kernel ends the mutations of a process that dies.

    All buses of one ``name`` (letters, digits, ``.``, ``_`` and ``-``, at most 100) are one. The file is
    ``async-cache.<uid>.<name>`` in ``directory``, by default ``/dev/shm``, takes half a megabyte and stays when the
    last process has gone. If it is deleted, each process notices at its next miss or mutation, drops everything and
    goes on with a new one; until then its hits know nothing of processes that were begun since, so do not delete it
    while it is used. Containers share it if they share that folder. Linux only.

    A bus may be used from any thread, and goes on working in forked processes.

    Raises:
        ValueError: the name has other characters in it, or is too long.
        BusError: there is no such folder or the system cannot do it; or there is such a file and it must not be used,
            because others may write to it or because workers of another version still do.

    """

    def __init__(self, name: str, *, directory: str | os.PathLike[str] | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name={shown(name)} is of type {type(name).__name__}: pass a string")
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
            raise ValueError(f"name={shown(name)}: pass 1 to 100 letters, digits, '.', '_' or '-'")
        if sys.platform != "linux":
            raise BusError(
                f"SharedMemoryBus({name!r}) needs Linux, and this is {sys.platform}: processes can tell one another "
                f"what was invalidated through Redis here, with RedisBackend"
            )
        folder = SHARED_MEMORY if directory is None else os.fspath(directory)
        self.name = name
        self.path: str = f"{os.path.abspath(folder)}/async-cache.{os.geteuid()}.{name}"  # noqa: PTH100 - a string is wanted
        #: By slot, how many mutations of this process cover it, lingering ones included.
        self._counts: dict[int, int] = {}
        #: The bits that this process has declared, by their word.
        self._declared: dict[int, int] = {}
        #: Deadlines of those that linger, and their slots.
        self._lingering: list[tuple[float, int, tuple[int, ...]]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._wake: SimpleQueue[None] = SimpleQueue()
        #: The file, or None and why there is none.
        self._file: StampFile | None = None
        self._lost: str | None = None
        self._retry = 0.0
        #: Whether there was something to be stamped while there was no file.
        self._missed = False
        self._closed = False
        #: Files that were deleted, as long as others use them: their mutations cannot be seen elsewhere.
        self._former: list[StampFile] = []
        with step.lock:  # a fork in the middle of it would leave the child a descriptor that nobody knows
            self._use(StampFile(self.path))
            _buses.add(self)

    def __repr__(self) -> str:
        state = "" if self._file is not None else ", closed" if self._closed else f", unusable: {self._lost}"
        return f"<SharedMemoryBus {self.name!r} at {self.path}{state}>"

    @property
    def stamps(self) -> Stamps:
        """The stamps, as all processes see them now; of a bus that cannot be used, numbers that equal nothing.

        When the file was deleted, another object takes its place. The old one stays readable, and none of what it said
        before is in it.
        """
        return self._stamps

    @property
    def address(self) -> str:
        """The path of the file, which is the same for all who use it."""
        return self.path

    @property
    def closed(self) -> bool:
        """Whether its user has closed it, so that nobody hears of what it is told."""
        return self._closed

    def slot(self, space: str, code: bytes) -> int:
        """The slot of a truth, the same in every process; others may have it too, and are then invalidated with it."""
        return FIRST_SLOT + crc32(code, crc32(space.encode("utf-8", "surrogatepass"))) % SLOTS

    def stamp(self, slots: Sequence[int]) -> int:
        """Invalidate what rests on these slots, in every process; the stamp, which no other will ever be equal to.

        While the file cannot be used, it is 0, and everything is invalidated as soon as the file can be.
        """
        with step.lock:
            file = self._opened()
            if file is not None:
                try:
                    stamp = file.stamp(slots)
                except BusError as error:
                    self._lose(error)
                else:
                    # Not before it was stored: whoever moved to another file meanwhile has not heard of it.
                    if file.is_current():
                        return stamp
                    self._renew()
            self._missed = self._file is None
            return 0 if self._file is None else self._file.stamp(slots)

    def begin(self, slots: Sequence[int]) -> None:
        """From now on a mutation of this process covers these slots, until as many calls of ``end``.

        Raises:
            BusError: the others would not notice.

        """
        with step.lock:
            file = self._opened()
            counts = self._counts
            first = [slot for slot in dict.fromkeys(slots) if slot not in counts]
            for slot in slots:
                counts[slot] = counts.get(slot, 0) + 1
            try:
                if file is not None:
                    self._hold(file, first)
                if self._file is None:
                    raise self._refusal(self._lost)  # noqa: TRY301 - whatever is raised, nothing stays covered
            except BaseException:  # an interrupt, too: the mutation will not run
                self._uncover(slots)
                raise

    def end(self, slots: Sequence[int], linger: float) -> None:
        """The mutation covers these slots for ``linger`` seconds more. Never raises."""
        with step.lock:
            if not linger > 0:
                self._uncover(slots)
                return
            item = (monotonic() + linger, next(self._order), tuple(slots))
            heapq.heappush(self._lingering, item)
            if self._thread is None:
                self._start()
            elif self._lingering[0] is item:
                self._wake.put(None)

    def forget(self, slots: Sequence[int]) -> None:
        """In a forked process, before it has a file description of its own: these are covered by its parent alone."""
        for slot in slots:
            count = self._counts.get(slot, 0)
            if count > 1:
                self._counts[slot] = count - 1
            else:
                self._counts.pop(slot, None)

    def is_changing(self, slots: Sequence[int]) -> bool:
        """Whether a mutation of another process covers one of these slots; True whenever that cannot be told."""
        with step.lock:
            file = self._opened()
            if file is None:
                return True
            try:
                changing = file.is_held(slots) or (bool(self._former) and self._was_changing(slots))
            except OSError:
                changing = True
            if file.is_current():
                return changing
            self._renew()
            return True  # what was read of the stamps that are no more cannot be used anyway

    def declare(self, space: str, bits: int) -> None:
        """Set these of the 64 bits that all processes see of a space; spaces may have theirs in common."""
        with step.lock:
            word = crc32(space.encode("utf-8", "surrogatepass")) % WORDS
            self._declared[word] = self._declared.get(word, 0) | bits
            file = self._opened()
            if file is not None:
                try:
                    file.set_bits(word, bits)
                except BusError as error:
                    self._lose(error)
                    return
                if not file.is_current():
                    self._renew()

    def declared(self, space: str) -> int:
        """The bits of a space that any process has set; all of them if that cannot be told."""
        with step.lock:
            word = crc32(space.encode("utf-8", "surrogatepass")) % WORDS
            return -1 if self._file is None else self._file.bits(word)

    def mark(self) -> bytes:
        """What a load takes before it begins that does not know its slots yet."""
        with step.lock:
            file = self._opened()
            if file is None:
                return b""
            mark = file.groups()
            if file.is_current():
                return mark
            self._renew()
            return b""

    def unchanged(self, mark: bytes, slots: Sequence[int]) -> bool:
        """Whether nothing that rests on these slots was invalidated since the mark. False in doubt."""
        with step.lock:
            return bool(mark) and self._file is not None and self._file.has_groups(mark, slots)

    def close(self) -> None:
        """Let go of the file and of all mutations. May be repeated; whatever is asked afterwards fails."""
        with step.lock:
            self._closed = True
            self._lost = "it was closed"
            for file in [*self._former, *([self._file] if self._file is not None else [])]:
                file.close()
            self._former.clear()
            self._file = None
            self._stamps: Stamps = Unordered()
            self._counts.clear()
            self._lingering.clear()
        self._wake.put(None)
        with step:
            for tell in when_closed:
                tell(self)

    def _opened(self) -> StampFile | None:
        """The file. One that was lost is looked for again, from time to time."""
        if self._file is None and not self._closed and monotonic() >= self._retry:
            self._find()
        return self._file

    def _hold(self, file: StampFile, slots: Sequence[int]) -> None:
        try:
            file.hold(slots)
        except OSError as error:
            if file.is_current():
                raise self._refusal(error) from error
        if not file.is_current():
            self._renew()

    def _find(self) -> None:
        """Open the file at the path, and have in it what this process holds."""
        try:
            self._use(StampFile(self.path))
        except (BusError, OSError) as error:
            self._lose(error)

    def _use(self, file: StampFile) -> None:
        slots = tuple(self._counts)
        file.hold(slots)
        # Those who were here before did not know of these, and what they have loaded does not rest on them.
        is_news = sum(file.set_bits(word, bits) for word, bits in self._declared.items())
        if self._missed or is_news:
            file.stamp_all()
        elif slots:
            file.stamp(slots)
        self._missed = False
        for former in self._former:
            former.leave()  # what is held there is held here
        self._file = file
        self._stamps = file.stamps if IN_ORDER else Unordered(file.stamps)
        if self._lost is not None:
            self._lost = None
            _tell(logging.INFO, "%s can be used again.", self.path)

    def _renew(self) -> None:
        """Begin anew with another file: this one was deleted, and nothing that rests on it is to live."""
        old = self._file
        if old is not None:
            self._file = None
            self._former = [*self._former, old]
            try:
                old.stamp_all()
            except BusError as error:
                self._lose(error)
                return
            self._find()
            if self._file is not None:
                self._sort_out()  # and not otherwise: what is held in the old one is held nowhere else

    def _lose(self, error: BaseException) -> None:
        self._file = None
        self._stamps = Unordered()
        self._retry = monotonic() + RETRY
        if self._lost is None:
            _tell(logging.WARNING, "%s. Nothing is cached that other processes could invalidate until it can.", error)
        self._lost = str(error)

    def _refusal(self, reason: object) -> BusError:
        return BusError(f"other processes cannot be told of a mutation through the bus {self.name!r}: {reason}")

    def _was_changing(self, slots: Sequence[int]) -> bool:
        self._sort_out()
        return any(file.is_held(slots) for file in self._former)

    def _sort_out(self) -> None:
        """Drop the former files that nobody else uses."""
        for file in tuple(self._former):
            with suppress(OSError):  # a stranger has closed its descriptor
                if file.is_shared():
                    continue
            self._former.remove(file)
            file.close()

    def _uncover(self, slots: Sequence[int]) -> None:
        counts = self._counts
        free = []
        for slot in slots:
            count = counts.get(slot, 0)
            if count > 1:
                counts[slot] = count - 1
            elif count:
                del counts[slot]
                free.append(slot)
        if free:
            for file in (self._file, *self._former):
                if file is not None:
                    file.release(free)

    def _start(self) -> None:
        thread = threading.Thread(
            target=_linger,
            args=(weakref.ref(self, _waker(self._wake)), self._wake),
            name=f"cache {self.name} linger",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as error:  # the interpreter is ending, and the kernel will end the mutations with it
            logger.debug("%s", error)
        else:
            self._thread = thread

    def _end_elapsed(self) -> float | None:
        """End what has lingered long enough; seconds until there is more, None if there is none."""
        with step:
            now = monotonic()
            while self._lingering and self._lingering[0][0] <= now:
                self._uncover(heapq.heappop(self._lingering)[2])
            if self._lingering:
                return min(self._lingering[0][0] - now, LONGEST)
            self._thread = None
            return None

    def _separate(self) -> None:
        """In a forked process: what lingers is the parent's, what is open may be ended here too."""
        for _, _, slots in self._lingering:
            for slot in slots:
                self._counts[slot] -= 1
        self._lingering.clear()
        self._counts = {slot: count for slot, count in self._counts.items() if count}
        self._thread = None
        self._wake = SimpleQueue()
        try:
            for file in (*self._former, self._file):
                if file is not None:
                    file.separate(tuple(self._counts))
            if self._file is not None:
                for file in self._former:
                    file.leave()
        except (BusError, OSError) as error:
            for file in (*self._former, self._file):
                if file is not None:
                    file.close()
            self._former.clear()
            self._lose(error)


def _linger(find: weakref.ref[SharedMemoryBus], wake: SimpleQueue[None]) -> None:
    """End the mutations of a bus when they have lingered, without keeping it alive."""
    while True:
        bus = find()
        seconds = bus._end_elapsed() if bus is not None else None
        del bus
        if seconds is None:
            return
        try:
            wake.get(timeout=seconds)
        except Empty:
            continue


def _waker(wake: SimpleQueue[None]) -> Callable[[object], None]:
    return lambda _: wake.put(None)


class _Telling:
    """Something to be logged when the step is over: handlers are strangers."""

    def __init__(self, level: int, message: str, *args: object) -> None:
        self._level, self._message, self._args = level, message, args

    def launch(self) -> None:
        logger.log(self._level, self._message, *self._args)


def _tell(level: int, message: str, *args: object) -> None:
    with step:
        step.launches.append(_Telling(level, message, *args))


#: All of this process, for when it is forked.
_buses: weakref.WeakSet[SharedMemoryBus] = weakref.WeakSet()


def _in_child() -> None:
    for bus in tuple(_buses):
        bus._separate()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

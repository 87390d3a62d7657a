"""SharedMemoryBus: processes of one machine tell one another what was invalidated, without a server.

The state of a bus is changed in steps of the process, as everything that invalidates is; that lock is also what a fork
waits for, so a child finds every bus in order.
"""

from __future__ import annotations

import os
import re
import sys
import weakref
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from cache._arguments import shown
from cache._bus import Stamps, when_closed
from cache._step import step
from cache.errors import BusError
from cache.tiers._file_in_use import FileInUse
from cache.tiers._lingering import Lingering
from cache.tiers._stamp_file import StampFile
from cache.tiers._stamp_layout import FIRST_SLOT, SLOTS, WORDS

#: Where Linux keeps files in memory.
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - that is the point; who may use the file is checked


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
        self._lingering = Lingering(f"cache {name} linger", self._uncover)
        with step.lock:  # a fork in the middle of it would leave the child a descriptor that nobody knows
            self._used = FileInUse(self.path, self._counts, self._declared)
            _buses.add(self)

    def __repr__(self) -> str:
        used = self._used
        state = "" if used.file is not None else ", closed" if used.closed else f", unusable: {used.lost}"
        return f"<SharedMemoryBus {self.name!r} at {self.path}{state}>"

    @property
    def stamps(self) -> Stamps:
        """The stamps, as all processes see them now; of a bus that cannot be used, numbers that equal nothing.

        When the file was deleted, another object takes its place. The old one stays readable, and none of what it said
        before is in it.
        """
        return self._used.stamps

    @property
    def address(self) -> str:
        """The path of the file, which is the same for all who use it."""
        return self.path

    @property
    def closed(self) -> bool:
        """Whether its user has closed it, so that nobody hears of what it is told."""
        return self._used.closed

    @property
    def tier(self) -> None:
        """It tells others itself."""
        return

    def slot(self, space: str, code: bytes) -> int:
        """The slot of a truth, the same in every process; others may have it too, and are then invalidated with it."""
        return FIRST_SLOT + crc32(code, crc32(space.encode("utf-8", "surrogatepass"))) % SLOTS

    def stamp(self, slots: Sequence[int]) -> int:
        """Invalidate what rests on these slots, in every process; the stamp, which no other will ever be equal to.

        While the file cannot be used, it is 0, and everything is invalidated as soon as the file can be.
        """
        with step.lock:
            file = self._used.opened()
            if file is not None:
                try:
                    stamp = file.stamp(slots)
                except BusError as error:
                    self._used.lose(error)
                else:
                    # Not before it was stored: whoever moved to another file meanwhile has not heard of it.
                    if file.is_current():
                        return stamp
                    self._used.renew()
            file = self._used.file
            self._used.missed = file is None
            return 0 if file is None else file.stamp(slots)

    def begin(self, slots: Sequence[int]) -> None:
        """From now on a mutation of this process covers these slots, until as many calls of ``end``.

        Raises:
            BusError: the others would not notice.

        """
        with step.lock:
            file = self._used.opened()
            counts = self._counts
            first = [slot for slot in dict.fromkeys(slots) if slot not in counts]
            for slot in slots:
                counts[slot] = counts.get(slot, 0) + 1
            try:
                if file is not None:
                    self._hold(file, first)
                if self._used.file is None:
                    raise self._refusal(self._used.lost)  # noqa: TRY301 - whatever is raised, nothing stays covered
            except BaseException:  # an interrupt, too: the mutation will not run
                self._uncover(slots)
                raise

    def end(self, slots: Sequence[int], linger: float) -> None:
        """The mutation covers these slots for ``linger`` seconds more. Never raises."""
        with step.lock:
            if linger > 0:
                self._lingering.add(slots, linger)
            else:
                self._uncover(slots)

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
            file = self._used.opened()
            if file is None:
                return True
            try:
                changing = file.is_held(slots) or self._used.former.is_held(slots)
            except OSError:
                changing = True
            if file.is_current():
                return changing
            self._used.renew()
            return True  # what was read of the stamps that are no more cannot be used anyway

    def declare(self, space: str, bits: int) -> None:
        """Set these of the 64 bits that all processes see of a space; spaces may have theirs in common."""
        with step.lock:
            word = crc32(space.encode("utf-8", "surrogatepass")) % WORDS
            self._declared[word] = self._declared.get(word, 0) | bits
            file = self._used.opened()
            if file is not None:
                try:
                    file.set_bits(word, bits)
                except BusError as error:
                    self._used.lose(error)
                    return
                if not file.is_current():
                    self._used.renew()

    def declared(self, space: str) -> int:
        """The bits of a space that any process has set; all of them if that cannot be told."""
        with step.lock:
            word = crc32(space.encode("utf-8", "surrogatepass")) % WORDS
            file = self._used.file
            return -1 if file is None else file.bits(word)

    def mark(self) -> bytes:
        """What a load takes before it begins that does not know its slots yet."""
        with step.lock:
            file = self._used.opened()
            if file is None:
                return b""
            mark = file.groups()
            if file.is_current():
                return mark
            self._used.renew()
            return b""

    def unchanged(self, mark: bytes, slots: Sequence[int]) -> bool:
        """Whether nothing that rests on these slots was invalidated since the mark. False in doubt."""
        with step.lock:
            file = self._used.file
            return bool(mark) and file is not None and file.has_groups(mark, slots)

    def close(self) -> None:
        """Let go of the file and of all mutations. May be repeated; whatever is asked afterwards fails."""
        with step.lock:
            self._used.close()
            self._counts.clear()
            self._lingering.clear()
        with step:
            for tell in when_closed:
                tell(self)

    def _hold(self, file: StampFile, slots: Sequence[int]) -> None:
        try:
            file.hold(slots)
        except OSError as error:
            if file.is_current():
                raise self._refusal(error) from error
        if not file.is_current():
            self._used.renew()

    def _refusal(self, reason: object) -> BusError:
        return BusError(f"other processes cannot be told of a mutation through the bus {self.name!r}: {reason}")

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
            if self._used.file is not None:
                self._used.file.release(free)
            self._used.former.release(free)

    def _separate(self) -> None:
        """In a forked process: what lingers is the parent's, what is open may be ended here too."""
        for slots in self._lingering.separate(self._uncover):
            for slot in slots:
                self._counts[slot] -= 1
        for slot in [slot for slot, count in self._counts.items() if not count]:
            del self._counts[slot]
        self._used.separate()


#: All of this process, for when it is forked.
_buses: weakref.WeakSet[SharedMemoryBus] = weakref.WeakSet()


def _in_child() -> None:
    for bus in tuple(_buses):
        bus._separate()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

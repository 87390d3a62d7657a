"""StampFile: the file that processes of one machine map to tell one another what was invalidated.

Each slot has a stamp, a number of 64 bits. To invalidate is to store a stamp that was never used before, so nothing
is read, nothing is counted and nobody waits: of two processes that stamp one slot at once, either may win. That a
mutation is under way is a lock on the byte of the file whose offset is the slot; the kernel takes it back from a
process that dies.

A stamp is stored by an item of a ``memoryview``, which is one aligned store of eight bytes. Slices and
``struct.pack_into`` promise no such thing. Slots are stored before their groups and the first stamp of all at last; a
processor that keeps the order of stores and of loads, as x86-64 does, shows whoever has read the first stamp all that
was stored before it. On others the first stamp is never shown, see `Unordered`. What else has to be in order stands on
two sides of a system call that takes the kernel's lock on the locks of the file: a window is locked before its slot is
stamped and unlocked after it was stamped again, and whoever finds no lock there sees the stamps that went before.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from cache.errors import BusError
from cache.tiers import _byte_locks as locks
from cache.tiers._stamp_layout import (
    FIRST_SLOT,
    GROUPS,
    IDENTITY_AT,
    NUMBER_AT,
    PAGE,
    PRESENCE,
    SIZE,
    STAMPS,
    WORDS_AT,
)
from cache.tiers._stamp_opening import discard, fault_of, guarded, make_at, open_at, unusable

#: How often to begin anew when the file is being replaced by others.
ATTEMPTS: Final = 100
#: How many numbers there are for processes, and how many stamps for each number.
NUMBERS: Final = 1 << 32
COUNTS: Final = 1 << 32


class StampFile:
    """The file at ``path``, made if there is none: a map of it, and one open file description of its own.

    Raises:
        BusError: it cannot be made, or there is one that may not or must not be used.

    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1
        for _ in range(ATTEMPTS):
            try:
                self._fd = open_at(path)
            except FileNotFoundError:
                make_at(path)
                continue
            found = os.fstat(self._fd)
            self._file = found.st_dev, found.st_ino
            try:
                joined = self._join()
            except BaseException:  # an interrupt, too: half a member is none
                self.close()
                raise
            if joined:
                return
            self.close()
        raise BusError(f"{path} is being replaced all the time: find out who deletes it, or use another name")

    def _join(self) -> bool:
        """Become one of those who use the file; False if it was replaced meanwhile."""
        with guarded(self._fd, self.path):
            found = os.fstat(self._fd)
            if found.st_nlink == 0:
                return False
            fault = fault_of(self._fd, found.st_size)
            if fault is not None:
                discard(self._fd, self.path, fault)
                return False
            locks.share(self._fd, PRESENCE)
            # A map keeps a descriptor, and with it the locks: it gets one on which there are none.
            fd = self._opened_again(self._fd)
            try:
                items = memoryview(mmap.mmap(fd, SIZE)).cast("Q")
            finally:
                os.close(fd)
            self._header, self.stamps = items[: PAGE // 8], items[PAGE // 8 :]
            self._take_number()
        return True

    def _take_number(self) -> None:
        """Use stamps that nobody else has ever used. The guard is held."""
        number = self._header[NUMBER_AT]
        if number >= NUMBERS:
            raise BusError(f"{self.path} has no number left for another process: use another name")
        self._header[NUMBER_AT] = number + 1
        self._next, self._end = number * COUNTS, (number + 1) * COUNTS

    def separate(self, held: Sequence[int]) -> None:
        """In a forked process: have a description and a number of one's own, and let go of those of the parent.

        The map stays as it is, and so does what rests on it; these slots stay held.
        """
        inherited = self._fd
        self._fd = -1
        try:
            self._fd = self._opened_again(inherited)
            with guarded(self._fd, self.path):
                locks.share(self._fd, PRESENCE)
                self._take_number()
                self.hold(held)
        except BaseException:  # an interrupt, too: half a member is none
            self.close()
            raise
        finally:
            # As long as it is open here, the locks of the parent outlive it; and no slot is free in between.
            self._close(inherited)

    def stamp(self, slots: Sequence[int]) -> int:
        """Give each of these slots a new stamp, then their groups, then the first of all.

        Raises `BusError` once in four thousand million stamps, if there is no other number to be had.
        """
        if self._next == self._end:
            with guarded(self._fd, self.path):
                self._take_number()
        stamp = self._next
        self._next = stamp + 1
        stamps = self.stamps
        for slot in slots:
            stamps[slot] = stamp
        for slot in slots:
            stamps[1 + slot % GROUPS] = stamp
        stamps[0] = stamp
        return stamp

    def stamp_all(self) -> None:
        """Invalidate everything."""
        self.stamp(range(FIRST_SLOT, STAMPS))

    def set_bits(self, word: int, bits: int) -> bool:
        """Set these bits of a word, of which none is ever cleared; whether one of them is new."""
        with guarded(self._fd, self.path):
            before = self._header[WORDS_AT + word]
            self._header[WORDS_AT + word] = before | bits
            return before | bits != before

    def bits(self, word: int) -> int:
        """The bits of a word."""
        return self._header[WORDS_AT + word]

    def groups(self) -> bytes:
        """Which file it is, and the stamps of the groups, each in its place."""
        return bytes(self._header[IDENTITY_AT : IDENTITY_AT + 1]) + bytes(self.stamps[1 : 1 + GROUPS])

    def has_groups(self, groups: bytes, slots: Sequence[int]) -> bool:
        """Whether the groups of these slots still have the stamps they had then."""
        then, now = memoryview(groups).cast("Q"), self.stamps
        if then[0] != self._header[IDENTITY_AT]:
            return False
        for slot in slots:
            group = 1 + slot % GROUPS
            if then[group] != now[group]:
                return False
        return True

    def is_current(self) -> bool:
        """Whether the file is still the one at its path; not so once it was deleted or replaced."""
        return self._is_file(self._fd, linked=True)

    def hold(self, slots: Sequence[int]) -> None:
        """Show everybody else that mutations cover these slots."""
        for slot in slots:
            locks.share(self._fd, slot)

    def release(self, slots: Sequence[int]) -> None:
        """Show it no longer."""
        for slot in slots:
            # A stranger who has closed the descriptor has released them all.
            with suppress(OSError):
                locks.free(self._fd, slot)

    def is_held(self, slots: Sequence[int]) -> bool:
        """Whether somebody else holds one of these slots."""
        if len(slots) > 1:
            # Most of the time nothing is held far and wide, which one question can tell.
            first = min(slots)
            if not locks.is_locked(self._fd, first, max(slots) - first + 1):
                return False
        return any(locks.is_locked(self._fd, slot) for slot in slots)

    def is_shared(self) -> bool:
        """Whether somebody else uses the file, and has not left it."""
        return locks.is_locked(self._fd, PRESENCE)

    def leave(self) -> None:
        """Use another file from now on. What others do in this one can still be told."""
        with suppress(OSError):  # a stranger who has closed the descriptor has seen to that
            locks.free(self._fd, PRESENCE)

    def close(self) -> None:
        """Release everything. The stamps stay where they are, for those who still look at them."""
        fd, self._fd = self._fd, -1
        self._close(fd)

    __del__ = close

    def _close(self, fd: int, close: Callable[[int], None] = os.close) -> None:
        # A stranger may have closed it, and another have got its number.
        if self._is_file(fd):
            close(fd)

    def _opened_again(self, fd: int) -> int:
        """Another description of this file, also if it has no name any more."""
        try:
            again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise unusable(self.path, error) from error
        if self._is_file(again):
            return again
        os.close(again)
        raise BusError(f"{self.path}: its descriptor was closed by others, who use its number")

    # What it needs it holds itself: as the interpreter ends, the module may be gone before its files are.
    def _is_file(self, fd: int, *, linked: bool = False, fstat: Callable[[int], os.stat_result] = os.fstat) -> bool:
        try:
            found = fstat(fd)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file and (found.st_nlink > 0 or not linked)

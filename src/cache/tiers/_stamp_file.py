"""StampFile: the file that processes of one machine map to tell one another what was invalidated.

Each slot has a stamp, a number of 64 bits. To invalidate is to store a stamp that was never used before, so nothing
is read, nothing is counted and nobody waits: of two processes that stamp one slot at once, either may win. That a
mutation is under way is a lock on the byte of the file whose offset is the slot; the kernel takes it back from a
process that dies. Locks belong to an open file description (``fcntl(2)``, "Open file description locks"): two in one
process are strangers to each other, as two processes are.

A stamp is stored by an item of a ``memoryview``, which is one aligned store of eight bytes. Slices and
``struct.pack_into`` promise no such thing. Slots are stored before their groups and the first stamp of all at last; a
processor that keeps the order of stores and of loads, as x86-64 does, shows whoever has read the first stamp all that
was stored before it. On others the first stamp is never shown, see `Unordered`. What else has to be in order stands on
two sides of a system call that takes the kernel's lock on the locks of the file: a window is locked before its slot is
stamped and unlocked after it was stamped again, and whoever finds no lock there sees the stamps that went before.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from cache.errors import BusError

if sys.platform == "linux":
    import fcntl

PAGE: Final = 4096
#: Offsets in the header, in items.
MAGIC_AT, FORMAT_AT, SLOTS_AT, NUMBER_AT, IDENTITY_AT = range(5)
#: Where the header has room for words of which processes set the bits, and how many.
WORDS_AT, WORDS = 256, 256
MAGIC: Final = int.from_bytes(b"asynccch", "little")
#: To be raised by whoever changes what anything in the file means. The bytes that are locked mean the same for ever.
FORMAT: Final = 1
#: The stamps: the first of all, one for each group of slots, and from there on the slots.
GROUPS: Final = 256
FIRST_SLOT: Final = 512
SLOTS: Final = 65_536
STAMPS: Final = FIRST_SLOT + SLOTS
SIZE: Final = PAGE + 8 * STAMPS

#: Locked bytes that are no slots: while the header is read or changed, and for as long as a process uses the file.
GUARD, PRESENCE = 0, 1
#: For how many seconds to wait for the guard, which others hold for microseconds, and how often to look.
PATIENCE, PAUSE = 5.0, 0.001
#: How often to begin anew when the file is being replaced by others.
ATTEMPTS: Final = 100
#: How many numbers there are for processes, and how many stamps for each number.
NUMBERS: Final = 1 << 32
COUNTS: Final = 1 << 32

#: ``struct flock``
_FLOCK = struct.Struct("@hhqqi4x")


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
                self._fd = _open(path)
            except FileNotFoundError:
                _make(path)
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
        with _guarded(self._fd, self.path):
            found = os.fstat(self._fd)
            if found.st_nlink == 0:
                return False
            fault = _fault(self._fd, found.st_size)
            if fault is not None:
                _discard(self._fd, self.path, fault)
                return False
            _lock(self._fd, fcntl.F_RDLCK, PRESENCE)
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
            with _guarded(self._fd, self.path):
                _lock(self._fd, fcntl.F_RDLCK, PRESENCE)
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
            with _guarded(self._fd, self.path):
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
        with _guarded(self._fd, self.path):
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
            _lock(self._fd, fcntl.F_RDLCK, slot)

    def release(self, slots: Sequence[int]) -> None:
        """Show it no longer."""
        for slot in slots:
            # A stranger who has closed the descriptor has released them all.
            with suppress(OSError):
                _lock(self._fd, fcntl.F_UNLCK, slot)

    def is_held(self, slots: Sequence[int]) -> bool:
        """Whether somebody else holds one of these slots."""
        if len(slots) > 1:
            # Most of the time nothing is held far and wide, which one question can tell.
            first = min(slots)
            if not _is_locked(self._fd, first, max(slots) - first + 1):
                return False
        return any(_is_locked(self._fd, slot) for slot in slots)

    def is_shared(self) -> bool:
        """Whether somebody else uses the file, and has not left it."""
        return _is_locked(self._fd, PRESENCE)

    def leave(self) -> None:
        """Use another file from now on. What others do in this one can still be told."""
        with suppress(OSError):  # a stranger who has closed the descriptor has seen to that
            _lock(self._fd, fcntl.F_UNLCK, PRESENCE)

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
            raise _unusable(self.path, error) from error
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


def _open(path: str) -> int:
    """A descriptor of the file at ``path``, if it is one that nobody else could have written to."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(path, error) from error
    found = os.fstat(fd)
    reason = None
    if not stat.S_ISREG(found.st_mode):
        reason = "is no regular file"
    elif found.st_uid != os.geteuid():
        reason = f"belongs to the user {found.st_uid}, and this process runs as {os.geteuid()}"
    elif found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        reason = f"may be used by others (mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid})"
    if reason is None:
        return fd
    os.close(fd)
    raise BusError(f"{path} {reason}, so what it says cannot be trusted: delete it, or use another name or directory")


def _make(path: str) -> None:
    """Make the file, unless somebody is quicker. It has no name until it is whole, so nothing is left of half a one."""
    folder = os.path.dirname(path)  # noqa: PTH120 - a string all the way
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(fd, 0o600)  # whatever the umask has made of it
            # Pages that are there cannot be missing later, when it would be a signal that says so.
            os.posix_fallocate(fd, 0, SIZE)
            header = {MAGIC_AT: MAGIC, FORMAT_AT: FORMAT, SLOTS_AT: SLOTS, NUMBER_AT: 1}
            identity = os.urandom(8)
            os.pwrite(fd, b"".join(header[at].to_bytes(8, sys.byteorder) for at in sorted(header)) + identity, 0)
            with suppress(FileExistsError):
                # With a folder to start from, which an absolute path does not need, the link is followed.
                os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
        finally:
            os.close(fd)
    except OSError as error:
        raise _unusable(path, error) from error


def _fault(fd: int, size: int) -> str | None:
    """What is wrong with a file that this version of the cache did not make."""
    head = os.pread(fd, 8 * (SLOTS_AT + 1), 0)
    if len(head) < 8 * (SLOTS_AT + 1):
        return "is too short"
    magic, form, slots = memoryview(head).cast("Q")
    if magic != MAGIC:
        return "is not of this cache"
    if (form, slots, size) != (FORMAT, SLOTS, SIZE):
        return f"is of another version of this cache (format {form}, {size} bytes; here {FORMAT}, {SIZE})"
    return None


def _discard(fd: int, path: str, fault: str) -> None:
    """Delete a file that nobody uses, of which the guard is held."""
    if not _try_lock(fd, fcntl.F_WRLCK, PRESENCE):
        raise BusError(
            f"{path} {fault}, and processes are using it: stop the workers of the other version, or use another name"
        )
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False)):  # noqa: PTH116 - a string all the way
            os.unlink(path)  # noqa: PTH108 - a string all the way


@contextmanager
def _guarded(fd: int, path: str) -> Iterator[None]:
    """Alone with the header. What the system refuses meanwhile is a `BusError`."""
    deadline = time.monotonic() + PATIENCE
    try:
        while not _try_lock(fd, fcntl.F_WRLCK, GUARD):
            if time.monotonic() > deadline:
                raise BusError(
                    f"{path}: another process has been opening it for {PATIENCE:g} seconds. One that was stopped "
                    f"(SIGSTOP) has to be continued or killed"
                )
            time.sleep(PAUSE)
        try:
            yield
        finally:
            _lock(fd, fcntl.F_UNLCK, GUARD)
    except OSError as error:
        raise _unusable(path, error) from error


def _lock(fd: int, kind: int, start: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, 1, 0))


def _try_lock(fd: int, kind: int, start: int) -> bool:
    try:
        _lock(fd, kind, start)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise
    return True


def _is_locked(fd: int, start: int, length: int = 1) -> bool:
    """Whether another description has a lock there."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind: int = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0]
    return kind != fcntl.F_UNLCK


def _unusable(path: str, error: OSError) -> BusError:
    return BusError(
        f"{path} cannot be used to tell other processes what was invalidated ({error}). It takes a folder in memory "
        f"that this user may write to, as /dev/shm on Linux, for which directory=... may name another; RedisBackend "
        f"does without"
    )

"""How a file of stamps comes to be at its path, and whether the one that is there may be used.

Nobody else could have written to it, it is whole from the moment when it has a name, and one of another version is
replaced as soon as nobody uses it.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cache.errors import BusError
from cache.tiers import _byte_locks as locks
from cache.tiers._stamp_layout import (
    FORMAT,
    FORMAT_AT,
    GUARD,
    MAGIC,
    MAGIC_AT,
    NUMBER_AT,
    PRESENCE,
    SIZE,
    SLOTS,
    SLOTS_AT,
)

#: For how many seconds to wait for the guard, which others hold for microseconds, and how often to look.
PATIENCE, PAUSE = 5.0, 0.001


def open_at(path: str) -> int:
    """A descriptor of the file at ``path``, if it is one that nobody else could have written to."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unusable(path, error) from error
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


def make_at(path: str) -> None:
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
        raise unusable(path, error) from error


def fault_of(fd: int, size: int) -> str | None:
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


def discard(fd: int, path: str, fault: str) -> None:
    """Delete a file that nobody uses, of which the guard is held."""
    if not locks.try_take(fd, PRESENCE):
        raise BusError(
            f"{path} {fault}, and processes are using it: stop the workers of the other version, or use another name"
        )
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False)):  # noqa: PTH116 - a string all the way
            os.unlink(path)  # noqa: PTH108 - a string all the way


@contextmanager
def guarded(fd: int, path: str) -> Iterator[None]:
    """Alone with the header. What the system refuses meanwhile is a `BusError`."""
    deadline = time.monotonic() + PATIENCE
    try:
        while not locks.try_take(fd, GUARD):
            if time.monotonic() > deadline:
                raise BusError(
                    f"{path}: another process has been opening it for {PATIENCE:g} seconds. One that was stopped "
                    f"(SIGSTOP) has to be continued or killed"
                )
            time.sleep(PAUSE)
        try:
            yield
        finally:
            locks.free(fd, GUARD)
    except OSError as error:
        raise unusable(path, error) from error


def unusable(path: str, error: OSError) -> BusError:
    """What the system has refused, and what it takes."""
    return BusError(
        f"{path} cannot be used to tell other processes what was invalidated ({error}). It takes a folder in memory "
        f"that this user may write to, as /dev/shm on Linux, for which directory=... may name another; RedisBackend "
        f"does without"
    )

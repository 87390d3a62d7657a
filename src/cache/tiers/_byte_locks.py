"""Locks on bytes of a file: what a process holds, all others see, and the kernel takes back from one that dies.

They belong to an open file description (``fcntl(2)``, "Open file description locks"): two in one process are
strangers to each other, as two processes are. No descriptor sees its own.

All raise `OSError` where the system refuses.
"""

from __future__ import annotations

import errno
import os
import struct
import sys

if sys.platform == "linux":
    import fcntl

#: ``struct flock``
_FLOCK = struct.Struct("@hhqqi4x")


def share(fd: int, at: int) -> None:
    """Lock a byte beside all others who share it."""
    _set(fd, fcntl.F_RDLCK, at)


def try_take(fd: int, at: int) -> bool:
    """Lock a byte for oneself; False if others have a lock there."""
    try:
        _set(fd, fcntl.F_WRLCK, at)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise
    return True


def free(fd: int, at: int) -> None:
    """Unlock a byte, if it is locked."""
    _set(fd, fcntl.F_UNLCK, at)


def is_locked(fd: int, at: int, length: int = 1) -> bool:
    """Whether another description has a lock on any of these bytes."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, length, 0)
    kind: int = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0]
    return kind != fcntl.F_UNLCK


def _set(fd: int, kind: int, at: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, at, 1, 0))

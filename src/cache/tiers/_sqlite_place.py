"""Place: what lies at the path of a file, and how that is put out of the way.

What cannot be used is set aside under another name, never overwritten and never deleted. One process at a time opens,
creates or sets aside: each holds the guard, an empty SQLite file beside the other, whose lock the kernel drops with its
process.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from urllib.parse import quote

#: What belongs to a file: itself, its log, and the index of the log that its users share.
PARTS: Sequence[str] = ("", "-wal", "-shm")

#: The inode of a file and its device.
Identity = tuple[int, int]


logger = logging.getLogger("cache")


def identity_of(path: str) -> Identity | None:
    """Which file lies at the path; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - once per operation: a Path would cost more than the call
    except OSError:
        return None
    return found.st_ino, found.st_dev


def may_be_served(path: str) -> bool:
    """Whether a file lies at the path that somebody could use."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - the path is a string for the sake of SQLite
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # nobody knows
        return True


@contextmanager
def guarded(path: str, patience: float) -> Iterator[None]:
    """Nobody else opens the file or sets it aside meanwhile; raises ``sqlite3.Error`` or ``OSError`` if that fails."""
    guard = f"{path}-guard"
    create(guard)
    with closing(connect(guard, patience)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")  # on a full disk there is no room for a journal
        connection.execute("BEGIN EXCLUSIVE")
        yield


def create(path: str) -> None:
    """An empty file that its owner alone may read; nothing if there is one."""
    # Where there is a file it must not be opened here: to close it would drop the locks of this process on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def connect(path: str, patience: float) -> sqlite3.Connection:
    """A connection to the SQLite file that lies there."""
    # One thread uses a connection; a fork closes it from another, while that one is held up.
    uri = f"file:{quote(os.fsencode(path))}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)


def put_away(path: str, patience: float, identity: Identity | None, reason: str) -> None:
    """Set this file aside, if it lies at the path, from whoever it is. Raises ``OSError`` if that fails."""
    with ExitStack() as stack:
        parts = PARTS
        try:
            stack.enter_context(guarded(path, patience))
        except (sqlite3.Error, OSError):
            # It alone, at one stroke: whoever opens the path next finds its log without it, and sets that aside.
            parts = PARTS[:1]
        if identity is None or identity_of(path) == identity:
            set_aside(path, reason, parts)


def set_aside(path: str, reason: str, parts: Sequence[str] = PARTS) -> None:
    """Rename what lies at the path, with its log; to be called under the guard. Raises ``OSError`` if that fails."""
    number = 1
    while any(os.path.lexists(f"{path}.set-aside-{number}{part}") for part in PARTS):
        number += 1
    aside = f"{path}.set-aside-{number}"
    for part in parts:
        with suppress(FileNotFoundError):
            os.rename(path + part, aside + part)  # noqa: PTH104 - a part may be missing, which is no error here
    logger.warning("%s: %s. It was set aside as %s.", path, reason, aside)

"""Owners: which of those who have mutations in progress are alive, as the kernel tells it.

An owner is one user of a file in one process. It has a random number, which nobody else ever has, and holds a lock on
a small file of that name in a folder beside the database. The lock belongs to its open file description (``flock(2)``),
so the kernel drops it with the process, however that ends; and two users in one process are strangers to each other.

A lock that is free tells of a death, and nothing else does. If the small file is missing, or not to be opened, its
owner counts as alive: what the dead had covered costs hits as long as it is covered, what the living had would go on to
be served. Owners never delete theirs before their last mutation has ended, so then a stranger has done it.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

#: What the file of an owner is called: its number.
NAME = re.compile("[0-9a-f]{1,16}", re.ASCII)

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - there all of these locks exclude
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _share(fd: int, path: str) -> None:
        """There nobody makes a file in place of somebody else."""

    def _share_folder(folder: Path, path: str) -> None:
        """Nor a folder."""
else:
    import fcntl

    def _try_lock(fd: int, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _share(fd: int, path: str) -> None:
        """What the administrator makes belongs to the owner of the database, as what SQLite makes beside it does."""
        if os.geteuid() == 0:
            with suppress(OSError):  # not every administrator may
                database = os.stat(path)  # noqa: PTH116 - the path is a string for the sake of SQLite
                os.fchown(fd, database.st_uid, database.st_gid)

    def _share_folder(folder: Path, path: str) -> None:
        # By a descriptor: whoever may write beside it could put something else there, which is not to be given away.
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _share(fd, path)
        finally:
            os.close(fd)


class Owners:
    """The owners of mutations of the file at ``path``, of which this may become one; for one thread.

    ``covering`` is the mutations of this one, by their numbers, that are in the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = Path(f"{path}-owners")
        self.forget()

    def forget(self) -> None:
        """Be nobody, as in a forked process: the mutations of the parent are the parent's."""
        self._number = 0
        self._fd: int | None = None
        self.covering: set[int] = set()
        self.begin()

    def begin(self) -> None:
        """Know nothing of earlier transactions that were not committed."""
        self._begun: set[int] = set()
        self._ended: set[int] = set()

    def committed(self) -> None:
        """What began and ended in this transaction is so in the file."""
        self.covering = (self.covering | self._begun) - self._ended
        self.begin()

    def cover(self, mutation: int) -> int:
        """A mutation of this owner begins; return the owner's number.

        Raises ``OSError`` if there is no way to be an owner.
        """
        if self._fd is None or not self._is_at(self._fd, self._number):
            self._become()
        self._begun.add(mutation)
        return self._number

    def uncover(self, mutation: int) -> bool:
        """Whether that is a mutation of this owner, which has ended."""
        if mutation not in self.covering and mutation not in self._begun:
            return False
        self._ended.add(mutation)
        return True

    def lives(self, owner: int) -> bool:
        """Whether that owner may be alive."""
        if owner == self._number:  # as the lock would say, sooner
            return True
        try:
            fd = os.open(self._path(owner), os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # a stranger has deleted it, or there is no descriptor left: nothing is known
            return True
        try:
            return not _try_lock(fd, shared=True)
        except OSError:  # nothing is known
            return True
        finally:
            os.close(fd)

    def dead(self) -> list[int]:
        """All that have died and left their file."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError:  # nobody has been one
            return []
        numbers = [int(name, 16) for name in names if NAME.fullmatch(name)]
        return [number for number in numbers if not self.lives(number)]

    def remove(self, dead: Iterable[int]) -> None:
        """Delete the files of the dead, of whose mutations nothing must be left in the database."""
        for number in dead:
            with suppress(OSError):  # another does the same, or may
                fd = os.open(self._path(number), os.O_RDWR | os.O_CLOEXEC)
                try:
                    # One that is just being made is not locked yet: if it is deleted its owner will see that.
                    if _try_lock(fd):
                        self._unlink(number)
                finally:
                    os.close(fd)
                if sys.platform == "win32":  # where nobody can delete what somebody has open
                    self._unlink(number)

    def leave(self) -> None:
        """Be no owner any more, unless a mutation is in progress: that stays covered until the process ends."""
        if self._fd is not None and not self.covering:
            number = self._number
            self._let_go()
            self._unlink(number)

    def inherited(self) -> None:
        """In a forked process: let go of what belongs to the parent, whose lock that does not end."""
        if self._fd is not None:
            self._let_go()
        self.forget()

    def _become(self) -> None:
        """Take a number that nobody has had, in place of one whose file was deleted by a stranger."""
        if self._fd is not None:
            self._let_go()
        with suppress(FileExistsError):
            self.folder.mkdir(0o700)
            _share_folder(self.folder, self.path)
        while self._fd is None:
            number = secrets.randbits(63)
            fd = os.open(self._path(number), os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                _share(fd, self.path)
                if _try_lock(fd) and self._is_at(fd, number):  # else who removes the dead was quicker
                    self._number, self._fd = number, fd
            finally:
                if self._fd is None:
                    os.close(fd)
        _joined.add(self)

    def _let_go(self) -> None:
        fd, self._fd, self._number = self._fd, None, 0
        if fd is not None:
            os.close(fd)
        _joined.discard(self)

    def _unlink(self, number: int) -> None:
        with suppress(OSError):  # it is removed by whoever opens the database next
            self._path(number).unlink()

    def _is_at(self, fd: int, number: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path(number).stat())
        except FileNotFoundError:
            return False

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:x}"


#: Those of this process that hold a lock, which a forked one inherits.
_joined: set[Owners] = set()


def _in_child() -> None:
    for owners in list(_joined):
        owners.inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

"""FileInUse: the file of stamps that a bus uses, which is lost, deleted and found again while the bus lives on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import monotonic
from typing import Final

from cache._bus import Stamps
from cache._step import step
from cache.errors import BusError
from cache.tiers._former_files import FormerFiles
from cache.tiers._stamp_file import StampFile
from cache.tiers._unordered import Unordered, readable

logger = logging.getLogger("cache")

#: How many seconds to leave a file alone that could not be opened.
RETRY: Final = 1.0


class FileInUse:
    """The file at ``path``, in which there is at any time what this process holds and has declared.

    ``held`` are slots and ``declared`` bits by their word; both are read whenever another file is begun with, and only
    their owner changes them. ``file`` is None while there is none, and ``lost`` says why. ``missed`` is set where
    something was to be stamped meanwhile.

    Raises:
        BusError, OSError: the first file cannot be used. Later this is logged, and tried again.

    """

    def __init__(self, path: str, held: Mapping[int, object], declared: Mapping[int, int]) -> None:
        self.path = path
        self.file: StampFile | None = None
        self.former = FormerFiles()
        self.lost: str | None = None
        self.missed = False
        self.closed = False
        self._held = held
        self._declared = declared
        self._retry = 0.0
        self._use(StampFile(path))

    def opened(self) -> StampFile | None:
        """The file. One that was lost is looked for again, from time to time."""
        if self.file is None and not self.closed and monotonic() >= self._retry:
            self._find()
        return self.file

    def _find(self) -> None:
        """Open the file at the path, and have in it what this process holds."""
        try:
            self._use(StampFile(self.path))
        except (BusError, OSError) as error:
            self.lose(error)

    def _use(self, file: StampFile) -> None:
        slots = tuple(self._held)
        file.hold(slots)
        # Those who were here before did not know of these, and what they have loaded does not rest on them.
        is_news = sum(file.set_bits(word, bits) for word, bits in self._declared.items())
        if self.missed or is_news:
            file.stamp_all()
        elif slots:
            file.stamp(slots)
        self.missed = False
        self.former.leave()
        self.file = file
        self.stamps: Stamps = readable(file.stamps)
        if self.lost is not None:
            self.lost = None
            _tell(logging.INFO, "%s can be used again.", self.path)

    def renew(self) -> None:
        """Begin anew with another file: this one was deleted, and nothing that rests on it is to live."""
        old = self.file
        if old is not None:
            self.file = None
            self.former.add(old)
            try:
                old.stamp_all()
            except BusError as error:
                self.lose(error)
                return
            self._find()
            if self.file is not None:
                self.former.sort_out()  # and not otherwise: what is held in the old one is held nowhere else

    def lose(self, error: BaseException) -> None:
        """It cannot be used; from here on its stamps are numbers that equal nothing."""
        self.file = None
        self.stamps = Unordered()
        self._retry = monotonic() + RETRY
        if self.lost is None:
            _tell(logging.WARNING, "%s. Nothing is cached that other processes could invalidate until it can.", error)
        self.lost = str(error)

    def separate(self) -> None:
        """In a forked process: have descriptions of one's own, with what is held by now; never raises."""
        slots = tuple(self._held)
        try:
            self.former.separate(slots)
            if self.file is not None:
                self.file.separate(slots)
                self.former.leave()
        except (BusError, OSError) as error:
            self._let_go()
            self.lose(error)

    def close(self) -> None:
        """Let go of it, and look for no other. May be repeated."""
        self.closed = True
        self.lost = "it was closed"
        self._let_go()
        self.file = None
        self.stamps = Unordered()

    def _let_go(self) -> None:
        self.former.close()
        if self.file is not None:
            self.file.close()


class _Telling:
    """Something to be logged when the step is over: handlers are strangers."""

    def __init__(self, level: int, message: str, *args: object) -> None:
        self._level, self._message, self._args = level, message, args

    def launch(self) -> None:
        logger.log(self._level, self._message, *self._args)


def _tell(level: int, message: str, *args: object) -> None:
    with step:
        step.launches.append(_Telling(level, message, *args))

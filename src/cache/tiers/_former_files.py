"""FormerFiles: files of stamps that were deleted while they were used.

What others have begun there can be seen nowhere else, and what this process has begun they look for there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from cache.tiers._stamp_file import StampFile


class FormerFiles:
    """The deleted files of one bus, each as long as somebody else uses it."""

    def __init__(self) -> None:
        self._files: tuple[StampFile, ...] = ()

    def __len__(self) -> int:
        return len(self._files)

    def add(self, file: StampFile) -> None:
        """One more was deleted."""
        self._files = (*self._files, file)

    def leave(self) -> None:
        """What this process holds there it holds in another file as well, from now on."""
        for file in self._files:
            file.leave()

    def is_held(self, slots: Sequence[int]) -> bool:
        """Whether somebody else holds one of these slots."""
        if self._files:
            self.sort_out()
        return any(file.is_held(slots) for file in self._files)

    def release(self, slots: Sequence[int]) -> None:
        """Hold these no longer."""
        for file in self._files:
            file.release(slots)

    def sort_out(self) -> None:
        """Drop those that nobody else uses."""
        shared = tuple([file for file in self._files if _is_shared(file)])
        for file in self._files:
            if file not in shared:
                file.close()
        self._files = shared

    def separate(self, held: Sequence[int]) -> None:
        """In a forked process: as `StampFile.separate`, with each of them."""
        for file in self._files:
            file.separate(held)

    def close(self) -> None:
        """Let go of all of them."""
        for file in self._files:
            file.close()
        self._files = ()


def _is_shared(file: StampFile) -> bool:
    with suppress(OSError):  # a stranger has closed its descriptor
        return file.is_shared()
    return False

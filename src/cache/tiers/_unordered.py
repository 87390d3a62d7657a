"""Stamps as this processor may be shown them: the first of all proves the others where stores keep their order."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Final, overload

from cache._bus import Stamps

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


def readable(stamps: Stamps) -> Stamps:
    """These, with the first of all where it can be relied on."""
    return stamps if IN_ORDER else Unordered(stamps)

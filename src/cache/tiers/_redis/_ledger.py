"""Ledger: what this process knows of the stamps at the servers, and what it tells the cache of them.

Three numbers for each slot. ``server`` is the server's own stamp, as it was told in the server's order; values at the
server are judged by it. ``stamps`` is what the cache compares: a number of this process, another one after each change
that the cache does not know of by itself. ``seen`` is the same for the tier, with what was asked for here as well.

Only the thread of the engine writes what is heard; any thread may look, without a lock. So the order counts: a window
is there before the stamps that tell of it, a slot before slot 0, and the server's stamp before the number, which lets
go of what rests on the one before.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from time import monotonic
from typing import Any, Final, NamedTuple, overload

from cache.tiers._redis._layout import Layout
from cache.tiers._unordered import Never

#: A change as it is told: kind, who made it, the mutation, the stamp, milliseconds for which that covers them; slots.
HEAD: Final = struct.Struct("<c8s8sQQ")
CHANGED: Final = b"C"
BEGUN: Final = b"B"
ENDED: Final = b"E"
RESET: Final = b"R"
#: That there is another incarnation, and which.
INCARNATED: Final = b"I"


class Stamps(Sequence[int]):
    """Numbers that change with the stamps of the servers; equal to nothing while nobody knows that none was missed.

    That is found out at each look, and not by a timer: a process that was stopped must know it at its first step.
    """

    __slots__ = ("numbers", "until")

    def __init__(self, size: int) -> None:
        self.numbers = array("Q", bytes(8 * size))
        #: Until when they may be trusted, by the monotonic clock.
        self.until = -math.inf

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        # The number first: if the proof holds after that, it held when the number was read.
        number = self.numbers[index]
        return number if monotonic() < self.until else Never()

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def are_proven(self) -> bool:
        """Whether nothing was missed that had happened so many seconds ago as may be."""
        return monotonic() < self.until


class Window(NamedTuple):
    """Slots that a mutation covers, and until when if nothing more is heard of it."""

    slots: frozenset[int]
    deadline: float


class Ledger:
    """The stamps of all slots, as far as they were heard of."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.stamps = Stamps(layout.size)
        self.server = array("Q", bytes(8 * layout.size))
        self.seen = array("Q", bytes(8 * layout.size))
        #: How many changes were heard of or asked for. It may lag behind for a moment, which only refuses too much.
        self.number = 0
        self._numbers = count(1)
        #: The mutations of others, by their number and the bucket.
        self.windows: dict[tuple[bytes, int], Window] = {}
        #: Those of this process, which the tier has begun; the cache knows of them by itself.
        self.own: dict[bytes, Window] = {}
        #: Slots whose values are being replaced from here, though nobody has invalidated them, by the number of that.
        self.replacing: dict[int, Window] = {}
        #: What was sent from here and has not come back: for the values that are sent after it, it is done.
        self.sent: dict[int, int] = {}
        #: And in how many messages each stamp comes back.
        self._echoes: dict[int, int] = {}

    # -- what is asked for here, in any thread -----------------------------------------------------------------

    def stamp(self, slots: Iterable[int]) -> int:
        """The cache has invalidated these."""
        number = self._next()
        numbers = self.stamps.numbers
        for slot in slots:
            numbers[slot] = number
        numbers[0] = number
        return number

    def ask(self, slots: Iterable[int]) -> int:
        """The tier is to invalidate these: whatever was loaded up to now is not to be written any more."""
        number = self._next()
        for slot in slots:
            self.seen[slot] = number
        return number

    def replace(self, slots: Iterable[int]) -> int:
        """The value at one of these is to be replaced; the number by which that is taken from `replacing` in the end.

        The cache has no mutation for it. But what it would read, or make of what it reads, may rest on the one before.
        """
        number = self._next()
        self.replacing[number] = Window(frozenset(slots), math.inf)
        return number

    def is_changing(self, slots: Iterable[int]) -> bool:
        """Whether a mutation of another process covers one of these, or its value is being replaced."""
        return _covers(self.windows, slots) or _covers(self.replacing, slots)

    def is_replacing(self, slots: Iterable[int]) -> bool:
        """Whether the value of one of these is being replaced."""
        return _covers(self.replacing, slots)

    def is_covered(self, slots: Iterable[int]) -> bool:
        """Whether any mutation does."""
        return _covers(self.windows, slots) or _covers(self.own, slots)

    def has_changed(self, slots: Iterable[int], since: int) -> bool:
        """Whether one of these was changed after so many changes."""
        seen = self.seen
        return any(seen[slot] > since for slot in slots)

    # -- what is sent and heard, in the thread of the engine ---------------------------------------------------

    def send(self, slots: Iterable[int], stamp: int) -> None:
        """These have this stamp for whatever is sent after it from here."""
        self._echoes[stamp] = len(self.layout.by_bucket(slots))
        for slot in slots:
            self.sent[slot] = stamp

    def unsend(self, slots: Iterable[int], stamp: int) -> None:
        """The server has told this, or has not taken it."""
        left = self._echoes.pop(stamp, 0) - 1
        if left > 0:
            self._echoes[stamp] = left
        for slot in slots:
            if self.sent.get(slot) == stamp:
                del self.sent[slot]

    def lose(self) -> None:
        """Nothing comes back of what was sent. What comes later all the same is as if another had sent it."""
        self.stamps.until = -math.inf
        self.sent.clear()
        self._echoes.clear()

    def current(self, slots: Iterable[int]) -> list[int]:
        """The stamps of these."""
        server, sent = self.server, self.sent
        if not sent:
            return [server[slot] for slot in slots]
        return [sent[slot] if slot in sent else server[slot] for slot in slots]

    def hear(self, message: bytes, me: bytes, bucket: int = 0) -> int | None:
        """Take notice of a change; its stamp if it was made here, None if not.

        Raises:
            struct.error, IndexError, ValueError: it is none of ours.

        """
        kind = message[:1]
        if kind == RESET:
            (base,) = struct.unpack("<Q", message[1:])
            self.reset(bucket, base)
            return None
        kind, sender, mutation, stamp, left = HEAD.unpack_from(message)
        slots = self._slots(bucket, message[HEAD.size :])
        is_own = sender == me and stamp in self._echoes
        if kind == BEGUN and not is_own:
            # Before the stamps: a load that finds the new ones must find the mutation, too.
            self.windows[mutation, bucket] = Window(frozenset(slots), monotonic() + left / 1000)
        server = self.server
        for slot in slots:
            server[slot] = stamp
        if is_own:
            # The cache has stamped by itself, when it asked for this; what it has loaded since need not go.
            self.unsend(slots, stamp)
        else:
            self._renumber(slots)
        if kind == ENDED:
            self.windows.pop((mutation, bucket), None)
        return stamp if is_own else None

    def reset(self, bucket: int, base: int) -> None:
        """The server has new stamps in this bucket, all of them the base."""
        width = self.layout.width
        self.server[bucket * width : (bucket + 1) * width] = array("Q", [base]) * width
        self._renumber(range(bucket * width, (bucket + 1) * width))

    def take(self, bucket: int, stamps: bytes, windows: Iterable[tuple[bytes, float]]) -> None:
        """What the server says after a time in which nothing was heard. What has not changed lives on.

        Raises:
            ValueError, IndexError: that are not all stamps of a bucket, or a window is none.

        """
        width = self.layout.width
        now = monotonic()
        found = array("Q", stamps)
        if sys.byteorder == "big":
            found.byteswap()
        if len(found) != width:
            raise ValueError(f"{len(found)} stamps, and not {width}")
        for window, left in windows:
            number = window[:8]
            if number not in self.own:
                self.windows[number, bucket] = Window(frozenset(self._slots(bucket, window[8:])), now + left / 1000)
        first = bucket * width
        known = self.server[first : first + width]
        self.server[first : first + width] = found
        if known != found:
            self._renumber([first + at for at in range(width) if known[at] != found[at]])

    def sweep(self) -> None:
        """Forget the mutations whose time is over."""
        now = monotonic()
        for theirs, window in tuple(self.windows.items()):
            if window.deadline <= now:
                del self.windows[theirs]
        for ours, window in tuple(self.own.items()):
            if window.deadline <= now:
                del self.own[ours]

    def _slots(self, bucket: int, packed: bytes) -> Sequence[int]:
        """The slots that these are in their bucket."""
        positions = array("I", packed)
        if sys.byteorder == "big":
            positions.byteswap()
        width = self.layout.width
        if any(position >= width for position in positions):
            raise IndexError(f"slot {max(positions)} of {width}")
        return positions if not bucket else [bucket * width + position for position in positions]

    def _renumber(self, slots: Iterable[int]) -> None:
        number = self._next()
        numbers, seen = self.stamps.numbers, self.seen
        for slot in slots:
            seen[slot] = number
            numbers[slot] = number
        numbers[0] = number

    def _next(self) -> int:
        number = self.number = next(self._numbers)
        return number


def _covers(windows: Mapping[Any, Window], slots: Iterable[int]) -> bool:
    if not windows:
        return False
    now = monotonic()
    # Copied at once, for another thread adds to them.
    return any(window.deadline > now and not window.slots.isdisjoint(slots) for window in tuple(windows.values()))

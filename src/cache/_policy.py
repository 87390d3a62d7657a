"""Eviction: which entry goes when room is needed. Here is the least recently used; `_s3fifo` has the other.

A hit only stamps its entry with the next tick, because moving it in an order would need a lock and half the time of
the hit again. The order is restored when, and only as far as, an eviction needs it: entries stay filed in buckets by
the tick they had, and one that turns out to have been used since is filed anew.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from math import isqrt
from operator import attrgetter
from typing import Any, ClassVar, Protocol

from cache._entry import Entry

#: The most entries that one eviction files anew before it takes the oldest of those it has seen.
SCAN = 512

#: The most entries in a bucket, but for some that are filed anew: places up to here are integers that cost no memory.
WIDEST = 256

_tick = attrgetter("tick")
_bound = attrgetter("bound")


class Policy(Protocol):
    """What a store asks of an order of eviction."""

    counts_uses: ClassVar[bool]

    @property
    def buckets(self) -> list[Bucket]: ...
    def add(self, entry: Entry) -> None: ...
    def discard(self, entry: Entry) -> None: ...
    def evict(self, tick: float) -> Entry: ...
    def inspect(self) -> Entry | None: ...
    def shed(self) -> int: ...


class Bucket:
    """Entries filed with a tick of at most ``bound``, and above the bound of the bucket before; ``home`` is its queue.

    Invariant: ``entries[entry.at]`` is the entry, for each of the ``live`` ones. What was removed has left None in its
    place, so that nothing keeps it alive, and these gaps are fewer than the entries.
    """

    __slots__ = ("bound", "entries", "home", "live", "ordered")

    def __init__(self, bound: float, home: Any = None) -> None:
        self.bound = bound
        self.home = home
        self.entries: list[Entry | None] = []
        self.live = 0
        self.ordered = False

    def file(self, entry: Entry) -> None:
        entry.bucket = self
        entry.at = len(self.entries)
        self.entries.append(entry)
        self.live += 1
        self.ordered = False

    def remove(self, entry: Entry) -> None:
        self.entries[entry.at] = None
        entry.bucket = None
        self.live -= 1
        if len(self.entries) > 2 * self.live + 8:
            self._arrange(self.filed())

    def filed(self) -> list[Entry]:
        return [entry for entry in self.entries if entry is not None]

    def order(self) -> None:
        """Least recently used last, so that taking it is cheap."""
        if not self.ordered:
            self._arrange(sorted(self.filed(), key=_tick, reverse=True))
            self.ordered = True

    def reverse(self) -> None:
        """First filed last, so that taking it is cheap."""
        if not self.ordered:
            self._arrange(self.filed()[::-1])
            self.ordered = True

    def take(self) -> Entry:
        """Take out the last; there must be one."""
        entry = self.entries.pop()
        while entry is None:
            entry = self.entries.pop()
        entry.bucket = None
        self.live -= 1
        return entry

    def _arrange(self, entries: list[Entry]) -> None:
        for at, entry in enumerate(entries):
            entry.at = at
        self.entries = [*entries]


class Hand:
    """Passes over entries in turn, to find those that nobody will ever be served again."""

    __slots__ = ("_at", "_bucket")

    def __init__(self) -> None:
        self._bucket = 0
        self._at = 0

    def next(self, buckets: list[Bucket]) -> Entry | None:
        """The next entry, or None where there is a gap."""
        if self._bucket >= len(buckets):
            self._bucket = self._at = 0
        entries = buckets[self._bucket].entries if buckets else []
        if self._at >= len(entries):
            self._bucket += 1
            self._at = 0
            return None
        self._at += 1
        return entries[self._at - 1]


class LRU:
    """Least recently used, exactly, with an order that is restored lazily.

    Invariant: the bounds rise from bucket to bucket, and an entry that was not used since it was filed has a tick
    within its bucket's bounds. So the oldest unused entry of the first bucket is the oldest of all. The one exception
    is an eviction that meets more than ``SCAN`` entries in use: to go on until the exact one is found could take as
    long as the cache is large, and it takes the oldest of those seen instead.
    """

    #: A hit gives its entry the newest tick.
    counts_uses: ClassVar[bool] = False

    __slots__ = ("_hand", "_width", "buckets")

    def __init__(self, maxsize: int | None) -> None:
        self._width = min(max(isqrt(maxsize or WIDEST * WIDEST), 8), WIDEST)
        self.buckets = [Bucket(math.inf)]
        self._hand = Hand()

    def add(self, entry: Entry) -> None:
        """File an entry that has just been given the newest tick."""
        last = self.buckets[-1]
        if len(last.entries) >= self._width:
            if last.live:
                last = self._open(entry.tick - 1.0)
            else:
                last.entries.clear()
        last.file(entry)

    def discard(self, entry: Entry) -> None:
        """Forget an entry that is no longer stored."""
        bucket: Bucket = entry.bucket
        bucket.remove(entry)
        if not bucket.live and bucket is not self.buckets[-1]:
            del self.buckets[bisect_left(self.buckets, bucket.bound, key=_bound)]

    def evict(self, tick: float) -> Entry:
        """Take out the least recently used entry; ``tick`` is the newest. There must be one."""
        seen: list[Entry] = []
        while len(seen) < SCAN:
            front = self.buckets[0]
            if front.bound == math.inf:
                self._open(tick)
            front.order()
            entry = front.take()
            if not front.live:
                del self.buckets[0]
            if entry.tick <= front.bound:
                return entry
            self._refile(entry)
            seen.append(entry)
        oldest = min(seen, key=_tick)
        self.discard(oldest)
        return oldest

    def inspect(self) -> Entry | None:
        """The next entry under a hand that passes over all of them in turn, or None where there is a gap."""
        return self._hand.next(self.buckets)

    def shed(self) -> int:
        """Let go of some entries of a policy that is no longer used; their number and more, 0 if nothing is left."""
        return 1 + len(self.buckets.pop().entries) if self.buckets else 0

    def _open(self, bound: float) -> Bucket:
        """Close the last bucket at ``bound`` and open the next."""
        self.buckets[-1].bound = bound
        last = Bucket(math.inf)
        self.buckets.append(last)
        return last

    def _refile(self, entry: Entry) -> None:
        at = bisect_left(self.buckets, entry.tick, key=_bound)
        bucket = self.buckets[at]
        bucket.file(entry)
        if len(bucket.entries) > 2 * self._width and bucket is not self.buckets[-1]:
            self._split(at)

    def _split(self, at: int) -> None:
        upper = self.buckets[at]
        entries = sorted(upper.filed(), key=_tick)
        half = len(entries) // 2
        bound = entries[half - 1].tick
        if bound >= upper.bound:
            return  # most of it was used since: those entries will leave by themselves
        lower = Bucket(bound)
        rest = Bucket(upper.bound)
        for i, entry in enumerate(entries):
            (lower if i < half else rest).file(entry)
        self.buckets[at : at + 1] = [lower, rest]

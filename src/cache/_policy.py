"""Eviction: which entry goes when room is needed.

A hit only stamps its entry with the next tick, because moving it in an order would need a lock and half the time of
the hit again. The order is restored when, and only as far as, an eviction needs it: entries stay filed in buckets by
the tick they had, and one that turns out to have been used since is filed anew.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from math import isqrt
from operator import attrgetter

from cache._entry import Entry

#: The most entries that one eviction files anew before it takes the oldest of those it has seen.
SCAN = 1024

_tick = attrgetter("tick")
_bound = attrgetter("bound")


class Bucket:
    """Entries filed with a tick of at most ``bound``, and above the bound of the bucket before.

    ``live`` of the ``entries`` are still filed here; the others have been removed and wait for the next compaction,
    which keeps them fewer than the live ones.
    """

    __slots__ = ("bound", "entries", "live", "ordered")

    def __init__(self, bound: float) -> None:
        self.bound = bound
        self.entries: list[Entry] = []
        self.live = 0
        self.ordered = False

    def file(self, entry: Entry) -> None:
        entry.bucket = self
        self.entries.append(entry)
        self.live += 1

    def compact(self) -> None:
        self.entries = [entry for entry in self.entries if entry.bucket is self]

    def order(self) -> None:
        """Oldest last, so that taking it is cheap."""
        if not self.ordered:
            self.entries.sort(key=_tick, reverse=True)
            self.ordered = True


class LRU:
    """Least recently used, exactly, with an order that is restored lazily.

    Invariant: the bounds rise from bucket to bucket, and an entry that was not used since it was filed has a tick
    within its bucket's bounds. So the oldest unused entry of the first bucket is the oldest of all. The one exception
    is an eviction that meets more than ``SCAN`` entries in use: to go on until the exact one is found could take as
    long as the cache is large, and it takes the oldest of those seen instead.
    """

    __slots__ = ("_hand", "_hand_bucket", "_width", "buckets")

    def __init__(self, maxsize: int | None) -> None:
        self._width = min(max(isqrt(maxsize or 512 * 512), 8), 512)
        self.buckets = [Bucket(math.inf)]
        self._hand_bucket = 0
        self._hand = 0

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
        entry.bucket = None
        bucket.live -= 1
        if not bucket.live and bucket is not self.buckets[-1]:
            del self.buckets[self._index_of(bucket)]
        elif len(bucket.entries) > 2 * bucket.live + 8:
            bucket.compact()

    def evict(self, tick: float) -> Entry:
        """Take out the least recently used entry; ``tick`` is the newest. There must be one."""
        seen: list[Entry] = []
        while len(seen) < SCAN:
            front = self.buckets[0]
            if not front.live:
                # Only the last bucket may be empty, and then nothing is left that was not seen.
                break
            if front.bound == math.inf:
                self._open(tick)
            front.order()
            entry = front.entries.pop()
            if entry.bucket is not front:
                continue
            front.live -= 1
            entry.bucket = None
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
        if self._hand_bucket >= len(self.buckets):
            self._hand_bucket = self._hand = 0
        bucket = self.buckets[self._hand_bucket]
        if self._hand >= len(bucket.entries):
            self._hand_bucket += 1
            self._hand = 0
            return None
        entry = bucket.entries[self._hand]
        self._hand += 1
        return entry if entry.bucket is bucket else None

    def _open(self, bound: float) -> Bucket:
        """Close the last bucket at ``bound`` and open the next."""
        self.buckets[-1].bound = bound
        last = Bucket(math.inf)
        self.buckets.append(last)
        return last

    def _refile(self, entry: Entry) -> None:
        at = bisect_left(self.buckets, entry.tick, key=_bound)
        bucket = self.buckets[at]
        bucket.ordered = False
        bucket.file(entry)
        if len(bucket.entries) > 2 * self._width and bucket is not self.buckets[-1]:
            self._split(at)

    def _split(self, at: int) -> None:
        upper = self.buckets[at]
        upper.compact()
        upper.entries.sort(key=_tick)
        half = len(upper.entries) // 2
        bound = upper.entries[half - 1].tick
        if bound >= upper.bound:
            return  # most of it was used since: those entries will leave by themselves
        lower = Bucket(bound)
        for entry in upper.entries[:half]:
            lower.file(entry)
        upper.entries = upper.entries[half:]
        upper.live = len(upper.entries)
        self.buckets.insert(at, lower)

    def _index_of(self, bucket: Bucket) -> int:
        at = bisect_left(self.buckets, bucket.bound, key=_bound)
        while self.buckets[at] is not bucket:
            at += 1
        return at

"""S3-FIFO: eviction that keeps what is asked for again, and lets the rest pass through quickly.

Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023. Most entries are never
asked for a second time. So new ones wait in a small queue, from which only those move on to the main one that were
used meanwhile; what was turned out there and comes back soon goes to the main queue at once.
"""

from __future__ import annotations

import math
from typing import ClassVar

from cache._entry import Entry
from cache._policy import SCAN, WIDEST, Bucket, Hand
from cache._shards import count_parts

#: The part of the room that the small queue gets.
SMALL = 0.1
#: The uses that take an entry from the small queue to the main one, and the most that count in the main one.
ENOUGH, MOST = 2.0, 3.0


class Fifo:
    """A queue from whose middle entries can be removed. Invariant: only the last bucket may be empty."""

    __slots__ = ("buckets", "hand", "live")

    def __init__(self) -> None:
        self.buckets: list[Bucket] = [Bucket(math.inf, self)]
        self.live = 0
        self.hand = Hand()

    def push(self, entry: Entry) -> None:
        last = self.buckets[-1]
        if last.ordered or len(last.entries) >= WIDEST:
            last = Bucket(math.inf, self)
            self.buckets.append(last)
        last.file(entry)
        self.live += 1

    def pop(self) -> Entry:
        """Take out the oldest; there must be one."""
        front = self.buckets[0]
        front.reverse()
        entry = front.take()
        self._has_lost_one(front)
        return entry

    def remove(self, entry: Entry) -> None:
        bucket: Bucket = entry.bucket
        bucket.remove(entry)
        self._has_lost_one(bucket)

    def _has_lost_one(self, bucket: Bucket) -> None:
        self.live -= 1
        if bucket.live:
            return
        if len(self.buckets) > 1:
            self.buckets.remove(bucket)
        else:
            self.buckets[0] = Bucket(math.inf, self)


class S3FIFO:
    """Small queue, main queue, and the names of what the small one has turned out lately.

    The tick of an entry is how often it was used since it was filed. An entry that is removed leaves its queue at
    once. ``ghosts`` are hashes, which keep no key alive: a ghost of two keys costs a misplaced entry and nothing else.
    Those of a large cache are in several queues, by hash, of which each forgets its oldest.
    """

    #: A hit adds one to its entry's tick.
    counts_uses: ClassVar[bool] = True

    __slots__ = ("_ghost_room", "_ghosts", "_inspected", "_main", "_main_room", "_small", "_small_room")

    def __init__(self, maxsize: int | None) -> None:
        room = WIDEST * WIDEST if maxsize is None else maxsize
        self._small_room = max(1, int(room * SMALL))
        self._main_room = room - self._small_room
        self._small = Fifo()
        self._main = Fifo()
        self._inspected = self._small
        parts = count_parts(maxsize)
        self._ghosts: list[dict[int, None]] = [{} for _ in range(parts)]
        self._ghost_room = -(-self._main_room // parts)

    @property
    def buckets(self) -> list[Bucket]:
        return self._small.buckets + self._main.buckets

    def add(self, entry: Entry) -> None:
        """File an entry that has just been stored."""
        entry.tick = 0.0
        name = hash(entry.key)
        ghosts = self._ghosts[name % len(self._ghosts)]
        if name in ghosts:
            del ghosts[name]
            self._main.push(entry)
        else:
            self._small.push(entry)

    def discard(self, entry: Entry) -> None:
        """Forget an entry that is no longer stored."""
        entry.bucket.home.remove(entry)

    def evict(self, tick: float) -> Entry:  # noqa: ARG002 - the order here is not one of ticks
        """Take out the entry that is worth the least. There must be one."""
        for _ in range(SCAN):
            if self._small.live and (self._small.live >= self._small_room or not self._main.live):
                entry = self._small.pop()
                if entry.tick < ENOUGH:
                    self._remember(entry)
                    return entry
                entry.tick = 0.0
                self._main.push(entry)
                if self._main.live <= self._main_room:
                    continue
            entry = self._main.pop()
            if entry.tick <= 0.0:
                return entry
            entry.tick = min(entry.tick, MOST) - 1.0
            self._main.push(entry)
        # So many in a row are in use that to go on would hold up the loop.
        return (self._main if self._main.live else self._small).pop()

    def inspect(self) -> Entry | None:
        """The next entry under a hand that passes over all of them in turn, or None where there is a gap."""
        queue = self._inspected = self._main if self._inspected is self._small else self._small
        return queue.hand.next(queue.buckets)

    def shed(self) -> int:
        """Let go of some entries of a policy that is no longer used; their number and more, 0 if nothing is left."""
        for queue in (self._small, self._main):
            if queue.buckets:
                return 1 + len(queue.buckets.pop().entries)
        return 1 + len(self._ghosts.pop()) if self._ghosts else 0

    def _remember(self, entry: Entry) -> None:
        name = hash(entry.key)
        ghosts = self._ghosts[name % len(self._ghosts)]
        ghosts[name] = None
        if len(ghosts) > self._ghost_room:
            del ghosts[next(iter(ghosts))]

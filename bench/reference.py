"""S3-FIFO as plainly as it can be written, to compare ours with.

Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023, algorithm 1.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable

#: The part of the room that the small queue gets; the uses that lead to the main one; the most that count.
SMALL, ENOUGH, MOST = 0.1, 2, 3


class PlainS3FIFO:
    """Keys only: ``ask`` says whether one is there, and admits it if it is not."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._small_room = max(1, int(room * SMALL))
        self._small: deque[Hashable] = deque()
        self._main: deque[Hashable] = deque()
        self._ghosts: OrderedDict[Hashable, None] = OrderedDict()
        self._uses: dict[Hashable, int] = {}

    def ask(self, key: Hashable) -> bool:
        """Whether ``key`` is there; now it is."""
        if key in self._uses:
            self._uses[key] = min(self._uses[key] + 1, MOST)
            return True
        if len(self._uses) >= self._room:
            self._evict()
        if key in self._ghosts:
            del self._ghosts[key]
            self._main.append(key)
        else:
            self._small.append(key)
        self._uses[key] = 0
        return False

    def _evict(self) -> None:
        if len(self._small) >= self._small_room or not self._main:
            self._evict_small()
        else:
            self._evict_main()

    def _evict_small(self) -> None:
        while self._small:
            key = self._small.popleft()
            if self._uses[key] < ENOUGH:
                del self._uses[key]
                self._ghosts[key] = None
                if len(self._ghosts) > self._room - self._small_room:
                    self._ghosts.popitem(last=False)
                return
            self._uses[key] = 0
            self._main.append(key)
            if len(self._main) > self._room - self._small_room:
                self._evict_main()
                return
        self._evict_main()

    def _evict_main(self) -> None:
        while True:
            key = self._main.popleft()
            if not self._uses[key]:
                del self._uses[key]
                return
            self._uses[key] -= 1
            self._main.append(key)

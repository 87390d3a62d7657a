"""The mutations in progress on a shelf, in memory: what stays of them when the process that makes them is killed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from cache._tier import Address, Covering

#: What can be covered: a truth by its address, and a space.
Truth: TypeAlias = Address | str


@dataclass
class Open:
    """A mutation, who makes it, and until when it lingers."""

    owner: object
    truths: frozenset[Truth]
    until: float = math.inf


class Windows:
    """Those of which the shelf has heard the beginning and not the end; ``dead`` are the owners that were killed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.open: dict[int, Open] = {}
        self.dead: set[object] = set()

    def begin(self, owner: object, covering: Covering) -> None:
        self.open[covering.number] = Open(owner, frozenset((*covering.addresses, *covering.spaces)))

    def end(self, covering: Covering, linger: float) -> None:
        if linger and covering.number in self.open:
            self.open[covering.number].until = self.clock() + linger
        else:
            self.open.pop(covering.number, None)

    def cover_any(self, truths: Collection[Truth]) -> bool:
        """Whether one of these must not be stored now."""
        return any(not window.truths.isdisjoint(truths) for window in self.open.values())

    def take_elapsed(self) -> set[Truth]:
        """What has lingered long enough is over: what that was, to be invalidated once more."""
        return self._take(lambda window: window.until <= self.clock())

    def take_from_dead(self) -> set[Truth]:
        """The same of what nobody will end any more."""
        return self._take(lambda window: window.owner in self.dead)

    def has_any_of(self, owner: object) -> bool:
        """Whether that one still has to end something."""
        return any(window.owner is owner and window.until == math.inf for window in self.open.values())

    def _take(self, is_over: Callable[[Open], bool]) -> set[Truth]:
        over = [number for number, window in self.open.items() if is_over(window)]
        return {truth for number in over for truth in self.open.pop(number).truths}

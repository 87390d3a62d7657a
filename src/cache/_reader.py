"""Reader: a load as far as it reads, with all that it rests on.

Whoever reads a value rests on what that rests on, and on nothing else; each tag knows its readers, and tells them when
it dies. So a reader is dirty from the moment when the first of its tags has died, and has to look at none of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable

from cache._domain import Domain
from cache._entry import Entry
from cache._key import ALL, ANY
from cache._keyspace import Keyspace
from cache._tags import Tag

#: A load that has read more than this remembers whole caches in place of single keys.
MANY = 256


class Reader(ABC):
    """What it rests on are ``tags``, and all of it is good up to ``deadline``, on the clock of its ``keyspace``.

    ``reads`` says whether what it reads counts: not so if nobody asks what it depends on, nor when it has ended.
    ``watches`` says that some of its tags may be invalidated by other processes, of which they do not tell.
    """

    __slots__ = ("deadline", "keyspace", "reads", "tags", "watches")

    def __init__(self, keyspace: Keyspace, *, reads: bool) -> None:
        self.keyspace = keyspace
        self.reads = reads
        self.tags: set[Tag] = set()
        self.deadline = math.inf
        self.watches = False

    @abstractmethod
    def dirty(self) -> None:
        """Something it rests on was invalidated."""

    @abstractmethod
    def spoil(self) -> None:
        """It has read something during a mutation of it."""

    def rest_on(
        self, tags: Iterable[Tag], deadline: float = math.inf, clock: Callable[[], float] | None = None
    ) -> None:
        """The load has read something that rests on ``tags`` and is good up to ``deadline`` on ``clock``."""
        if not self.reads:
            return
        for tag in tags:
            self._rest_on(tag)
        if deadline != math.inf:
            if clock is not None and clock is not self.keyspace.clock:
                deadline = self.keyspace.clock() + (deadline - clock())
            self.deadline = min(self.deadline, deadline)
        if len(self.tags) > MANY:
            self._coarsen()

    def adopt(self, tags: Iterable[Tag]) -> None:
        """The result is one of before, which rests on these."""
        for tag in tags:
            self._rest_on(tag)
        if len(self.tags) > MANY:
            self._coarsen()

    def rest_on_key(self, domain: Domain, key: Hashable) -> None:
        """The load is about to read ``key`` of another cache: from here on its invalidation counts."""
        if not self.reads:
            return
        self.rest_on((domain.tag(key), domain.tag(ALL)))
        if domain.windows_on(key) or domain.is_changing_elsewhere(key):
            self.spoil()

    def rest_on_entry(self, entry: Entry, clock: Callable[[], float]) -> None:
        """The load has read a stored value."""
        self.rest_on(() if entry.guard is None else entry.guard.tags, entry.exp, clock)

    def rests_on(self, tag: Tag) -> bool:
        """Whether its invalidation is heard of."""
        return tag in self.tags or tag.home.known(ANY) in self.tags

    def _rest_on(self, tag: Tag) -> None:
        if self.rests_on(tag):
            return
        self.tags.add(tag)
        tag.readers.add(self)
        if tag.slot:
            self.watches = True
        if tag.dead:
            self.dirty()

    def _coarsen(self) -> None:
        """In every domain of which it has read many names, rest on anything in it instead of on each."""
        names_of: dict[Domain, list[Tag]] = {}
        for tag in self.tags:
            names_of.setdefault(tag.home, []).append(tag)
        for domain, tags in names_of.items():
            if len(tags) * 4 >= MANY or len(tags) * len(names_of) >= MANY:
                anything = domain.tag(ANY)
                for tag in tags:
                    self.tags.discard(tag)
                    tag.readers.discard(self)
                self.tags.add(anything)
                anything.readers.add(self)
                if any(tag.is_dead() for tag in tags):
                    self.dirty()

    def stop_reading(self) -> None:
        """Rest on nothing any more, whatever it reads."""
        self.reads = False
        if self.tags:
            for tag in self.tags:
                tag.readers.discard(self)
            self.tags = set()

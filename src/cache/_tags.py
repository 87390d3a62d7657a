"""Tags: the names of truths that values rest on.

A tag is an object with a dead flag. Whatever rests on a truth points at the tag; to invalidate the truth is to
set one flag and forget the object, however many values point at it. The next use of the name makes a new object,
so no counter, no tombstone and no reverse index is needed, and a tag lives no longer than the last thing that
rests on it.

Where other processes know the truth too, a tag dies with its stamp as well.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cache._domain import Domain
    from cache._reader import Reader
    from cache._share import Share


class Epoch:
    """The process's count of what has been invalidated.

    ``now`` is replaced by a new object whenever a tag dies, so that one comparison proves that none has; ``changes``
    counts whatever was invalidated, if anything rested on it or not.
    """

    __slots__ = ("changes", "now")

    def __init__(self) -> None:
        self.now: object = object()
        self.changes = 0


epoch = Epoch()


class Tag:
    """A truth that values rest on, until it is ``dead``. ``readers`` are the running loads that rest on it."""

    __slots__ = ("__weakref__", "dead", "home", "name", "readers")

    #: Where other processes tell of it; 0 if they do not.
    slot = 0

    def __init__(self, home: Domain, name: Hashable) -> None:
        self.home = home
        self.name = name
        self.dead = False
        self.readers: set[Reader] = set()

    def kill(self) -> None:
        self.dead = True
        epoch.now = object()
        for reader in tuple(self.readers):
            reader.dirty()

    def is_dead(self) -> bool:
        """Whether it was invalidated, here or elsewhere."""
        return self.dead


class SharedTag(Tag):
    """A truth that other processes may invalidate too: it is dead as well as soon as its slot has another stamp.

    ``code`` names it in every process. Nobody tells that it has died elsewhere; whoever depends on it looks.
    """

    __slots__ = ("code", "slot", "stamp", "stamps")

    def __init__(self, home: Domain, share: Share, name: Hashable, code: bytes) -> None:
        super().__init__(home, name)
        self.code = code
        self.slot = share.bus.slot(share.space, code)
        self.stamps = share.bus.stamps
        self.stamp = self.stamps[self.slot]

    def is_dead(self) -> bool:
        return self.dead or self.stamps[self.slot] != self.stamp

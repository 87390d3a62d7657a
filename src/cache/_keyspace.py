"""Keyspace: the domain of one cache, in which names are its keys."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from cache._domain import Domain
from cache._key import ALL, WILDCARD
from cache._stable import encode
from cache._tags import Tag


class Keyspace(Domain):
    """The domain of one cache: its names are the cache's keys, its time is the cache's clock."""

    __slots__ = ("clock", "name")

    wholes = (encode(ALL), encode(WILDCARD))

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        super().__init__()
        self.name = name
        self.clock = clock

    def grounds(self, key: Hashable) -> list[Tag]:
        """What an entry of ``key`` rests on of itself, where other processes may invalidate it."""
        if self.share is None or not self.share.is_watched:
            return []
        names = (key, ALL, WILDCARD) if self.share.lacks_wildcards() else (key, ALL)
        return [self.tag(name) for name in names]

"""Shards: a large dict in parts.

A dict that fills up is rebuilt at once, and so is one in which entries come and go, however constant their number: a
million of them take CPython some 50 ms, for which the event loop stands still. In parts of a few thousand entries each
takes a fraction of a millisecond. A small cache is one dict, and its hits know nothing of this.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Generic, Protocol, TypeVar

V = TypeVar("V")

#: Up to this many entries are one dict.
SMALL = 32_768
#: About so many entries are in each part of a larger one.
PART = 2_048


def count_parts(maxsize: int | None) -> int:
    """In how many parts to hold up to ``maxsize`` entries; of a cache without a bound it is not known that it is large.

    An odd number, so that keys that are all multiples of a power of two do not meet in few of the parts.
    """
    return 1 if maxsize is None or maxsize <= SMALL else -(-maxsize // PART) | 1


class Contents(Protocol[V]):
    """What a store asks of that which holds its entries."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Hashable]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: Hashable, /) -> V: ...
    def __setitem__(self, key: Hashable, value: V, /) -> None: ...
    def __delitem__(self, key: Hashable, /) -> None: ...
    def get(self, key: Hashable, /) -> V | None: ...
    def popitem(self) -> tuple[Hashable, V]: ...


class Shards(Generic[V]):
    """As much of a dict as `Contents` says; a key is in part ``hash(key) % len(parts)``."""

    __slots__ = ("_at", "_size", "parts")

    def __init__(self, parts: int) -> None:
        self.parts: list[dict[Hashable, V]] = [{} for _ in range(parts)]
        self._size = 0
        self._at = parts - 1

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Hashable]:
        for part in self.parts:
            yield from part

    def __contains__(self, key: object, /) -> bool:
        return key in self.parts[hash(key) % len(self.parts)]

    def __getitem__(self, key: Hashable, /) -> V:
        return self.parts[hash(key) % len(self.parts)][key]

    def __setitem__(self, key: Hashable, value: V, /) -> None:
        part = self.parts[hash(key) % len(self.parts)]
        before = len(part)
        part[key] = value
        self._size += len(part) - before

    def __delitem__(self, key: Hashable, /) -> None:
        del self.parts[hash(key) % len(self.parts)][key]
        self._size -= 1

    def get(self, key: Hashable, /) -> V | None:
        return self.parts[hash(key) % len(self.parts)].get(key)

    def popitem(self) -> tuple[Hashable, V]:
        """Any item; a part that is empty gives its memory back. For contents to which nothing is added any more."""
        while not self.parts[self._at] and self._at:
            self.parts[self._at] = {}
            self._at -= 1
        item = self.parts[self._at].popitem()
        self._size -= 1
        return item


def make_contents(parts: int) -> Contents[Any]:
    """One dict, or several."""
    return {} if parts == 1 else Shards(parts)

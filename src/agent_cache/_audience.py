"""Audience: who may be given a result, and whose results a write reaches.

Along two lines: the session that a result belongs to, if any, and the partition that ``vary`` has put it into, if any.
Both are written out as labels, such that a write reaches a result exactly if they have one label in common.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from numbers import Number
from typing import Any, NamedTuple
from uuid import UUID

from agent_cache._resources import label, segment

#: Stands before the tags of this package among those that users give.
PREFIX = "agent_cache"


class Partition(NamedTuple):
    """What ``vary`` has returned. Its type counts: 1 and True are two.

    So does what was asked, ``by``: the user 7 and the tenant 7 are two.
    """

    kind: Hashable
    value: Hashable
    by: Hashable

    def __repr__(self) -> str:
        return "<partition>"  # errors quote keys, and whose results they are is nobody's business

    @classmethod
    def of(cls, value: Hashable, vary: object, by: Hashable = None) -> Partition | None:
        """The partition of what ``vary`` has returned, none for None. ``by`` is the same for functions that ask alike.

        Raises:
            TypeError: it is not hashable.

        """
        try:
            hash(value)
        except TypeError:
            raise TypeError(
                f"vary={vary!r} returned {value!r}, which is not hashable: return what identifies one user, such as an "
                f"id, or a tuple of such"
            ) from None
        return None if value is None else cls(_kind(value), value, id(vary) if by is None else by)


def _kind(value: object) -> Any:
    return tuple(map(_kind, value)) if isinstance(value, tuple) else type(value)


class Audience(NamedTuple):
    """Those who may share a result: everybody, a session, a partition, or both. None is no restriction."""

    session: str | None
    partition: Partition | None

    def includes(self, other: Audience) -> bool:
        """Whether what was made for the ``other`` audience may be given to this one: it is no narrower."""
        return other.session in (None, self.session) and other.partition in (None, self.partition)


EVERYBODY = Audience(None, None)
#: Of results that are kept nowhere, and so may go into nothing that is.
NOBODY = Audience("nobody", None)


def tags_read(names: Iterable[str], audience: Audience) -> Iterator[str]:
    """The tags of a result that rests on ``names`` and was made for ``audience``."""
    scopes = ("global",) if audience.session is None else ("session", f"session {audience.session}")
    parts = ("undivided",) if audience.partition is None else ("divided", _label(audience.partition))
    return _product(names, scopes, parts)


def tags_written(names: Iterable[str], audience: Audience) -> Iterator[str]:
    """The tags that a write of ``names`` invalidates.

    A write reaches what belongs to no session, for its own later reads must be fresh; beyond that the results of its
    own session, or of every one if it belongs to none. It reaches what is not divided, and of what is, its own
    partition, or every one if it has none.
    """
    own = "session" if audience.session is None else f"session {audience.session}"
    part = "divided" if audience.partition is None else _label(audience.partition)
    return _product(names, ("global", own), ("undivided", part))


def _product(names: Iterable[str], scopes: tuple[str, ...], parts: tuple[str, ...]) -> Iterator[str]:
    return (f"{PREFIX}|{name}|{scope}|{part}" for name in names for scope in scopes for part in parts)


def _label(partition: Partition) -> str:
    # Partitions may share a label: then a write to one of them reaches both.
    value = partition.value
    text = segment(value, "vary") if isinstance(value, str | Number | UUID) else label(value)
    return f"part {text}"

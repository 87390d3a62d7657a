"""Entry: a value, how long it is good for, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, cast

from cache._bus import Stamps
from cache._tags import SharedTag, Tag, epoch

NEVER = math.inf


class Guard:
    """What a hit has to verify beyond the deadline that its reader checks anyway.

    ``tags`` is everything the value rests on, its own tags and those of all it was computed from. ``seen`` is the
    epoch in which they were last found alive: while no tag has died since, nothing has to be looked at. A guard that
    is ``strict`` sends every hit the long way: so a deadline reaches a reader that does not look at deadlines, and a
    kept error one that returns values.
    """

    __slots__ = ("seen", "strict", "tags")

    def __init__(self, tags: tuple[Tag, ...], *, strict: bool) -> None:
        self.tags = tags
        self.strict = strict
        self.seen: object = None if strict else epoch.now

    def is_alive(self) -> bool:
        return not any(tag.dead for tag in self.tags)

    def renew(self) -> bool:
        """Whether a hit need look no further; remembers it until the next tag dies."""
        now = epoch.now  # read first: a tag that dies while the tags are looked at must be noticed next time
        if self.strict or not self.is_alive():
            return False
        self.seen = now
        return True


class Unsteady:
    """The stamps of two buses at once: as if each look found another."""

    def __getitem__(self, _: int) -> object:
        return object()


class SharedGuard(Guard):
    """The guard of a value that other processes may invalidate, which nobody tells of: every hit looks at the bus.

    ``checked`` and ``stamp`` are the epoch and the latest stamp of the bus when its tags were last found alive.
    ``seen`` stays None, so that a reader that knows of no bus asks `renew`.
    """

    __slots__ = ("checked", "stamp", "stamps")

    def __init__(self, tags: tuple[Tag, ...], watched: list[SharedTag], *, strict: bool) -> None:
        super().__init__(tags, strict=True)
        self.strict = strict
        self.stamps: Stamps = watched[0].stamps
        if any(tag.stamps is not self.stamps for tag in watched):
            self.stamps = cast("Stamps", Unsteady())
        self.checked: object = None
        self.stamp: object = None

    def is_alive(self) -> bool:
        return not any(tag.is_dead() for tag in self.tags)

    def renew(self) -> bool:
        now, stamp = epoch.now, self.stamps[0]  # read first, for the same reason
        if self.strict:
            return False
        if self.checked is not now or self.stamp != stamp:
            if not self.is_alive():
                return False
            self.checked, self.stamp = now, stamp
        return True


class Failure:
    """A loader's exception, kept as a value because ``cache_errors`` asks for it."""

    __slots__ = ("error", "traceback")

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.traceback = error.__traceback__

    def again(self) -> BaseException:
        """The error, to be raised with the traceback of the load, not one that grows with every caller."""
        return self.error.with_traceback(self.traceback)


class Entry:
    """One stored value.

    ``guard`` is None exactly if a reader that checks the deadline has nothing else to verify. ``tick`` is the
    moment of the last use; ``bucket`` and ``at`` are its place in the order of eviction.
    """

    __slots__ = ("at", "bucket", "exp", "guard", "key", "tick", "value")

    value: Any
    exp: float
    guard: Guard | None
    tick: float
    key: Hashable
    bucket: Any
    at: int

    def result(self) -> Any:
        """The value; a kept error is raised."""
        value = self.value
        if type(value) is not Failure:
            return value
        try:
            raise value.again()
        finally:
            del self, value  # the error's traceback would keep them, and they the error

    def is_fresh(self, now: float) -> bool:
        """Whether the value may be served at ``now``."""
        guard = self.guard
        return self.exp > now and (guard is None or guard.seen is epoch.now or guard.is_alive())


def make_entry(key: Hashable, value: Any, exp: float, tags: tuple[Tag, ...], *, reader_checks_exp: bool) -> Entry:
    """An entry whose guard says exactly what a hit must still verify."""
    entry = Entry()
    entry.key = key
    entry.value = value
    entry.exp = exp
    entry.bucket = None
    strict = (exp != NEVER and not reader_checks_exp) or type(value) is Failure
    watched = [tag for tag in tags if isinstance(tag, SharedTag) and tag.slot] if tags else ()
    if watched:
        entry.guard = SharedGuard(tags, watched, strict=strict)
    else:
        entry.guard = Guard(tags, strict=strict) if tags or strict else None
    return entry

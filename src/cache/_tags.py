"""Tags: the names of truths that values rest on, and the domains in which they live and die.

A tag is an object with a dead flag. Whatever rests on a truth points at the tag; to invalidate the truth is to
set one flag and forget the object, however many values point at it. The next use of the name makes a new object,
so no counter, no tombstone and no reverse index is needed, and a tag lives no longer than the last thing that
rests on it.

One mechanism, three uses: the names of a ``Namespace`` are the user's tags; the names of a cache are its keys, on
which the values computed from them rest; and a function's wildcard invalidations are names in its own cache.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

from cache._step import step

if TYPE_CHECKING:
    from cache._lease import Lease
    from cache._window import Window


class Sentinel:
    """A name that no user can pass."""

    __slots__ = ("label",)

    def __init__(self, label: str) -> None:
        self.label = label

    def __repr__(self) -> str:
        return f"<{self.label}>"


#: Everything in a domain: dies when the whole domain is invalidated, and its window covers every name.
ALL = Sentinel("everything")
#: Dies with whatever dies in the domain: stands for so many names that remembering each would cost more.
ANY = Sentinel("anything")

#: How many names under lingering mutations the end of each mutation looks at.
SWEPT = 16


class Epoch:
    """The process's count of what has been invalidated.

    ``now`` is replaced by a new object whenever a tag dies, so that one comparison proves that none has;
    ``mutations`` counts their beginnings and ends.
    """

    __slots__ = ("mutations", "now")

    def __init__(self) -> None:
        self.now: object = object()
        self.mutations = 0


epoch = Epoch()


class Tag:
    """A truth that values rest on, until it is ``dead``. ``readers`` are the running loads that rest on it."""

    __slots__ = ("__weakref__", "dead", "home", "name", "readers")

    def __init__(self, home: Domain, name: Hashable) -> None:
        self.home = home
        self.name = name
        self.dead = False
        self.readers: set[Lease] = set()

    def kill(self) -> None:
        self.dead = True
        epoch.now = object()
        for lease in tuple(self.readers):
            lease.dirty()


#: One truth: a name in the domain where it lives.
Truth: TypeAlias = "tuple[Domain, Hashable]"
Names: TypeAlias = tuple[Truth, ...]


class Domain:
    """Names, the living tags among them, and the mutations that are changing their truth right now.

    Invariant: a name is in ``windows`` exactly while a mutation on it is open or lingers, and while it is, nothing
    that rests on the name is stored.

    ``mutated`` is the number of the latest beginning or end of a mutation of anything in it; ``lingering`` are names
    with a mutation that has ended and may still cover them.
    """

    __slots__ = ("__weakref__", "lingering", "mutated", "tags", "windows")

    def __init__(self) -> None:
        self.tags: WeakValueDictionary[Hashable, Tag] = WeakValueDictionary()
        self.windows: dict[Hashable, list[Window]] = {}
        self.lingering: deque[tuple[Hashable, Window]] = deque()
        self.mutated = 0

    def tag(self, name: Hashable) -> Tag:
        """The living tag of ``name``."""
        tag = self.tags.get(name)
        if tag is None:
            tag = self.tags[name] = Tag(self, name)
        return tag

    def kill(self, name: Hashable) -> bool:
        """Kill what rests on ``name``; True if anything may have."""
        tags = self.tags
        if not tags:
            return False
        tag, anything = tags.pop(name, None), tags.pop(ANY, None)
        for doomed in (tag, anything):
            if doomed is not None:
                doomed.kill()
        return tag is not None

    def invalidate(self, name: Hashable) -> bool:
        """The truth of ``name`` has changed, or is about to. True if anything that rested on it was dropped."""
        return self.kill(name)

    def windows_on(self, name: Hashable) -> list[Window]:
        """The mutations that cover ``name`` now. Those whose linger has run out are forgotten on the way."""
        if not self.windows:
            return []
        return self._current(name) if name is ALL else self._current(name) + self._current(ALL)

    def changing(self) -> list[Hashable]:
        """The names that mutations cover now."""
        return [name for name in tuple(self.windows) if self._current(name)]

    def is_changing(self) -> bool:
        """Whether any mutation is open or lingers on any name."""
        return any(self._current(name) for name in tuple(self.windows))

    def _current(self, name: Hashable) -> list[Window]:
        windows = self.windows.get(name)
        if windows is None:
            return []
        current = [window for window in windows if not window.has_elapsed()]
        if not current:
            del self.windows[name]
        elif len(current) < len(windows):
            self.windows[name] = current
        return current

    def uncover(self, name: Hashable, window: Window) -> None:
        """``window`` covers ``name`` no more."""
        windows = self.windows.get(name, [])
        rest = [other for other in windows if other is not window]
        if rest:
            self.windows[name] = rest
        elif windows:
            del self.windows[name]

    def sweep(self) -> None:
        """Look at some of the lingering mutations, so that names that nobody asks for again do not pile up."""
        for _ in range(min(SWEPT, len(self.lingering))):
            name, window = self.lingering.popleft()
            if window.has_elapsed():
                self.uncover(name, window)
            else:
                self.lingering.append((name, window))


class Keyspace(Domain):
    """The domain of one cache: its names are the cache's keys, its time is the cache's clock."""

    __slots__ = ("clock", "name")

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        super().__init__()
        self.name = name
        self.clock = clock


class Namespace(Domain):
    """The tags that all caches of one namespace share.

    ``undecided`` are the running loads whose tags are computed from their result: until it is known they count as
    carrying every tag.
    """

    __slots__ = ("name", "undecided")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.undecided: set[Lease] = set()

    def invalidate(self, name: Hashable) -> bool:
        used = self.kill(name)
        for lease in tuple(self.undecided):
            lease.suspect(name, self)
        return used

    def invalidate_each(self, names: tuple[str, ...]) -> bool:
        """True if any of them was in use."""
        return bool(sum([self.invalidate(name) for name in names]))


#: A namespace lives as long as a cache, a window or a module that uses it.
_namespaces: WeakValueDictionary[str, Namespace] = WeakValueDictionary()


def named_namespace(name: str) -> Namespace:
    """The namespace of this name, shared by all who ask for it."""
    with step:
        found = _namespaces.get(name)
        if found is None:
            found = _namespaces[name] = Namespace(name)
        return found

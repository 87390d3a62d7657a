"""Tags: the names of truths that values rest on, and the domains in which they live and die.

A tag is an object with a dead flag. Whatever rests on a truth points at the tag; to invalidate the truth is to
set one flag and forget the object, however many values point at it. The next use of the name makes a new object,
so no counter, no tombstone and no reverse index is needed, and a tag lives no longer than the last thing that
rests on it.

One mechanism, three uses: the names of a ``Namespace`` are the user's tags; the names of a cache are its keys, on
which the values computed from them rest; and a function's wildcard invalidations are names in its own cache.

Where a domain is shared with other processes, a name goes by its code, and a tag dies there too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeAlias, cast
from weakref import WeakValueDictionary

from cache._bus import when_closed
from cache._key import ALL, ANY, WILDCARD
from cache._share import Share, claim, configured, is_used, is_wildcard, release
from cache._stable import encode
from cache._step import step
from cache.errors import BusError

if TYPE_CHECKING:
    from cache._bus import Bus
    from cache._lease import Lease
    from cache._tier import Tier
    from cache._window import Window


#: How many names under lingering mutations the end of each mutation looks at.
SWEPT = 16


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
        self.readers: set[Lease] = set()

    def kill(self) -> None:
        self.dead = True
        epoch.now = object()
        for lease in tuple(self.readers):
            lease.dirty()

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


#: One truth: a name in the domain where it lives.
Truth: TypeAlias = "tuple[Domain, Hashable]"
Names: TypeAlias = tuple[Truth, ...]


class Domain:
    """Names, the living tags among them, and the mutations that are changing their truth right now.

    Invariant: a name is in ``windows`` exactly while a mutation on it is open or lingers, and while it is, nothing
    that rests on the name is stored.

    ``mutated`` is the number of the change by the latest beginning or end of a mutation of anything in it;
    ``lingering`` are names with a mutation that has ended and may still cover them.
    """

    __slots__ = ("__weakref__", "lingering", "mutated", "share", "tags", "windows")

    #: The codes of the names that stand for many others.
    wholes: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        self.tags: WeakValueDictionary[Hashable, Tag] = WeakValueDictionary()
        self.windows: dict[Hashable, list[Window]] = {}
        self.lingering: deque[tuple[Hashable, Window]] = deque()
        self.mutated = 0
        self.share: Share | None = None

    def join(self, share: Share) -> None:
        """From here on other processes know this domain; nothing that rested on it so far is good any longer.

        Raises:
            TypeError: a mutation covers a name that has no form that is the same in every process.
            BusError: other processes cannot be told of a mutation that is in progress.

        """
        windows = self.windows_by_code()
        if share.is_watched:
            for code, covering in windows.items():
                slots = [share.bus.slot(share.space, cast("bytes", code)), share.wildcards, share.anything]
                for window in covering:
                    window.cover_elsewhere(share.bus, slots)
        for tag in tuple(self.tags.values()):
            tag.kill()
        self.tags.clear()
        self.windows = windows
        self.lingering.clear()
        self.lingering.extend((code, window) for code, covering in windows.items() for window in covering)
        self.share = share

    def windows_by_code(self) -> dict[Hashable, list[Window]]:
        """What mutations cover now, by the codes that the names have where the domain is shared.

        Raises:
            TypeError: one of them has none.

        """
        windows: dict[Hashable, list[Window]] = {}
        for name, covering in self.windows.items():
            current = [window for window in covering if not window.has_elapsed()]
            if current:
                windows[name if self.share is not None else encode(name)] = current
        return windows

    def code(self, name: Hashable) -> Hashable:
        """By what ``name`` goes here.

        Raises:
            TypeError: the domain is shared, and the name has no form that is the same in every process.

        """
        return name if self.share is None else encode(name)

    def tag(self, name: Hashable) -> Tag:
        """The living tag of ``name``."""
        if self.share is not None:
            return self.tag_at(self.share, encode(name), name)
        tag = self.tags.get(name)
        if tag is None:
            tag = self.tags[name] = Tag(self, name)
        return tag

    def tag_at(self, share: Share, code: bytes, name: Hashable = None) -> Tag:
        """The same for a name that has this code in a domain that is shared."""
        tag = self.tags.get(code)
        if tag is not None and tag.is_dead():
            tag.kill()
            tag = None
        if tag is None:
            tag = self.tags[code] = SharedTag(self, share, name, code)
        return tag

    def grounds_at(self, share: Share, code: bytes) -> tuple[list[Tag], bool]:
        """What rests on the name of this code rests on; and whether a mutation, here or elsewhere, covers it."""
        codes = (code, *self.wholes)
        covered = any(self._current(each) for each in codes) if self.windows else False
        tags = [self.tag_at(share, each) for each in codes]
        return tags, covered or share.is_changing_in([tag.slot for tag in tags])

    def known(self, name: Hashable) -> Tag | None:
        """The tag of ``name``, if anything rests on it."""
        return self.tags.get(self.code(name))

    def kill(self, name: Hashable) -> bool:
        """Kill what rests on ``name``; True if anything may have."""
        tags = self.tags
        if not tags:
            return False
        tag = tags.pop(self.code(name), None)
        for doomed in (tag, *[tags.pop(self.code(other), None) for other in (ANY, *self._implied(name))]):
            if doomed is not None:
                doomed.kill()
        return tag is not None

    def _implied(self, name: Hashable) -> tuple[Hashable, ...]:
        """What changes with ``name`` for those who know their names by codes alone, and no wildcards."""
        return () if self.share is None or not is_wildcard(name) else (WILDCARD,)

    def invalidate(self, name: Hashable) -> bool:
        """The truth of ``name`` has changed, or is about to. True if anything that rested on it was dropped."""
        self.announce(name)
        return self.kill(name)

    def check_told(self) -> None:
        """Refuse to have changed what others do not hear of, because this process has closed the bus.

        Raises:
            BusError: it has.

        """
        share = self.share
        if share is not None and share.is_watched and share.bus.closed:
            raise BusError(
                f"{share.space} has changed here, and other processes were not told: the bus {share.bus.name!r} was "
                f"closed by this one"
            )

    @property
    def is_watched(self) -> bool:
        """Whether other processes may invalidate something here."""
        return self.share is not None and self.share.is_watched

    def announce(self, name: Hashable) -> None:
        """Tell other processes, if there are any, that the truth of ``name`` has changed."""
        epoch.changes += 1
        if self.share is not None:
            self.share.announce(name)

    def is_changing_elsewhere(self, name: Hashable) -> bool:
        """Whether a mutation in another process covers ``name``."""
        return self.share is not None and self.share.is_changing(name)

    def windows_on(self, name: Hashable) -> list[Window]:
        """The mutations that cover ``name`` now. Those whose linger has run out are forgotten on the way."""
        if not self.windows:
            return []
        on_all = self._current(self.code(ALL))
        return on_all if name is ALL else self._current(self.code(name)) + on_all

    def cover(self, name: Hashable, window: Window) -> None:
        """From now on ``window`` covers ``name``."""
        for covered in (name, *self._implied(name)):
            self.windows.setdefault(self.code(covered), []).append(window)

    def changing(self) -> list[Hashable]:
        """What mutations cover now, by `code`."""
        return [code for code in tuple(self.windows) if self._current(code)]

    def is_changing(self) -> bool:
        """Whether any mutation is open or lingers on any name."""
        return any(self._current(code) for code in tuple(self.windows))

    def all_windows(self) -> list[Window]:
        """The mutations that cover anything now."""
        return [window for code in tuple(self.windows) for window in self._current(code)]

    def _current(self, code: Hashable) -> list[Window]:
        windows = self.windows.get(code)
        if windows is None:
            return []
        current = [window for window in windows if not window.has_elapsed()]
        if not current:
            del self.windows[code]
        elif len(current) < len(windows):
            self.windows[code] = current
        return current

    def uncover(self, name: Hashable, window: Window) -> None:
        """``window`` covers ``name`` no more."""
        for covered in (name, *self._implied(name)):
            self._uncover_at(self.code(covered), window)

    def _uncover_at(self, code: Hashable, window: Window) -> None:
        windows = self.windows.get(code, [])
        rest = [other for other in windows if other is not window]
        if rest:
            self.windows[code] = rest
        elif windows:
            del self.windows[code]

    def linger(self, name: Hashable, window: Window) -> None:
        """``window`` has ended, and covers ``name`` for a while yet."""
        for covered in (name, *self._implied(name)):
            self.lingering.append((self.code(covered), window))

    def sweep(self) -> None:
        """Look at some of the lingering mutations, so that names that nobody asks for again do not pile up."""
        for _ in range(min(SWEPT, len(self.lingering))):
            code, window = self.lingering.popleft()
            if window.has_elapsed():
                self._uncover_at(code, window)
            else:
                self.lingering.append((code, window))


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


class Namespace(Domain):
    """The tags that all caches of one namespace share.

    ``undecided`` are the running loads whose tags are computed from their result: until it is known they count as
    carrying every tag.
    """

    __slots__ = ("left", "name", "undecided")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        #: The buses that were closed while its tags were on them.
        self.left: list[Bus] = []
        self.undecided: set[Lease] = set()

    def invalidate(self, name: Hashable) -> bool:
        used = super().invalidate(name)
        for lease in tuple(self.undecided):
            lease.suspect(self.code(name), self)
        return used

    def check_bus(self, bus: Bus | None) -> Bus | None:
        """The bus that its tags would be on if they joined this one: it, or one that tells the same.

        Raises:
            ValueError: they are on another.

        """
        share = self.share
        had = None if share is None or not share.is_watched else share.bus
        if had is None or bus is None or bus.address == had.address:
            return had or bus
        if is_used(had):
            raise ValueError(
                f"the tags of the namespace {self.name!r} are on the bus {had!r} and cannot be on {bus!r} as well: "
                f"give the caches of one of the two another namespace="
            )
        return bus

    def join_with(self, bus: Bus | None, tier: Tier | None) -> None:
        """Share the tags on a bus, and with one tier more.

        Raises:
            ValueError: they are on another bus already.

        """
        share = self.share
        wanted = self.check_bus(bus)
        tiers = () if share is None else share.tiers
        tiers = tiers if tier is None or tier in tiers else (*tiers, tier)
        if share is None or wanted is not (share.bus if share.is_watched else None) or tiers != share.tiers:
            share = Share(f"#{self.name}", wanted, tiers)
            if self.share is not None:
                release((self.share.bus, *self.share.tiers), share.space)
            claim((wanted, *tiers), share.space, self)
            self.join(share)
            for lease in tuple(self.undecided):
                lease.dirty()

    def leave(self, bus: Bus) -> None:
        """The bus was closed: from here on the tags are those of this process, and of other buses if caches say so."""
        share = self.share
        if share is not None and share.bus is bus:
            release((bus,), share.space)
            self.join(Share(share.space, None, share.tiers))
            self.left.append(bus)

    def check_told(self) -> None:
        """Refuse to change what others do not hear of, because a bus was closed on which there are caches yet.

        Raises:
            BusError: there are.

        """
        self.left = [bus for bus in self.left if is_used(bus)]
        if self.left:
            raise BusError(
                f"other processes cannot be told of a change of tags of {self.name!r}: the bus {self.left[0].name!r} "
                f"was closed by this one, and caches are on it yet"
            )

    def invalidate_each(self, names: tuple[str, ...]) -> bool:
        """True if any of them was in use."""
        return bool(sum([self.invalidate(name) for name in names]))


#: A namespace lives as long as a cache, a window or a module that uses it.
_namespaces: WeakValueDictionary[str, Namespace] = WeakValueDictionary()


def named_namespaces() -> tuple[Namespace, ...]:
    """Those that are in use."""
    return tuple(_namespaces.values())


def named_namespace(name: str) -> Namespace:
    """The namespace of this name, shared by all who ask for it."""
    with step:
        found = _namespaces.get(name)
        if found is None:
            found = _namespaces[name] = Namespace(name)
            if configured.bus is not None or configured.tier is not None:
                found.join_with(configured.bus, configured.tier)
        return found


def _leave(bus: Bus) -> None:
    for namespace in named_namespaces():
        namespace.leave(bus)


when_closed.append(_leave)

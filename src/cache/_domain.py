"""Domain: names, in which their tags live and die, and the mutations that cover them.

One mechanism, three uses: the names of a `Namespace` are the user's tags; the names of a cache are its keys, on
which the values computed from them rest; and a function's wildcard invalidations are names in its own cache.

Where a domain is shared with other processes, a name goes by its code, and a tag dies there too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, TypeAlias, cast
from weakref import WeakValueDictionary

from cache._key import ALL, ANY, WILDCARD
from cache._share import Share, is_wildcard
from cache._stable import encode
from cache._tags import SharedTag, Tag, epoch
from cache.errors import BusError

if TYPE_CHECKING:
    from cache._window import Window

#: How many names under lingering mutations the end of each mutation looks at.
SWEPT = 16

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
        """Refuse to change, or to have changed, what others do not hear of, for this process has closed the bus.

        Raises:
            BusError: it has.

        """
        share = self.share
        if share is not None and share.is_watched and share.bus.closed:
            raise BusError(
                f"other processes cannot be told of a change of {share.space!r}: the bus {share.bus.name!r} was closed "
                f"by this one"
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

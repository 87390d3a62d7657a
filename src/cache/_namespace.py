"""Namespace: the domain of the user's tags, which caches have in common; and those that there are, by their names."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from cache._arguments import DEFAULT, Default
from cache._bus import Bus, when_closed
from cache._claims import claim, is_used, release
from cache._domain import Domain
from cache._places import configured
from cache._share import Share
from cache._step import step
from cache._tier import Tier
from cache.errors import BusError

if TYPE_CHECKING:
    from cache._lease import Lease


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


def named_namespace(name: str, bus: Bus | Default | None = DEFAULT) -> Namespace:
    """The namespace of this name, shared by all who ask for it.

    A new one is where the whole application is, as that named "default" always is; but one that a cache with a ``bus``
    of its own has named is where that cache is.
    """
    of_the_application = name == "default" or bus is DEFAULT or bus is None
    with step:
        found = _namespaces.get(name)
        if found is None:
            found = _namespaces[name] = Namespace(name)
            if of_the_application and (configured.bus is not None or configured.tier is not None):
                found.join_with(configured.bus, configured.tier)
        return found


def _leave(bus: Bus) -> None:
    for namespace in named_namespaces():
        namespace.leave(bus)


when_closed.append(_leave)

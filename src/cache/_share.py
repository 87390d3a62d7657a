"""Share: what a domain has in common with other processes.

Its names have codes there, which are the same in every process; on a bus they have slots. A tier keeps entries by
them. A domain without a share belongs to this process alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from cache._bus import Bus, alone
from cache._claims import is_used
from cache._key import ALL, ANY, WILDCARD
from cache._stable import encode
from cache._tier import Address, Tier

if TYPE_CHECKING:
    from cache._domain import Truth


_ALL: Final = encode(ALL)
_ANY: Final = encode(ANY)
_WILDCARD: Final = encode(WILDCARD)


#: The kinds of wildcards that are told apart between processes are those over so many first components.
KINDS: Final = 6


class Share:
    """The part of one domain that other processes see, under the name of its ``space``.

    ``is_watched`` says that there is a bus; ``tiers`` are those that keep what rests on the domain. ``announced`` is
    the stamp of this process's last invalidation.

    A wildcard is a name on which entries rest only in the processes that have declared its kind. All others have their
    entries rest on one name for every wildcard: which kinds some process has declared is told by ``bits``.
    """

    __slots__ = ("announced", "anything", "bits", "bus", "everything", "is_watched", "space", "tiers", "wildcards")

    def __init__(self, space: str, bus: Bus | None, tiers: tuple[Tier, ...] = ()) -> None:
        self.space = space
        self.bus: Bus = alone if bus is None else bus
        self.is_watched = bus is not None
        self.tiers = tiers
        self.everything = self.bus.slot(space, _ALL)
        self.anything = self.bus.slot(space, _ANY)
        self.wildcards = self.bus.slot(space, _WILDCARD)
        self.bits = 0
        self.announced = 0

    def declare(self, at: tuple[int, ...]) -> None:
        """Entries rest on the wildcards of this kind, over these components of keys, from now on."""
        # One bit for each kind over the first six; the first bit, of no kind, for all others, which nobody then knows.
        kind = sum(1 << i for i in at) if max(at) < KINDS else 0
        if kind:
            self.bits |= 1 << kind
        self.bus.declare(self.space, 1 << kind)

    def lacks_wildcards(self) -> bool:
        """Whether another process may invalidate by a wildcard on which entries do not rest here."""
        return bool(self.bus.declared(self.space) & ~self.bits)

    def slots(self, name: Hashable) -> tuple[int, ...]:
        """Where it shows that the truth of ``name`` has changed; the last is that of anything."""
        if is_wildcard(name):
            return self.slot(name), self.wildcards, self.anything
        return self.slot(name), self.anything

    def slot(self, name: Hashable) -> int:
        """Where the stamp of a name is."""
        return self.everything if name is ALL else self.bus.slot(self.space, encode(name))

    def announce(self, name: Hashable) -> None:
        """Tell that the truth of ``name`` has changed."""
        if self.is_watched:
            self.announced = self.bus.stamp(self.slots(name))

    def is_changing(self, name: Hashable) -> bool:
        """Whether a mutation in another process covers ``name``."""
        if not self.is_watched:
            return False
        slots = [self.slot(name), self.everything]
        return self.is_changing_in([*slots, self.wildcards] if self.lacks_wildcards() else slots)

    def is_changing_in(self, slots: Sequence[int]) -> bool:
        """The same for names that are known by their slots."""
        return self.is_watched and self.bus.is_changing(slots)

    def __repr__(self) -> str:
        return f"<share {self.space!r} on {self.bus.name}>"


def is_wildcard(name: object) -> bool:
    """Whether it stands for many entries of a function, by some of their arguments."""
    return type(name) is tuple and name[:1] == (WILDCARD,)


def addresses_in(tier: Tier, truths: Iterable[Truth]) -> tuple[Address, ...] | None:
    """What these are called in a tier; None if it does not know them all.

    Wildcards are left out: there, a whole space goes with each of its wildcards.
    """
    found = []
    for domain, name in truths:
        share = domain.share
        if share is None or tier not in share.tiers:
            return None
        if not is_wildcard(name):
            found.append(Address(share.space, encode(name)))
    return tuple(found)


def check_told(truths: Iterable[Truth]) -> None:
    """Refuse to have changed what others do not hear of, because this process has closed the bus.

    Raises:
        BusError: it has.

    """
    for domain, _ in truths:
        domain.check_told()


def used_tiers(share: Share) -> tuple[Tier, ...]:
    """The tiers of a share, without those that were closed and have no cache before them any more."""
    if any(tier.closed for tier in share.tiers):
        share.tiers = tuple(tier for tier in share.tiers if not tier.closed or is_used(tier))
    return share.tiers


def have_tiers(truths: Iterable[Truth]) -> bool:
    """Whether there is a tier that must be told of these."""
    return any(domain.share is not None and domain.share.tiers for domain, _ in truths)


def slots_by_bus(truths: Iterable[Truth]) -> list[tuple[Bus, list[int]]]:
    """The slots that a mutation of these covers; that of anything shows where some name or other is changing.

    Raises:
        TypeError: one of the names has no form that is the same in every process.

    """
    found: dict[Bus, list[int]] = {}
    for domain, name in truths:
        domain.check_told()
        share = domain.share
        if share is not None and share.is_watched:
            found.setdefault(share.bus, []).extend(share.slots(name))
    return list(found.items())

"""Membership: how a cache becomes known to other processes, on a bus and to a tier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from cache._arguments import DEFAULT
from cache._backing import Backing, check_codec, codec_of
from cache._bus import Bus
from cache._claims import SAME_NAME, check_claim, claim, release
from cache._loads import Loads
from cache._namespace import Namespace
from cache._places import Places, check_together, configured
from cache._share import Share
from cache._step import step
from cache._store import Store
from cache._tier import Tier
from cache.codec import Codec


class Wrapped(Protocol):
    """What is asked of the function whose entries a cache holds."""

    def space(self) -> str: ...
    def annotation(self) -> Any: ...
    def version(self) -> str: ...
    def joined(self) -> None: ...


def no_function() -> None:
    """The cache is no function's."""


class Membership:
    """Where a cache is known, and as what.

    ``wrapped`` gives the function whose entries it holds, as long as there is one; ``name`` is what other processes
    call a cache that is no function's, None if it has no name of its own.
    """

    __slots__ = ("_codec", "_follows_backup", "_follows_bus", "_loads", "_namespace", "name", "wrapped")

    def __init__(
        self, loads: Loads, namespace: Namespace, name: str | None, codec: Codec | Callable[[Codec], Codec] | None
    ) -> None:
        self._loads = loads
        self._namespace = namespace
        self.name = name
        self.wrapped: Callable[[], Wrapped | None] = no_function
        self._codec: Any = check_codec(codec)
        self._follows_bus = self._follows_backup = False

    @property
    def store(self) -> Store:
        """The entries of the cache."""
        return self._loads.store

    def join(self, places: Places) -> None:
        """Be on this bus and before this tier; by default on those of the whole application, whatever they are."""
        with step:  # or the application might move meanwhile
            self._follows_bus, self._follows_backup = places.bus is DEFAULT, places.tier is DEFAULT
            self._connect(
                configured.bus if places.bus is DEFAULT else places.bus,
                configured.tier if places.tier is DEFAULT else places.tier,
            )

    def follow(self) -> None:
        """Go where the whole application has gone, unless something else was said of this cache."""
        self._connect(*self.places(configured.bus, configured.tier))

    def places(self, bus: Bus | None, tier: Tier | None) -> tuple[Bus | None, Tier | None]:
        """Where it would be if the whole application went there."""
        share = self._loads.store.share
        had_bus = None if share is None or not share.is_watched else share.bus
        had_tier = None if share is None or not share.tiers else share.tiers[0]
        return (self._follows_bus and bus) or had_bus, (self._follows_backup and tier) or had_tier

    def may_follow(self, bus: Bus | None, tier: Tier | None) -> bool:
        """Whether it goes with the whole application to one of these."""
        return (bus is not None and self._follows_bus) or (tier is not None and self._follows_backup)

    def _connect(self, bus: Bus | None, tier: Tier | None) -> None:
        store = self._loads.store
        tiers = () if tier is None else (tier,)
        share = store.share
        had: tuple[Bus | None, tuple[Tier, ...]] = (None, ())
        if share is not None:
            had = (share.bus if share.is_watched else None, share.tiers)
        if had == (bus, tiers):
            return
        check_together(bus, tier)
        space, wrapped = self.space(), self.wrapped()
        with step:
            if share is not None:
                release((share.bus, *share.tiers), share.space)
            claim((bus, tier), space, store)
            self._namespace.join_with(bus, tier)
            store.join(Share(space, bus, tiers))
            if tier is not None:
                annotation = _anything if wrapped is None else wrapped.annotation
                codec = partial(codec_of, tier, self._codec, annotation)
                version = "" if wrapped is None else wrapped.version()
                self._loads.backing = Backing(tier, space, store, codec, version)
            if wrapped is not None:
                wrapped.joined()

    def space(self) -> str:
        """What all processes call this cache.

        Raises:
            TypeError: it has no such name, or other processes could not know its keys.

        """
        wrapped = self.wrapped()
        space = self.name if wrapped is None else wrapped.space()
        if space is None:
            raise TypeError(
                "a cache without a name cannot be shared with other processes, or found after a restart: pass "
                "name=..., the same in all of them, or keep it to this process with bus=None, backup=None"
            )
        if space.startswith("#"):
            raise TypeError(f"name={space!r}: the name of a cache that is shared begins with anything but #")
        return space


def check_members(members: Iterable[Membership], bus: Bus | None, tier: Tier | None) -> None:
    """Refuse to move these to a bus and a tier, each as far as it follows, if one of them cannot be there.

    Raises:
        TypeError: it has no name that other processes know; the message says which, and what to do for each.
        ValueError: two of them have the same name, or one would have a bus and a tier that do not go together.

    """
    spaces: Counter[str] = Counter()
    refused = []
    for member in members:
        try:
            spaces[member.space()] += 1
        except TypeError as error:
            refused.append(f"{member.store.name}: {error}")
    if refused:
        raise TypeError("\n".join([f"{len(refused)} caches cannot be shared with other processes:", *sorted(refused)]))
    for space, count in spaces.items():
        if count > 1:
            raise ValueError(SAME_NAME.format(space=space))
    for member in members:
        check_together(*member.places(bus, tier))
        check_claim((bus, tier), member.space(), member.store)
        member.store.windows_by_code()  # a mutation may cover a key that other processes could not know


def _anything() -> Any:
    """What is in a cache that is no function's."""
    return Any

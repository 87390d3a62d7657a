"""Places: where caches are known to other processes: on a bus, before a tier, or at a remote, which is both in one."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from cache._arguments import DEFAULT, Default, shown
from cache._bus import Bus
from cache._tier import Tier


@runtime_checkable
class Remote(Tier, Protocol):
    """A tier that other machines use as well, with the bus on which its changes are heard of."""

    @property
    def bus(self) -> Bus:
        """What caches before it have to be on; it tells nobody of anything, for the tier does."""
        ...


class Places(NamedTuple):
    """The bus and the tier of a cache; DEFAULT where those of the whole application are meant."""

    bus: Bus | Default | None
    tier: Tier | Default | None


class Configured:
    """What was said for the whole application: the bus and the tier of whatever was not given its own."""

    __slots__ = ("bus", "tier")

    def __init__(self) -> None:
        self.bus: Bus | None = None
        self.tier: Tier | None = None


configured = Configured()


def check_places(bus: object, backup: object, remote_cache: object) -> Places:
    """What was asked for.

    Raises:
        TypeError: it is no bus, no tier or no remote.
        ValueError: two of them do not go together.

    """
    if remote_cache is None:
        places = Places(DEFAULT if bus is DEFAULT else _bus(bus), DEFAULT if backup is DEFAULT else _tier(backup))
        if isinstance(places.tier, Remote):
            raise ValueError(
                f"backup={shown(backup)} would leave what this process keeps in memory without news of the others: "
                f"pass it as remote_cache=..."
            )
        return places
    if not isinstance(remote_cache, Remote):
        raise TypeError(
            f"remote_cache={shown(remote_cache)} is of type {type(remote_cache).__name__}: pass "
            f"RedisBackend('redis://...')"
        )
    for name, given in (("bus", bus), ("backup", backup)):
        if given is not DEFAULT and given is not None:
            raise ValueError(
                f"remote_cache={shown(remote_cache)} is the bus of the cache and the tier behind it: leave out "
                f"{name}={shown(given)}"
            )
    return Places(remote_cache.bus, remote_cache)


def check_together(bus: Bus | None, tier: Tier | None) -> None:
    """Refuse a bus whose news come by a tier that is not there, and a remote without its bus.

    Raises:
        ValueError: it is so.

    """
    if bus is not None and bus.tier is not None and bus.tier is not tier:
        raise ValueError(
            f"{bus!r} hears only of what goes through {bus.tier!r}, and this cache has "
            f"{'no tier' if tier is None else shown(tier)}: pass that one as remote_cache=..., without bus=..."
        )
    if isinstance(tier, Remote) and bus is not tier.bus:
        raise ValueError(
            f"{tier!r} would leave what this process keeps in memory without news of the others: pass it as "
            f"remote_cache=..., without bus=..."
        )


def _bus(bus: object) -> Bus | None:
    if bus is None or isinstance(bus, Bus):
        return bus
    raise TypeError(f"bus={shown(bus)} is of type {type(bus).__name__}: pass a bus, such as SharedMemoryBus('shop')")


def _tier(tier: object) -> Tier | None:
    if tier is None or isinstance(tier, Tier):
        return tier
    raise TypeError(
        f"backup={shown(tier)} is of type {type(tier).__name__}: pass a tier, such as DiskBackend('cache.db')"
    )

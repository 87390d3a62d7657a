"""Claims: which cache of this process is known by a name on a bus or to a tier; no two by the same."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from cache._bus import Bus
from cache._places import configured
from cache._tier import Tier

if TYPE_CHECKING:
    from cache._domain import Domain

#: The caches of this process by bus or tier, and by the name under which all processes know them.
_claimed: WeakValueDictionary[tuple[object, str], Any] = WeakValueDictionary()


#: What two caches are told that want the same name.
SAME_NAME: Final = (
    "{space!r} is the name of two caches of this process, and other processes could not tell one from the other: give "
    "one of them another with name=..."
)


def claim(media: Iterable[Bus | Tier | None], space: str, domain: Domain) -> None:
    """Be known by this name on a bus, and to tiers.

    Raises:
        ValueError: another cache of this process is.

    """
    media = [medium for medium in media if medium is not None]
    check_claim(media, space, domain)
    for medium in media:
        _claimed[medium, space] = domain


def release(media: Iterable[Bus | Tier], space: str) -> None:
    """Be known by this name there no longer."""
    for medium in media:
        _claimed.pop((medium, space), None)


def check_claim(media: Iterable[Bus | Tier | None], space: str, domain: Domain) -> None:
    """Refuse what `claim` would refuse."""
    for medium in media:
        found = _claimed.get((medium, space))
        if found is not None and found is not domain:
            del found
            gc.collect()  # a function that was defined anew may be garbage that nobody has collected yet
            found = _claimed.get((medium, space))
        if found is not None and found is not domain:
            raise ValueError(SAME_NAME.format(space=space))


def claimed(medium: object, space: str) -> Domain | None:
    """The cache of this process that is known by this name there."""
    return _claimed.get((medium, space))


def is_used(medium: object) -> bool:
    """Whether there is a cache on this bus, or before this tier, or would be the next that is made."""
    gc.collect()  # a cached function that nobody has any more is garbage of the kind that has to be collected
    if medium in (configured.bus, configured.tier):
        return True
    return any(one is medium and not space.startswith("#") for one, space in tuple(_claimed.keys()))

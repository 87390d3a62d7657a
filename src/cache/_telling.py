"""Telling: what the tiers hear of changes, and of mutations from before their body until after that."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from cache._key import ALL
from cache._share import is_wildcard, used_tiers
from cache._stable import encode
from cache._step import for_each
from cache._tier import Address, Covering, Tier
from cache.errors import CacheError

if TYPE_CHECKING:
    from asyncio import Future

    from cache._domain import Names, Truth

#: What there is to wait for until the tiers know; nothing in a thread without an event loop, which has waited itself.
Told: TypeAlias = tuple[Awaitable[None], ...]
#: What a change reaches in a tier: addresses, and spaces.
Reach: TypeAlias = tuple[tuple[Address, ...], tuple[str, ...]]


def tell_tiers(truths: Iterable[Truth], then: Callable[[], object] | None = None) -> Told:
    """Have all tiers forget what rests on these: begun when it returns, done when what it returns is.

    In a thread without an event loop it waits itself, and there is nothing to wait for. ``then`` is called, in
    whatever thread, when all of them know.

    Raises:
        CacheError: in such a thread, as `Tier.invalidate` does.

    """
    told = reach_by_tier(truths)
    if not told and then is not None:  # all of them have been closed, and nobody needs them any more
        then()
    after = _last_of(len(told), then)
    return _tell(told, lambda tier: tier.invalidate(*told[tier], after))


class TierWindow:
    """A mutation of ``truths`` as the tiers behind them know it."""

    __slots__ = ("_begun", "_truths")

    def __init__(self, truths: Names) -> None:
        self._truths = truths
        #: What each of them was told, and what there is to wait for until it knows.
        self._begun: dict[Tier, tuple[Covering, Future[None] | None]] = {}

    def begin(self) -> Told:
        """Tell all tiers that it begins; whatever is raised, `cancel` then.

        Raises:
            CacheError: in a thread without an event loop, as `Tier.begin` does.

        """
        for tier, (addresses, spaces) in reach_by_tier(self._truths).items():
            covering = Covering(addresses, spaces, secrets.randbits(63))
            self._begun[tier] = covering, None  # before it is told: an interrupt does not say how far it came
            try:
                self._begun[tier] = covering, tier.begin(covering)
            except CacheError:
                del self._begun[tier]
                raise
        return tuple(told for _, told in self._begun.values() if told is not None)

    def cancel(self) -> Told:
        """The body does not run: as `end`, for those where it has begun, or may have or will."""
        self._begun = {tier: each for tier, each in self._begun.items() if not _has_failed(each[1])}
        return self._end(0.0)

    def end(self, linger: float) -> Told:
        """Tell them that it has ended; and tiers that stand behind the truths only since it began, of a change.

        Raises:
            CacheError: in a thread without an event loop, as `Tier.end` does.

        """
        late = {tier: reach for tier, reach in reach_by_tier(self._truths).items() if reach != self._reach_in(tier)}
        try:
            told = self._end(linger)
        finally:
            told_late = _tell(late, lambda tier: tier.invalidate(*late[tier]))
        return told + told_late

    def _end(self, linger: float) -> Told:
        begun, self._begun = self._begun, {}
        return _tell(begun, lambda tier: tier.end(begun[tier][0], linger))

    def _reach_in(self, tier: Tier) -> Reach | None:
        covering, _ = self._begun.get(tier, (None, None))
        return None if covering is None else (covering.addresses, covering.spaces)


def _has_failed(told: Future[None] | None) -> bool:
    return told is not None and told.done() and not told.cancelled() and told.exception() is not None


def reach_by_tier(truths: Iterable[Truth]) -> dict[Tier, Reach]:
    """What a change of these reaches in each tier behind them; a space goes with each of its wildcards."""
    found: dict[Tier, tuple[list[Address], list[str]]] = {}
    for domain, name in truths:
        share = domain.share
        if share is None:
            continue
        for tier in used_tiers(share):
            addresses, spaces = found.setdefault(tier, ([], []))
            if name is ALL or is_wildcard(name):
                spaces.append(share.space)
            else:
                addresses.append(Address(share.space, encode(name)))
    return {tier: (tuple(addresses), tuple(spaces)) for tier, (addresses, spaces) in found.items()}


def _tell(tiers: Iterable[Tier], tell: Callable[[Tier], Awaitable[None] | None]) -> Told:
    """Tell each of them, the others too if one cannot be told."""
    told: list[Awaitable[None]] = []

    def tell_one(tier: Tier) -> None:
        each = tell(tier)
        if each is not None:
            told.append(each)

    for_each(tell_one, iter(tiers))
    return tuple(told)


def _last_of(calls: int, then: Callable[[], object] | None) -> Callable[[], object] | None:
    """What is to be called so many times, and does ``then`` what there is to do."""
    if then is None or calls == 1:
        return then
    left = iter(range(calls - 1))  # to take the next is one indivisible operation, whatever thread calls
    return lambda: None if next(left, None) is not None else then()

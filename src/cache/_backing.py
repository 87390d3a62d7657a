"""Backing: one cache's way to the tier behind it.

A load asks the tier before the loader, and gives it what the loader has returned, with all that it rests on. What the
tier has is as good as what was loaded if nothing that it rests on was invalidated meanwhile; but what that is, the
load learns only from the answer. So if anything at all was invalidated while it asked, it rests on what it has
learned, and asks again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from cache._arguments import shown
from cache._entry import NEVER
from cache._key import ALL, ANY
from cache._lease import Lease
from cache._share import addresses_in, claimed, is_wildcard
from cache._stable import decode, encode
from cache._step import step
from cache._store import Store
from cache._tags import Names, SharedTag, Tag, epoch
from cache._tier import Address, Moment, Record, Tier
from cache.codec import Codec, Envelope, Refused, Unencodable

if TYPE_CHECKING:
    from cache._flight import Flight

logger = logging.getLogger("cache")

#: What a tier is asked for: the records at these addresses, or, of none, the moment from which a load may begin.
Asked: TypeAlias = "tuple[Address, ...]"
#: A conversation with a tier, whoever holds it: in an event loop, or in a thread without one.
Conversation: TypeAlias = "Generator[Asked, Sequence[Record | Moment | None], None]"

_ALL: Final = encode(ALL)
_ANY: Final = encode(ANY)

#: How often the tier is asked in all for what changes all the time.
TRIES = 3


class Kept(NamedTuple):
    """What a tier is to keep of a load: all but the value itself."""

    address: Address
    exp: float
    grounds: tuple[Address, ...]
    moment: Moment
    replaces: bool


class Backing:
    """The tier behind one cache, which is known there as its ``space``."""

    __slots__ = ("_has_warned", "_hits", "_misses", "_refused", "_unencodable", "envelope", "space", "store", "tier")

    def __init__(self, tier: Tier, space: str, store: Store, codec: Codec) -> None:
        self.tier = tier
        self.space = space
        self.store = store
        self.envelope = Envelope(codec, space, compress_above=tier.compress_above)
        self._has_warned = False
        self.reset_metrics()

    def reset_metrics(self) -> None:
        """Count from zero again."""
        self._hits = self._misses = self._refused = self._unencodable = 0

    def metrics(self) -> dict[str, int | float]:
        return {
            "backup_hits": self._hits,
            "backup_misses": self._misses,
            "backup_refused": self._refused,
            "backup_unencodable": self._unencodable,
        }

    # -- before the loader -------------------------------------------------------------------------------------

    async def fetch(self, flights: Sequence[Flight]) -> None:
        """End those of these loads for which the tier has a value."""
        conversation = self._converse(flights)
        try:
            asked = next(conversation)
            while True:
                asked = conversation.send(await self.tier.read(asked) if asked else [await self.tier.moment()])
        except StopIteration:
            pass

    def fetch_blocking(self, flights: Sequence[Flight]) -> None:
        """The same, for a thread without an event loop."""
        tier = self.tier
        conversation = self._converse(flights)
        try:
            asked = next(conversation)
            while True:
                asked = conversation.send(tier.read_blocking(asked) if asked else [tier.moment_blocking()])
        except StopIteration:
            pass

    def _converse(self, flights: Sequence[Flight]) -> Conversation:
        for flight in flights:
            flight.moment = None
        anew = [flight for flight in flights if flight.anew]
        sought = [flight for flight in flights if not flight.anew]
        for _ in range(TRIES):
            if not sought:
                break
            before = self._now()
            answers = yield tuple([self.address(flight.key) for flight in sought])
            again = []
            for flight, answer in zip(sought, answers, strict=True):
                if isinstance(answer, Moment):
                    flight.moment = answer
                    self._misses += 1
                elif answer is not None and not self._land(flight, answer, before):
                    again.append(flight)
            sought = again
        if anew or sought:
            (moment,) = yield ()
            for flight in (*anew, *sought):
                flight.moment = moment if isinstance(moment, Moment) else None

    def _land(self, flight: Flight, record: Record, before: object) -> bool:
        """End a load with what the tier has; False if it cannot be used, or not without asking again."""
        try:
            value = self.envelope.decode(record.value)
        except Refused as refused:
            logger.debug("%s: %s", flight.title, refused)
            self._refused += 1
            return False
        with step:
            rested = len(flight.tags)
            if not self._rest_on(flight, record.grounds):
                return False
            if len(flight.tags) > rested and before != self._now():
                return False
        self._hits += 1
        flight.land_kept(value, self._ttl(record))
        return True

    def _ttl(self, record: Record) -> float | None:
        return None if record.expires is None else max(0.0, record.expires - self.tier.clock())

    def _now(self) -> object:
        """Equal to an earlier one if nothing was invalidated since, by this process or any on the bus."""
        share = self.store.share
        if share is None or not share.is_watched:
            return epoch.changes
        # That of a bus that cannot be used is empty, and says nothing.
        return epoch.changes, share.bus.mark() or object()

    def _rest_on(self, lease: Lease, grounds: Iterable[Address]) -> bool:
        """Have a load rest on what a record rests on; False if some of it is not known in this process."""
        tags: list[Tag] = []
        covered = False
        for space, code in grounds:
            domain = claimed(self.tier, space)
            if domain is None or domain.share is None:
                return False
            tags.append(domain.tag_at(domain.share, code))
            covered = domain.is_covered_at(code) or covered
        lease.adopt(tags)
        if covered:
            lease.spoil()
        return True

    # -- after the loader --------------------------------------------------------------------------------------

    def note(self, flight: Flight, exp: float) -> Kept | None:
        """What is to be kept of a load that was just stored, inside its last step; None if it cannot be."""
        moment = flight.moment
        if moment is None:
            return None
        grounds = self._grounds(flight)
        return None if grounds is None else Kept(self.address(flight.key), exp, grounds, moment, flight.anew)

    def _grounds(self, lease: Lease) -> tuple[Address, ...] | None:
        """All that a load rests on by its address; None if not all of it has one in this tier."""
        found: list[Address] = []
        for tag in lease.tags:
            share = tag.home.share
            if not isinstance(tag, SharedTag) or share is None or self.tier not in share.tiers:
                return None
            if tag.code == _ANY:
                return None
            # Everything in a space, and any wildcard of it, go with the space itself.
            own = tag.home is lease.keyspace and tag.code == encode(lease.key)
            if tag.code != _ALL and not is_wildcard(tag.name) and not own:
                found.append(Address(share.space, tag.code))
        return tuple(found)

    def keep(self, kept: Kept, value: Any) -> None:
        """Give the tier a value; one that has no bytes is not kept there."""
        data = self.encoded(value)
        if data is not None:
            self.tier.write(
                self._record(kept.address, data, kept.exp, kept.grounds), kept.moment, replaces=kept.replaces
            )

    def assign(self, key: Hashable, value: Any, ttl: float | None, names: Names) -> Awaitable[None] | None:
        """The same for a value that is true from now on, at once."""
        address, grounds = self.address(key), addresses_in(self.tier, names)
        data = None if ttl == 0 or grounds is None else self.encoded(value)
        if data is None or grounds is None:
            return self.tier.invalidate((address,))
        exp = NEVER if ttl is None else self.store.clock() + ttl
        return self.tier.assign(self._record(address, data, exp, grounds))

    def encoded(self, value: Any) -> bytes | None:
        """The bytes of a value; None if it has none, which is counted, and logged once."""
        try:
            return self.envelope.encode(value)
        except Unencodable as error:
            self._unencodable += 1
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "%s: a value is kept in memory only, and so will others be: %s. Annotate what the function "
                    "returns, return plain data, or use PickleCodec(key=...)",
                    self.space,
                    error,
                )
            return None

    def address(self, key: Hashable) -> Address:
        """Where the entry of a key is."""
        return Address(self.space, encode(key))

    def _record(self, address: Address, data: bytes, exp: float, grounds: tuple[Address, ...]) -> Record:
        expires = None if exp == NEVER else self.tier.clock() + (exp - self.store.clock())
        return Record(address, data, expires, grounds)

    # -- in bulk -----------------------------------------------------------------------------------------------

    async def preload(self, names_of: Callable[[Hashable], Names]) -> int:
        """Store what the tier has of this cache, those used last first, until it is full; how many were stored."""
        after, count, tries = None, 0, TRIES
        while True:
            before = self._now()
            _, (records, following) = await self.tier.scan(self.space, after)
            stored = [self._preload(record, names_of, before) for record in records]
            count += sum(stored)
            tries -= 1
            if before != self._now() and tries:  # what follows in this slice was true, and may no longer be
                continue
            if following is None or self.store.is_full():
                return count
            after, tries = following, TRIES

    def _preload(self, record: Record, names_of: Callable[[Hashable], Names], before: object) -> bool:
        try:
            key, value = decode(record.address.key), self.envelope.decode(record.value)
            names = names_of(key)
        except (Refused, TypeError, ValueError) as error:
            logger.debug("%s[%r]: %s", self.space, record.address.key, error)
            self._refused += 1
            return False
        store = self.store
        with step:
            if key in store.data or store.is_full():
                return False
            lease = Lease(store, key, names)
            lease.start()
            known = self._rest_on(lease, record.grounds)
            stored = known and before == self._now() and lease.clean
            if stored:
                store.finish(lease, value, self._ttl(record))
            lease.close()
        return stored


def codec_of(tier: Tier, given: Codec | Callable[[Codec], Codec] | None, annotation: Any) -> Codec:
    """How values that are annotated so become bytes in a tier, if nothing else was given."""
    if given is not None and not callable(given):
        return given
    if tier.codec is not None:
        own = tier.codec.typed(annotation)
    else:
        from cache.codec import MsgspecCodec  # noqa: PLC0415 - it needs msgspec, which is an extra

        own = MsgspecCodec(annotation)
    return own if given is None else given(own)


def check_codec(codec: object) -> Any:
    """Refuse what is neither a codec nor makes one."""
    if codec is None or isinstance(codec, Codec) or (callable(codec) and not isinstance(codec, type)):
        return codec
    raise TypeError(
        f"codec={shown(codec)} is of type {type(codec).__name__}: pass a codec, such as MsgspecCodec(User), or a "
        f"function that makes one from that of the tier, lambda own: own.typed(User)"
    )

"""Backing: one cache's way to the tier behind it.

A load asks the tier before the loader, and gives it what the loader has returned, with all that it rests on. What the
tier has is as good as what was loaded, if nothing that it rests on was invalidated meanwhile. But what that is, a load
may learn from the answer alone; then it rests on that from there on, and asks again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from cache._arguments import shown
from cache._change import change
from cache._claims import claimed
from cache._domain import Names, Truth
from cache._entry import NEVER
from cache._key import ALL, ANY, WILDCARD
from cache._lease import DONE, Lease
from cache._share import addresses_in, is_wildcard
from cache._stable import encode
from cache._step import step
from cache._store import Store
from cache._tags import SharedTag
from cache._tier import Address, Moment, Record, Tier
from cache.codec import Codec, Envelope, Unencodable

if TYPE_CHECKING:
    from cache._flight import Flight

logger = logging.getLogger("cache")

#: What a tier is asked for: the records at these addresses, or, of none, the moment from which a load may begin.
Asked: TypeAlias = "tuple[Address, ...]"
#: A conversation with a tier, whoever holds it: in an event loop, or in a thread without one.
Conversation: TypeAlias = "Generator[Asked, Sequence[Record | Moment | None], None]"

_ALL: Final = encode(ALL)
_ANY: Final = encode(ANY)
_WILDCARD: Final = encode(WILDCARD)

#: How often the tier is asked, at most, by a load that learns of something new from each answer.
TRIES = 3


class Kept(NamedTuple):
    """What a tier is to keep of a load: all but the value itself."""

    address: Address
    exp: float
    grounds: tuple[Address, ...]
    moment: Moment
    replaces: bool


class Backing:
    """The tier behind one cache, which is known there as its ``space``.

    ``version`` is what changes when values of before must not be used any more, beside their type.
    """

    __slots__ = (
        "_codec_of", "_envelope", "_has_warned", "_hits", "_misses", "_refused", "_unencodable", "_version", "space",
        "store", "tier",
    )  # fmt: skip

    def __init__(self, tier: Tier, space: str, store: Store, codec_of: Callable[[], Codec], version: str) -> None:
        self.tier = tier
        self.space = space
        self.store = store
        self._codec_of = codec_of
        self._version = version
        self._envelope: Envelope | None = None
        self._has_warned = False
        self.reset_metrics()

    @property
    def envelope(self) -> Envelope:
        """What is around the bytes of its values.

        Made when it is first needed: an annotation may name what is defined below the function.
        """
        if self._envelope is None:
            name = f"{self.space} {self._version}"
            self._envelope = Envelope(self._codec_of(), name, compress_above=self.tier.compress_above)
        return self._envelope

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

    def can_hear(self) -> bool:
        """Whether it is known what other processes change: else nothing that is loaded now can be stored."""
        share = self.store.share
        return share is None or not share.is_watched or bool(share.bus.mark())

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
        without = [flight for flight in flights if flight.anew]
        sought = [flight for flight in flights if not flight.anew]
        for _ in range(TRIES):
            if not sought:
                break
            answers = yield tuple([self.address(flight.key) for flight in sought])
            taken = list(map(self._take, sought, answers))
            without += [flight for flight, took in zip(sought, taken, strict=True) if took is None]
            sought = [flight for flight, took in zip(sought, taken, strict=True) if took is False]
        without += sought
        if without:
            (moment,) = yield ()
            for flight in without:
                flight.moment = moment if isinstance(moment, Moment) else None

    def _take(self, flight: Flight, answer: Record | Moment | None) -> bool | None:
        """Use the answer for a load; None if it is of no use, False if it has to be asked again."""
        if not isinstance(answer, Record):
            with step:
                flight.moment = answer
                if flight.state == DONE:  # nobody waits any more
                    self.give_back(flight)
            self._misses += 1
            return True
        names = tuple(flight.names)
        try:
            value = self.envelope.decode(answer.value)
            if flight.undecided_in is not None:
                names += tuple((flight.undecided_in, tag) for tag in flight.recipe.judge(value)[1])
        except Exception as error:  # noqa: BLE001 - refused; or the user's own functions refuse what an older version has made
            self.refuse(flight.key, error)
            return None
        with step:
            if flight.state == DONE:  # nobody waits any more
                return True
            if not self.knows(answer, names):
                self._refused += 1
                return None
            if self.learn(flight, answer.grounds):
                return False
        self._hits += 1
        flight.land_kept(value, self.ttl_of(answer))
        return True

    def refuse(self, key: Hashable, error: Exception) -> None:
        """What the tier has there is of no use."""
        logger.debug("%s[%s]: %r", self.space, shown(key), error)
        self._refused += 1

    def ttl_of(self, record: Record) -> float | None:
        """For how long its value is good from now on."""
        return None if record.expires is None else max(0.0, record.expires - self.tier.clock())

    def knows(self, record: Record, names: Iterable[Truth]) -> bool:
        """Whether a record rests on all that the load knows of, and on nothing that this process does not know.

        A function may have been given other tags since it was written.
        """
        wanted = addresses_in(self.tier, names)
        if wanted is None or not set(wanted) <= set(record.grounds):
            return False
        homes = [claimed(self.tier, space) for space in {space for space, _ in record.grounds}]
        return all(home is not None and home.share is not None and self.tier in home.share.tiers for home in homes)

    def learn(self, lease: Lease, grounds: Iterable[Address]) -> bool:
        """Have a load rest on what a record rests on; whether it has heard of some of that only now.

        Then it may have been invalidated since the tier has answered, by this process or by another, which may even be
        dead; so the tier has to be asked again.
        """
        learned = covered = False
        for space, code in grounds:
            domain = claimed(self.tier, space)
            share = None if domain is None else domain.share
            if domain is None or share is None:
                continue
            tags, is_covered = domain.grounds_at(share, code)
            learned = learned or not all(map(lease.rests_on, tags))
            covered = covered or is_covered
            lease.adopt(tags)
        if covered:
            lease.spoil()
        return learned

    # -- after the loader --------------------------------------------------------------------------------------

    def note(self, flight: Flight, exp: float) -> Kept | None:
        """What is to be kept of a load that was just stored, inside its last step; None if it cannot be."""
        moment = flight.moment
        if moment is None:
            return None
        grounds = self._grounds(flight)
        if grounds is None:
            return None
        flight.moment = None
        return Kept(self.address(flight.key), exp, grounds, moment, flight.anew)

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
            if tag.code not in (_ALL, _WILDCARD) and not is_wildcard(tag.name) and not own:
                found.append(Address(share.space, tag.code))
        return tuple(found)

    def keep(self, kept: Kept, value: Any) -> None:
        """Give the tier a value; one that has no bytes is not kept there."""
        data = self.encoded(value)
        if data is not None:
            record = self._record(kept.address, data, kept.exp, kept.grounds)
            self.tier.write(record, kept.moment, replaces=kept.replaces)
            return
        self.tier.release({kept.address: kept.moment})
        if kept.replaces:
            self.tier.invalidate((kept.address,))

    def give_back(self, flight: Flight) -> None:
        """Inside a step: nothing will be written of this load, for which others may be waiting elsewhere."""
        if flight.moment is not None:
            step.launches.append(_GivenBack(self, flight.key, flight.moment))
            flight.moment = None

    def replaced(self, key: Hashable, *, is_kept: bool) -> None:
        """The value of a key is another now, which the tier is not to keep: nor may it keep the one before.

        Where memory does not keep it either, nothing that was computed from the one before may stay there.
        """
        if is_kept:
            self.tier.invalidate((self.address(key),))
        else:
            change([(self.store, key)], self.store.invalidate, key)

    def assign(
        self, key: Hashable, value: Any, ttl: float | None, names: Names, then: Callable[[], object] | None
    ) -> Awaitable[None] | None:
        """The same for a value that is true from now on, at once; ``then`` is called when the tier knows."""
        address, grounds = self.address(key), addresses_in(self.tier, names)
        data = None if ttl == 0 or grounds is None else self.encoded(value)
        if data is None or grounds is None:
            return self.tier.invalidate((address,), (), then)
        exp = NEVER if ttl is None else self.store.clock() + ttl
        return self.tier.assign(self._record(address, data, exp, grounds), then)

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


class _GivenBack:
    """A tier is told, when the step is over, that nothing will be written to this key."""

    __slots__ = ("_backing", "_key", "_moment")

    def __init__(self, backing: Backing, key: Hashable, moment: Moment) -> None:
        self._backing = backing
        self._key = key
        self._moment = moment

    def launch(self) -> None:
        self._backing.tier.release({self._backing.address(self._key): self._moment})


def codec_of(tier: Tier, given: Codec | Callable[[Codec], Codec] | None, returned: Callable[[], Any]) -> Codec:
    """How what is ``returned``, by its annotation, becomes bytes in a tier, if nothing else was given."""
    if given is not None and not callable(given):
        return given
    if tier.codec is not None:
        own = tier.codec.typed(returned())
    else:
        from cache.codec import MsgspecCodec  # noqa: PLC0415 - it needs msgspec, which is an extra

        own = MsgspecCodec(returned())
    return own if given is None else given(own)


def check_codec(codec: object) -> Any:
    """Refuse what is neither a codec nor makes one."""
    if codec is None or isinstance(codec, Codec) or (callable(codec) and not isinstance(codec, type)):
        return codec
    raise TypeError(
        f"codec={shown(codec)} is of type {type(codec).__name__}: pass a codec, such as MsgspecCodec(User), or a "
        f"function that makes one from that of the tier, lambda own: own.typed(User)"
    )

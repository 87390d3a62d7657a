"""Preloading: what a tier has of a cache is brought into memory at once, before anybody asks for it.

Each value is judged as a load would: it rests on all that its record rests on before the tier is asked once more.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from cache._backing import Backing
from cache._domain import Names
from cache._key import ALL
from cache._lease import Lease
from cache._stable_reading import decode
from cache._step import step
from cache._tier import Address, Moment, Record
from cache.codec import Refused


async def preload(backing: Backing, names_of: Callable[[Hashable], Names]) -> int:
    """Store what the tier has of a cache, those used last first, until it is full; how many were stored.

    ``names_of`` tells what an entry rests on by its key.
    """
    after, count = None, 0
    while True:
        _, (records, after) = await backing.tier.scan(backing.space, after)
        count += await _store(backing, records, names_of)
        if after is None or backing.store.is_full():
            return count


async def _store(backing: Backing, records: Iterable[Record], names_of: Callable[[Hashable], Names]) -> int:
    """Of these, store what the tier still has when it is known what they rest on."""
    leases: dict[Address, Lease] = {}
    try:
        for record in records:
            lease = _begin(backing, record, names_of)
            if lease is not None:
                leases[record.address] = lease
        answers = dict(zip(leases, await backing.tier.read(tuple(leases)), strict=True))
        # What was there and has gone is not loaded here, though others may be waiting for that now.
        backing.tier.release({address: each for address, each in answers.items() if isinstance(each, Moment)})
        return sum([_restore(backing, lease, answers[address]) for address, lease in leases.items()])
    finally:
        with step:
            for lease in leases.values():
                lease.close()


def _begin(backing: Backing, record: Record, names_of: Callable[[Hashable], Names]) -> Lease | None:
    """Rest on what a record rests on; None if it cannot be used."""
    store = backing.store
    try:
        key = decode(record.address.key)
        names = names_of(key)
    except (TypeError, ValueError) as error:
        backing.refuse(record.address.key, error)
        return None
    with step:
        if key in store.data or store.is_full() or not backing.knows(record, names):
            return None
        lease = Lease(store, key, names)
        lease.start()
        # No invalidation finds it under its key, as it would a flight: so it rests on that too.
        lease.adopt((store.tag(key), store.tag(ALL)))
        backing.learn(lease, record.grounds)
        return lease


def _restore(backing: Backing, lease: Lease, answer: Record | Moment | None) -> bool:
    """Store the value of a record, unless it rests on more than was known."""
    if not isinstance(answer, Record):
        return False
    try:
        value = backing.envelope.decode(answer.value)
    except Refused as refused:
        backing.refuse(lease.key, refused)
        return False
    store = backing.store
    with step:
        if lease.key in store.data or store.is_full() or backing.learn(lease, answer.grounds):
            return False
        return store.finish(lease, value, backing.ttl_of(answer)) is not None

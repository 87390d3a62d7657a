"""Layout: the slots of truths, and what they, their values and their changes are called at a server.

The slots are dealt out to buckets. What belongs to one bucket has one hash tag, so that a script may use all of it
wherever it is. No name that a user chooses is part of a key: spaces and keys are there by their digests.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from zlib import crc32

from cache._key import ALL, ANY
from cache._stable import encode
from cache._tier import Address

_ALL: Final = encode(ALL)
_ANY: Final = encode(ANY)

#: The slots of a plain server, which has one bucket.
SLOTS: Final = 65_536
#: The buckets of a cluster, which has as many slots: so many that each server has its share of them.
BUCKETS: Final = 256


class Layout:
    """So many buckets of so many slots each, the first of which is that of no truth: there is the base."""

    def __init__(self, buckets: int = 1, width: int = SLOTS) -> None:
        self.buckets = buckets
        self.width = width
        self.size = buckets * width
        self._everything = lru_cache(4096)(lambda space: self.slot(space, _ALL))
        self._anything = lru_cache(4096)(lambda space: self.slot(space, _ANY))

    def slot(self, space: str, code: bytes) -> int:
        """The slot of a truth, the same in every process."""
        number = crc32(code, _crc_of(space))
        if self.buckets == 1:
            return 1 + number % (self.width - 1)
        bucket, number = number % self.buckets, number // self.buckets
        return bucket * self.width + 1 + number % (self.width - 1)

    def bucket(self, slot: int) -> int:
        """Where a slot is, and the value of the truth whose it is."""
        return slot // self.width

    def home(self, address: Address) -> int:
        """The bucket in which the value at an address is."""
        return self.slot(*address) // self.width

    def by_bucket(self, slots: Iterable[int]) -> dict[int, list[int]]:
        """These slots by their buckets, and as they are counted there."""
        if self.buckets == 1:
            return {0: list(slots)}
        found: dict[int, list[int]] = {}
        for slot in slots:
            bucket, position = divmod(slot, self.width)
            found.setdefault(bucket, []).append(position)
        return found

    def grounds(self, address: Address, grounds: Iterable[Address]) -> list[int]:
        """The slots that a value rests on: of all truths, and of everything in each of their spaces."""
        space = address.space
        slots = [self.slot(space, address.key), self._everything(space)]
        if grounds:
            spaces = {space}
            for ground in grounds:
                slots.append(self.slot(ground.space, ground.key))
                if ground.space not in spaces:
                    spaces.add(ground.space)
                    slots.append(self._everything(ground.space))
        return slots

    def changed(self, addresses: Iterable[Address], spaces: Iterable[str] = ()) -> tuple[int, ...]:
        """The slots in which it shows that these, and all in these spaces, have changed; in order, each once.

        By them, and its number, a mutation goes at the server.
        """
        slots: set[int] = set()
        for space, key in addresses:
            slots |= {self.slot(space, key), self._anything(space)}
        for space in spaces:
            slots |= {self._everything(space), self._anything(space)}
        return tuple(sorted(slots))


class Names:
    """What is called how in one bucket, in one incarnation of its server: another knows nothing of what is there.

    The incarnation is no part of the hash tag: where a bucket is must be known before it is asked for its incarnation.
    """

    def __init__(self, prefix: str, bucket: int, incarnation: bytes = b"") -> None:
        tag = f"{{{prefix}:{bucket}}}:".encode()
        #: What all keys and channels of the bucket begin with.
        self.tag = tag
        self.bucket = bucket
        self.incarnation = incarnation
        self._within = within = tag + incarnation + b":"
        #: Which incarnation it is, and of which server.
        self.marker = tag + b"i"
        #: Where changes are told, and that there is another incarnation.
        self.channel = tag + b"c"
        self.stamps = within + b"s"
        self.windows = within + b"w"

    def value(self, address: Address) -> bytes:
        """The key of the value at an address."""
        return self._within + b"v" + _name_of(address)

    def pair(self, address: Address) -> tuple[bytes, bytes]:
        """The key of the value, and that of the lease of whoever loads it."""
        name = _name_of(address)
        return self._within + b"v" + name, self._within + b"f" + name

    def has_value(self, key: bytes) -> bool:
        """Whether this is the key of a value here."""
        return key.startswith(self._within + b"v")

    def heartbeats(self, me: bytes) -> bytes:
        """Where this process hears of itself."""
        return self.tag + b"h" + me.hex().encode()


def values_in(prefix: str, space: str) -> bytes:
    """A pattern for the keys of all values of a space, in whichever bucket and incarnation."""
    return _escaped(b"{" + prefix.encode() + b":") + b"*v" + digest_of(space).hex().encode() + b"*"


@lru_cache(4096)
def _crc_of(space: str) -> int:
    return crc32(space.encode("utf-8", "surrogatepass"))


@lru_cache(4096)
def digest_of(space: str) -> bytes:
    """What a space goes by in keys."""
    return blake2b(space.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _name_of(address: Address) -> bytes:
    space = digest_of(address.space)
    return (space + blake2b(address.key, digest_size=16, key=space).digest()).hex().encode()


def _escaped(text: bytes) -> bytes:
    return b"".join(b"\\" + bytes([each]) if each in b"*?[]^-\\" else bytes([each]) for each in text)

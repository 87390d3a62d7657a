"""Records: what a file keeps of an entry, and the names of the truths that entries rest on.

A truth is what can be invalidated: one entry, a tag, a space. In a file each goes by a digest of 16 bytes, so a long
key is as cheap to ask for as a short one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from zlib import crc32

#: Names of tags and spaces that are kept at hand, a few tenths of a microsecond each.
KNOWN_NAMES = 4096


class Address(NamedTuple):
    """Where an entry is: the shared name of a function or cache, and the key in it."""

    space: str
    key: bytes


class Moment(NamedTuple):
    """How many invalidations a file had seen when somebody looked.

    Taken before a load begins, it proves at the end that nothing which the value rests on was invalidated meanwhile.
    One of another file proves nothing.
    """

    file: int
    number: int


class Damaged(Exception):
    """A row is not what was written."""


@dataclass(frozen=True, slots=True)
class Record:
    """An entry as a file keeps it.

    ``expires`` is in seconds of the wall clock, None for ever; ``tags`` and ``inner``, the addresses of what the value
    was made of, are what it rests on beside its own address.
    """

    address: Address
    value: bytes
    expires: float | None = None
    tags: tuple[str, ...] = ()
    inner: tuple[Address, ...] = ()

    def is_fresh(self, now: float) -> bool:
        """Whether its time is not over."""
        return self.expires is None or now < self.expires

    def rests_on(self) -> Iterator[bytes]:
        """The names of all the truths, beside its own, whose invalidation is the end of it."""
        yield name_of_space(self.address.space)
        for tag in self.tags:
            yield name_of_tag(tag)
        for address in self.inner:
            yield name_of_entry(address)
            yield name_of_space(address.space)


class Slice(NamedTuple):
    """Some of the records of a file; ``after`` is where the next slice begins, None if there is none."""

    records: list[Record]
    after: int | None


class Usage(NamedTuple):
    """How full a file is. What can no longer be read counts until it is swept out.

    ``size`` is the sum of the entries in bytes, what is to be kept below ``max_bytes``; ``file_size`` is what the file
    takes on disk beside its log, and ``marks`` how many invalidations it remembers.
    """

    entries: int
    size: int
    marks: int
    file_size: int


def name_of_entry(address: Address) -> bytes:
    """The name of the truth that one entry is."""
    space = address.space.encode("utf-8", "surrogatepass")
    return blake2b(b"%d:%b%b" % (len(space), space, address.key), digest_size=16, person=b"entry").digest()


@lru_cache(maxsize=KNOWN_NAMES)
def name_of_tag(tag: str) -> bytes:
    """The name of the truth that a tag stands for."""
    return blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=16, person=b"tag").digest()


@lru_cache(maxsize=KNOWN_NAMES)
def name_of_space(space: str) -> bytes:
    """The name of the truth that all entries of a space are."""
    return blake2b(space.encode("utf-8", "surrogatepass"), digest_size=16, person=b"space").digest()


def packed_grounds(record: Record) -> str | None:
    """What a record rests on beside its own address, as text; None if there is nothing."""
    if not record.tags and not record.inner:
        return None
    inner = [(address.space, address.key.decode("latin-1")) for address in record.inner]
    return json.dumps([record.tags, inner], separators=(",", ":"))


def unpacked_grounds(grounds: str | None) -> tuple[tuple[str, ...], tuple[Address, ...]]:
    """The tags and the inner addresses of `packed_grounds`."""
    if grounds is None:
        return (), ()
    tags, inner = json.loads(grounds)
    return tuple(tags), tuple(Address(space, key.encode("latin-1")) for space, key in inner)


def checksum(name: bytes, begun: int, expires: float | None, grounds: str | None, value: bytes) -> int:
    """What tells a damaged row: SQLite itself does not look at the contents."""
    return crc32(value, crc32(f"{begun} {expires!r} {grounds}".encode(), crc32(name)))


def verify(address: Address, name: bytes, row: Sequence[Any]) -> None:
    """Refuse a row that is not what was written; raises `Damaged`."""
    begun, written, expires, grounds, value = row
    if written != checksum(name, begun, expires, grounds, value):
        raise Damaged(f"the entry of {address.space!r} under the key {address.key!r}")

"""Records as a file keeps them: the names of the truths they rest on, and what tells a damaged one.

In a file each truth, and each space, goes by a digest of 16 bytes, so a long key is as cheap to ask for as a short one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from zlib import crc32

from cache._tier import Address, Record

#: Names of spaces that are kept at hand, a few tenths of a microsecond each.
KNOWN_NAMES = 4096

#: What an entry takes beside its key, its value and what it rests on: its row, and its place in three indexes.
OVERHEAD = 128


class Damaged(Exception):
    """A row is not what was written."""


class Usage(NamedTuple):
    """How full a file is. What can no longer be read counts until it is swept out.

    ``size`` is the sum of the entries in bytes, what is to be kept below ``max_bytes``; ``file_size`` is what the file
    takes on disk beside its log, and ``marks`` how many invalidations it remembers.
    """

    entries: int
    size: int
    marks: int
    file_size: int


def encoded(space: str) -> bytes:
    """The name of a space, which may have any character, even half of one."""
    return space.encode("utf-8", "surrogatepass")


def decoded(space: bytes) -> str:
    """The name of a space that was `encoded`; raises `Damaged` for any other."""
    try:
        return space.decode("utf-8", "surrogatepass")
    except (AttributeError, UnicodeDecodeError) as error:
        raise Damaged(f"the space {space!r}") from error


def name_of_entry(address: Address) -> bytes:
    """The name of one truth."""
    space = encoded(address.space)
    return blake2b(b"%d:%b%b" % (len(space), space, address.key), digest_size=16, person=b"entry").digest()


@lru_cache(maxsize=KNOWN_NAMES)
def name_of_space(space: str) -> bytes:
    """The name of all truths of a space."""
    return blake2b(encoded(space), digest_size=16, person=b"space").digest()


def names_of(addresses: Sequence[Address], spaces: Sequence[str]) -> list[bytes]:
    """The names of these truths, and then of all in these spaces."""
    return [*map(name_of_entry, addresses), *map(name_of_space, spaces)]


def rests_on(record: Record) -> Iterator[bytes]:
    """The names of all the truths, beside its own, whose invalidation is the end of a record."""
    yield name_of_space(record.address.space)
    for ground in record.grounds:
        yield name_of_entry(ground)
        yield name_of_space(ground.space)


def packed_grounds(record: Record) -> str | None:
    """What a record rests on beside its own address, as text; None if there is nothing."""
    if not record.grounds:
        return None
    return json.dumps([(space, key.decode("latin-1")) for space, key in record.grounds], separators=(",", ":"))


def unpacked_grounds(grounds: str | None) -> tuple[Address, ...]:
    """The addresses of `packed_grounds`."""
    if grounds is None:
        return ()
    return tuple(Address(space, key.encode("latin-1")) for space, key in json.loads(grounds))


def checksum(name: bytes, begun: int, expires: float | None, grounds: str | None, value: bytes) -> int:
    """What tells a damaged row: SQLite itself does not look at the contents."""
    return crc32(value, crc32(f"{begun} {expires!r} {grounds}".encode(), crc32(name)))


def verify(address: Address, name: bytes, row: Sequence[Any]) -> None:
    """Refuse a row that is not what was written; raises `Damaged`."""
    begun, written, expires, grounds, value = row
    if written != checksum(name, begun, expires, grounds, value):
        raise Damaged(f"the entry of {address.space!r} under the key {address.key!r}")


def size_of(record: Record) -> int:
    """What counts towards the size of a file."""
    return len(record.address.key) + len(record.value) + len(packed_grounds(record) or "") + OVERHEAD

"""Records: an entry as bytes at a server, and whether they are one.

magic · id · expires · lengths | stamps | space · key | grounds | value

The stamps are those of the slots that it rests on, in the order of `Layout.grounds`, as they were when it was written;
it is valid as long as they are. Whatever is not a whole record of this version is refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct, error
from typing import Final, NamedTuple

from cache._tier import Address, Record

_MAGIC: Final = b"\xacR\x01\x00"  # its first byte begins no text; the third is the version
_HEAD: Final = Struct("<4s12sdIIII")
_LENGTHS: Final = Struct("<II")
#: How much of it tells one record from all others.
IDENTITY: Final = 16


class Stored(NamedTuple):
    """A record, and the stamps that it was written with."""

    record: Record
    stamps: tuple[int, ...]


def pack(record: Record, stamps: Sequence[int]) -> bytes:
    """The bytes of a record that rests on slots with these stamps; no two are alike."""
    space = _encoded(record.address.space)
    expires = math.inf if record.expires is None else record.expires
    key = record.address.key
    head = _HEAD.pack(_MAGIC, os.urandom(12), expires, len(stamps), len(record.grounds), len(space), len(key))
    parts = [head, _stamps(len(stamps)).pack(*stamps), space, key]
    for ground in record.grounds:
        name = _encoded(ground.space)
        parts += [_LENGTHS.pack(len(name), len(ground.key)), name, ground.key]
    parts.append(record.value)
    return b"".join(parts)


def unpack(data: bytes, address: Address | None = None) -> Stored | None:
    """The record that these bytes are; None if they are none, or that of another address than this."""
    try:
        magic, _, expires, count, grounds, space_length, key_length = _HEAD.unpack_from(data)
        if magic != _MAGIC or math.isnan(expires) or count * 8 > len(data):
            return None
        at = _HEAD.size
        stamps = _stamps(count).unpack_from(data, at)
        at += 8 * count
        there, at = _address(data, at, space_length, key_length)
        if address is None:
            address = there
        elif address != there:
            return None
        found = []
        for _ in range(grounds):
            lengths = _LENGTHS.unpack_from(data, at)
            ground, at = _address(data, at + _LENGTHS.size, *lengths)
            found.append(ground)
    except (error, ValueError):  # it ends too soon, or a name is no text
        return None
    return Stored(Record(address, data[at:], None if expires == math.inf else expires, tuple(found)), stamps)


def _address(data: bytes, at: int, space: int, key: int) -> tuple[Address, int]:
    end = at + space + key
    if end > len(data):
        raise ValueError("it ends in the middle of a name")
    middle = at + space
    return Address(_decoded(data[at:middle]), data[middle:end]), end


@lru_cache(256)
def _stamps(count: int) -> Struct:
    return Struct(f"<{count}Q")


@lru_cache(4096)
def _encoded(space: str) -> bytes:
    return space.encode("utf-8", "surrogatepass")


@lru_cache(4096)
def _decoded(space: bytes) -> str:
    return space.decode("utf-8", "surrogatepass")

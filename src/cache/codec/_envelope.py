"""Envelope: what is around the bytes of every value, in a file and on a server.

magic · version · codec · flags · shape · length of the plain payload | payload | seal

Whatever is not a whole envelope of this version, codec and shape is refused, and refused before anything in it is
believed: the seal covers all that stands before it and is checked first, lengths are compared with what there is, and
nothing is decompressed beyond the limit.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any, Protocol, Self, runtime_checkable

from cache._arguments import check_count, check_name, shown
from cache.codec._errors import Refused, Unencodable

_HEAD = struct.Struct(">4sBBH16sI")
_MAGIC = b"\xacACE"  # its first byte begins no text
_VERSION = 1
_COMPRESSED = 1

#: What a plain payload may take, in bytes, if nothing else is said; and the most that its length can say.
LIMIT = 16 * 1024 * 1024
_LONGEST = 2**32 - 1

# Values are written on a miss, among much else: the fastest level gives most of what compression can give.
_LEVEL = 1


class Seal(Protocol):
    """What stands behind the bytes of an envelope and tells whether they are those that were written."""

    @property
    def size(self) -> int:
        """Its length in bytes."""
        ...

    def of(self, body: bytes) -> bytes:
        """The seal of these bytes."""
        ...

    def holds(self, body: bytes, seal: bytes) -> bool:
        """Whether it is the seal of these bytes."""
        ...


class Checksum:
    """Tells accidents: a flipped bit, a torn write. Whoever can write to the tier can make one."""

    size = 4

    def of(self, body: bytes) -> bytes:
        return zlib.crc32(body).to_bytes(self.size, "big")

    def holds(self, body: bytes, seal: bytes) -> bool:
        return self.of(body) == seal


@runtime_checkable
class Codec(Protocol):
    """Turns the values of one function into bytes and back."""

    @property
    def id(self) -> int:
        """The number by which an envelope names it, from 0 to 255."""
        ...

    @property
    def form(self) -> str:
        """The type of the values, in a text that is the same in every process and changes when the type does."""
        ...

    @property
    def seal(self) -> Seal:
        """What its envelopes are sealed with."""
        ...

    def typed(self, annotation: Any) -> Self:
        """The same codec for a function that is annotated to return this."""
        ...

    def dumps(self, value: Any) -> bytes:
        """The bytes of a value; whatever it raises makes the value unencodable."""
        ...

    def loads(self, payload: bytes) -> Any:
        """The value of such bytes; whatever it raises refuses them."""
        ...


class Envelope:
    """The envelopes of one function's values: ``name`` is what all processes that share them call the function.

    Values of another function, and of the same function before its return type was changed, have another ``shape``
    and are refused. Payloads above ``compress_above`` bytes are compressed where that makes them smaller. A plain
    payload takes ``limit`` bytes at most, here and there; made to do harm, it may become objects of some 75 times that
    size, and no more. Safe to use from several threads.
    """

    def __init__(self, codec: Codec, name: str, *, compress_above: int = 1024, limit: int = LIMIT) -> None:
        self._codec = codec
        self._compress_above = check_count(compress_above, "compress_above", least=0)
        self._limit = check_count(limit, "limit", least=1)
        if limit > _LONGEST:
            raise ValueError(f"limit={shown(limit)}: pass a number of bytes, {_LONGEST} or less")
        told = f"{check_name(name, 'name')}\0{codec.form}".encode("utf-8", "surrogatepass")
        self.shape: bytes = hashlib.blake2b(told, digest_size=16).digest()

    def encode(self, value: Any) -> bytes:
        """The envelope of ``value``.

        Raises:
            Unencodable: it would not come back as it is, or takes more than the limit.

        """
        codec = self._codec
        try:
            payload = codec.dumps(value)
        except Unencodable:
            raise
        except Exception as error:  # whatever the value's own classes raise, or a value that changes meanwhile
            raise Unencodable(f"{shown(value)} cannot be encoded: {_said(error)}") from error
        length, flags = len(payload), 0
        if length > self._limit:
            raise Unencodable(f"{shown(value)} takes {length} bytes, and the limit is {self._limit}")
        if length > self._compress_above:
            compressed = zlib.compress(payload, _LEVEL)
            if len(compressed) < length:
                payload, flags = compressed, _COMPRESSED
        body = _HEAD.pack(_MAGIC, _VERSION, codec.id, flags, self.shape, length) + payload
        return body + codec.seal.of(body)

    def decode(self, data: object) -> Any:
        """The value whose envelope ``data`` is.

        Raises:
            Refused: it is none of this function's, or not unharmed.

        """
        payload = self._plain(*self._opened(data))
        try:
            return self._codec.loads(payload)
        except Refused:
            raise
        except Exception as error:  # bytes may be made to let anything fail, the classes of the user's included
            raise Refused(f"its payload cannot be decoded: {_said(error)}") from error

    def _opened(self, data: object) -> tuple[bytes, int, int]:
        """The payload of an envelope whose seal holds, its flags, and the length that it should have when plain."""
        if type(data) is not bytes:
            raise Refused(f"it is of type {type(data).__name__}, not bytes")
        codec = self._codec
        end = len(data) - codec.seal.size
        if end < _HEAD.size:
            raise Refused(f"it is of {len(data)} bytes, too short for an envelope")
        magic, version, codec_id, flags, shape, length = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            raise Refused("it does not begin like an envelope")
        if version != _VERSION:
            raise Refused(f"it is of version {version}, not {_VERSION}")
        if codec_id != codec.id:
            raise Refused(f"it was written by codec {codec_id}, not {codec.id}")
        if not codec.seal.holds(data[:end], data[end:]):
            raise Refused("its seal is broken: it was damaged, or sealed with another key")
        if shape != self.shape:
            raise Refused("it is the value of another function, or of an earlier version of its type")
        return data[_HEAD.size : end], flags, length

    def _plain(self, payload: bytes, flags: int, length: int) -> bytes:
        if flags not in {0, _COMPRESSED}:
            raise Refused(f"its flags are {flags:#06x}, which this version does not know")
        if length > self._limit:
            raise Refused(f"its payload is of {length} bytes, and the limit is {self._limit}")
        if flags == _COMPRESSED:
            payload = _decompressed(payload, length)
        if len(payload) != length:
            raise Refused(f"its payload is of {len(payload)} bytes, not {length}")
        return payload


def _decompressed(payload: bytes, length: int) -> bytes:
    """What was compressed, and one byte more at most if that is longer than it should be."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(payload, length + 1)
    except zlib.error as error:
        raise Refused(f"its payload cannot be decompressed: {error}") from error
    if not stream.eof or stream.unused_data:
        raise Refused(f"its payload is not compressed from {length} bytes, no more and no less")
    return plain


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {shown(str(error))}"

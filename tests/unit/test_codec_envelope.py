from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from cache.codec import LIMIT, Envelope, MsgspecCodec, PickleCodec, Refused, Unencodable
from cache.codec._envelope import Checksum
from cache.errors import CacheError
from tests.unit.bombs import holding
from tests.unit.recorded import OF_CLASSES, PLAIN, Any_of_them, seen

HEAD = 28
SEAL = 4

VALUE = {"id": 7, "name": "a chair", "tags": ["wood", "blue"]}
LONG = {"text": "so " * 1_000}


@pytest.fixture
def envelope() -> Envelope:
    return Envelope(MsgspecCodec(), "shop.product")


def sealed(head: bytes, payload: bytes) -> bytes:
    return head + payload + Checksum().of(head + payload)


def with_head(data: bytes, **changed: Any) -> bytes:
    """The same envelope with another head, and a seal that holds."""
    names = ("magic", "version", "codec", "flags", "shape", "length")
    parts = dict(zip(names, struct.unpack(">4sBBH16sI", data[:HEAD]), strict=True)) | changed
    return sealed(struct.pack(">4sBBH16sI", *parts.values()), data[HEAD:-SEAL])


def test_the_layout_stays_what_has_been_written(envelope: Envelope) -> None:
    shape = bytes.fromhex("69a6cd2dc591e1ea3170b6a3075792a2")
    body = b"\xacACE" + b"\x01" + b"\x01" + b"\x00\x00" + shape + b"\x00\x00\x00\x04" + b"\x81\xa1a\x01"
    assert envelope.encode({"a": 1}) == body + zlib.crc32(body).to_bytes(4, "big")


# -- compression -----------------------------------------------------------------------------------------------


def test_above_the_threshold_a_payload_is_compressed(envelope: Envelope) -> None:
    data = envelope.encode(LONG)
    assert len(data) < 200
    assert envelope.decode(data) == LONG


def test_a_payload_up_to_the_threshold_is_not_compressed() -> None:
    size = len(MsgspecCodec().dumps(LONG))
    for threshold, is_smaller in ((size, False), (size - 1, True), (0, True)):
        data = Envelope(MsgspecCodec(), "f", compress_above=threshold).encode(LONG)
        assert (len(data) < HEAD + size + SEAL) is is_smaller


def test_what_compression_does_not_make_smaller_is_left_as_it_is(envelope: Envelope) -> None:
    noise = b"".join(zlib.crc32(bytes([number % 256, number // 256])).to_bytes(4, "big") for number in range(2_000))
    data = envelope.encode(noise)
    assert noise in data
    assert data[6:8] == b"\0\0"
    assert envelope.decode(data) == noise


# -- what is refused -------------------------------------------------------------------------------------------


def test_both_errors_are_the_caches_own() -> None:
    assert issubclass(Refused, CacheError)
    assert issubclass(Unencodable, CacheError)


@pytest.mark.parametrize("data", [None, "text", 7, bytearray(b"a"), memoryview(b"a"), [b"a"]])
def test_what_is_not_bytes_is_refused(envelope: Envelope, data: Any) -> None:
    with pytest.raises(Refused, match=f"it is of type {type(data).__name__}, not bytes"):
        envelope.decode(data)


@pytest.mark.parametrize("size", [0, 1, HEAD, HEAD + SEAL - 1])
def test_what_is_too_short_is_refused(envelope: Envelope, size: int) -> None:
    with pytest.raises(Refused, match=f"it is of {size} bytes, too short"):
        envelope.decode(envelope.encode(VALUE)[:size])


@pytest.mark.parametrize("value", [VALUE, LONG], ids=["plain", "compressed"])
def test_every_truncation_and_everything_that_trails_is_refused(envelope: Envelope, value: Any) -> None:
    data = envelope.encode(value)
    for end in range(len(data)):
        with pytest.raises(Refused):
            envelope.decode(data[:end])
    for more in (b"\0", b"\xc0", data):
        with pytest.raises(Refused):
            envelope.decode(data + more)


@pytest.mark.parametrize("value", [VALUE, LONG], ids=["plain", "compressed"])
def test_every_flipped_bit_is_refused(envelope: Envelope, value: Any) -> None:
    data = envelope.encode(value)
    for position in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(Refused):
            envelope.decode(bytes(flipped))


HEADS: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda data: with_head(data, magic=b"PNG\r"), "does not begin like an envelope"),
    (lambda data: with_head(data, version=2), "it is of version 2, not 1"),
    (lambda data: with_head(data, codec=2), "it was written by codec 2, not 1"),
    (lambda data: with_head(data, shape=bytes(16)), "another function, or of an earlier version of its type"),
    (lambda data: with_head(data, flags=2), "its flags are 0x0002, which this version does not know"),
    (lambda data: with_head(data, flags=0x0101), "its flags are 0x0101"),
    (lambda data: with_head(data, flags=1), "cannot be decompressed"),
    (lambda data: with_head(data, length=1), "its payload is of .* bytes, not 1$"),
    (lambda data: with_head(data, length=LIMIT + 1), f"of {LIMIT + 1} bytes, and the limit is {LIMIT}"),
    (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "its seal is broken"),
]


@pytest.mark.parametrize(("change", "reason"), HEADS, ids=[reason for _, reason in HEADS])
def test_a_head_that_says_anything_else_is_refused(
    envelope: Envelope, change: Callable[[bytes], bytes], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        envelope.decode(change(envelope.encode(VALUE)))


def test_the_seal_is_checked_before_anything_that_it_covers_is_used(envelope: Envelope) -> None:
    data = holding(envelope, zlib.compress(bytes(LIMIT)), flags=1, length=LIMIT)
    with pytest.raises(Refused, match="seal is broken"):
        envelope.decode(data[:-1] + b"\0")


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"\x00\xc0", b"\xc1", b"\x92\xc0", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff\xc0\xc0", b"\xa5abc",
        b"\xa1\xff", b"\x81\x80\xc0", b"\xc6\xff\xff\xff\xff", b"\xd9\xffa", b"\xd4\x7f\x90", b"\xd4\x00\x90",
        b"\xd5\x13\x91\xc0", b"\xc7\x03\x10\xa2ab", b"\xd4\x11\x80",
        b"\xd4\x10\xc0", b"\xd4\x10\xc1", b"\xd4\x05x", b"\xd4\x07x", b"\xd4\x08x", b"\xd4\x06x",
        b"\xd4\x02\xff", b"\xc7\x0c\x032026-13-01T0", b"\xc7\x02\x10\x91\xdd", b"\xc7\x04\x11\x91\x91\xc0\xc0",
        b"\xc7\x02\x12\x91\x80", b"\xc7\x02\x13\x92\xc0", b"\xc7\x02\x14\x90\xc0", b"\xc7\x03\x14\x92\xc0\xc0",
        b"\xc7\x03\x14\x92\x00\xc0", b"\xc7\x03\x14\x92\xff\x80", b"\xc7\x03\x14\x92\xc3\x80", b"\xd4\x14\xc0",
        b"\xc7\x11\x0301:00:00 0 @../x", b"\xc7\x15\x0301:00:00 2 =0 a",
    ],
    ids=lambda payload: payload.hex() or "empty",
)  # fmt: skip
def test_a_payload_that_is_no_value_is_refused(envelope: Envelope, payload: bytes) -> None:
    with pytest.raises(Refused):
        envelope.decode(holding(envelope, payload))


def test_a_reason_names_what_failed_beneath_and_has_it_as_its_cause(envelope: Envelope) -> None:
    with pytest.raises(Refused, match="its payload cannot be decoded: DecodeError") as refused:
        envelope.decode(holding(envelope, b"\xc1"))
    assert refused.value.__cause__ is not None


@pytest.mark.parametrize(
    ("length", "change"),
    [
        (4_999, lambda data: data), (5_001, lambda data: data), (0, lambda data: data), (5_000, lambda data: data[:-1]),
        (5_000, lambda data: data + b"\0"), (5_000, lambda data: data + data), (5_000, lambda _: b""),
    ],
    ids=["too long", "too short", "of nothing", "cut", "trailed", "doubled", "gone"],
)  # fmt: skip
def test_what_is_not_compressed_from_as_many_bytes_as_it_says_is_refused(
    envelope: Envelope, length: int, change: Callable[[bytes], bytes]
) -> None:
    value = b"a" * 4_997
    data = zlib.compress(MsgspecCodec().dumps(value))
    assert envelope.decode(holding(envelope, data, flags=1, length=5_000)) == value
    with pytest.raises(Refused):
        envelope.decode(holding(envelope, change(data), flags=1, length=length))


# -- bounds ----------------------------------------------------------------------------------------------------


def test_a_value_above_the_limit_is_neither_written_nor_read() -> None:
    value = b"a" * 1_000
    size = len(MsgspecCodec().dumps(value))
    exact, less = Envelope(MsgspecCodec(), "f", limit=size), Envelope(MsgspecCodec(), "f", limit=size - 1)
    assert exact.decode(exact.encode(value)) == value
    with pytest.raises(Unencodable, match=f"takes {size} bytes, and the limit is {size - 1}"):
        less.encode(value)
    with pytest.raises(Refused, match=f"is of {size} bytes, and the limit is {size - 1}"):
        less.decode(exact.encode(value))


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 2**32}, {"compress_above": -1}, {"limit": -1}])
def test_a_bound_out_of_range_is_refused_by_name(options: dict[str, int]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}={options[name]}: pass a"):
        Envelope(MsgspecCodec(), "f", **options)


@pytest.mark.parametrize("name", ["", None, b"f"])
def test_a_function_has_a_name(name: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="name="):
        Envelope(MsgspecCodec(), name)


@pytest.mark.parametrize("opener", [b"\x91", b"\x81\xc0", b"\xdd\0\0\0\x01", b"\xdc\0\x01"])
@pytest.mark.parametrize("recursion", [None, 200_000], ids=["usual", "raised"])
def test_deep_nesting_is_refused(
    envelope: Envelope, opener: bytes, recursion: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(recursion or usual)
    try:
        with pytest.raises(Refused, match="RecursionError" if recursion is None else "more than 400 levels deep"):
            envelope.decode(holding(envelope, opener * 100_000 + b"\xc0"))
    finally:
        sys.setrecursionlimit(usual)


@pytest.mark.parametrize("recursion", [5_001, 200_000])
def test_where_recursion_goes_deeper_every_value_is_read_all_the_same(recursion: int) -> None:
    envelope = Envelope(MsgspecCodec(Any_of_them), "f")
    data = [(envelope.encode(value), seen(value)) for value in [*PLAIN, *OF_CLASSES, [*PLAIN, *OF_CLASSES, "x" * 300]]]
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(recursion)
    try:
        assert [seen(envelope.decode(encoded)) for encoded, _ in data] == [printed for _, printed in data]
    finally:
        sys.setrecursionlimit(usual)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x91",
        b"\xc1",
        b"\xde\0\x01\xc0",
        b"\xdd\0",
        b"\xd9\x05abc",
        b"\xc7\x05\x10\xc0",
        b"\xc0\xc0",
        b"\xc7\x01\x10\x92\xc0\xc0",
    ],
)
def test_where_recursion_goes_deeper_what_is_no_msgpack_is_refused(envelope: Envelope, payload: bytes) -> None:
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(200_000)
    try:
        with pytest.raises(Refused, match=r"no msgpack|not of the length"):
            envelope.decode(holding(envelope, payload))
    finally:
        sys.setrecursionlimit(usual)


# -- shapes ----------------------------------------------------------------------------------------------------


def test_the_shape_is_of_the_name_and_the_type() -> None:
    shapes = {
        Envelope(codec, name).shape
        for name in ("f", "g")
        for codec in (MsgspecCodec(), MsgspecCodec(int), MsgspecCodec(list[int]), MsgspecCodec(int | None))
    }
    assert len(shapes) == 8
    assert Envelope(MsgspecCodec(int), "f").shape == Envelope(MsgspecCodec().typed(int), "f").shape


def test_the_value_of_one_codec_is_refused_by_another() -> None:
    plain, pickled = Envelope(MsgspecCodec(), "f"), Envelope(PickleCodec(b"k" * 16), "f")
    assert plain.shape == pickled.shape
    with pytest.raises(Refused, match="written by codec 2, not 1"):
        plain.decode(pickled.encode(1))
    with pytest.raises(Refused, match="written by codec 1, not 2"):
        pickled.decode(plain.encode({"a": "something longer than a signature is"}))

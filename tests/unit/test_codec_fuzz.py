"""Bytes that nobody wrote, in great number: refused, or what was written; and no harm done."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from cache.codec import Envelope, MsgspecCodec, PickleCodec, Refused, Unencodable
from tests.unit.bombs import holding
from tests.unit.recorded import OF_CLASSES, PLAIN, Any_of_them, Color, Price, Product, far_user, seen

TYPED = Envelope(MsgspecCodec(Any_of_them), "f", compress_above=200)
SIGNED = Envelope(PickleCodec(b"k" * 16), "f", compress_above=200)

VALUES: list[Any] = [
    *OF_CLASSES, *[value for value in PLAIN if len(repr(value)) < 200], {"rows": [{"id": 1, "price": Decimal(1)}] * 20},
    [Product(number, "a" * number, Price(Decimal(number)), Color.RED) for number in range(5)], far_user(),
]  # fmt: skip

#: Bytes that begin something in msgpack, or are a number that is the last or the first of its kind.
TELLING = bytes([0, 1, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, *range(0xC0, 0x100)])


def mutated(data: bytes, others: list[bytes], chance: Random) -> bytes:
    """``data`` after one to four changes of the kinds that find faults."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        end = at + chance.choice([1, 2, 4, 16, 64])
        kind = chance.randrange(8)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = chance.choice(TELLING)
        elif kind == 2:
            del changed[at:end]
        elif kind == 3:
            changed[at:at] = chance.randbytes(end - at)
        elif kind == 4:
            changed[at:at] = changed[at:end]
        elif kind == 5:
            other = chance.choice(others)
            changed[at:end] = other[at:end]
        elif kind == 6:
            changed[at : at + 4] = struct.pack(">I", chance.choice([0, 1, len(data), 2**16, 2**31, 2**32 - 1]))
        else:
            del changed[at:]
    return bytes(changed)


def mutations(corpus: list[bytes], rounds: int, seed: int) -> Iterator[tuple[int, bytes]]:
    chance = Random(seed)
    for _ in range(rounds):
        number = chance.randrange(len(corpus))
        data = mutated(corpus[number], corpus, chance)
        if data not in corpus:
            yield number, data


@pytest.mark.parametrize("envelope", [TYPED, SIGNED], ids=["msgspec", "pickle"])
def test_a_mutated_envelope_is_refused(envelope: Envelope, deep: bool) -> None:
    corpus = [envelope.encode(value) for value in VALUES if value is not Color.OTHER]
    for data in corpus:
        envelope.decode(data)
    for _, data in mutations(corpus, 500_000 if deep else 50_000, seed=1):
        with pytest.raises(Refused):
            envelope.decode(data)


def test_a_mutated_payload_that_is_sealed_anew_is_refused_or_a_value_like_any_other(deep: bool) -> None:
    codec = MsgspecCodec(Any_of_them)
    corpus = [codec.dumps(value) for value in VALUES]
    refused = 0
    for number, payload in mutations(corpus, 500_000 if deep else 100_000, seed=2):
        try:
            value = TYPED.decode(holding(TYPED, payload))
        except Refused:
            refused += 1
            continue
        # Whoever writes what can be read has written a value: it is as good as one of ours.
        try:
            assert seen(TYPED.decode(TYPED.encode(value))) == seen(value), (number, payload)
        except Unencodable as unencodable:
            raise AssertionError((number, payload, value)) from unencodable
    assert refused > 10_000


@pytest.mark.parametrize("whole", [False, True], ids=["alone", "as a payload"])
def test_random_bytes_are_refused_or_a_value(whole: bool) -> None:
    chance = Random(3)
    for _ in range(5_000):
        data = chance.randbytes(chance.randrange(200))
        try:
            value = TYPED.decode(holding(TYPED, data) if whole else data)
        except Refused:
            continue
        assert whole
        assert seen(TYPED.decode(TYPED.encode(value))) == seen(value)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_bombs_are_refused_in_little_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.bombs"],
        env={"PYTHONPATH": ":".join(filter(None, [".", *sys.path]))}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout
    *refusals, grown, last = done.stdout.splitlines()
    assert len(refusals) >= 100
    assert [line for line in refusals if not line.startswith("refused ")] == []
    # Nothing was asked for that there is not: only the last does need what it asks for.
    assert [line for line in refusals if "MemoryError" in line] == []
    assert int(grown.removeprefix("grown by ").removesuffix(" MiB")) < 24
    assert last.startswith("refused more lists than memory: its payload cannot be decoded: MemoryError")

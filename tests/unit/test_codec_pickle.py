from __future__ import annotations

import hashlib
import hmac
import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest

import cache.codec
from cache.codec import Envelope, PickleCodec, Refused, Unencodable
from tests.unit.recorded import OF_CLASSES, PLAIN, Color, seen

KEY = bytes(range(16))
NEWER = b"another secret of some length"


def envelope(*keys: bytes, name: str = "f", annotation: Any = Any) -> Envelope:
    return Envelope(PickleCodec(list(keys) or KEY).typed(annotation), name)


class Bomb:
    """Unpickled, it leaves a trace."""

    went_off = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (Bomb, "went_off", True))


@pytest.fixture(autouse=True)
def _bomb() -> None:
    Bomb.went_off = False


# Before Python 3.12, pickle finds a member again by its value.
PICKLED = [value for value in [*PLAIN, *OF_CLASSES] if value is not Color.OTHER]


@pytest.mark.parametrize("value", PICKLED, ids=range(len(PICKLED)))
def test_a_value_comes_back_as_pickle_makes_it(value: Any) -> None:
    assert seen(envelope().decode(envelope().encode(value))) == seen(pickle.loads(pickle.dumps(value)))  # noqa: S301 - of our own


def test_a_long_value_is_compressed_before_it_is_signed() -> None:
    data = envelope().encode("so " * 1_000)
    assert len(data) < 200
    assert envelope().decode(data) == "so " * 1_000


@pytest.mark.parametrize("value", [lambda: 1, (number for number in [1]), sys], ids=["function", "generator", "module"])
def test_what_pickle_cannot_take_is_unencodable(value: Any) -> None:
    with pytest.raises(Unencodable, match="cannot be encoded: "):
        envelope().encode(value)


def test_what_can_no_longer_be_unpickled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = envelope().encode(Bomb)
    monkeypatch.delattr(sys.modules[__name__], "Bomb")
    with pytest.raises(Refused, match="its payload cannot be decoded: AttributeError"):
        envelope().decode(data)


# -- the signature ---------------------------------------------------------------------------------------------


def test_the_signature_is_hmac_sha256_of_all_that_stands_before_it() -> None:
    data = envelope().encode({"a": 1})
    assert data[-32:] == hmac.new(KEY, data[:-32], hashlib.sha256).digest()


def test_a_signed_value_is_unpickled() -> None:
    envelope().decode(envelope().encode(Bomb()))
    assert Bomb.went_off


def test_nothing_is_unpickled_before_its_signature_is_verified() -> None:
    data = envelope(NEWER).encode(Bomb())
    harmless = envelope().encode(1)
    for forgery in (
        data, data[:-32] + bytes(32), data[:-32] + harmless[-32:], data[:-32], data[:-1], data + b"\0",
        data[:-32] + hashlib.sha256(data[:-32]).digest(), data[:-32] + hmac.digest(b"", data[:-32], "sha256"),
    ):  # fmt: skip
        with pytest.raises(Refused):
            envelope().decode(forgery)
    assert not Bomb.went_off


def test_every_flipped_bit_is_refused_before_anything_is_unpickled() -> None:
    data = envelope().encode(Bomb())
    for position in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(Refused):
            envelope().decode(bytes(flipped))
    assert not Bomb.went_off


def test_a_signed_value_of_another_function_or_type_is_refused() -> None:
    data = envelope().encode(Bomb())
    for other in (envelope(name="g"), envelope(annotation=int)):
        with pytest.raises(Refused, match="another function"):
            other.decode(data)
    assert not Bomb.went_off


def test_the_first_key_signs_and_each_verifies() -> None:
    old, both, new = envelope(KEY), envelope(NEWER, KEY), envelope(NEWER)
    assert both.decode(old.encode(1)) == 1
    assert new.decode(both.encode(2)) == 2
    for reader, data in ((new, old.encode(1)), (old, both.encode(2))):
        with pytest.raises(Refused, match="sealed with another key"):
            reader.decode(data)


# -- the key ---------------------------------------------------------------------------------------------------


def test_without_a_key_it_is_not_made_and_says_why() -> None:
    makers: list[Callable[[], PickleCodec]] = [PickleCodec, lambda: PickleCodec([]), lambda: PickleCodec(())]
    for make in makers:
        with pytest.raises(ValueError, match=r"needs a key: to unpickle bytes is to run them.*only signed"):
            make()


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 15, [KEY, b"short"]], ids=range(4))
def test_a_short_key_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match=r"is of \d+ bytes: pass 16 secret bytes or more"):
        PickleCodec(key)


@pytest.mark.parametrize(
    "key", ["a secret of some length", None, 16, {KEY}, [KEY, "secret"], bytearray(KEY)], ids=range(6)
)
def test_a_key_that_is_not_bytes_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(TypeError, match="pass bytes, or a list of them") as refused:
        PickleCodec(key)
    assert "secret" not in str(refused.value)
    assert repr(KEY) not in str(refused.value)


def test_a_key_is_nowhere_to_be_seen() -> None:
    codec = PickleCodec(NEWER)
    assert repr(NEWER)[2:-1] not in repr(codec) + repr(codec.seal) + repr(Envelope(codec, "f"))


# -- the door --------------------------------------------------------------------------------------------------


def test_without_msgspec_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    monkeypatch.delitem(sys.modules, "cache.codec._msgpack")
    with pytest.raises(ImportError, match=r"pip install 'async-cache\[disk\]'"):
        _ = cache.codec.MsgspecCodec
    assert envelope().decode(envelope().encode({"a": 1})) == {"a": 1}


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'JsonCodec'"):
        _ = cache.codec.JsonCodec


def test_whatever_is_in_the_door_is_there() -> None:
    assert all(hasattr(cache.codec, name) for name in cache.codec.__all__)

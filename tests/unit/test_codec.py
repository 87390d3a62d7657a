from __future__ import annotations

import io
import itertools
import struct
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cache.codec import Envelope, MsgspecCodec, Unencodable
from cache.codec._depth import DEPTH
from tests.unit.recorded import (
    OF_CLASSES,
    PLAIN,
    Any_of_them,
    Color,
    Level,
    Point,
    Price,
    Product,
    Rights,
    User,
    Word,
    seen,
)  # fmt: skip


def numbered(values: list[Any]) -> list[str]:
    return [f"{type(value).__name__}-{number}" for number, value in enumerate(values)]


def through(value: Any, annotation: Any = Any) -> Any:
    envelope = Envelope(MsgspecCodec(annotation), "f")
    return envelope.decode(envelope.encode(value))


def nested(kind: type, levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = kind([value])
    return value


@pytest.mark.parametrize("value", PLAIN, ids=numbered(PLAIN))
def test_a_plain_value_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    assert seen(through(value)) == seen(value)
    assert seen(through([{"a": (value,)}])) == seen([{"a": (value,)}])


@pytest.mark.parametrize("value", OF_CLASSES, ids=numbered(OF_CLASSES))
def test_a_class_that_the_function_is_annotated_to_return_comes_back(value: Any) -> None:
    back = through(value, Any_of_them)
    assert seen(back) == seen(value)
    assert back == value


def test_a_large_value_comes_back() -> None:
    rows = [{"id": number, "price": Decimal(number) / 100, "tags": ("a", "b")} for number in range(5_000)]
    assert seen(through(rows)) == seen(rows)


def test_a_value_is_nested_a_hundred_levels_deep_and_no_deeper() -> None:
    assert through(nested(tuple, DEPTH)) == nested(tuple, DEPTH)
    assert through(nested(list, DEPTH)) == nested(list, DEPTH)
    with pytest.raises(Unencodable, match=f"more than {DEPTH} levels deep, or contains itself"):
        through(nested(tuple, DEPTH + 1))


def test_a_value_that_contains_itself_is_unencodable() -> None:
    loop: list[Any] = []
    loop += [loop, loop]
    with pytest.raises(Unencodable, match="contains itself"):
        through(loop)


# -- what is not exact -----------------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Row(dict[str, int]):
    pass


class Rows(list[int]):
    pass


class Pair(NamedTuple):
    a: int
    b: int


class Moment(datetime):
    pass


class Zone(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(0)

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> str:
        return "UTC"


class Plain:
    pass


@pytest.mark.parametrize(
    "value",
    [
        Text("a"), Number(1), Row(a=1), Rows([1]), Pair(1, 2), Moment(2026, 1, 2), OrderedDict(a=1), bytearray(b"a"),
        memoryview(b"a"), array("i", [1]), complex(1), range(3), Plain(), Plain, len, object(), ..., NotImplemented,
        msgspec.Raw(b"\xc0"), msgspec.msgpack.Ext(1, b"a"), msgspec.UNSET, deque([1]), iter([1]), Exception("a"),
        Color.RED, Level.LOW, Word.YES, Rights.READ, Product(1, "a"), Price(Decimal(1)), Point(1.0), User(_id=1),
    ],
    ids=itertools.count(),
)  # fmt: skip
@pytest.mark.parametrize(
    "around",
    [lambda value: value, lambda value: [value], lambda value: {"a": ({"b": value},)}],
    ids=["alone", "in a list", "deeper"],
)
def test_what_is_not_plain_by_its_exact_type_is_unencodable(value: Any, around: Callable[[Any], Any]) -> None:
    with pytest.raises(Unencodable, match=rf"is of type .*{type(value).__name__}, which is neither a plain type"):
        through(around(value))


@pytest.mark.parametrize(
    "key", [Number(1), Text("a"), Level.LOW, Price(Decimal(1)), Plain()], ids=lambda key: type(key).__name__
)
def test_a_key_that_is_not_plain_by_its_exact_type_is_unencodable(key: Any) -> None:
    with pytest.raises(Unencodable, match="neither a plain type"):
        through({1: {key: 1}})


@pytest.mark.parametrize("zone", [Zone(), ZoneInfo.no_cache("Europe/Berlin")])
def test_a_time_zone_that_is_not_found_again_by_its_key_is_unencodable(zone: tzinfo) -> None:
    for moment in (datetime(2026, 1, 2, tzinfo=zone), time(1, tzinfo=zone)):
        with pytest.raises(Unencodable, match="is a time zone without a name"):
            through(moment)


def test_a_time_zone_from_a_file_of_its_own_is_unencodable() -> None:
    of_utc = b"TZif" + bytes(16) + struct.pack(">6I", 0, 0, 0, 0, 1, 4) + bytes(6) + b"UTC\0"
    zone = ZoneInfo.from_file(io.BytesIO(of_utc))
    with pytest.raises(Unencodable, match="without a name"):
        through(datetime(2026, 1, 2, tzinfo=zone))


def test_a_value_that_changes_while_it_is_written_is_unencodable() -> None:
    growing: dict[Any, Any] = {}

    class Grower(msgspec.Struct):
        """Asked for its field, it adds to the dict that it is in."""

        size: int = 0

        def __getattribute__(self, name: str) -> Any:
            growing[len(growing)] = None
            return super().__getattribute__(name)

    growing["a"] = Grower()
    with pytest.raises(Unencodable, match="RuntimeError"):
        through(growing, Grower)

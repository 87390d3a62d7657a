"""Leaves: values without parts that msgpack has no form for, and the bytes that each becomes.

Each comes back equal and of the same type, its time zone too; what would not is unencodable.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from cache._arguments import shown
from cache.codec._errors import Unencodable

_Moment = TypeVar("_Moment", datetime, time)
_MICROSECOND = timedelta(microseconds=1)
_FIXED, _NAMED = "=", "@"


class Leaf(NamedTuple):
    """How values of a type become bytes and come back, and the number that stands before them."""

    code: int
    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _str_bytes(value: str) -> bytes:
    # Half of a surrogate pair is no Unicode, but is a str.
    return value.encode("utf-8", "surrogatepass")


def _str(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _moment_bytes(value: datetime | time) -> bytes:
    zone = value.tzinfo
    if (zone is None or zone is UTC) and not value.fold:
        return value.isoformat().encode()
    return _str_bytes(f"{value.replace(tzinfo=None).isoformat()} {value.fold} {_zone_text(zone)}")


def _moment(kind: type[_Moment]) -> Callable[[bytes], _Moment]:
    def moment(data: bytes) -> _Moment:
        text, *rest = _str(data).split(" ", 2)
        value = kind.fromisoformat(text)
        if not rest:
            return value
        fold, zone = rest
        return value.replace(fold=int(fold), tzinfo=_zone(zone))

    return moment


def _zone_text(zone: tzinfo | None) -> str:
    if zone is None:
        return ""
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        own, given = timezone(offset).tzname(None), zone.tzname(None)
        return f"{_FIXED}{offset // _MICROSECOND}" + ("" if given == own else f" {given}")
    # Two zones of one key but not the same object are unequal to Python around the change of the clocks.
    if type(zone) is ZoneInfo and zone.key is not None and ZoneInfo(zone.key) is zone:
        return f"{_NAMED}{zone.key}"
    raise Unencodable(f"{shown(zone)} is a time zone without a name that another process could find it by")


def _zone(text: str) -> tzinfo | None:
    if text.startswith(_NAMED):
        return ZoneInfo(text[1:])
    if text.startswith(_FIXED):
        offset, *name = text[1:].split(" ", 1)
        return timezone(int(offset) * _MICROSECOND, *name)
    return None


def _timedelta_bytes(value: timedelta) -> bytes:
    return f"{value.days} {value.seconds} {value.microseconds}".encode()


def _timedelta(data: bytes) -> timedelta:
    days, seconds, microseconds = map(int, data.split())
    return timedelta(days, seconds, microseconds)


#: By exact type: a subclass may keep more than its base. Only what msgpack cannot hold itself of int and str is here.
LEAVES: dict[type, Leaf] = {
    int: Leaf(1, _int_bytes, _int),
    str: Leaf(2, _str_bytes, _str),
    datetime: Leaf(3, _moment_bytes, _moment(datetime)),
    date: Leaf(4, lambda value: value.isoformat().encode(), lambda data: date.fromisoformat(data.decode())),
    time: Leaf(5, _moment_bytes, _moment(time)),
    timedelta: Leaf(6, _timedelta_bytes, _timedelta),
    UUID: Leaf(7, lambda value: value.bytes, lambda data: UUID(bytes=data)),
    Decimal: Leaf(8, lambda value: str(value).encode(), lambda data: Decimal(data.decode())),
}

"""Stable reading: from the code of a name back to a name that is equal to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from fractions import Fraction
from typing import Any
from uuid import UUID

from cache._arguments import shown
from cache._key import Frozen
from cache._shared_names import class_at
from cache._stable import DEPTH, FIRST, SENTINELS, Unstable, encoded


def decode(code: bytes) -> Hashable:
    """A name that is equal to the one ``code`` was made of. Nothing is imported or called for it.

    Raises:
        ValueError: it is no code, or names a class that this process does not have.

    """
    try:
        name: Hashable = _decode(code, 0)
        if encoded(name, 0) == code:
            return name
    except (Unstable, RecursionError, ArithmeticError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{shown(code)} is not the code of a name: {error}") from error
    raise ValueError(f"{shown(code)} is not the code of a name: it is not as it would be written")


def _decode(code: bytes, depth: int) -> Any:
    form = _READERS.get(code[:1])
    if form is None:
        raise ValueError("it begins like none")
    return form(code[1:], depth)


def _to_float(data: bytes, _: int) -> float:
    return {b"+": math.inf, b"-": -math.inf}[data]


def _to_ratio(data: bytes, _: int) -> float | Fraction:
    numerator, denominator = (int(part, 16) for part in data.split(b"/"))
    ratio = Fraction(numerator, denominator)
    try:
        nearest = numerator / denominator
    except OverflowError:
        return ratio
    return nearest if nearest.as_integer_ratio() == ratio.as_integer_ratio() else ratio


def _to_complex(data: bytes, depth: int) -> complex:
    real, imaginary = _separate(data, depth)
    return complex(float(real), float(imaginary))


def _to_datetime(data: bytes, _: int) -> datetime:
    return FIRST + timedelta(microseconds=int(data, 16))


def _to_timedelta(data: bytes, _: int) -> timedelta:
    # In whole numbers: a float would lose the last digits.
    days, rest = divmod(int(data, 16), 86_400_000_000)
    return timedelta(days, 0, rest)


def _to_frozen(data: bytes, depth: int) -> Frozen:
    kind, parts = _separate(data, depth)
    if not isinstance(kind, type):
        raise ValueError("it has no class where one belongs")  # noqa: TRY004 - it is the code that is wrong
    return Frozen(kind, parts)


def _to_enum(data: bytes, _: int) -> Any:
    home, name = _split(data)
    return vars(_enum(home))["_member_map_"][_decode(name, 0)]


def _to_flag(data: bytes, _: int) -> Any:
    home, value = _split(data)
    return vars(_enum(home))["_value2member_map_"][int(value, 16)]


def _enum(home: bytes) -> type[Enum]:
    kind = class_at(home)
    if not issubclass(kind, Enum):
        raise ValueError(f"{kind.__qualname__} is no enum")  # noqa: TRY004 - it is the code that is wrong
    return kind


def _to_sentinel(data: bytes, _: int) -> Any:
    return SENTINELS[data.decode()]


def _separate(data: bytes, depth: int) -> list[Any]:
    if depth >= DEPTH:
        raise ValueError(f"it is nested more than {DEPTH} deep")
    return [_decode(part, depth + 1) for part in _split(data)]


def _split(data: bytes) -> list[bytes]:
    parts = []
    start = 0
    while start < len(data):
        colon = data.index(b":", start)
        end = colon + 1 + int(data[start:colon], 16)
        if end <= colon:
            raise ValueError("a part of it is shorter than nothing")
        parts.append(data[colon + 1 : end])
        start = end
    return parts


_READERS: dict[bytes, Callable[[bytes, int], Any]] = {
    b"s": lambda data, _: data.decode("utf-8", "surrogatepass"),
    b"b": lambda data, _: data,
    b"n": lambda _, __: None,
    b"i": lambda data, _: int(data, 16),
    b"q": _to_ratio,
    b"f": _to_float,
    b"c": _to_complex,
    b"U": lambda data, _: UUID(int=int(data, 16)),
    b"d": lambda data, _: date.fromordinal(int(data, 16)),
    b"D": _to_datetime,
    b"M": lambda data, depth: _to_datetime(data, depth).replace(tzinfo=UTC),
    b"T": lambda data, depth: _to_datetime(data, depth).time(),
    b"l": _to_timedelta,
    b"t": lambda data, depth: tuple(_separate(data, depth)),
    b"z": lambda data, depth: frozenset(_separate(data, depth)),
    b"Z": _to_frozen,
    b"E": _to_enum,
    b"G": _to_flag,
    b"k": lambda data, _: class_at(data),
    b"*": _to_sentinel,
}

"""Stable: codes of names that are the same in every process.

Two names that are equal have one code, two that are not have two, and from a code comes a name that is equal to the
one it was made of. Python's own ``hash`` changes with the process and ``repr`` shows addresses; pickle gives 1 and
1.0 two forms. A name for which none of this can be shown is refused: a code that differs where the names do not would
be an invalidation that nobody hears of, and one that does not differ where the names do, the value of another key.

What a value is equal to is decided by its ``__eq__``, and so is its form: whatever has the equality and the hash of
a built-in type is encoded as a value of that type, whatever has its own is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from cache._arguments import shown
from cache._key import ALL, ANY, WILDCARD, Frozen, Sentinel, Token
from cache._shared_names import address_of

#: How deep tuples and frozensets may be nested.
DEPTH = 100
#: Decimals beyond this power of ten are refused: written out they would fill the memory.
LARGEST_POWER = 5_000

FIRST: Final = datetime.min  # noqa: DTZ901 - what the clocks of all zones begin with
#: Where the sentinels that are names are to be found, by their labels.
SENTINELS: dict[str, Sentinel] = {sentinel.label: sentinel for sentinel in (ALL, ANY, WILDCARD)}
_OF_SENTINEL: dict[Sentinel, bytes] = {sentinel: b"*" + label.encode() for label, sentinel in SENTINELS.items()}


class Unstable(Exception):
    """A part of a name has no code, and why."""


def encode(name: Hashable) -> bytes:
    """The code of a key, of a tag, or of a sentinel: equal names, equal codes, in every process.

    Raises:
        TypeError: a part of the name has no form that is the same in every process.

    """
    if type(name) is str:
        try:
            return b"s" + name.encode()
        except UnicodeEncodeError:  # half of a surrogate pair
            return _of_str(name, 0)
    if type(name) is int:
        return b"i%x" % name
    if type(name) is Sentinel and name in _OF_SENTINEL:
        return _OF_SENTINEL[name]
    try:
        return encoded(name, 0)
    except Unstable as refused:
        part, reason = refused.args
    except RecursionError:
        part, reason = name, "it is nested too deep"
    where = "" if part is name else f" in the key {shown(name)}"
    raise TypeError(
        f"{shown(part)}{where} has no form that is the same in every process: {reason}. {_remedy(part)}"
    ) from None


def stable_key(key: Hashable) -> str:
    """A text of 24 characters that equal keys have in common in every process, and that others have not.

    Raises:
        TypeError: a part of the key has no form that is the same in every process.

    """
    return blake2b(encode(key), digest_size=12).hexdigest()


def _remedy(part: object) -> str:
    if isinstance(part, Token):
        return (
            "An instance stands in the key by its identity, which means nothing elsewhere: leave it out with "
            "skip_args=1, or make the key with key=..."
        )
    return (
        "Make the key of parts that have (strings, numbers, dates, UUIDs, enum members, tuples of these) with "
        "key=..., or leave the argument out with ignore=... (the instance of a method with skip_args=1)"
    )


def encoded(value: Any, depth: int) -> bytes:
    kind: Any = type(value)
    if kind is str:
        return _of_str(value, depth)
    if kind is int:
        return b"i%x" % value
    if value is None:
        return b"n"
    form = _FORMS.get((kind.__eq__, kind.__hash__))
    if form is None:
        form = _of_identity if kind.__eq__ is object.__eq__ else _refuse
    return form(value, depth)


def _refuse(value: Any, _: int) -> bytes:
    raise Unstable(value, f"it is of type {type(value).__name__}")


def _of_str(value: Any, _: int) -> bytes:
    return b"s" + str.encode(value, "utf-8", "surrogatepass")


def _of_bytes(value: Any, _: int) -> bytes:
    return bytes.__add__(b"b", value)


def _of_int(value: Any, _: int) -> bytes:
    return b"i%x" % int.__add__(value, 0)


def _of_float(value: Any, _: int) -> bytes:
    if math.isfinite(value):
        return _of_ratio(*float.as_integer_ratio(value))
    if math.isnan(value):
        raise Unstable(value, "it is not equal to itself")
    return b"f+" if value > 0 else b"f-"


def _of_decimal(value: Decimal, depth: int) -> bytes:
    if not value.is_finite():
        return _of_float(float(value), depth)
    if value and abs(value.adjusted()) + len(value.as_tuple().digits) > LARGEST_POWER:
        raise Unstable(value, "written out it is too long a number")
    return _of_ratio(*Decimal.as_integer_ratio(value))


def _of_fraction(value: Fraction, _: int) -> bytes:
    return _of_ratio(int(value.numerator), int(value.denominator))


def _of_ratio(numerator: int, denominator: int) -> bytes:
    return b"i%x" % numerator if denominator == 1 else b"q%x/%x" % (numerator, denominator)


def _of_complex(value: complex, depth: int) -> bytes:
    real = _of_float(value.real, depth)
    return b"c" + _joined((real, _of_float(value.imag, depth))) if value.imag else real


def _of_uuid(value: UUID, _: int) -> bytes:
    return b"U%x" % value.int


def _of_date(value: date, _: int) -> bytes:
    return b"d%x" % date.toordinal(value)


def _of_datetime(value: datetime, _: int) -> bytes:
    # Of one zone datetimes are compared by what the clock says, of two by the instant. Both are the same only where
    # the zone is at no turn of its clocks.
    naive = datetime.combine(datetime.date(value), datetime.time(value))
    offset = value.utcoffset()
    if offset is None:
        return b"D%x" % _microseconds(naive - FIRST)
    if type(value.tzinfo) is not timezone and not _is_plain(value, naive):
        raise Unstable(value, "it is at a turn of the clocks of its zone")
    moment = _microseconds(naive - FIRST - offset)
    if not 0 <= moment <= _LAST:
        raise Unstable(value, "in UTC it is out of range")
    return b"M%x" % moment


def _is_plain(value: datetime, naive: datetime) -> bool:
    zone = value.tzinfo
    try:
        first, second = (naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        back = first.astimezone(UTC).astimezone(zone)
        return first.utcoffset() == second.utcoffset() and back.replace(tzinfo=None, fold=0) == naive.replace(fold=0)
    except Exception:  # noqa: BLE001 - the zone may be a stranger's, and what it cannot tell is refused
        return False


def _of_time(value: time, _: int) -> bytes:
    if value.utcoffset() is not None:
        raise Unstable(value, "it is a time of day of a zone")
    return b"T%x" % _microseconds(datetime.combine(date.min, time.replace(value, tzinfo=None)) - FIRST)


def _of_timedelta(value: timedelta, _: int) -> bytes:
    return b"l%x" % _microseconds(value)


def _microseconds(delta: timedelta) -> int:
    # The sum of exact whole numbers; a subclass may divide in a way of its own.
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


_LAST: Final = _microseconds(datetime.max - datetime.min)  # noqa: DTZ901 - as above


def _of_tuple(value: Any, depth: int) -> bytes:
    return b"t" + _parts(value, tuple.__iter__(value), depth)


def _of_frozenset(value: Any, depth: int) -> bytes:
    if depth >= DEPTH:
        raise Unstable(value, f"it is nested more than {DEPTH} deep")
    return b"z" + _joined(sorted([encoded(part, depth + 1) for part in frozenset.__iter__(value)]))


def _of_frozen(value: Frozen, depth: int) -> bytes:
    return b"Z" + _parts(value, (value._kind, value._parts), depth)


def _parts(value: object, parts: Iterable[Any], depth: int) -> bytes:
    if depth >= DEPTH:
        raise Unstable(value, f"it is nested more than {DEPTH} deep")
    return _joined([encoded(part, depth + 1) for part in parts])


def _joined(codes: Iterable[bytes]) -> bytes:
    return b"".join([b"%x:%b" % (len(code), code) for code in codes])


def _of_enum(value: Enum, _: int) -> bytes:
    home = address_of(type(value))
    if home is None:
        raise Unstable(value, f"other processes cannot find its class {type(value).__qualname__} by that name")
    # A flag may be made of several, for which not every version of Python has a name.
    if isinstance(value, Flag):
        return b"G" + _joined((home, b"%x" % value._value_))
    return b"E" + _joined((home, _of_str(value._name_, 0)))


def _of_identity(value: Any, depth: int) -> bytes:
    """What is equal to nothing but itself has a code if every process finds it under the same name."""
    kind: Any = type(value)
    if isinstance(value, type) and kind.__hash__ is type.__hash__:
        home = address_of(value)
        if home is None:
            raise Unstable(value, "other processes cannot find a class by that name")
        return b"k" + home
    if kind is Sentinel and value in _OF_SENTINEL:
        return _OF_SENTINEL[value]
    return _refuse(value, depth)


#: The form of all values with the same equality and the same hash.
_FORMS: dict[tuple[object, object], Callable[[Any, int], bytes]] = {
    (kind.__eq__, kind.__hash__): form
    for kind, form in (
        (str, _of_str),
        (bytes, _of_bytes),
        (int, _of_int),
        (float, _of_float),
        (complex, _of_complex),
        (Decimal, _of_decimal),
        (Fraction, _of_fraction),
        (UUID, _of_uuid),
        (date, _of_date),
        (datetime, _of_datetime),
        (time, _of_time),
        (timedelta, _of_timedelta),
        (tuple, _of_tuple),
        (frozenset, _of_frozenset),
        (Frozen, _of_frozen),
        (Enum, _of_enum),
    )
}

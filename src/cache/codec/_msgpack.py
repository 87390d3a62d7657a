"""The codec for values that nobody else reads: msgpack by msgspec, and what it lacks in extensions of our own.

Exact or not at all: what comes back is equal to what was written and of the same types, all the way down. A class is
never looked up by a name in the bytes: those that come back are the ones the function is annotated to return.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Any

try:
    import msgspec
except ImportError as error:
    raise ImportError(
        "the values of a cache that outlives its process are encoded by msgspec, which is not installed: "
        "pip install 'async-cache[disk]'"
    ) from error

from cache._arguments import shown
from cache.codec._depth import DEPTH, NESTING, check_depth
from cache.codec._envelope import Checksum
from cache.codec._errors import Refused, Unencodable
from cache.codec._forms import Forms
from cache.codec._leaves import LEAVES
from cache.codec._records import Record, title

_TUPLE, _SET, _FROZENSET, _PAIRS, _RECORD = NESTING[:5]

# What msgpack holds by itself; of these two not all, which it says when it meets one: then they are looked at.
_ATOMS: frozenset[type] = frozenset({NoneType, bool, int, float, str, bytes})
_SURE: frozenset[type] = _ATOMS - {int, str}

_encode = msgspec.msgpack.Encoder().encode
_skip = msgspec.msgpack.Decoder(msgspec.Raw).decode
_LEAST, _MOST = -(2**63), 2**64 - 1


class MsgspecCodec:
    """Encodes plain values, and the classes that a function is annotated to return.

    Plain are None, bool, int, float, str, bytes, list, dict, tuple, set, frozenset, datetime, date, time, timedelta,
    UUID and Decimal, by their exact types, and what is made of them. The classes are the enums, dataclasses, msgspec
    Structs and pydantic models that can be reached from ``annotation``. Their fields are as they are declared, or the
    value is not encoded; bytes that say otherwise are refused.

    Raises:
        ImportError: when first touched, if msgspec is not installed.

    """

    id = 1

    def __init__(self, annotation: Any = Any) -> None:
        forms = Forms()
        self.form: str = forms.read(annotation).text
        self.seal: Checksum = Checksum()
        self._records = list(forms.records.values())
        self._lowerings = _LOWERINGS | {
            record.kind: _lower_record(number, record) for number, record in enumerate(self._records)
        }
        self._decode = msgspec.msgpack.Decoder(ext_hook=self._raise_up).decode

    def typed(self, annotation: Any) -> MsgspecCodec:
        """The same codec for a function that is annotated to return this."""
        return MsgspecCodec(annotation)

    def dumps(self, value: Any) -> bytes:
        """The bytes of a value.

        Raises:
            Unencodable: it would not come back as it is.

        """
        try:
            return _encode(_Lowering(self._lowerings, _ATOMS).lower(value, DEPTH))
        except (OverflowError, UnicodeEncodeError):
            return _encode(_Lowering(self._lowerings, _SURE).lower(value, DEPTH))

    def loads(self, payload: bytes) -> Any:
        """The value of such bytes; whatever it raises refuses them."""
        check_depth(payload)
        # See that all is there that the bytes announce, before anything is made, and made as long as they say.
        _skip(payload)
        return self._decode(payload)

    def _raise_up(self, code: int, data: memoryview) -> Any:
        leaf = _LEAF_OF.get(code)
        if leaf is not None:
            return leaf(bytes(data))
        _skip(data)
        parts = self._decode(data)
        if type(parts) is not list:
            raise Refused(f"an extension is made of {type(parts).__name__}, not of a list")
        if code == _RECORD:
            number, state = parts
            return self._record(number).build(state)
        made = _MADE_OF.get(code)
        if made is None:
            raise Refused(f"{code} is no extension of this version")
        return made(parts)

    def _record(self, number: Any) -> Record:
        if type(number) is not int or not 0 <= number < len(self._records):
            raise Refused(f"{shown(number)} is the number of no class of this function")
        return self._records[number]


class _Lowering:
    """One walk down a value, to what msgpack has a form for; what it has one for already is not copied."""

    __slots__ = ("atoms", "lowerings")

    def __init__(self, lowerings: dict[type, _Lower], atoms: frozenset[type]) -> None:
        self.lowerings = lowerings
        self.atoms = atoms

    def lower(self, value: Any, room: int) -> Any:
        """``value`` in what msgpack has a form for, ``room`` levels deep at most."""
        kind = type(value)
        if kind in self.atoms:
            return value
        if not room:
            raise Unencodable(f"it is nested more than {DEPTH} levels deep, or contains itself")
        lowering = self.lowerings.get(kind)
        if lowering is None:
            raise Unencodable(
                f"{shown(value)} is of type {title(kind)}, which is neither a plain type nor an enum, a dataclass, a "
                f"Struct or a model that the function is annotated to return"
            )
        return lowering(self, value, room - 1)

    def parts(self, values: Any, room: int) -> list[Any]:
        """Each of them lowered."""
        atoms = self.atoms
        if atoms.issuperset(map(type, values)):
            return list(values)
        return [value if type(value) in atoms else self.lower(value, room) for value in values]

    def whole(self, values: list[Any], room: int) -> list[Any]:
        """A list."""
        return values if self.atoms.issuperset(map(type, values)) else self.parts(values, room)

    def mapping(self, items: dict[Any, Any], room: int) -> Any:
        """A dict, in pairs if a key of it must be lowered itself."""
        atoms = self.atoms
        if not atoms.issuperset(map(type, items)):
            pairs = self.parts([part for item in items.items() for part in item], room)
            # No key is hidden: all that need not be looked at are told apart by msgpack as well.
            return msgspec.msgpack.Ext(_PAIRS, _encode(pairs))
        if atoms.issuperset(map(type, items.values())):
            return items
        return {key: value if type(value) in atoms else self.lower(value, room) for key, value in items.items()}


_Lower = Callable[[_Lowering, Any, int], Any]


def _lower_leaf(kind: type) -> _Lower:
    code, dumps, _ = LEAVES[kind]
    return lambda _walk, value, _room: msgspec.msgpack.Ext(code, dumps(value))


def _lower_int(_walk: _Lowering, value: int, _room: int) -> Any:
    return value if _LEAST <= value <= _MOST else msgspec.msgpack.Ext(LEAVES[int].code, LEAVES[int].dumps(value))


def _lower_str(_walk: _Lowering, value: str, _room: int) -> Any:
    data = LEAVES[str].dumps(value)
    try:
        data.decode()
    except UnicodeDecodeError:
        return msgspec.msgpack.Ext(LEAVES[str].code, data)
    return value


def _lower_parts(code: int) -> _Lower:
    return lambda walk, values, room: msgspec.msgpack.Ext(code, _encode(walk.parts(values, room)))


def _lower_record(number: int, record: Record) -> _Lower:
    def lower(walk: _Lowering, value: Any, room: int) -> Any:
        state = walk.lower(record.state(value), room)
        return msgspec.msgpack.Ext(_RECORD, _encode([number, state]))

    return lower


_LOWERINGS: dict[type, _Lower] = {
    **{kind: _lower_leaf(kind) for kind in LEAVES},
    int: _lower_int,
    str: _lower_str,
    list: _Lowering.whole,
    dict: _Lowering.mapping,
    tuple: _lower_parts(_TUPLE),
    set: _lower_parts(_SET),
    frozenset: _lower_parts(_FROZENSET),
}
_LEAF_OF = {leaf.code: leaf.loads for leaf in LEAVES.values()}
_MADE_OF: dict[int, Callable[[list[Any]], Any]] = {
    _TUPLE: tuple,
    _SET: set,
    _FROZENSET: frozenset,
    _PAIRS: lambda parts: dict(zip(parts[::2], parts[1::2], strict=True)),
}

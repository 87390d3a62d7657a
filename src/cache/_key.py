"""Key: what identifies a call.

Hashable arguments are keys as they are, by Python equality, as in functools. Those that are not hashable become a
private frozen form, by type and value, that is equal to nothing a caller can pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any


class Frozen:
    """The frozen form of an unhashable value."""

    __slots__ = ("_hash", "_kind", "_parts")

    def __init__(self, kind: type, parts: Hashable) -> None:
        self._kind = kind
        self._parts = parts
        self._hash = hash((kind, parts))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(other) is Frozen and self._kind is other._kind and self._parts == other._parts

    def __repr__(self) -> str:
        return f"<{self._kind.__name__} {self._parts!r}>"


def freeze(value: Any) -> Hashable:
    """``value`` if it is hashable, else its frozen form.

    Raises:
        TypeError: it has no value that can be told from outside, or contains itself.

    """
    try:
        hash(value)
    except TypeError:
        try:
            return _freeze(value)
        except RecursionError:
            raise TypeError("it contains itself") from None
    return value  # type: ignore[no-any-return]  # hash() has just shown that it is Hashable


def _part(value: Any) -> Hashable:
    # Inside a frozen form the type counts too: [1] and [True] are two keys.
    kind = type(value)
    if kind is tuple or kind is frozenset:
        return (kind, kind([_part(item) for item in value]))
    return (kind, freeze(value))


def _freeze(value: Any) -> Frozen:
    kind = type(value)
    parts: Hashable
    if kind is list:
        parts = tuple([_part(item) for item in value])
    elif kind is dict:
        parts = frozenset([(_part(key), _part(item)) for key, item in value.items()])
    elif kind is set:
        parts = frozenset([_part(item) for item in value])
    elif kind is bytearray:
        parts = bytes(value)
    elif isinstance(value, tuple):
        parts = (tuple([_part(item) for item in value]), _part(getattr(value, "__dict__", None)))
    elif "__dataclass_fields__" in vars(kind):
        parts = tuple([_part(getattr(value, field.name)) for field in dataclasses.fields(value) if field.compare])
    else:
        parts = _state_of(value)
    return Frozen(kind, parts)


def _state_of(value: Any) -> Hashable:
    """What pickle would keep of a plain object: models, and classes of one's own.

    Types that tell pickle in their own way what they are made of (arrays, handles) are refused: that way may copy
    megabytes, or leave out what matters.
    """
    kind = type(value)
    is_model = hasattr(kind, "__pydantic_fields__")
    ways = (kind.__reduce_ex__, kind.__reduce__, object.__getstate__ if is_model else kind.__getstate__)
    plain: tuple[object, ...] = (object.__reduce_ex__, object.__reduce__, object.__getstate__)
    if ways != plain or hasattr(kind, "__getnewargs__") or hasattr(kind, "__getnewargs_ex__"):
        raise TypeError(f"{kind.__name__} has no value that a key could be made of")
    try:
        _, made_from, state, items, pairs = (*value.__reduce_ex__(4), None, None, None)[:5]
    except TypeError as error:
        raise TypeError(f"{kind.__name__} has no value that a key could be made of ({error})") from None
    if is_model:
        # Which fields were given and which are defaults is no part of a model's equality.
        state = {name: part for name, part in state.items() if name != "__pydantic_fields_set__"}
    return tuple(
        [_part(part) for part in (made_from[1:], state, None if items is None else list(items), dict(pairs or ()))]
    )

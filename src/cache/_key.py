"""Key: what identifies a call.

Hashable arguments are keys as they are, by Python equality, as in functools. Those that are not hashable become a
private frozen form, by type and value, that is equal to nothing a caller can pass.
"""

from __future__ import annotations

import copyreg
from collections.abc import Hashable
from typing import Any

#: How pickle's protocol 2 and later begin an object whose class says nothing else.
_NEW: object = vars(copyreg)["__newobj__"]


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
    return (type(value), freeze(value))


def _freeze(value: Any) -> Frozen:
    kind = type(value)
    if kind is list or kind is tuple:
        return Frozen(kind, tuple([_part(item) for item in value]))
    if kind is dict:
        return Frozen(kind, frozenset([(_part(key), _part(item)) for key, item in value.items()]))
    if kind is set:
        return Frozen(kind, frozenset([_part(item) for item in value]))
    if kind is bytearray:
        return Frozen(kind, bytes(value))
    return Frozen(kind, _state_of(value))


def _state_of(value: Any) -> Hashable:
    """What pickle would keep of a plain object: dataclasses, models, and classes of one's own.

    Types that tell pickle in their own way what they are made of (arrays, handles) are refused: that way may copy
    megabytes, or leave out what matters.
    """
    kind = type(value)
    inherited: tuple[object, object] = (object.__reduce_ex__, object.__reduce__)
    if (kind.__reduce_ex__, kind.__reduce__) != inherited:
        raise TypeError(f"a {kind.__name__} has no value that a key could be made of")
    try:
        reduced = value.__reduce_ex__(4)
    except TypeError as error:
        raise TypeError(f"a {kind.__name__} has no value that a key could be made of ({error})") from None
    make, made_from, state, items, pairs = (*reduced, None, None, None)[:5]
    if make is not _NEW:
        raise TypeError(f"a {kind.__name__} has no value that a key could be made of")
    if isinstance(state, dict):
        # Which fields of a pydantic model were given and which are defaults is no part of its equality.
        state = {name: part for name, part in state.items() if name != "__pydantic_fields_set__"}
    return (
        freeze(tuple(made_from[1:])),
        freeze(state),
        None if items is None else freeze(list(items)),
        None if pairs is None else freeze(dict(pairs)),
    )

"""Key: what identifies a call.

Hashable arguments are keys as they are, by Python equality, as in functools. Those that are not hashable become a
private frozen form, by type and value, that is equal to nothing a caller can pass.
"""

from __future__ import annotations

import copyreg
from collections.abc import Hashable, Iterator
from typing import Any

#: What ``hash()`` raises for what has none; ValueError is what a view of memory that may change says.
UNHASHABLE = (TypeError, ValueError)


class Sentinel:
    """A name that no user can pass."""

    __slots__ = ("label",)

    def __init__(self, label: str) -> None:
        self.label = label

    def __repr__(self) -> str:
        return f"<{self.label}>"


#: Everything in a domain: dies when the whole domain is invalidated, and its window covers every name.
ALL = Sentinel("everything")
#: Dies with whatever dies in the domain: stands for so many names that remembering each would cost more.
ANY = Sentinel("anything")
#: Stands before the names of wildcard invalidations, among which no key of a user's can then be.
WILDCARD = Sentinel("wildcard")


class Token:
    """Stands for one living instance. ``keys`` are those of its entries, and of some that have gone."""

    __slots__ = ("keys", "label", "limit")

    def __init__(self, label: str) -> None:
        self.label = label
        self.keys: set[Hashable] = set()
        self.limit = 16

    def __repr__(self) -> str:
        return f"<{self.label}>"


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
    except UNHASHABLE:
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
    elif kind is tuple:
        parts = _part(value)
    elif kind is bytearray:
        parts = bytes(value)
    else:
        contents, attributes = _contents(value), sorted(_attributes(value))
        if contents is None and not attributes:
            raise TypeError(f"{kind.__name__} shows nothing that a key could be made of")
        parts = (contents, tuple([(name, _part(part)) for name, part in attributes]))
    return Frozen(kind, parts)


def _contents(value: Any) -> Hashable:
    """What a subclass of a built-in container holds, besides its attributes."""
    for container, own in _CONTAINERS.items():
        if isinstance(value, container):
            _check_open(type(value), container)
            return _part(own(value))
    _check_open(type(value), object)
    return None


#: How to see what is in a container, whatever its subclass makes of iteration.
_CONTAINERS: dict[type, Any] = {
    dict: lambda value: dict(dict.items(value)),
    list: lambda value: list(list.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    tuple: lambda value: list(tuple.__iter__(value)),
}


def _check_open(kind: type, base: type) -> None:
    """Refuse what keeps more than attributes can show: arrays, handles, whatever is not written in Python.

    Such a type is larger than its attributes need, by the formula with which pickle notices the same, or tells pickle
    itself what it is made of.
    """
    slots = len(_slots(kind)) + bool(kind.__dictoffset__) + bool(kind.__weakrefoffset__)
    ways: tuple[object, ...] = (kind.__reduce_ex__, kind.__reduce__)
    pickles = ways != (object.__reduce_ex__, object.__reduce__)
    if kind is base or pickles or kind.__basicsize__ > base.__basicsize__ + slots * _POINTER:
        raise TypeError(f"{kind.__name__} has no value that a key could be made of")


#: The size of a reference in an object.
_POINTER = tuple.__itemsize__


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for name in _slots(type(value)):
        # Which fields of a pydantic model were given and which are defaults is no part of its equality.
        if hasattr(value, name) and name != "__pydantic_fields_set__":
            yield name, getattr(value, name)


def _slots(kind: type) -> list[str]:
    ask: Any = copyreg
    names: list[str] = ask._slotnames(kind)  # what pickle asks, and no stub knows
    return names

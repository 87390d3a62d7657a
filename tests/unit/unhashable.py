"""Values that are not hashable, one of each kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Box:
    content: Any
    note: Any = None


@dataclasses.dataclass
class OtherBox:
    content: Any
    note: Any = None


class Account:
    """Unhashable, as whatever has an __eq__ and no __hash__."""

    def __init__(self, owner: Any, balance: Any = 0) -> None:
        self.owner = owner
        self.balance = balance

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and (self.owner, self.balance) == (other.owner, other.balance)

    __hash__ = None  # type: ignore[assignment]  # what Python itself does for a class with an __eq__


class Slotted:
    __slots__ = ("content",)

    def __init__(self, content: Any) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and self.content == other.content

    __hash__ = None  # type: ignore[assignment]  # what Python itself does for a class with an __eq__


class Rows(list[Any]):
    pass


class Columns(dict[Any, Any]):
    pass


KINDS: dict[str, Callable[[Any], Any]] = {
    "list": lambda x: [x],
    "list of lists": lambda x: [[x]],
    "dict": lambda x: {"k": x},
    "key of a dict": lambda x: {x: "v"},
    "set": lambda x: {x},
    "unhashable tuple": lambda x: ([], x),
    "named tuple": lambda x: Point([], x),
    "dataclass": Box,
    "dataclass of a list": lambda x: Box([x]),
    "dataclass with a default": lambda x: Box(0, note=[x]),
    "object": Account,
    "second attribute": lambda x: Account("me", x),
    "slots": Slotted,
    "subclass of list": lambda x: Rows([x]),
    "subclass of dict": lambda x: Columns({"k": x}),
    "bytearray": lambda x: bytearray(str(x), "ascii"),
    "deep": lambda x: [{"rows": ({x}, Box([x]))}],
}

of_every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
TYPED = {name: make for name, make in KINDS.items() if name != "bytearray"}

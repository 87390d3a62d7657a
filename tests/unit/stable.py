"""What other processes find by its name."""

from __future__ import annotations

from enum import Enum, Flag, IntEnum, StrEnum
from typing import Any, NamedTuple


class Colour(Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - another name for it is the point
    BLUE = "blue"


class Number(IntEnum):
    ONE = 1
    TWO = 2


class Word(StrEnum):
    RED = "red"


class Mode(Flag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    first: Any
    second: Any


class Plain:
    def method(self) -> None: ...


class Counting(type):
    """A metaclass whose classes have a hash of their own."""

    asked = 0

    def __hash__(cls) -> int:
        Counting.asked += 1
        return 7


class Counted(metaclass=Counting):
    pass


def function() -> None: ...

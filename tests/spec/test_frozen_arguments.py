from __future__ import annotations

import array
import enum
import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from cache import AsyncLRU, cached
from tests.spec.refusal import refused


@AsyncLRU
async def get(x: Any) -> Any:
    return x


@pytest.fixture(autouse=True)
def _empty() -> None:
    get.clear_cache()


@dataclass
class Point:
    x: Any
    y: Any = 0


@dataclass
class OtherPoint:
    x: Any
    y: Any = 0


@dataclass
class Labelled:
    """Two that are unequal may differ in what its fields do not compare."""

    x: Any
    label: Any = field(default=None, compare=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labelled) and (self.x, self.label) == (other.x, other.label)

    __hash__ = None  # type: ignore[assignment]  # how Python says that it is not hashable


class Plain:
    """An object of one's own that compares by value and so is not hashable."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]  # how Python says that it is not hashable


class OtherPlain(Plain):
    pass


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and self.x == other.x

    __hash__ = None  # type: ignore[assignment]  # as above


class Secretive(Plain):
    """Does not tell pickle everything."""

    def __getstate__(self) -> object:
        return None


class Pair(NamedTuple):
    one: Any
    two: Any


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Row(dict[str, Any]):
    pass


#: Each makes a new object of the same value at every call; no two of them may share a key.
VALUES: dict[str, Callable[[], Any]] = {
    "list": lambda: [1, 2],
    "list in another order": lambda: [2, 1],
    "list of bools": lambda: [True, 2],
    "list of floats": lambda: [1.0, 2],
    "list of strings": lambda: ["1", "2"],
    "longer list": lambda: [1, 2, 3],
    "empty list": list,
    "list of tuples": lambda: [(1,)],
    "list of tuples of floats": lambda: [(1.0,)],
    "list of lists": lambda: [[1], 2],
    "list of an empty list": lambda: [[]],
    "list of enums": lambda: [Colour.RED],
    "list of enum values": lambda: ["red"],
    "tuple": lambda: (1, 2),
    "tuple with a list": lambda: (1, [2]),
    "list with a tuple": lambda: [1, (2,)],
    "named tuple with a list": lambda: Pair(1, [2]),
    "set": lambda: {1, 2},
    "frozenset": lambda: frozenset({1, 2}),
    "empty set": set,
    "dict": lambda: {"a": 1, "b": 2},
    "dict of lists": lambda: {"a": [1], "b": [2]},
    "dict with another value": lambda: {"a": 1, "b": 3},
    "empty dict": dict,
    "items of a dict": lambda: [("a", 1), ("b", 2)],
    "dict of a class of one's own": lambda: Row(a=1, b=2),
    "bytearray": lambda: bytearray(b"ab"),
    "bytes": lambda: b"ab",
    "enum": lambda: Colour.RED,
    "another enum": lambda: Colour.BLUE,
    "dataclass": lambda: Point(1, [2]),
    "dataclass with another field": lambda: Point(1, [3]),
    "dataclass that holds one": lambda: Point(Point(1, [2])),
    "another dataclass": lambda: OtherPoint(1, [2]),
    "object": lambda: Plain([1]),
    "object with another value": lambda: Plain([2]),
    "object of a subclass": lambda: OtherPlain([1]),
    "object with slots": lambda: Slotted([1]),
    "object with slots and another value": lambda: Slotted([2]),
}


@pytest.mark.parametrize("kind", VALUES)
async def test_an_equal_argument_hits(kind: str) -> None:
    make = VALUES[kind]
    first = make()
    assert await get(first) is first
    assert await get(make()) is first
    assert get.peek(make()) is first
    assert get.invalidate_cache(make())


def test_unequal_arguments_never_share_a_key() -> None:
    keys = {kind: get.cache_key(make()) for kind, make in VALUES.items()}
    assert [pair for pair in itertools.combinations(keys, 2) if keys[pair[0]] == keys[pair[1]]] == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, id="dict"),
        pytest.param({"a": [1], "b": [2]}, {"b": [2], "a": [1]}, id="dict of lists"),
        pytest.param({1, 2, 3}, {3, 2, 1}, id="set"),
        pytest.param([{"a": {1, 2}}], [{"a": {2, 1}}], id="nested"),
    ],
)
async def test_what_has_no_order_is_compared_without_one(one: Any, two: Any) -> None:
    assert get.cache_key(one) == get.cache_key(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(Labelled(1, [1]), Labelled(1, [2]), id="a field that the class does not declare comparable"),
        pytest.param(Secretive(1), Secretive(2), id="an object that tells pickle nothing"),
        pytest.param(OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), id="a dict with an order"),
    ],
)
async def test_unequal_arguments_are_kept_apart_or_refused(one: Any, two: Any) -> None:
    assert one != two
    try:
        keys = [get.cache_key(one), get.cache_key(two)]
    except TypeError:
        return
    assert keys[0] != keys[1]


async def test_a_parameter_that_takes_only_equal_objects_of_a_class_is_compared_by_value() -> None:
    with_cycle_free_state = Plain({"a": [Plain(1)]})
    await get(with_cycle_free_state)
    assert await get(Plain({"a": [Plain(1)]})) is with_cycle_free_state


async def test_changing_an_argument_afterwards_changes_no_entry() -> None:
    argument = [1]
    await get(argument)
    argument.append(2)
    assert get.peek([1]) is argument
    assert get.peek([1, 2]) is None


async def test_hashable_arguments_follow_equality_beside_frozen_ones() -> None:
    @AsyncLRU
    async def pair(a: Any, *more: Any, **named: Any) -> None:
        pass

    assert pair.cache_key(1, [2]) == pair.cache_key(1.0, [2])
    assert pair.cache_key([1], 2) == pair.cache_key([1], 2.0)
    assert pair.cache_key([1], z=2) == pair.cache_key([1], z=2.0)
    assert pair.cache_key([1], [2]) != pair.cache_key([1], [2.0])


async def test_typed_applies_beside_frozen_arguments() -> None:
    @cached(typed=True)
    async def pair(a: Any, b: Any) -> None:
        pass

    assert pair.cache_key([1], 2) == pair.cache_key([1], 2)
    assert pair.cache_key([1], 2) != pair.cache_key([1], 2.0)


async def test_a_default_may_be_unhashable() -> None:
    @AsyncLRU
    async def search(words: list[str] = ["a"]) -> str:  # noqa: B006 - what users write
        return " ".join(words)

    assert [await search(), await search(["a"]), await search(words=["b"])] == ["a", "a", "b"]
    assert len(search.cache) == 2


async def test_an_object_is_identified_by_its_hash_if_it_has_one() -> None:
    class Plainest:
        pass

    one, two = Plainest(), Plainest()
    assert [await get(one), await get(two), await get(one)] == [one, two, one]


# -- what is refused ---------------------------------------------------------------------------------------------


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


WITHOUT_A_VALUE: dict[str, Callable[[], Any]] = {
    "an array": lambda: array.array("i", [1]),
    "a view of memory that may change": lambda: memoryview(bytearray(b"1")),
    "a list that contains itself": _endless,
    "a list nested too deep": _deep,
    "a list of arrays": lambda: [array.array("i", [1])],
    "a large list with an array in it": lambda: [*range(100_000), array.array("i", [1])],
}


@pytest.mark.parametrize("kind", WITHOUT_A_VALUE)
async def test_what_has_no_stable_value_is_refused_with_two_remedies(kind: str) -> None:
    @AsyncLRU
    async def search(words: Any) -> None:
        raise AssertionError("a call without a key is not made")

    words = WITHOUT_A_VALUE[kind]()
    for use in (search.cache_key, search.peek, search.invalidate_cache):
        with refused((TypeError, ValueError), "search", "words=", "ignore=('words',)", "key="):
            use(words)
    with refused((TypeError, ValueError), "search", "words=", "ignore=('words',)", "key="):
        await search(words)
    assert len(search.cache) == 0


async def test_what_has_no_stable_value_may_be_ignored_or_get_a_key() -> None:
    numbers = array.array("i", [1, 2])

    @cached(ignore=("words",))
    async def ignored(words: Any) -> int:
        return len(words)

    @cached(key=bytes)
    async def keyed(words: Any) -> int:
        return len(words)

    assert [await ignored(numbers), await keyed(numbers)] == [2, 2]
    assert keyed.peek(array.array("i", [1, 2])) == 2

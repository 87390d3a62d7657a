from __future__ import annotations

import copy
import dataclasses
import io
import itertools
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from cache._key import ALL, ANY, freeze
from tests.unit.unhashable import TYPED, Account, Box, Columns, OtherBox, Point, Rows, Slotted, of_every_kind


def are_one_key(a: Any, b: Any) -> bool:
    """Whether two arguments share a key; what is refused shares none."""
    try:
        return freeze(a) == freeze(b)
    except TypeError:
        return False


# -- what is hashable ------------------------------------------------------------------------------------------


class Plain:
    pass


@pytest.mark.parametrize("value", [None, 1, 1.5, "a", b"b", (1, ("b",)), frozenset({1}), Plain(), Plain, len])
def test_a_hashable_value_is_its_own_key(value: Any) -> None:
    assert freeze(value) is value


def test_an_error_of_a_hash_of_the_users_is_passed_on() -> None:
    class Broken:
        def __hash__(self) -> int:
            raise ZeroDivisionError("no hash today")

    with pytest.raises(ZeroDivisionError, match="no hash today"):
        freeze(Broken())


# -- what is not -----------------------------------------------------------------------------------------------


@of_every_kind
def test_equal_unhashable_values_of_one_type_are_one_key(make: Callable[[Any], Any]) -> None:
    one, two = freeze(make("same")), freeze(make("same"))
    assert one == two
    assert hash(one) == hash(two)


@of_every_kind
def test_unequal_unhashable_values_are_two_keys(make: Callable[[Any], Any]) -> None:
    assert freeze(make("one")) != freeze(make("two"))


@pytest.mark.parametrize("make", TYPED.values(), ids=TYPED)
@pytest.mark.parametrize(("one", "two"), [(1, True), (1, 1.0), (0, False), ((1,), (True,)), (("a", 0), ("a", 0.0))])
def test_inside_an_unhashable_value_equal_parts_of_two_types_are_two_keys(
    make: Callable[[Any], Any], one: Any, two: Any
) -> None:
    assert one == two
    assert freeze(make(one)) != freeze(make(two))


def test_values_of_two_types_are_two_keys_though_their_parts_are_equal() -> None:
    values: list[Any] = [
        [1, 2], [2, 1], {1, 2}, ([], 1, 2), Point([1], 2), ([1], 2), Rows([1, 2]), {1: 2}, Columns({1: 2}),
        Box(1, 2), OtherBox(1, 2), Account(1, 2), Slotted([1, 2]), Slotted(1), Box([1, 2]), bytearray(b"12"),
    ]  # fmt: skip
    keys = [freeze(value) for value in values]
    assert not any(one == two for one, two in itertools.combinations(keys, 2))


def test_the_order_of_a_dict_and_of_a_set_does_not_matter() -> None:
    assert freeze({"a": 1, "b": [2]}) == freeze({"b": [2], "a": 1})
    assert freeze({"a", "b", "c"}) == freeze({"c", "b", "a"})


@of_every_kind
def test_a_frozen_form_equals_nothing_that_can_be_passed(make: Callable[[Any], Any]) -> None:
    value = make(1)
    frozen = freeze(value)
    passable: list[Any] = [
        value, type(value), (type(value), 1), (int, 1), ((int, 1),), (list, ((int, 1),)), repr(frozen), hash(frozen),
        (1,), frozenset({1}), None,
    ]  # fmt: skip
    assert not any(frozen == other for other in passable)


@of_every_kind
def test_a_frozen_form_does_not_follow_later_changes(make: Callable[[Any], Any]) -> None:
    content: list[Any] = [1]
    value = Box([make(1), content])
    frozen, same = freeze(value), freeze(copy.deepcopy(value))
    content.append(2)
    assert frozen == same
    assert frozen != freeze(value)


def test_a_frozen_form_says_what_it_was_made_of() -> None:
    assert repr(freeze([7])).startswith("<list ")
    assert "7" in repr(freeze([7]))


# -- equality of one's own -------------------------------------------------------------------------------------


@dataclasses.dataclass(eq=False)
class Looser:
    """Equal by more than its fields of comparison say."""

    name: str
    extra: Any = dataclasses.field(compare=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Looser) and (self.name, self.extra) == (other.name, other.extra)

    __hash__ = None  # type: ignore[assignment]  # what Python itself does for a class with an __eq__


@dataclasses.dataclass
class Computed:
    """Has a state that is no field."""

    name: str

    def __post_init__(self) -> None:
        self.parts: list[Any] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Computed) and (self.name, self.parts) == (other.name, other.parts)

    __hash__ = None  # type: ignore[assignment]  # what Python itself does for a class with an __eq__


class Secretive:
    """Tells pickle less than it compares."""

    def __init__(self, title: str, weight: int) -> None:
        self.title = title
        self.weight = weight

    def __getstate__(self) -> dict[str, Any]:
        return {"title": self.title}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secretive) and (self.title, self.weight) == (other.title, other.weight)

    __hash__ = None  # type: ignore[assignment]  # what Python itself does for a class with an __eq__


class Stateless(Secretive):
    def __getstate__(self) -> None:  # type: ignore[override]  # pickle allows it
        return None


def computed(part: int) -> Computed:
    value = Computed("a")
    value.parts.append(part)
    return value


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (Looser("a", [1]), Looser("a", [2])),
        (computed(1), computed(2)),
        (Secretive("a", 1), Secretive("a", 2)),
        (Stateless("a", 1), Stateless("a", 2)),
        (Rows([1]), Rows([2])),
    ],
)
def test_unequal_objects_never_share_a_key_whatever_they_tell_pickle(one: Any, two: Any) -> None:
    assert one != two
    assert not are_one_key(one, two)


def test_a_subclass_of_a_container_counts_what_it_holds_and_what_it_carries() -> None:
    one, two, three = Rows([1]), Rows([1]), Rows([1])
    three.page = 2  # type: ignore[attr-defined]  # as subclasses do
    assert freeze(one) == freeze(two)
    assert freeze(one) != freeze(three)


def test_a_slot_that_was_never_set_is_no_part_of_a_key() -> None:
    class Half:
        __slots__ = ("left", "right")

        def __init__(self, **sides: Any) -> None:
            for side, value in sides.items():
                setattr(self, side, value)

        __hash__ = None  # type: ignore[assignment]  # it may change

    assert freeze(Half(left=1)) == freeze(Half(left=1))
    assert freeze(Half(left=1)) != freeze(Half(right=1))
    assert freeze(Half(left=1)) != freeze(Half(left=1, right=None))


# -- what is refused -------------------------------------------------------------------------------------------


class OwnReduce:
    def __reduce__(self) -> tuple[Any, ...]:
        return (OwnReduce, ())

    __hash__ = None  # type: ignore[assignment]  # it has no value


class Buffer(io.BytesIO):
    """Keeps more than its attributes show."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.label = "a buffer"

    __hash__ = None  # type: ignore[assignment]  # it may change


class Handle:
    """Shows nothing at all."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # it has no value


@pytest.mark.parametrize("value", [array("i", [1]), OwnReduce(), Buffer(b"1"), Handle(), memoryview(bytearray(b"1"))])
def test_what_has_no_value_that_can_be_told_from_outside_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        freeze(value)
    with pytest.raises(TypeError, match=type(value).__name__):
        freeze([{"deep": value}])


LOOP: list[Any] = []
LOOP.append(LOOP)
CIRCLE: dict[str, Any] = {}
CIRCLE["me"] = [CIRCLE]
KNOT = Box(None)
KNOT.content = [KNOT]


@pytest.mark.parametrize("value", [LOOP, CIRCLE, KNOT], ids=["list", "dict", "dataclass"])
def test_what_contains_itself_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="contains itself"):
        freeze(value)


def test_the_names_that_stand_for_many_say_so() -> None:
    assert (repr(ALL), repr(ANY)) == ("<everything>", "<anything>")

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Protocol

import msgspec
import pydantic
import pytest

from cache.codec import Envelope, MsgspecCodec, Refused, Unencodable
from cache.codec._msgpack import _RECORD
from tests.unit.bombs import holding
from tests.unit.recorded import (
    Address,
    Color,
    Counted,
    Level,
    Page,
    Point,
    Price,
    Product,
    Rights,
    Route,
    Several,
    User,
    Wide,
    far_user,
    long_counted,
    seen,
)  # fmt: skip
from tests.unit.test_codec import through


def forged(annotation: Any, state: Any, number: Any = 0) -> Any:
    """What is read as an object of the first class of ``annotation`` with this state, sealed as if it were true."""
    envelope = Envelope(MsgspecCodec(annotation), "f")
    parts = msgspec.msgpack.encode([number, state])
    return envelope.decode(holding(envelope, msgspec.msgpack.encode(msgspec.msgpack.Ext(_RECORD, parts))))


# -- how objects come back -------------------------------------------------------------------------------------


def test_no_initialiser_decides_again() -> None:
    assert through(Counted("a"), Counted).name == "a!"
    assert through(User(_id=1), User).id == 2
    assert through(Route([]), Route).stops == [Point(0.0)]


def test_what_an_object_has_computed_for_itself_is_computed_again() -> None:
    counted, user = long_counted(), User(_id=1)
    assert user.label
    assert "long" not in vars(through(counted, Counted))
    assert through(counted, Counted).long == counted.long
    assert "label" not in vars(through(user, User))
    assert through(user, User).label == user.label


def test_a_model_keeps_which_fields_were_given_what_is_extra_and_what_is_private() -> None:
    back = through(far_user(), User)
    assert back.model_fields_set == {"id", "homes", "friend", "more"}
    assert back.model_extra == {"more": [1, (2,)]}
    assert back._seen == 3
    assert not hasattr(back, "_late")


@dataclasses.dataclass
class Half:
    """Has a field in a slot, and another in its dict."""

    __slots__ = ("left",)
    left: int


@dataclasses.dataclass
class Whole(Half):
    right: int


@dataclasses.dataclass
class Hidden:
    __slots__ = ("secret", "size")
    size: int


@dataclasses.dataclass
class Overlaid:
    """Its field is a property, which keeps the value where it likes."""

    size: int

    @property  # type: ignore[no-redef]  # as is done
    def size(self) -> int:
        return 1

    @size.setter
    def size(self, _: int) -> None:
        pass


@dataclasses.dataclass
class Failure(Exception):
    code: int


def test_fields_in_slots_and_in_the_dict_come_back_together() -> None:
    assert through(Whole(1, 2), Whole) == Whole(1, 2)


def without(value: Any, name: str) -> Any:
    delattr(value, name)
    return value


def given(value: Any, **attributes: Any) -> Any:
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


UNENCODABLE: list[tuple[Any, Any, str]] = [
    (Product(1, 2), Product, r"recorded.Product.name is 2, of type int, and is declared as str"),  # type: ignore[arg-type]  # the point
    (Product(None, "a"), Product, r"Product.id is None, of type NoneType, and is declared as int"),  # type: ignore[arg-type]  # the point
    (Product(1, "a", tags=("a", 1)), Product, r"tags is .*is declared as tuple\[str, ...\]"),  # type: ignore[arg-type]  # the point
    (Product(1, "a", notes={"a": object()}), Product, r"builtins.object, which is neither"),
    (Product(1, "a", notes={"a": Level.LOW}), Product, r"recorded.Level, which is neither"),
    (given(Product(1, "a"), more=1), Product, r"a .*Product has more besides its fields"),
    (without(Product(1, "a"), "id"), Product, r"a .*Product has no id"),
    (without(Half(1), "left"), Half, "AttributeError"),
    (given(Hidden(1), secret=2), Hidden, r"Hidden has secret besides"),
    (Hidden(1), Hidden, "AttributeError"),
    (Overlaid(1), Overlaid, "Overlaid has no size"),
    (Failure(1), Failure, "Failure, which is neither"),
    (Point("a"), Point, r"Point.x is 'a', of type str, and is declared as float"),  # type: ignore[arg-type]  # the point
    (given(Route([]), more=1), Route, r"Route has more besides its fields"),
    (User.model_construct(since="now"), User, r"User has no id"),
    (User.model_construct(id=1, since="now"), User, r"User.since is 'now'"),
    (Address.model_construct({"planet"}, street="a"), Address, "attributes that its class does not allow"),
    (Several.model_construct("a"), Several, r"Several.root is 'a', .* declared as list\[int\]"),  # type: ignore[arg-type]  # the point
    (User(_id=1, more=object()), User, "builtins.object"),  # type: ignore[call-arg]  # its class allows what is extra
]


@pytest.mark.parametrize(
    ("value", "annotation", "reason"), UNENCODABLE, ids=[f"{number} {row[2]}" for number, row in enumerate(UNENCODABLE)]
)
def test_an_object_that_is_not_as_its_class_declares_is_unencodable(value: Any, annotation: Any, reason: str) -> None:
    with pytest.raises(Unencodable, match=reason):
        through(value, annotation)


def test_a_subclass_of_what_is_annotated_is_unencodable() -> None:
    class Special(Product):
        pass

    with pytest.raises(Unencodable, match="Special, which is neither"):
        through(Special(1, "a"), Product)


def test_a_member_that_no_name_finds_again_is_unencodable() -> None:
    class Loose(enum.Enum):
        ONE = 1

        @classmethod
        def _missing_(cls, value: object) -> Any:
            member = object.__new__(cls)
            member._name_, member._value_ = "made up", value
            return member

    values: list[Any] = [2, "two", 2.5]
    for value in values:
        with pytest.raises(Unencodable, match=r"is no member of .*Loose"):
            through(Loose(value), Loose)


# -- what is read that was never written -----------------------------------------------------------------------

PRICE = {"amount": msgspec.msgpack.Ext(8, b"1"), "currency": "EUR"}
PRODUCT = {"id": 1, "name": "a", "price": None, "color": None, "tags": None, "parts": [], "notes": {}}

REFUSED: list[tuple[Any, Any, str]] = [
    (Color, "GREEN", "'GREEN' is no member of .*Color"),
    (Color, 1, "1 is no member of .*Color"),
    (Color, [], "TypeError"),
    (Rights, 8, "ValueError|8 is no member of .*Rights"),
    (Price, PRICE | {"amount": 1.5}, "Price.amount is 1.5, of type float, and is declared as decimal.Decimal"),
    (Price, PRICE | {"currency": None}, "Price.currency is None"),
    (Price, PRICE | {"more": 1}, "Price has more besides its fields"),
    (Price, PRICE | {1: 1}, "Price has 1 besides its fields"),
    (Price, {"currency": "EUR"}, "Price has no amount"),
    (Price, {}, "Price has no amount"),
    (Price, [1, 2], "AttributeError|TypeError|Price"),
    (Price, None, "TypeError"),
    (Product, PRODUCT, r"Product.tags is None, .* declared as tuple\[str, ...\]"),
    (Product, {**PRODUCT, "__class__": "int"}, "Product"),
    (Point, {"x": "1", "y": 1.0}, "Point.x is '1'"),
    (Point, {"x": 1.0}, "Point has no y"),
    (Point, {"x": 1.0, "y": 1.0, "z": 1.0}, "Point has z besides"),
    (Address, [{"street": 1, "city": "a"}, None, [], None], "Address.street is 1"),
    (Address, [{"street": "a"}, None, [], None], "Address has no city"),
    (Address, [{"street": "a", "city": "b"}, {"x": 1}, [], None], "attributes that its class does not allow"),
    (Address, [{"street": "a", "city": "b"}, None, ["x"], None], "attributes that its class does not allow"),
    (Address, [{"street": "a", "city": "b"}, None, [], {"_x": 1}], "attributes that its class does not allow"),
    (User, [{"id": 1, "since": None, "homes": [], "friend": None}, None, [], {}], "does not allow"),
    (Address, [{"street": "a", "city": "b"}, None, [[]], None], "TypeError"),
    (Address, [{"street": "a", "city": "b"}, None, []], "ValueError"),
    (Address, {"street": "a", "city": "b"}, "ValueError"),
]


@pytest.mark.parametrize(
    ("annotation", "state", "reason"), REFUSED, ids=[f"{n} {row[2]}" for n, row in enumerate(REFUSED)]
)
def test_a_state_that_the_class_does_not_declare_is_refused(annotation: Any, state: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        forged(annotation, state)


def test_what_is_declared_is_read() -> None:
    assert forged(Price, PRICE) == Price(Decimal(1))
    assert forged(Price, dict(reversed(PRICE.items()))) == Price(Decimal(1))
    assert forged(Address, [{"street": "a", "city": "b"}, None, ["city"], None]) == Address(street="a", city="b")
    assert forged(Color, "CRIMSON") is Color.RED
    assert forged(Wide, 9) == Wide(9)
    assert type(forged(Wide, 9)) is Wide


@pytest.mark.parametrize("number", [1, -1, None, True, "Price", "tests.unit.recorded.Price"])
def test_a_class_is_only_ever_one_of_the_annotation(number: Any) -> None:
    with pytest.raises(Refused, match="is the number of no class of this function"):
        forged(Price, PRICE, number)


def test_a_class_that_refuses_its_own_state_is_heard() -> None:
    class Picky(msgspec.Struct):
        size: int

        def __post_init__(self) -> None:
            if self.size > 1:
                raise OSError("too large")

    assert forged(Picky, {"size": 1}).size == 1
    with pytest.raises(Refused, match="OSError: 'too large'"):
        forged(Picky, {"size": 2})


# -- which classes are known -----------------------------------------------------------------------------------


class Named(Protocol):
    name: str


class Looks(Protocol):
    def __call__(self) -> int: ...


@dataclasses.dataclass
class Loose:
    """What its fields are named after is not there at run time."""

    one: Missing  # type: ignore[name-defined]  # noqa: F821 - the point
    two: list[Missing]  # type: ignore[name-defined]  # noqa: F821 - the point
    price: Price
    named: Named | None = None
    looks: Looks | None = None


def test_what_a_field_is_named_after_need_not_exist_at_run_time() -> None:
    value = Loose(1, ["a"], Price(Decimal(1)))
    assert seen(through(value, Loose)) == seen(value)
    with pytest.raises(Unencodable, match="Product, which is neither"):
        through(Loose(Product(1, "a"), [], Price(Decimal(1))), Loose)


KNOWN = [(Price, Price(Decimal(1))), (Color, Color.RED), (Point, Point(1.0)), (User, far_user())]


@pytest.mark.parametrize(("kind", "value"), KNOWN, ids=[kind.__name__ for kind, _ in KNOWN])
def test_a_class_is_known_wherever_it_stands_in_the_annotation(kind: Any, value: Any) -> None:
    generic: dict[Any, Any] = {
        list: kind, type: kind, Page: kind, Annotated: (kind, 1), tuple: (int, kind), dict: (str, kind | None),
        Callable: ([], kind),
    }  # fmt: skip
    for annotation in (kind, *[origin[argument] for origin, argument in generic.items()]):
        assert seen(through([value], annotation)) == seen([value])


class Tree(pydantic.BaseModel):
    twig: Twig | None = None


class Twig(pydantic.BaseModel):
    leaf: int


def test_a_model_that_was_not_complete_when_it_was_made_is_known() -> None:
    assert not Tree.__pydantic_complete__
    codec = MsgspecCodec(Tree)
    tree = Tree(twig=Twig(leaf=1))
    assert codec.loads(codec.dumps(tree)) == tree

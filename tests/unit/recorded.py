# ruff: noqa: DTZ001, DTZ901 - moments without a time zone are values too
"""Values of every kind that can be written: plain ones, classes that functions are annotated to return, and a print
of a value that tells types as well as parts.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pydantic

T = TypeVar("T")


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"
    CRIMSON = 1  # noqa: PIE796 - another name of the same
    OTHER = object()  # what no text can tell from one process to the next


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Wide(enum.IntFlag, boundary=enum.KEEP):
    ONE = 1


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Price:
    amount: Decimal
    currency: str = "EUR"


@dataclasses.dataclass
class Product:
    id: int
    name: str
    price: Price | None = None
    color: Color | None = None
    tags: tuple[str, ...] = ()
    parts: list[Product] = dataclasses.field(default_factory=list)
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Counted:
    """Decides on its own what it becomes, and so must not be made a second time."""

    name: str
    upper: str = dataclasses.field(init=False)
    unset: int = dataclasses.field(init=False, default=7)

    def __post_init__(self) -> None:
        self.name += "!"
        self.upper = self.name.upper()

    @functools.cached_property
    def long(self) -> str:
        return self.upper * 10


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]
    next: Page[T] | None = None


class Point(msgspec.Struct, frozen=True):
    x: float
    y: float = 0.0


class Route(msgspec.Struct, tag="route", rename="camel", dict=True):
    stops: list[Point]
    by_name: dict[str, Route] = {}

    def __post_init__(self) -> None:
        self.stops = [*self.stops, Point(0.0)]


class Address(pydantic.BaseModel):
    street: str
    city: str = "Berlin"


class User(pydantic.BaseModel, extra="allow", populate_by_name=True):
    id: int = pydantic.Field(alias="_id")
    since: datetime | None = None
    homes: list[Address] = []
    friend: User | None = None
    _seen: int = pydantic.PrivateAttr(default=0)
    _late: int = pydantic.PrivateAttr()

    @pydantic.field_validator("id")
    @classmethod
    def _add_one(cls, value: int) -> int:
        return value + 1

    @functools.cached_property
    def label(self) -> str:
        return f"user {self.id}"


class Wrapped(pydantic.BaseModel, Generic[T]):
    item: T


class Several(pydantic.RootModel[list[int]]):
    pass


#: What a function that returns any of these is annotated with.
Any_of_them = (
    Color | Level | Word | Rights | Wide | Product | Counted | Page[Price] | Route | Point | User | Wrapped[Address]
    | Several | None
)  # fmt: skip


def far_user() -> User:
    user = User(_id=1, homes=[Address(street="a")], friend=User(_id=2), more=[1, (2,)])  # type: ignore[call-arg]  # its class allows what is extra
    user._seen = 3
    return user


def long_counted() -> Counted:
    counted = Counted("a")
    assert counted.long
    return counted


BERLIN = ZoneInfo("Europe/Berlin")

#: Made of nothing but what is plain.
PLAIN: list[Any] = [
    None, True, False, 0, 1, -1, 2**63, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 2**1000, -(2**1000), 127, -128, 255,
    0.0, -0.0, 1.5, float("inf"), -float("inf"), float("nan"), "", "a", "ä\0\U0001f600", "\ud800", "x" * 70_000,
    b"", b"\xff" * 300, [], [[]], [1, [2, [3]]], {}, {"a": 1}, {"b": [1], "a": {}}, {1: "1", None: 2, 2.5: 3, b"x": 4},
    {True: 1}, {(1, ("a",)): [2], 2: 3}, {2**70: 1}, {"\ud800": 1}, (), (1,), (1, (2, [3])), [(1, 2), [1, 2]], set(),
    {1, "a", None}, frozenset(), frozenset({1, (2,)}), {frozenset({1}): {2}}, [True, 1, 1.0], [0.0, False, 0],
    datetime(2026, 1, 2, 3, 4, 5, 6), datetime(1, 1, 1), datetime.max, datetime(2026, 1, 2, tzinfo=UTC),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=5, minutes=30))), datetime(2026, 1, 2, fold=1),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(seconds=-1, microseconds=7), "a b")),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(0), "Z")), datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC")),
    date(2026, 1, 2), date.min, time(1, 2, 3, 4), time(1, fold=1), time(1, tzinfo=UTC), time(1, tzinfo=BERLIN),
    timedelta(0), timedelta(-1, 1, 1), timedelta.max, timedelta.min, UUID(int=0), UUID(int=2**128 - 1),
    Decimal("1.10"), Decimal("-0"), Decimal("1E+1000"), Decimal("NaN"), Decimal("sNaN7"), Decimal("-Infinity"),
]  # fmt: skip

#: Made of classes too.
OF_CLASSES: list[Any] = [
    Color.RED, Color.BLUE, Color.CRIMSON, Color.OTHER, Level.HIGH, Word.YES, Rights.READ, Rights.READ | Rights.WRITE,
    Rights(0), Wide.ONE, Wide(8), Product(1, "a"), {"by id": {1: Product(1, "a", notes={"x": (1, Price(Decimal(1)))})}},
    Product(1, "b", Price(Decimal("1.20")), Color.BLUE, ("new",), [Product(2, "c", parts=[Product(3, "d")])]),
    Counted("a"), long_counted(), Page([Price(Decimal(1))], Page([])), Point(1.5, 2.5), Route([Point(1.0)]),
    Route([], {"a": Route([Point(2.0, 3.0)])}), far_user(), User(_id=1), Several([1]),
    Wrapped[Address](item=Address(street="b")),
    {Price(Decimal(1)), Level.LOW}, {Price(Decimal(2)): Color.RED}, (Word.YES, "yes", Level.LOW, 1),
]  # fmt: skip


def seen(value: Any) -> Any:  # noqa: C901, PLR0911 - one line for each kind of value
    """A print of ``value``: two are equal if the values are, and of the same types, all the way down."""
    kind = type(value)
    if kind is float:
        return (kind, struct.pack(">d", value))
    if kind in {list, tuple}:
        return (kind, [seen(part) for part in value])
    if kind is dict:
        return (kind, [(seen(key), seen(part)) for key, part in value.items()])
    if kind in {set, frozenset}:
        return (kind, sorted(repr(seen(part)) for part in value))
    if kind is Decimal:
        return (kind, value.as_tuple())
    if kind in {datetime, time}:
        zone = value.tzinfo
        whole = (value.replace(tzinfo=None), value.fold, type(zone), str(zone), value.utcoffset())
        return (kind, *whole, zone if type(zone) is ZoneInfo else None)
    if isinstance(value, enum.Flag):
        return (kind, value.value)  # of what has no name there may be many, all equal
    if isinstance(value, enum.Enum):
        return (kind, id(value))
    if isinstance(value, pydantic.BaseModel):
        private = value.__pydantic_private__
        fields = {name: getattr(value, name) for name in kind.model_fields}
        return (kind, seen(fields), seen(value.model_extra), sorted(value.model_fields_set), seen(private))
    if isinstance(value, msgspec.Struct):
        return (kind, [seen(getattr(value, name)) for name in value.__struct_fields__])
    if dataclasses.is_dataclass(value):
        return (kind, [seen(getattr(value, field.name)) for field in dataclasses.fields(value)])
    return (kind, value)

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import functools
import subprocess
import sys
import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, Optional, Required, TypedDict, TypeVar, Union

import msgspec
import pydantic
import pytest
import typing_extensions

from cache.codec import MsgspecCodec, returned
from cache.codec._forms import Forms
from tests.unit.recorded import Color, Level, Page, Point, Price, Product, User

T = TypeVar("T")
Sized = TypeVar("Sized", bound=Price)
Chosen = TypeVar("Chosen", int, str)
UserId = NewType("UserId", int)
Json = typing_extensions.TypeAliasType("Json", Union["dict[str, Json]", "list[Json]", str, None])
Pairs = typing_extensions.TypeAliasType("Pairs", list[tuple[T, T]], type_params=(T,))


class Partial(TypedDict, total=False):
    a: Required[int]
    b: int


class Movie(TypedDict):
    title: str
    price: Price
    year: NotRequired[int]
    sequel: NotRequired[Movie]


PRICE = "Dataclass tests.unit.recorded.Price(amount: decimal.Decimal, currency: str)"
ONE = Price(Decimal(1))

FORMS: list[tuple[Any, str, list[Any], list[Any]]] = [
    (Any, "Any", [1, None, []], []),
    (object, "Any", [1, None, []], []),
    (None, "None", [None], [1]),
    (int, "int", [1, True], ["1", 1.0]),
    (float, "float", [1.0, 1], ["1"]),
    (Decimal, "decimal.Decimal", [Decimal(1)], [1]),
    (list, "list", [[], [1]], [()]),
    (typing.List, "list", [[1]], [()]),  # noqa: UP006 - what users write
    (tuple, "tuple", [(), (1,)], [[]]),
    (list[int], "list[int]", [[], [1, 2]], [["1"], (1,), None]),
    (list[list[int]], "list[list[int]]", [[[1]]], [[1], [["1"]]]),
    (list[Any], "list[Any]", [[1, "a"]], [()]),
    (set[str], "set[str]", [{"a"}], [{1}, ["a"]]),
    (frozenset[str], "frozenset[str]", [frozenset("a")], [{"a"}]),
    (collections.abc.Sequence[int], "Sequence[int]", [[1], (1,)], [{1}, ["1"]]),
    (collections.abc.Collection[int], "Collection[int]", [[1], {1}], [1]),
    (dict[str, int], "dict[str, int]", [{}, {"a": 1}], [{1: 1}, {"a": "a"}, []]),
    (collections.abc.Mapping[str, int], "Mapping[str, int]", [{"a": 1}], [{"a": None}]),
    (tuple[int, str], "tuple[int, str]", [(1, "a")], [(1,), (1, 2), (1, "a", 1), [1, "a"]]),
    (tuple[int, ...], "tuple[int, ...]", [(), (1, 2)], [("a",), [1]]),
    (tuple[Any, ...], "tuple[Any, ...]", [(1, "a")], [[1]]),
    (int | None, "int | NoneType", [1, None], ["1"]),
    (Optional[int], "int | NoneType", [1, None], ["1"]),  # noqa: UP045 - what users write
    (Union[int, list[int]], "int | list[int]", [1, [1]], ["1", ["1"]]),  # noqa: UP007 - what users write
    (Literal[1, "a"] | None, "Literal[int=1, str='a'] | NoneType", [1, "a", None], [True, 2]),
    (Literal[1, "a", None],  # noqa: PYI061 - what users write
     "Literal[int=1, str='a', NoneType=None]", [1, "a", None], [True, 2, "b", 1.0]),
    (Annotated[int, "positive"], "int", [1], ["1"]),
    (typing.Final[int], "int", [1], ["1"]),
    (UserId, "int", [1], ["1"]),
    (T, "Any", [1, "a"], []),
    (Sized, PRICE, [ONE], [1]),
    (Chosen, "int | str", [1, "a"], [None]),
    (Price, PRICE, [ONE], [1]),
    (list[Price | None], f"list[{PRICE} | NoneType]", [[ONE, None]], [[1]]),
    (tuple[Price, Price], f"tuple[{PRICE}, tests.unit.recorded.Price]", [(ONE, ONE)], [(ONE, 1)]),
    ("Price", "'Price'", [1], []),
    (list["Price"], "list['Price']", [[1]], []),
    (Json, "dict[str, Json] | list[Json] | str | NoneType", [{"a": []}, "a"], [1, {1: "a"}]),
    (Pairs[int], "list[tuple[Any, Any]][int]", [[(1, 1)]], [[1]]),
    (Callable[[int], str], "Callable[Any, str]", [len], [1]),
    (type[Price], f"type[{PRICE}]", [Price], [ONE]),
    (typing.Self, "Any", [1], []),
    (Ellipsis, "Any", [1], []),
    (
        Movie,
        (f"tests.unit.test_codec_forms.Movie{{title: str, price: {PRICE}, year?: int, sequel?: "
        f"tests.unit.test_codec_forms.Movie}}"),
        [{"title": "a", "price": ONE}, {"title": "a", "price": ONE, "year": 1, "sequel": {}}],
        [{}, {"title": "a"}, {"title": 1, "price": ONE}, {"title": "a", "price": ONE, "more": 1}, [], None],
    ),
    (Partial, "tests.unit.test_codec_forms.Partial{a: int, b?: int}", [{"a": 1}, {"a": 1, "b": 1}], [{}, {"b": 1}]),
    (Level, "Members tests.unit.recorded.Level()[LOW=1, HIGH=2]", [Level.LOW], [1]),
    (Literal[Level.LOW], "Literal[Members tests.unit.recorded.Level()[LOW=1, HIGH=2]='LOW']",
     [Level.LOW], [Level.HIGH, 1]),
    (Point, "Struct tests.unit.recorded.Point(x: float, y: float)", [Point(1.0)], [1]),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "text", "fitting", "others"), FORMS, ids=range(len(FORMS)))
def test_an_annotation_is_told_and_held_to(annotation: Any, text: str, fitting: list[Any], others: list[Any]) -> None:
    form = Forms().read(annotation)
    assert form.text == text
    assert [form.fits(value) for value in fitting] == [True] * len(fitting)
    assert [form.fits(value) for value in others] == [False] * len(others)


def test_every_class_that_can_be_reached_is_met_once_and_in_order() -> None:
    forms = Forms()
    forms.read(dict[str, tuple[Product, ...] | Page[Point]] | User)
    assert [kind.__name__ for kind in forms.records] == [
        "Product",
        "Price",
        "Color",
        "Page",
        "Point",
        "User",
        "Address",
    ]


def test_a_text_has_nothing_of_one_process_in_it() -> None:
    program = (
        "import tests.unit.recorded as r; from cache.codec import MsgspecCodec; print(MsgspecCodec(r.Any_of_them).form)"
    )
    texts = {
        subprocess.run(  # noqa: S603 - the command is written here
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(texts) == 1
    assert "0x" not in texts.pop()


# -- another version of a type is another type -----------------------------------------------------------------


def of(kind: Any) -> Any:
    kind.__module__, kind.__qualname__ = "shop", "Thing"
    return kind


def versions() -> list[Any]:
    return [
        dataclasses.make_dataclass("Thing", [("a", int)]),
        dataclasses.make_dataclass("Thing", [("a", str)]),
        dataclasses.make_dataclass("Thing", [("a", int), ("b", int)]),
        dataclasses.make_dataclass("Thing", [("b", int)]),
        dataclasses.make_dataclass("Thing", [("a", dataclasses.make_dataclass("Part", [("x", int)]))]),
        dataclasses.make_dataclass("Thing", [("a", dataclasses.make_dataclass("Part", [("x", str)]))]),
        msgspec.defstruct("Thing", [("a", int)]),
        msgspec.defstruct("Thing", [("a", str)]),
        pydantic.create_model("Thing", a=(int, ...)),
        pydantic.create_model("Thing", a=(str, ...)),
        enum.Enum("Thing", {"A": 1}),
        enum.Enum("Thing", {"A": 2}),
        enum.Enum("Thing", {"A": 1, "B": 2}),
    ]


def test_each_version_of_a_type_has_a_text_of_its_own() -> None:
    texts = [MsgspecCodec(of(kind)).form for kind in versions()]
    assert len(set(texts)) == len(texts)
    assert texts == [MsgspecCodec(of(kind)).form for kind in versions()]


# -- what a function is annotated to return --------------------------------------------------------------------


async def plain() -> list[Price]: ...  # type: ignore[empty-body]  # never called


async def quoted() -> "list[Price]": ...  # type: ignore[empty-body]  # noqa: UP037 - the point


async def later() -> Later: ...  # type: ignore[empty-body]  # never called


async def unknown(request: Missing) -> Missing: ...  # type: ignore[name-defined]  # noqa: F821 - the point


async def asked(request: Missing) -> Price: ...  # type: ignore[name-defined,empty-body]  # noqa: F821 - the point


async def silent():  # type: ignore[no-untyped-def]  # noqa: ANN201 - the point
    ...


@functools.wraps(plain)
async def wrapping(*args: Any) -> None: ...


class Later:
    async def method(self) -> Price: ...  # type: ignore[empty-body]  # never called


@pytest.mark.parametrize(
    ("function", "annotation"),
    [
        (plain, list[Price]), (quoted, list[Price]), (later, Later), (asked, Price), (silent, Any),
        (wrapping, list[Price]),
        (Later.method, Price), (Later().method, Price), (len, Any), (Later, Any), (functools.partial(plain), Any),
        (functools.cache(plain), list[Price]),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_a_function_returns_is_resolved(function: Any, annotation: Any) -> None:
    assert returned(function) == annotation


def test_what_is_not_there_at_run_time_is_anything() -> None:
    assert MsgspecCodec(returned(unknown)).form == "'Missing'"


def test_a_class_of_an_enclosing_function_is_found_where_the_function_uses_it() -> None:
    @dataclasses.dataclass
    class Local:
        next: Local | None

    async def load() -> Local | None:
        return Local(None)

    assert returned(load) == Local | None
    assert MsgspecCodec(returned(load)).form.endswith("Local | NoneType) | NoneType")
    assert Color is not None


def test_annotations_that_fail_are_anything() -> None:
    class Failing:
        @property
        def __annotations__(self) -> Any:  # type: ignore[override]  # the point
            raise NameError("not yet")

        def __call__(self) -> int:
            return 1

    assert returned(Failing()) is Any


class Owner(Generic[T]):
    """A class in a class, by the name that it has there."""

    @dataclasses.dataclass
    class Inner:
        size: int

    @dataclasses.dataclass
    class Outer:
        inner: Owner.Inner


def test_a_name_within_a_class_is_resolved() -> None:
    assert "size: int" in MsgspecCodec(Owner.Outer).form


class Outer:
    @dataclasses.dataclass
    class Holder:
        """Names a class by the name that it has within this one, and hides one that everybody knows."""

        class Choice(enum.Enum):
            A = 1

        choice: Choice
        int: str = ""
        size: int = 0  # type: ignore[valid-type]  # the point


def test_a_name_is_resolved_where_it_was_written_and_what_hides_a_built_in_does_not() -> None:
    form = MsgspecCodec(Outer.Holder).form
    assert "Choice()[A=1]" in form
    assert "size: int" in form

"""Codes of names: equal for equal names, different for others, and back."""

# ruff: noqa: DTZ001 - moments without a zone are keys too

from __future__ import annotations

import math
import re
import subprocess
import sys
import types
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cache._key import ALL, ANY, WILDCARD, Frozen, Sentinel, Token, freeze
from cache._shared_names import shared_name
from cache._stable import DEPTH, encode
from cache._stable_reading import decode
from tests.unit import stable

TOP = Path(__file__).resolve().parents[2]
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")

whole = st.integers() | st.booleans() | st.integers(-3, 3)
numbers = (
    whole
    | st.floats(allow_nan=False)
    | whole.map(float).filter(math.isfinite)
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.complex_numbers(allow_nan=False)
    | st.floats(allow_nan=False, allow_infinity=False).map(Decimal)
    | st.floats(allow_nan=False, allow_infinity=False).map(Fraction)
    | st.sampled_from(stable.Number)
)
texts = st.text(st.characters()) | st.sampled_from(stable.Word) | st.sampled_from(["red", "blue", "\ud800", "1", ""])
moments = (
    st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.datetimes(
        datetime(2024, 3, 1),
        datetime(2024, 12, 1),
        timezones=st.sampled_from([BERLIN, NEW_YORK]),
        allow_imaginary=False,
    )
    | st.dates()
    | st.times()
    | st.timedeltas()
)
leaves = (
    numbers
    | texts
    | st.binary(max_size=20)
    | st.none()
    | st.uuids()
    | moments
    | st.sampled_from([*stable.Colour, int, bool, str, types.NoneType, stable.Colour, stable.Plain, ALL, ANY, WILDCARD])
)


@st.composite
def leaf(draw: st.DrawFn) -> Any:
    """One of the leaves, which do not all fit into a message."""
    return draw(leaves)


names = st.recursive(
    leaf(),
    lambda parts: (
        st.lists(parts, max_size=3).map(tuple)
        | st.frozensets(parts, max_size=3)
        | st.tuples(parts, parts).map(lambda pair: stable.Pair(*pair))
        | st.lists(parts, max_size=3).map(freeze)
        | st.dictionaries(parts, parts, max_size=2).map(freeze)
    ),
    max_leaves=8,
)


def encoded(name: Any) -> bytes | None:
    try:
        return encode(name)
    except TypeError:
        return None


@given(numbers, numbers)
@example(1, True)
@example(Decimal("0.1"), Fraction(1, 10))
@example(Decimal("0.1"), 0.1)
@example(-0.0, 0)
@example(complex(2, -0.0), Decimal("2.00"))
@example(Decimal("Infinity"), math.inf)
@example(Decimal("0e1000000000"), 0)
@example(complex(math.inf, 0), math.inf)
@example(10**20, 1e20)
@example(2**53, float(2**53 + 1))
@example(stable.Number.ONE, 1.0)
def test_numbers_have_one_code_exactly_if_they_are_equal(first: Any, second: Any) -> None:
    assert (encode(first) == encode(second)) is (first == second)


@given(numbers.filter(lambda number: abs(number) < 1e300), st.sampled_from([int, float, Decimal, Fraction, complex]))
def test_a_number_of_another_type_that_is_equal_has_the_same_code(number: Any, kind: Any) -> None:
    try:
        other = kind(number)
    except (TypeError, ValueError, OverflowError):
        return
    assert (encode(number) == encode(other)) is (number == other)


@given(names, names)
@example((1, ("a",)), (1, "a"))
@example((("a",), "b"), ("a", ("b",)))
@example(("a", "b"), ("ab",))
@example(("1",), (1,))
@example(b"a", "a")
@example((), frozenset())
@example(stable.Pair(1, 2), (1.0, 2))
@example(freeze([1]), freeze([True]))
@example(freeze([1]), (1,))
@example(date(2024, 1, 1), datetime(2024, 1, 1))
@example("red", stable.Word.RED)
def test_names_have_one_code_exactly_if_they_are_equal(first: Any, second: Any) -> None:
    codes = encoded(first), encoded(second)
    if None not in codes:
        assert (codes[0] == codes[1]) is (first == second)
        assert first != second or hash(first) == hash(second)


@given(names)
def test_from_a_code_comes_an_equal_name(name: Any) -> None:
    code = encoded(name)
    if code is not None:
        again = decode(code)
        assert again == name
        assert hash(again) == hash(name)
        assert encode(again) == code


@given(st.lists(leaves, max_size=5), st.randoms())
def test_the_order_of_a_set_is_no_part_of_its_code(parts: list[Any], chance: Any) -> None:
    shuffled = list(parts)
    chance.shuffle(shuffled)
    if None not in map(encoded, parts):
        assert encode(frozenset(parts)) == encode(frozenset(shuffled))


zoned = st.datetimes(
    datetime(2024, 3, 30), datetime(2024, 4, 2), timezones=st.sampled_from([BERLIN, UTC, timezone(timedelta(hours=2))])
)


@given(zoned, zoned, st.booleans(), st.booleans())
@example(datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN), datetime(2024, 10, 27, 0, 30, tzinfo=UTC), False, True)
def test_moments_of_zones_go_by_the_instant(first: datetime, second: datetime, late: bool, later: bool) -> None:
    first, second = first.replace(fold=int(late)), second.replace(fold=int(later))
    codes = encoded(first), encoded(second)
    if None not in codes:
        assert (codes[0] == codes[1]) is (first == second)
        same = first.astimezone(NEW_YORK)
        assert encoded(same) == codes[0]


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
        datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN),
        datetime(2024, 3, 31, 2, 30, fold=1, tzinfo=BERLIN),
    ],
)
def test_a_moment_at_a_turn_of_the_clocks_is_refused(moment: datetime) -> None:
    with pytest.raises(TypeError, match="turn of the clocks"):
        encode(moment)


class Careless(tzinfo):
    """A zone that knows of summer, but of no fold: an hour in spring is that of an hour later too."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        assert moment is not None
        return timedelta(hours=1 if moment.replace(tzinfo=None) < datetime(2024, 3, 31, 3) else 2)

    def dst(self, moment: datetime | None) -> timedelta:
        return self.utcoffset(moment) - timedelta(hours=1)

    def tzname(self, _: datetime | None) -> str:
        return "careless"


def test_two_moments_of_a_careless_zone_do_not_share_a_code() -> None:
    zone = Careless()
    early, late = datetime(2024, 3, 31, 2, 30, tzinfo=zone), datetime(2024, 3, 31, 3, 30, tzinfo=zone)
    assert early != late
    assert encoded(early) is None or encoded(early) != encoded(late)
    assert decode(encode(datetime(2024, 6, 1, tzinfo=zone))) == datetime(2024, 5, 31, 22, tzinfo=UTC)


class Own(str):
    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str(self).lower() == str(other).lower()


class OwnHash(int):
    def __hash__(self) -> int:
        return 7


class OwnTuple(tuple[int, ...]):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return len(self) == len(other) if isinstance(other, tuple) else NotImplemented

    __hash__ = tuple.__hash__


class Meta(type):
    def __eq__(cls, other: object) -> bool:
        return isinstance(other, Meta)

    __hash__ = type.__hash__


class Strange(metaclass=Meta):
    pass


class Thing:
    pass


def local_class() -> type:
    class Local:
        pass

    return Local


def local_enum() -> Any:
    class Local(Enum):
        A = 1

    return Local.A


@pytest.mark.parametrize(
    "name",
    [
        float("nan"),
        Decimal("nan"),
        complex(1, math.nan),
        Decimal("1e1000000000"),
        Decimal("1e-1000000000"),
        object(),
        Thing(),
        Own("a"),
        OwnHash(3),
        OwnTuple((1,)),
        Strange,
        stable.Counted,
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        local_class(),
        local_enum(),
        time(1, tzinfo=UTC),
        Token("User at 0x1"),
        Sentinel("everything"),
        Sentinel("mine"),
        len,
        ...,
        [1],
    ],
)
@pytest.mark.parametrize("wrap", [lambda name: name, lambda name: ("a", (name,))], ids=["alone", "inside"])
def test_what_is_not_the_same_everywhere_is_refused(name: Any, wrap: Any) -> None:
    with pytest.raises(TypeError, match="form") as caught:
        encode(wrap(name))
    assert "key=..." in str(caught.value)
    assert ("in the key ('a'," in str(caught.value)) is (wrap(name) is not name)


def test_an_instance_is_refused_with_the_remedy_for_methods() -> None:
    with pytest.raises(TypeError, match=r"skip_args=1, or make the key with key="):
        encode((Token("User at 0x1"), 3))


def test_a_frozen_argument_of_a_local_class_is_refused() -> None:
    with pytest.raises(TypeError, match="other processes cannot find a class by that name"):
        encode(Frozen(local_class(), (1,)))


def test_what_is_nested_too_deep_is_refused() -> None:
    name: Any = 1
    for _ in range(DEPTH):
        name = (name,)
    assert decode(encode(name)) == name
    with pytest.raises(TypeError, match=f"more than {DEPTH} deep"):
        encode((name,))
    with pytest.raises(TypeError, match=f"more than {DEPTH} deep"):
        encode(frozenset([name]))


class Loud(str):
    """Its equality is that of str; what it says of itself is not believed."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"wrong"


class Odd(tuple[Any, ...]):
    __slots__ = ()

    def __iter__(self) -> Any:
        return iter(("wrong",))


def test_a_subclass_without_equality_of_its_own_is_as_its_base() -> None:
    assert encode(Loud("a")) == encode("a")
    assert encode(Odd((1, 2))) == encode((1, 2))
    assert encode(stable.Pair(1, 2)) == encode((1, 2))


def test_large_numbers_are_written_out() -> None:
    huge = 10**6_000
    assert decode(encode(huge)) == huge
    assert decode(encode(Fraction(1, huge))) == Fraction(1, huge)


def test_a_flag_of_several_is_known_by_its_value() -> None:
    both = stable.Mode.READ | stable.Mode.WRITE
    assert decode(encode(both)) is both
    assert encode(re.IGNORECASE | re.MULTILINE) == encode(int(re.IGNORECASE | re.MULTILINE))


@given(
    st.binary(max_size=40)
    | st.tuples(st.sampled_from("sbniqfcUdDMTltzZEGk*"), st.binary(max_size=30)).map(
        lambda pair: pair[0].encode() + pair[1]
    )
)
@example(b"t" * 100_000)
@example(b"t1:" * 100_000)
@example(b"i 1")
@example(b"i1_0")
@example(b"i-0")
@example(b"i0x1")
@example(b"q2/4")
@example(b"q1/0")
@example(b"q" + b"f" * 1000 + b"/3")
@example(b"z2:i12:i1")
@example(b"z2:i22:i1")
@example(b"t02:i1")
@example(b"t-1:i1")
@example(b"t-3:i1")
@example(b"t9:i1")
@example(b"tffffffffffffffff:i1")
@example(b"ksys modules")
@example(b"kos system")
@example(b"kno.such.module C")
@example(b"Z2:i12:i1")
@example(b"E5:a b4:sred")
@example(b"Ee:enum Enum5:sred")
@example(b"U-1")
@example(b"d0")
@example(b"l" + b"f" * 40)
@example(b"D" + b"f" * 40)
@example(b"c2:i02:i0")
@example(b"*")
@example(b"")
def test_anything_else_than_a_code_is_a_value_error(code: bytes) -> None:
    try:
        name = decode(code)
    except ValueError:
        return
    assert encode(name) == code


def test_nothing_nested_is_followed_without_end() -> None:
    code = b"i1"
    for _ in range(5_000):
        code = b"t%x:%b" % (len(code), code)
    with pytest.raises(ValueError, match="deep"):
        decode(code)


def test_nothing_is_imported_or_called_for_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            asked.append(name)
            return super().__getattribute__(name)

    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))
    monkeypatch.delitem(sys.modules, "this", raising=False)
    for code in (b"klazy_module Thing", b"kthis s", b"E7:this s 4:sred"):
        with pytest.raises(ValueError, match="code of a name"):
            decode(code)
    assert not asked
    assert "this" not in sys.modules


def test_no_hash_of_a_strangers_is_asked_for_a_code() -> None:
    home = b"ktests.unit.stable Counted"
    before = stable.Counting.asked
    for code in (home, b"z%x:%b" % (len(home), home), b"Z%x:%b2:i1" % (len(home), home)):
        with pytest.raises(ValueError, match="no class"):
            decode(code)
    assert stable.Counting.asked == before


def test_a_class_that_was_replaced_is_not_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    code = encode(stable.Plain)
    monkeypatch.setattr(stable, "Plain", type("Plain", (), {"__module__": stable.__name__}))
    assert decode(code) is stable.Plain  # the name means another class now
    monkeypatch.undo()
    monkeypatch.setattr(stable, "Plain", 3)
    with pytest.raises(ValueError, match="no class"):
        decode(code)


def test_a_function_goes_by_its_module_and_its_own_name() -> None:
    assert shared_name(stable.function) == "tests.unit.stable.function"
    assert shared_name(stable.Plain.method) == "tests.unit.stable.Plain.method"


def inner() -> Any:
    def function() -> None: ...

    return function


@pytest.mark.parametrize("function", [inner(), lambda: 1, partial(inner), Thing(), 3])
def test_a_function_without_a_name_of_its_own_needs_one(function: Any) -> None:
    with pytest.raises(TypeError, match=r"name=\.\.\."):
        shared_name(function)


PROGRAM = """
import enum
from cache._shared_names import shared_name
from cache._stable import encode
from cache._stable_reading import decode
class Colour(enum.Enum):
    RED = 1
def load(): ...
if __name__ == "__main__":
    assert decode(encode(Colour.RED)) is Colour.RED
    print(shared_name(load), encode((Colour.RED, Colour)).hex())
"""


def said(*command: str, folder: Path) -> str:
    return subprocess.run(  # noqa: S603 - the command is written here
        [sys.executable, *command],
        cwd=folder,
        env={"PYTHONPATH": f"{TOP / 'src'}:{folder}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_the_program_goes_by_the_name_under_which_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "prices.py").write_text(PROGRAM)
    imported = said(
        "-c",
        "from shop.prices import *; print(shared_name(load), encode((Colour.RED, Colour)).hex())",
        folder=tmp_path,
    )
    assert imported.startswith("shop.prices.load ")
    assert said("-m", "shop.prices", folder=tmp_path) == imported


def test_a_script_goes_by_the_name_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text(PROGRAM)
    script = said("prices.py", folder=tmp_path)
    assert script.startswith("prices.load ")
    assert said("-m", "prices", folder=tmp_path) == script


def test_what_a_spawned_process_calls_its_main_module_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text(
        PROGRAM.replace(
            "print(", "import multiprocessing; multiprocessing.get_context('spawn').Pool(1).apply(say); print("
        ).replace(
            "if __name__",
            "def say():\n    print(shared_name(load), encode((Colour.RED, Colour)).hex(), flush=True)\nif __name__",
        )
    )
    first, second = said("prices.py", folder=tmp_path).splitlines()
    assert first == second


def test_what_was_typed_in_needs_a_name(tmp_path: Path) -> None:
    program = (
        "from cache._shared_names import shared_name\n"
        "def load(): ...\n"
        "try: shared_name(load)\n"
        "except TypeError as error: print(error)"
    )
    assert "was not defined in a file" in said("-c", program, folder=tmp_path)


CODES = {
    "user:1": b"suser:1",
    7: b"i7",
    -1.5: b"q-3/2",
    None: b"n",
    b"\0": b"b\0",
    math.inf: b"f+",
    2j: b"c2:i02:i2",
    UUID(int=255): b"Uff",
    date(1, 1, 17): b"d11",
    (1, "a"): b"t2:i12:sa",
    frozenset([2, 1]): b"z2:i12:i2",
    int: b"kbuiltins int",
    types.NoneType: b"ktypes NoneType",
    stable.Plain: b"ktests.unit.stable Plain",
    stable.Word.RED: b"sred",
    stable.Pair(1, 2): b"t2:i12:i2",
    (WILDCARD, (0,)): b"t9:*wildcard5:t2:i0",
    ANY: b"*anything",
    stable.Colour.CRIMSON: b"E18:tests.unit.stable Colour4:sRED",
    stable.Mode.WRITE: b"G16:tests.unit.stable Mode1:2",
    ALL: b"*everything",
    datetime(1, 1, 1, 0, 0, 1): b"Df4240",
    datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC): b"Mf4240",
    time(0, 0, 1): b"Tf4240",
    timedelta(seconds=-1): b"l-f4240",
    freeze([1]): b"Ze:kbuiltins list18:t14:td:kbuiltins int2:i1",
}


@pytest.mark.parametrize("name", CODES)
def test_codes_are_the_same_for_ever(name: Any) -> None:
    # Other processes may be of an older version of the cache, and files are.
    assert encode(name) == CODES[name]
    assert decode(CODES[name]) == name

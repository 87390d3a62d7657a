from __future__ import annotations

from datetime import UTC, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cache.codec import Envelope, MsgspecCodec
from tests.unit.recorded import (
    Address,
    Any_of_them,
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
    Word,
    Wrapped,
    seen,
)  # fmt: skip

offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23))
zones = (
    st.none() | st.just(UTC) | st.builds(timezone, offsets) | st.builds(timezone, offsets, st.text()) | st.timezones()
)
texts = st.text(st.characters(exclude_categories=()))

leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**200), 2**200), st.floats(), texts, st.binary(),
    st.decimals(), st.uuids(), st.dates(), st.times(timezones=zones), st.datetimes(timezones=zones), st.timedeltas(),
)  # fmt: skip

hashables = st.recursive(
    leaves.filter(lambda value: not (type(value) is Decimal and value.is_snan())),
    lambda parts: st.tuples(parts, parts) | st.frozensets(parts, max_size=3),
    max_leaves=4,
)


def containers(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(parts, max_size=5), st.lists(parts, max_size=5).map(tuple), st.dictionaries(texts, parts, max_size=5),
        st.dictionaries(hashables, parts, max_size=3), st.sets(hashables, max_size=3),
    )  # fmt: skip


plain = st.recursive(leaves, containers, max_leaves=20)

members: st.SearchStrategy[Any] = st.sampled_from(
    [*Color, *Level, *Word, Rights(0), *Rights, Rights.READ | Rights.WRITE, *map(Wide, range(9))]
)
prices = st.builds(Price, st.decimals(), st.text())
products: st.SearchStrategy[Product] = st.recursive(
    st.builds(
        Product, st.integers(), st.text(), st.none() | prices, st.none() | st.sampled_from(Color),
        st.lists(st.text(), max_size=2).map(tuple), notes=st.dictionaries(st.text(), plain, max_size=2),
    ),
    lambda parts: st.builds(Product, st.integers(), st.text(), parts=st.lists(parts, max_size=3)),
    max_leaves=4,
)  # fmt: skip
points = st.builds(Point, st.floats(), st.integers())
routes = st.builds(Route, st.lists(points, max_size=3))
addresses = st.builds(Address, street=st.text())
users = st.builds(User, _id=st.integers(), since=st.datetimes(timezones=zones), homes=st.lists(addresses), more=plain)
objects: st.SearchStrategy[Any] = st.one_of(
    members, prices, products, st.builds(Counted, st.text()), st.builds(Page, st.lists(prices)), points, routes,
    st.builds(Route, st.just([]), st.dictionaries(st.text(), routes, max_size=2)), addresses, users,
    st.builds(User, _id=st.integers(), friend=users), st.builds(Several, st.lists(st.integers())),
    addresses.map(lambda address: Wrapped[Address](item=address)),
)  # fmt: skip

PLAIN = Envelope(MsgspecCodec(), "f")
TYPED = Envelope(MsgspecCodec(Any_of_them), "f", compress_above=100)


@given(plain)
def test_every_plain_value_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    assert seen(PLAIN.decode(PLAIN.encode(value))) == seen(value)


@given(st.recursive(leaves | objects, containers, max_leaves=6))
def test_every_value_of_what_is_annotated_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    assert seen(TYPED.decode(TYPED.encode(value))) == seen(value)


@given(plain)
def test_the_same_value_has_the_same_bytes(value: Any) -> None:
    again = PLAIN.decode(PLAIN.encode(value))
    if not any(kind in repr(seen(value)) for kind in ("'set'", "'frozenset'")):  # whose order is chance
        assert PLAIN.encode(again) == PLAIN.encode(value)

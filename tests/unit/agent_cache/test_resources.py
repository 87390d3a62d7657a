"""Paths and the names that stand for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_cache._resources import (
    Resource,
    above,
    call_name,
    names_around,
    names_read,
    names_written,
    resources_of,
    segment,
)

segments = st.lists(st.sampled_from(["a", "b", "a:b", "%", "|", ""]), min_size=1, max_size=4)


def path_of(values: list[str]) -> tuple[str, ...]:
    template = ":".join(["root", *[f"{{x{n}}}" for n in range(len(values))]])
    return Resource(template).path({f"x{n}": value for n, value in enumerate(values)})


def meets(read: tuple[str, ...], written: tuple[str, ...]) -> bool:
    return bool(set(names_read(read, 0)) & set(names_written(written)))


@given(segments, segments)
def test_a_write_meets_what_is_the_same_above_or_below_and_nothing_else(read: list[str], written: list[str]) -> None:
    shorter = min(len(read), len(written))
    assert meets(path_of(read), path_of(written)) == (read[:shorter] == written[:shorter])


@given(segments, segments)
def test_different_values_have_different_paths(one: list[str], other: list[str]) -> None:
    assert (path_of(one) == path_of(other)) == (one == other)


def test_a_path_ends_where_an_argument_is_missing() -> None:
    resource = Resource("cart:{cart_id}:items:{item}")
    assert resource.path({"cart_id": 7, "item": "x"}) == ("cart", "7", "items", "x")
    assert resource.path({"cart_id": 7}) == ("cart", "7", "items")
    assert resource.path({"item": "x"}) == ("cart",)
    assert resource.fields == {"cart_id", "item"}


@pytest.mark.parametrize(
    ("path", "may_be"),
    [
        (("cart", "7", "items"), True),
        (("cart", "7", "notes"), False),
        (("cart", "7"), False),
        (("cart",), False),
        (("order", "7", "items"), False),
    ],
    ids=str,
)
def test_what_paths_a_template_may_have(path: tuple[str, ...], may_be: bool) -> None:
    assert Resource("cart:{cart_id}:items").may_be(path) == may_be


def test_what_lies_above() -> None:
    assert list(above(("a", "b", "c"))) == [("a",), ("a", "b")]
    assert list(above(("a",))) == []


def test_names_around_a_path_are_not_its_own() -> None:
    path = ("a", "b")
    assert set(names_written(path)) == {"at|a:b", *names_around(path)}
    assert call_name(path, 7) in names_read(path, 7)
    assert call_name(path, 7) not in names_around(path)
    assert call_name(path, 7) != call_name(path, 8)
    assert call_name(path, 7) != call_name(("a",), 7)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (True, "1"),
        (0.5, "1/2"),
        (Decimal("NaN"), "NaN"),
        (float("inf"), "inf"),
        ("a:b|c%", "a%3Ab%7Cc%25"),
        ([1, 2.0], "['1', '2']"),
        ({"b": 1, "a": 2}, "[('a', '2'), ('b', '1')]"),
        ({2, 1}, "['1', '2']"),
        (None, "None"),
    ],
    ids=repr,
)
def test_the_text_of_a_value(value: Any, text: str) -> None:
    assert segment(value, "x") == text


def test_one_resource_or_several_each_once() -> None:
    assert [each.template for each in resources_of("a")] == ["a"]
    assert [each.template for each in resources_of(["a", "b", "a"])] == ["a", "b"]


@pytest.mark.parametrize("given_", [b"a", 7, None])
def test_what_is_no_name_is_refused(given_: Any) -> None:
    with pytest.raises(TypeError, match=r"resource=.*pass a name such as 'cart:\{cart_id\}'"):
        resources_of(given_)

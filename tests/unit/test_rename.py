from __future__ import annotations

import inspect
from typing import Any

import pytest

from cache._rename import renamed

SOURCE = """
def factory(default_p0, shared):
    def call(p0=default_p0, *p1, p2, **p3):
        return (p0, p1, p2, p3, shared, len(p1))
    def keywords(p0, p2):
        return call(p0, p2=p2, p4=1), {"p0": p0, "p2": p2, "other": 1}
    return call, keywords
"""
NAMES = {"p0": "a", "p1": "b", "p2": "c", "p3": "d", "p4": "e", "default_p0": "default_a"}


@pytest.fixture
def functions() -> tuple[Any, Any]:
    local: dict[str, Any] = {}
    exec(renamed(compile(SOURCE, "before", "exec"), NAMES, "after"), local)  # noqa: S102 - the source above
    made: tuple[Any, Any] = local["factory"](default_a=7, shared="shared")
    return made


def test_parameters_have_the_new_names(functions: tuple[Any, Any]) -> None:
    call, _ = functions
    assert str(inspect.signature(call)) == "(a=7, *b, c, **d)"
    assert call(1, 2, c=3, p0=4) == (1, (2,), 3, {"p0": 4}, "shared", 1)


def test_keywords_and_keys_are_renamed_and_other_constants_are_not(functions: tuple[Any, Any]) -> None:
    _, keywords = functions
    assert keywords(1, c=2) == ((1, (), 2, {"e": 1}, "shared", 0), {"a": 1, "c": 2, "other": 1})


def test_code_says_where_it_is_shown(functions: tuple[Any, Any]) -> None:
    assert [function.__code__.co_filename for function in functions] == ["after", "after"]

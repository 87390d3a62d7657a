"""The user's own tags."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agent_cache._tags import tags_of


def test_templates_are_filled_with_the_arguments() -> None:
    fill = tags_of(("users", "user:{uid}", "{user.name}", "{row[0]}", "{{}}"), ["uid", "user", "row"], "tool")
    values = {"uid": 7, "user": SimpleNamespace(name="ann"), "row": ["x"]}
    assert fill(values) == ["users", "user:7", "ann", "x", "{}"]
    assert tags_of((), [], "tool")({}) == []


@pytest.mark.parametrize(
    ("tags", "error", "words"),
    [
        ("users", TypeError, "pass a tuple of strings"),
        (None, TypeError, "pass a tuple of strings"),
        ((7,), TypeError, "contains 7, of type int"),
        (("",), ValueError, "empty string"),
        (("a{",), ValueError, "is no template"),
        (("{x}",), TypeError, r"names 'x', and tool has the parameters uid"),
        (("{x.uid}",), TypeError, "names 'x'"),
        (("{}",), TypeError, "names ''"),
    ],
    ids=repr,
)
def test_what_are_no_tags_is_refused(tags: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        tags_of(tags, ["uid"], "tool")


def test_a_tool_without_parameters_says_so() -> None:
    with pytest.raises(TypeError, match=r"has the parameters \(none\)"):
        tags_of(("{x}",), [], "tool")

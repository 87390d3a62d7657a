from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from cache._templates import Templates


def get(user_id: int, team: Any = None, *rest: Any, **more: Any) -> None: ...


PARAMETERS = tuple(inspect.signature(get).parameters.values())


def templates(*given: str, left_out: frozenset[str] = frozenset()) -> Templates:
    return Templates(given, PARAMETERS, "get", left_out)


def test_a_template_is_filled_with_the_arguments_of_a_call() -> None:
    made = templates("users", "user:{user_id}", "team:{team}:{user_id}")
    assert made.fill({"user_id": 7, "team": "red"}) == ("users", "user:7", "team:red:7")


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("t:{team.name}", "t:red"),
        ("t:{team.ids[0]}", "t:5"),
        ("t:{user_id:03}", "t:007"),
        ("t:{user_id:{team.width}}", "t:   7"),
        ("t:{team.name!r}", "t:'red'"),
        ("t:{team.name!s:>5}", "t:  red"),
        ("{{{user_id}}}", "{7}"),
        ("t:{rest}", "t:(1, 2)"),
    ],
)
def test_a_template_is_what_str_format_takes(template: str, tag: str) -> None:
    team = SimpleNamespace(name="red", ids=[5, 6], width=4)
    assert templates(template).fill({"user_id": 7, "team": team, "rest": (1, 2)}) == (tag,)


def test_templates_know_which_parameters_they_need() -> None:
    assert templates("a").fields == frozenset()
    assert templates("a:{user_id}", "b:{team.name}:{user_id:{rest}}").fields == {"user_id", "team", "rest"}


def test_no_templates_are_false() -> None:
    assert not templates()
    assert templates("a")


# -- what is refused at decoration -----------------------------------------------------------------------------


@pytest.mark.parametrize("template", ["{nobody}", "a:{nobody.id}", "a:{user_id:{nobody}}", "{}", "{0}"])
def test_a_template_that_names_no_parameter_is_refused_with_those_there_are(template: str) -> None:
    with pytest.raises(ValueError, match="no parameter of it: it has user_id, team, rest, more") as refused:
        templates("fine", template)
    assert repr(template) in str(refused.value)
    assert "get" in str(refused.value)


def test_a_template_of_a_function_without_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="it has none"):
        Templates(("{x}",), (), "ping")


@pytest.mark.parametrize("template", ["{user_id", "user_id}", "{user_id!z}", "{user_id!}"])
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="is no valid template") as refused:
        templates(template)
    assert repr(template) in str(refused.value)


@pytest.mark.parametrize("template", ["{team}", "{team.name}", "{user_id:{team}}"])
def test_a_template_over_what_is_left_out_of_the_key_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"\{team\}, which is left out of the key") as refused:
        templates(template, left_out=frozenset({"team"}))
    assert repr(template) in str(refused.value)


# -- what is refused at the call -------------------------------------------------------------------------------


def test_an_error_while_a_template_is_filled_names_the_template_and_the_function() -> None:
    with pytest.raises(AttributeError) as raised:
        templates("t:{team.name}").fill({"team": 5})
    assert raised.value.__notes__ == ["while filling in the tag 't:{team.name}' of get"]


def test_a_tag_that_comes_out_empty_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the tag '\{team\}' of get came out empty"):
        templates("{team}").fill({"team": ""})

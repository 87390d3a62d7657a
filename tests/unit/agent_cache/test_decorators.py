"""What a decorator makes of a tool and its options."""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, Optional

import pytest

from agent_cache import AgentCache, AgentCacheInvalidator
from agent_cache._decorators import _allows_none
from agent_cache._wrapped import READS, WRITES, reading_of


def tool(a: int = 0, b: int = 0) -> int:
    return a


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        None,
        NoneType,
        object,
        int | None,
        Optional[int],  # noqa: UP045 - the old spelling
        Annotated[int | None, "note"],
        Annotated[None, "note"],
        int | Annotated[str | None, "note"],
    ],
    ids=repr,
)
def test_a_type_that_allows_none(annotation: Any) -> None:
    assert _allows_none(annotation)


@pytest.mark.parametrize(
    "annotation", [int, str, list[None], dict[str, None], int | str, Annotated[int, None], "int | None"], ids=repr
)
def test_a_type_that_does_not(annotation: Any) -> None:
    assert not _allows_none(annotation)


def test_a_tool_is_called_by_its_name_unless_another_is_given() -> None:
    for decorator, mark in ((AgentCache, READS), (AgentCacheInvalidator, WRITES)):
        make: Any = decorator
        assert getattr(make("cart")(tool), mark).name == "tool"
        assert getattr(make("cart", name="get_cart")(tool), mark).name == "get_cart"


@pytest.mark.parametrize(
    "ignore", ["b", ("b",), ["b"], iter(["b"])], ids=["a name", "a tuple", "a list", "an iterator"]
)
def test_names_to_ignore_may_be_one_or_several(ignore: Any) -> None:
    calls: list[tuple[int, int]] = []

    @AgentCache("cart", ignore=ignore)
    def look(a: int, b: int) -> int:
        calls.append((a, b))
        return a

    look(1, 2)
    look(1, 3)
    assert calls == [(1, 2)]


def test_one_decorator_decorates_several_tools_that_share_nothing() -> None:
    decorate = AgentCache("cart", ignore=iter(["b"]))
    first: Any = decorate(lambda a, b: (1, a))
    second: Any = decorate(lambda a, b: (2, a))
    assert [first(1, 1), second(1, 1)] == [(1, 1), (2, 1)]


def test_options_of_a_read_reach_its_cache() -> None:
    look = AgentCache("cart", maxsize=1)(tool)
    reading = reading_of(look)
    assert reading is not None
    assert [look(1), look(2)] == [1, 2]
    assert len(reading.cache) == 1


def test_a_function_as_time_to_live_is_asked_for_each_result() -> None:
    asked: list[Any] = []

    def ttl(result: Any) -> float:
        asked.append(result)
        return 0 if result < 0 else 60

    look = AgentCache("cart", ttl=ttl)(tool)
    for a in (1, 1, -1, -1):
        look(a)
    assert asked == [1, -1, -1]


def test_a_key_of_the_users_own_is_what_identifies_a_call() -> None:
    calls: list[str] = []

    @AgentCache("cart", key=lambda name: name.lower())
    def look(name: str) -> str:
        calls.append(name)
        return name

    assert [look("Ada"), look("ADA")] == ["Ada", "Ada"]
    assert calls == ["Ada"]

"""What is remembered for explanations: the latest, and no more than that."""

from __future__ import annotations

import pytest

from agent_cache import _notes
from agent_cache._notes import Execution, Latest, last_write, writing


def written(tool: str, *tags: str) -> None:
    with writing(tool, [("cart", tags)]):
        pass


def tool_of(*tags: str) -> str | None:
    write = last_write(tags)
    return None if write is None else write.tool


@pytest.fixture(autouse=True)
def _own_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_notes, "_ended", Latest())


def test_the_value_put_last_is_found() -> None:
    latest: Latest[str, int] = Latest()
    latest.put("a", 1)
    latest.put("a", 2)
    assert latest.get("a") == 2
    assert latest.get("b") is None


def test_the_value_put_longest_ago_goes_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_notes, "MOST", 3)
    latest: Latest[str, int] = Latest()
    for key in "abcad":
        latest.put(key, ord(key))
    assert [key for key in "abcd" if latest.get(key) is not None] == ["a", "c", "d"]


def test_the_notes_are_bounded() -> None:
    latest: Latest[int, int] = Latest()
    for number in range(_notes.MOST + 100):
        latest.put(number, number)
    assert len(latest._values) == _notes.MOST


def test_an_execution_knows_when_it_ended() -> None:
    assert Execution(0.0, None, 5).at > 0


def test_a_write_that_reached_none_of_the_tags_is_not_found() -> None:
    written("w", "a")
    assert tool_of("b") is None
    assert tool_of() is None


def test_the_write_that_ended_last_is_found_by_any_of_its_tags() -> None:
    written("first", "a", "b")
    written("second", "b")
    assert [tool_of("a"), tool_of("b"), tool_of("a", "b")] == ["first", "second", "second"]


def test_a_write_in_progress_is_the_last_whatever_ended_meanwhile() -> None:
    with writing("slow", [("cart", ["a"])]):
        written("quick", "a")
        assert tool_of("a") == "slow"
        found = last_write(["a"])
        assert found is not None
        assert (found.ended, found.template) == (None, "cart")
    found = last_write(["a"])
    assert found is not None
    assert found.tool == "slow"
    assert found.ended is not None


def test_the_first_of_two_that_overlap_may_end_last() -> None:
    first, second = writing("first", [("cart", ["a"])]), writing("second", [("cart", ["a"])])
    for manager in (first, second):
        manager.__enter__()
    second.__exit__(None, None, None)
    assert tool_of("a") == "first"
    first.__exit__(None, None, None)
    assert tool_of("a") == "first"


def test_a_write_that_fails_has_ended() -> None:
    with pytest.raises(ValueError, match="no"), writing("w", [("cart", ["a"])]):
        raise ValueError("no")
    assert tool_of("a") == "w"
    assert _notes._running == {}


def test_a_write_of_several_resources_is_noted_by_each() -> None:
    with writing("w", [("one", ["a"]), ("two", ["b", "c"])]):
        assert {tag: write.template for tag in "abc" for write in [last_write([tag])] if write} == {
            "a": "one",
            "b": "two",
            "c": "two",
        }


def test_a_finalizer_that_ends_a_write_in_the_middle_of_anothers_note_finds_no_locked_door() -> None:
    abandoned = writing("abandoned", [("cart", ["a"])])
    abandoned.__enter__()
    with _notes._lock:
        abandoned.__exit__(None, None, None)
    assert tool_of("a") == "abandoned"


def test_nothing_is_left_of_a_write_whose_note_was_lost() -> None:
    with writing("w", [("cart", ["a"])]):
        _notes._running.clear()
    assert tool_of("a") == "w"
    assert _notes._running == {}

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cache._batch import load_keys, load_one
from tests.unit.batches import Many

# -- what a loader may return ----------------------------------------------------------------------------------


async def eventually(value: Any) -> Any:
    return value


@pytest.mark.parametrize("of", [lambda value: value, eventually], ids=["plain", "async"])
@pytest.mark.parametrize(
    ("returned", "values"),
    [
        ({"a": 1, "b": 2, "stranger": 3}, {"a": 1, "b": 2}),
        ({"b": 2}, {"a": None, "b": 2}),
        ([1, 2], {"a": 1, "b": 2}),
        ((None, 2), {"a": None, "b": 2}),
        (range(2), {"a": 0, "b": 1}),
    ],
)
async def test_a_loader_returns_a_mapping_or_one_value_for_each_key_in_order(
    of: Callable[[Any], Any], returned: Any, values: dict[str, Any]
) -> None:
    assert await load_keys(lambda _: of(returned), ["a", "b"]) == values


@pytest.mark.parametrize("returned", [[], [1], [1, 2, 3]])
async def test_a_sequence_of_another_length_is_refused_with_both_lengths(returned: list[int]) -> None:
    with pytest.raises(ValueError, match=f"was given 2 keys and returned a sequence of {len(returned)} values"):
        await load_keys(lambda _: returned, ["a", "b"])


@pytest.mark.parametrize("returned", [None, 5, "ab", b"cd", {1, 2}, iter([1, 2])])
async def test_what_is_neither_a_mapping_nor_a_sequence_is_refused_by_its_type(returned: Any) -> None:
    with pytest.raises(TypeError, match=f"returned {type(returned).__name__}: return a mapping"):
        await load_keys(lambda _: returned, ["a", "b"])


async def test_a_loader_that_changes_its_list_of_keys_changes_nothing_else() -> None:
    def load(keys: list[str]) -> dict[str, int]:
        found = dict.fromkeys(keys, 1)
        keys.clear()
        return found

    assert await load_keys(load, ["a", "b"]) == {"a": 1, "b": 1}


async def test_one_key_is_loaded_as_a_batch_of_one() -> None:
    many = Many()
    assert await load_one(many.load, "a") == "<a>"
    assert many.calls == [["a"]]

from __future__ import annotations

import gc
import inspect
import warnings
from typing import Any

import pytest

from cache._applied import Applied


@pytest.mark.parametrize("outcome", [True, False])
def test_its_truth_is_the_outcome(outcome: bool) -> None:
    assert bool(Applied(outcome)) is outcome


@pytest.mark.parametrize("outcome", [True, False])
async def test_awaiting_it_gives_the_outcome_as_often_as_one_likes(outcome: bool) -> None:
    applied = Applied(outcome)
    assert [await applied, await applied] == [outcome, outcome]


def test_awaiting_it_does_not_suspend() -> None:
    async def wait() -> bool:
        return await Applied(True)

    with pytest.raises(StopIteration) as ended:
        wait().send(None)
    assert ended.value.value is True


def test_not_awaiting_it_warns_about_nothing() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        applied: Any = Applied(True)
        assert not inspect.iscoroutine(applied)
        assert inspect.isawaitable(applied)
        del applied
        gc.collect()
    assert not caught


def test_it_shows_the_outcome() -> None:
    assert (repr(Applied(True)), repr(Applied(False))) == ("Applied(True)", "Applied(False)")

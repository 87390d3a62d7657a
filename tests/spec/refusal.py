"""Refusal: an error at a wrong argument, which says what was given and what would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from cache import AsyncCache

NAN = float("nan")
NOT_SECONDS: tuple[Any, ...] = ("5", [5], {}, True, object(), timedelta(seconds=5))


@contextmanager
def refused(kind: type[Exception] | tuple[type[Exception], ...], *words: str) -> Iterator[None]:
    """Inside, an error of this very kind must be raised, and what it says must contain each of the words.

    What it says is its message and its notes; and no more of it than a person would read.
    """
    with pytest.raises(kind) as caught:
        yield
    assert caught.type in (kind if isinstance(kind, tuple) else (kind,))
    said = said_by(caught.value)
    assert [word for word in words if word not in said] == [], said
    assert len(said) < 1_000


def said_by(error: BaseException) -> str:
    """What a traceback would show of this error, without the traceback."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


class Wrong(NamedTuple):
    """A wrong value of a parameter, and what its refusal must say."""

    parameter: str
    value: Any
    kind: type[Exception]
    words: tuple[str, ...]


def wrong(parameter: str, kind: type[Exception], right: str, *values: Any) -> list[Any]:
    """Cases for `pytest.mark.parametrize`: each value of ``parameter`` must be shown beside what would be ``right``."""
    return [
        pytest.param(Wrong(parameter, value, kind, (parameter, _shown(value), right)), id=f"{parameter}={value!r:.30}")
        for value in values
    ]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else re.sub(r" at 0x.*", "", repr(value))


async def still_works(cache: AsyncCache) -> None:
    """Whatever was refused, the next call is served and stored; that nothing is left, every test ends with."""
    size = len(cache)
    assert await cache.get("another", lambda: "v") == "v"
    assert cache.peek("another") == "v"
    assert cache.delete("another")
    assert len(cache) == size

"""A call that cannot be made is refused before anything is loaded; errors of the user's own reach the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cache import AsyncLRU, cached
from tests.spec.refusal import refused, still_works


async def get(uid: int, flag: bool = False) -> int:
    return uid


WRONG_CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "too few": ((), {}, "'uid'"),
    "too many": ((1, True, 3), {}, "positional"),
    "an unknown keyword": ((1,), {"page": 1}, "'page'"),
    "twice": ((1,), {"uid": 1}, "'uid'"),
}


@pytest.mark.parametrize("mistake", WRONG_CALLS)
async def test_a_call_that_does_not_fit_the_function_is_refused_in_its_name(mistake: str) -> None:
    function: Any = AsyncLRU(get)
    args, kwargs, word = WRONG_CALLS[mistake]
    ways: list[Callable[..., Awaitable[Any]]] = [function, function.refresh]
    for call in ways:
        with refused(TypeError, "get", word):
            await call(*args, **kwargs)
    for use in (function.peek, function.cache_key, function.invalidate_cache):
        with refused(TypeError, "get", word):
            use(*args, **kwargs)
    await still_works(function.cache)


class Hostile:
    """An argument that raises where a key needs it not to."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __hash__(self) -> int:
        if self.method == "hash":
            raise OSError("no hash today")
        return 7

    def __eq__(self, other: object) -> bool:
        if self.method == "eq":
            raise OSError("no comparison today")
        return self is other


@pytest.mark.parametrize("method", ["hash", "eq"])
async def test_an_error_of_an_argument_reaches_the_caller_unchanged(method: str) -> None:
    function: Any = AsyncLRU(get)
    stored = Hostile("eq" if method == "eq" else "")
    assert await function(stored) is stored
    for use in (function.peek, function.cache_key if method == "hash" else function.peek, function.invalidate_cache):
        with pytest.raises(OSError, match="today"):
            use(Hostile(method))
    for call in (function, function.refresh):
        with pytest.raises(OSError, match="today"):
            await call(Hostile(method))
    stored.method = ""
    assert function.peek(stored) is stored
    await still_works(function.cache)


async def test_a_key_function_that_returns_what_is_not_hashable_is_refused_in_words() -> None:
    key: Any = lambda uid, flag: [uid]  # noqa: E731 - for no type checker accepts it as a key
    function: Any = cached(key=key)(get)
    with refused(TypeError, "get", "key=", "[1]", "not hashable", "tuple"):
        await function(1)
    with refused(TypeError, "get", "key=", "[1]", "not hashable"):
        function.invalidate_cache(1)
    await still_works(function.cache)


async def test_an_error_of_a_key_function_reaches_the_caller_unchanged() -> None:
    error = LookupError("no key today")

    def key(uid: int, flag: bool) -> int:
        raise error

    function: Any = cached(key=key)(get)
    with pytest.raises(LookupError) as caught:
        await function(1)
    assert caught.value is error
    await still_works(function.cache)


async def test_a_key_function_that_takes_other_arguments_is_named() -> None:
    def key(user: int) -> int:
        return user

    function: Any = cached(key=key)(get)
    with refused(TypeError, "key() takes 1 positional argument"):
        await function(1)
    await still_works(function.cache)


@pytest.mark.parametrize("tags", ["abc", 5, (1,), ("",), None], ids=repr)
async def test_a_tags_function_that_returns_no_tags_is_named(tags: Any) -> None:
    function: Any = cached(tags=lambda result, *_, **__: tags if result == 1 else ("fine",))(get)
    with refused((TypeError, ValueError), "tags="):
        await function(1)
    assert len(function.cache) == 0
    await _is_cached(function, 2)


async def test_a_template_that_cannot_be_filled_in_is_named() -> None:
    function: Any = cached(tags=("user:{uid.real}",))(get)
    with refused(AttributeError, "real", "'user:{uid.real}'", "get"):
        await function("no number")
    await _is_cached(function, 2)


async def test_a_template_that_comes_out_empty_is_refused() -> None:
    function: Any = cached(tags=("{uid}",))(get)
    with refused(ValueError, "'{uid}'", "get", "empty"):
        await function("")
    await _is_cached(function, "a")


async def _is_cached(function: Any, argument: Any) -> None:
    assert await function(argument) == argument
    assert function.peek(argument) == argument

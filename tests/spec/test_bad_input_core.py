"""What is wrong is refused at once, in words that name it; and the cache is as sound and as useful as before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cache import AsyncCache
from tests.spec.refusal import NAN, NOT_SECONDS, Wrong, refused, still_works, wrong

# -- AsyncCache(...) ---------------------------------------------------------------------------------------------

CONSTRUCTOR = [
    *wrong("maxsize", ValueError, "0 or more, or None for no bound", -1, -(10**30)),
    *wrong("maxsize", TypeError, "0 or more, or None for no bound", "128", 1.5, NAN, True, [1]),
    *wrong("default_ttl", ValueError, "0 or more, or None for ever", -1, -0.001, NAN, float("-inf")),
    *wrong("default_ttl", TypeError, "0 or more, or None for ever", *NOT_SECONDS),
    *wrong("batch_window_ms", ValueError, "milliseconds, 0 or more", -1, NAN),
    *wrong("batch_window_ms", TypeError, "milliseconds, 0 or more", None, "5", True),
    *wrong("max_batch_size", ValueError, "1 or more", 0, -1),
    *wrong("max_batch_size", TypeError, "1 or more", None, 1.5, "100", False),
    *wrong("name", TypeError, "a string", 5, b"name", ("name",)),
    *wrong("name", ValueError, "not empty", ""),
    *wrong("namespace", TypeError, "a string", None, 5),
    *wrong("namespace", ValueError, "not empty", ""),
    *wrong("policy", ValueError, "'lru'", "LRU", "fifo", "", None, 5),
    *wrong("clock", TypeError, "clock() -> seconds", None, 5, "monotonic"),
    *wrong("track", TypeError, "True or False", None, 0, "no"),
    *wrong("cache_errors", TypeError, "mapping of exception classes to seconds", KeyError, (KeyError,), 5, "KeyError"),
]


@pytest.mark.parametrize("case", CONSTRUCTOR)
def test_a_wrong_argument_of_the_constructor_is_refused(case: Wrong) -> None:
    arguments: dict[str, Any] = {case.parameter: case.value}
    with refused(case.kind, *case.words):
        AsyncCache(**arguments)


@pytest.mark.parametrize(
    ("errors", "kind", "words"),
    [
        pytest.param({"KeyError": 5}, TypeError, ("cache_errors", "'KeyError'", "class"), id="no class"),
        pytest.param({int: 5}, TypeError, ("cache_errors", "int", "class"), id="no exception"),
        pytest.param({KeyboardInterrupt: 5}, TypeError, ("cache_errors", "KeyboardInterrupt"), id="no Exception"),
        pytest.param({KeyError(): 5}, TypeError, ("cache_errors", "KeyError()", "class"), id="an instance"),
        pytest.param({KeyError: -1}, ValueError, ("cache_errors[KeyError]=-1", "0 or more"), id="negative"),
        pytest.param({KeyError: NAN}, ValueError, ("cache_errors[KeyError]=nan", "0 or more"), id="nan"),
        pytest.param({KeyError: None}, TypeError, ("cache_errors[KeyError]=None", "0 or more"), id="none"),
        pytest.param({KeyError: "5"}, TypeError, ("cache_errors[KeyError]='5'", "0 or more"), id="a string"),
    ],
)
def test_a_wrong_class_or_time_of_errors_is_refused(errors: Any, kind: type[Exception], words: tuple[str, ...]) -> None:
    with refused(kind, *words):
        AsyncCache(cache_errors=errors)


def test_an_unknown_argument_of_the_constructor_is_refused() -> None:
    unknown: dict[str, Any] = {"max_size": 5}
    with refused(TypeError, "max_size"):
        AsyncCache(**unknown)


def test_the_number_of_seconds_is_shown_where_a_timedelta_is_passed() -> None:
    ttl: Any = timedelta(minutes=2)
    with refused(TypeError, "default_ttl=120.0"):
        AsyncCache(default_ttl=ttl)


# -- arguments of get and set ------------------------------------------------------------------------------------

LOADING = [
    *wrong("loader", TypeError, "loader() -> value", 5, "load", [], object()),
    *wrong("batch_loader", TypeError, "batch_loader(keys) -> mapping or sequence", 5, "load", {}),
]
STORING = [
    *wrong("ttl", ValueError, "0 or more, or None for ever", -1, NAN),
    *wrong("ttl", TypeError, "0 or more, or None for ever", *NOT_SECONDS),
    *wrong("tags", TypeError, "a tuple of strings", "abc", b"abc", 5, None),
    *wrong("tags", TypeError, "each is a string", (1,), ("a", None)),
    *wrong("tags", ValueError, "pass names", ("",), ("a", "")),
]


@pytest.mark.parametrize("case", [*LOADING, *STORING])
async def test_a_wrong_argument_of_get_is_refused_and_nothing_is_loaded(case: Wrong) -> None:
    cache, calls = AsyncCache(), []
    arguments: dict[str, Any] = {"loader": lambda: calls.append(1), case.parameter: case.value}
    if case.parameter == "batch_loader":
        del arguments["loader"]
    words = ("tags", *case.words[2:]) if case.parameter == "tags" else case.words
    with refused(case.kind, *words):
        await cache.get("k", **arguments)
    assert calls == []
    await still_works(cache)


@pytest.mark.parametrize("case", STORING)
async def test_a_wrong_argument_of_get_is_refused_without_a_loader_too(case: Wrong) -> None:
    cache = AsyncCache()
    arguments: dict[str, Any] = {case.parameter: case.value}
    with refused(case.kind, case.parameter):
        await cache.get("k", **arguments)
    await still_works(cache)


async def test_both_loaders_at_once_are_refused() -> None:
    cache = AsyncCache()
    both: dict[str, Any] = {"loader": lambda: 1, "batch_loader": list}
    with refused(TypeError, "loader=", "batch_loader=", "one of the two"):
        await cache.get("k", **both)
    await still_works(cache)


@pytest.mark.parametrize("case", STORING)
async def test_a_wrong_argument_of_set_is_refused_and_nothing_changes(case: Wrong) -> None:
    cache = AsyncCache()
    cache.set("k", "before")
    arguments: dict[str, Any] = {case.parameter: case.value}
    with refused(case.kind, case.parameter):
        cache.set("k", "after", **arguments)
    assert cache.peek("k") == "before"
    await still_works(cache)


# -- loaders -----------------------------------------------------------------------------------------------------


async def test_a_loader_that_takes_arguments_fails_as_any_call_without_them() -> None:
    cache = AsyncCache()
    loader: Any = lambda key: key  # noqa: E731 - the name of a lambda is part of the message
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'key'"):
        await cache.get("k", loader)
    await still_works(cache)


class Odd(BaseException):
    """Neither an Exception nor an interrupt."""


@pytest.mark.parametrize("error", [Odd("odd"), GeneratorExit("odd")], ids=["of one's own", "GeneratorExit"])
async def test_a_loader_may_raise_anything(error: BaseException) -> None:
    cache = AsyncCache()

    async def load() -> None:
        raise error

    for loader in (load, lambda: _raise(error)):
        with pytest.raises(type(error)):
            await cache.get("k", loader)
        assert "k" not in cache
        await still_works(cache)


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("loaded", "kind", "words"),
    [
        pytest.param([], ValueError, ("1 keys", "0 values"), id="too few"),
        pytest.param([1, 2], ValueError, ("1 keys", "2 values"), id="too many"),
        pytest.param(None, TypeError, ("NoneType", "mapping"), id="nothing"),
        pytest.param("a", TypeError, ("str", "mapping"), id="a string"),
        pytest.param(5, TypeError, ("int", "mapping"), id="a number"),
        pytest.param({1}, TypeError, ("set", "mapping"), id="a set, which has no order"),
        pytest.param(iter([1]), TypeError, ("list_iterator", "mapping"), id="an iterator"),
    ],
)
async def test_what_a_batch_loader_must_not_return_is_refused(
    loaded: Any, kind: type[Exception], words: tuple[str, ...]
) -> None:
    cache = AsyncCache(batch_window_ms=0)

    def many(keys: list[str]) -> Any:
        return loaded

    with refused(kind, "batch loader", "many", *words):
        await cache.get("k", batch_loader=many)
    await still_works(cache)


@pytest.mark.parametrize("parameter", ["maxsize", "default_ttl", "clock", "cache_errors", "name"])
def test_a_large_value_is_not_shown_in_full(parameter: str) -> None:
    large: dict[str, Any] = {parameter: [*range(100_000)]}
    with refused(TypeError, parameter, "[0, 1, 2"):
        AsyncCache(**large)

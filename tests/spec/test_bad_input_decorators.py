"""What cannot be cached is refused when it is decorated, and options when the decorator is made."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from cache import AsyncLRU, AsyncTTL, cached
from tests.spec.refusal import NAN, NOT_SECONDS, Wrong, refused, wrong


async def get(uid: int, flag: bool = False) -> int:
    return uid


# -- options -----------------------------------------------------------------------------------------------------

COMMON = [
    *wrong("maxsize", ValueError, "0 or more, or None for no bound", -1),
    *wrong("maxsize", TypeError, "0 or more, or None for no bound", "128", 1.5, True),
    *wrong("skip_args", ValueError, "0 or more", -1),
    *wrong("skip_args", TypeError, "0 or more", None, "1", 1.5, True),
    *wrong("tags", TypeError, "a tuple of strings", "users", b"users", 5, None),
    pytest.param(Wrong("tags", ("",), ValueError, ("tags", "empty string", "names")), id="tags=('',)"),
    *wrong("key", TypeError, "key(*args, **kwargs) -> hashable", 5, "uid"),
    *wrong("ignore", TypeError, "a tuple of strings", "uid", 5, None),
    *wrong("typed", TypeError, "True or False", None, 1, "no"),
    *wrong("policy", ValueError, "'lru'", "LRU", None),
    *wrong("track", TypeError, "True or False", None, 1, "no"),
    *wrong("namespace", TypeError, "a string", None, 5),
    *wrong("name", TypeError, "a string", 5, b"name"),
    *wrong("clock", TypeError, "clock() -> seconds", None, 5),
    *wrong("cache_errors", TypeError, "mapping of exception classes to seconds", KeyError, 5),
]
TTL = [
    *wrong("ttl", ValueError, "0 or more, or None for ever", -1, NAN),
    *wrong("ttl", TypeError, "0 or more, or None for ever", *NOT_SECONDS),
]
TIME_TO_LIVE = [
    *wrong("time_to_live", ValueError, "0 or more, or None for ever", -1, NAN),
    *wrong("time_to_live", TypeError, "0 or more, or None for ever", *NOT_SECONDS),
]


@pytest.mark.parametrize("case", [*COMMON, *TTL])
def test_a_wrong_option_of_cached_is_refused_when_the_decorator_is_made(case: Wrong) -> None:
    options: dict[str, Any] = {case.parameter: case.value}
    with refused(case.kind, *case.words):
        cached(**options)


@pytest.mark.parametrize("case", COMMON)
def test_a_wrong_option_of_the_lru_preset_is_refused(case: Wrong) -> None:
    options: dict[str, Any] = {case.parameter: case.value}
    with refused(case.kind, *case.words):
        AsyncLRU(**options)


@pytest.mark.parametrize("case", [*COMMON, *TIME_TO_LIVE])
def test_a_wrong_option_of_the_ttl_preset_is_refused_by_its_own_name(case: Wrong) -> None:
    options: dict[str, Any] = {case.parameter: case.value}
    with refused(case.kind, *case.words):
        AsyncTTL(**options)


@pytest.mark.parametrize("value", ["60", -1, NAN])
def test_a_wrong_option_is_refused_by_position_too(value: Any) -> None:
    with refused((TypeError, ValueError), "time_to_live", "0 or more"):
        AsyncTTL(value)
    with refused((TypeError, ValueError), "maxsize", "0 or more"):
        AsyncLRU(value)


@pytest.mark.parametrize("decorator", [AsyncLRU, AsyncTTL, cached])
def test_an_unknown_option_is_refused_in_the_name_of_the_decorator(decorator: Any) -> None:
    with refused(TypeError, decorator.__name__, "max_size"):
        decorator(max_size=5)


@pytest.mark.parametrize("decorator", [AsyncLRU, AsyncTTL])
def test_the_presets_refuse_ttl_and_say_what_to_use(decorator: Any) -> None:
    with refused(TypeError, decorator.__name__, "ttl=5", "time_to_live="):
        decorator(ttl=5)


@pytest.mark.parametrize("option", [{"ignore": ("uid",)}, {"skip_args": 1}, {"typed": True}], ids=repr)
def test_key_makes_the_whole_key_and_takes_no_help(option: dict[str, Any]) -> None:
    with refused(TypeError, "key=", "ignore, skip_args and typed"):
        cached(key=lambda uid: uid, **option)


# -- options that do not fit the function ------------------------------------------------------------------------

MISFITS: list[Any] = [
    pytest.param({"ignore": ("session",)}, ("ignore", "'session'", "uid, flag"), id="ignore of no parameter"),
    pytest.param({"skip_args": 3}, ("skip_args=3", "2"), id="skip_args of too many"),
    pytest.param({"tags": ("user:{id}",)}, ("'user:{id}'", "{id}", "uid, flag"), id="a template of no parameter"),
    pytest.param({"tags": ("user:{}",)}, ("'user:{}'", "uid, flag"), id="a template without a name"),
    pytest.param({"tags": ("user:{0}",)}, ("'user:{0}'", "uid, flag"), id="a template with a position"),
    pytest.param({"tags": ("user:{uid",)}, ("'user:{uid'", "template"), id="an open brace"),
    pytest.param({"tags": ("user:uid}",)}, ("'user:uid}'", "template"), id="a single brace"),
    pytest.param({"tags": ("user:{uid!z}",)}, ("'user:{uid!z}'", "conversion"), id="an unknown conversion"),
    pytest.param({"tags": ("user:{uid:{width}}",)}, ("{width}", "uid, flag"), id="an unknown width"),
    pytest.param(
        {"tags": ("user:{uid}",), "ignore": ("uid",)},
        ("'user:{uid}'", "left out of the key"),
        id="a tag of what is ignored",
    ),
    pytest.param(
        {"tags": ("user:{uid}",), "skip_args": 1},
        ("'user:{uid}'", "left out of the key"),
        id="a tag of what is skipped",
    ),
]


@pytest.mark.parametrize(("options", "words"), MISFITS)
def test_an_option_that_does_not_fit_the_function_is_refused_at_decoration(
    options: dict[str, Any], words: tuple[str, ...]
) -> None:
    decorate = cached(**options)
    with refused(ValueError, "get", *words):
        decorate(get)


# -- what is decorated -------------------------------------------------------------------------------------------


def plain(uid: int) -> int:
    return uid


def generator(uid: int) -> Iterator[int]:
    yield uid


async def async_generator(uid: int) -> AsyncIterator[int]:
    yield uid


async def with_switch(uid: int, use_cache: bool = True) -> int:
    return uid


class Caller:
    async def __call__(self, uid: int) -> int:
        return uid


class Methods:
    @classmethod
    async def of_class(cls, uid: int) -> int:
        return uid

    @staticmethod
    async def of_nobody(uid: int) -> int:
        return uid


UNCACHEABLE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a plain function": (plain, ("plain", "async def", "functools.lru_cache")),
    "a built-in function": (len, ("len", "async def")),
    "a generator": (generator, ("generator", "async def", "list")),
    "an async generator": (async_generator, ("async_generator", "async generator", "list")),
    "a function with a parameter use_cache": (with_switch, ("with_switch", "use_cache", "another name")),
    "a class": (Methods, ("Methods", "async def")),
    "an object with an async __call__": (Caller(), ("Caller", "__call__")),
    "a class method": (vars(Methods)["of_class"], ("of_class", "@classmethod", "above")),
    "a static method": (vars(Methods)["of_nobody"], ("of_nobody", "@staticmethod", "above")),
    "a cached function": (AsyncLRU(get), ("get", "cached already")),
    "a cached function of another decorator": (AsyncTTL(get), ("get", "cached already")),
    "a number": (5, ("5", "async def")),
    "nothing": (None, ("None", "async def")),
    "a string": ("get", ("'get'", "async def")),
}
CALLED = {"AsyncLRU()": AsyncLRU(), "AsyncTTL()": AsyncTTL(), "cached()": cached()}


@pytest.mark.parametrize("decorator", CALLED)
@pytest.mark.parametrize("what", UNCACHEABLE)
def test_what_cannot_be_cached_is_refused_at_decoration(decorator: str, what: str) -> None:
    function, words = UNCACHEABLE[what]
    decorate: Any = CALLED[decorator]
    with refused(TypeError, *words):
        decorate(function)


@pytest.mark.parametrize("what", [what for what, (function, _) in UNCACHEABLE.items() if callable(function)])
def test_what_cannot_be_cached_is_refused_by_the_bare_lru_decorator(what: str) -> None:
    function, words = UNCACHEABLE[what]
    bare: Any = AsyncLRU
    with refused(TypeError, *words):
        bare(function)


NO_TTL = [
    "a generator",
    "an async generator",
    "a class method",
    "a static method",
    "a cached function",
    "a function with a parameter use_cache",
]


@pytest.mark.parametrize("what", NO_TTL)
def test_what_can_be_no_ttl_either_is_refused_by_the_bare_ttl_decorator(what: str) -> None:
    function, words = UNCACHEABLE[what]
    bare: Any = AsyncTTL
    with refused(TypeError, *words):
        bare(function)


def test_a_plain_function_under_the_bare_ttl_decorator_is_noticed_at_its_first_call_at_the_latest() -> None:
    bare: Any = AsyncTTL
    with refused(TypeError, "AsyncTTL", "plain", "async def"):
        bare(plain)(1)


async def test_a_call_of_the_function_in_place_of_the_function_is_refused() -> None:
    coroutine = get(1)
    decorate: Any = cached()
    try:
        with refused(TypeError, "coroutine", "async def"):
            decorate(coroutine)
    finally:
        coroutine.close()


def test_a_method_of_a_cached_function_is_refused() -> None:
    class Repo:
        @AsyncLRU()
        async def get(self, uid: int) -> int:
            return uid

    bound: Any = Repo().get
    with refused(TypeError, "Repo.get", "cached already"):
        AsyncLRU()(bound)


async def test_only_a_cached_function_itself_is_cached_already() -> None:
    inner = AsyncLRU(get)

    @AsyncLRU
    @functools.wraps(inner)
    async def logged(*args: Any, **kwargs: Any) -> int:
        return await inner(*args, **kwargs)

    assert await logged(1) == 1

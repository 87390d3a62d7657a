from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from cache import AsyncLRU, AsyncTTL, cached
from cache.testing import FakeClock


async def get(uid: int, flag: bool = False) -> str:
    return f"<{uid}, {flag}>"


def plain(uid: int) -> Awaitable[str]:
    return get(uid)


def generator(uid: int) -> Iterator[int]:
    yield uid


async def async_generator(uid: int) -> AsyncIterator[int]:
    yield uid


class Getter:
    async def __call__(self, uid: int) -> str:
        return f"<{uid}>"


async def with_class(cls: Any, uid: int) -> int:
    return uid


async def with_switch(uid: int, use_cache: bool = True) -> int:
    return uid


# -- presets ---------------------------------------------------------------------------------------------------


FORMS = {
    "AsyncLRU": (AsyncLRU, 128),
    "AsyncLRU()": (AsyncLRU(), 128),
    "AsyncLRU(5)": (AsyncLRU(5), 5),
    "AsyncLRU(maxsize=None)": (AsyncLRU(maxsize=None), None),
    "AsyncTTL": (AsyncTTL, 1024),
    "AsyncTTL()": (AsyncTTL(), 1024),
    "AsyncTTL(5, 7)": (AsyncTTL(5, 7), 7),
    "AsyncTTL(time_to_live=5, maxsize=None)": (AsyncTTL(time_to_live=5, maxsize=None), None),
    "cached()": (cached(), 128),
    "cached(maxsize=3)": (cached(maxsize=3), 3),
}


@pytest.mark.parametrize(("decorator", "maxsize"), FORMS.values(), ids=FORMS)
async def test_a_decorator_may_be_bare_or_called(decorator: Any, maxsize: int | None) -> None:
    f = decorator(get)
    assert f.cache_info().maxsize == maxsize
    assert await f(1) == "<1, False>"
    assert f.peek(1) == "<1, False>"


async def test_the_ttl_preset_keeps_results_for_its_seconds(clock: FakeClock) -> None:
    f = AsyncTTL(5, clock=clock)(get)
    await f(1)
    clock.advance(4.999)
    assert f.peek(1) is not None
    clock.advance(0.001)
    assert f.peek(1) is None


async def test_a_ttl_may_be_a_function_of_the_result(clock: FakeClock) -> None:
    f = AsyncTTL(lambda result: 5 if result == "<1, False>" else None, clock=clock)(get)
    await f(1)
    await f(2)
    clock.advance(5)
    assert (f.peek(1), f.peek(2)) == (None, "<2, False>")


async def test_skip_args_may_be_given_by_position() -> None:
    for decorator in (AsyncLRU(128, 1), AsyncTTL(60, 128, 1), cached(skip_args=1)):
        f: Any = decorator(get)
        await f(1)
        assert f.peek("anything") == "<1, False>"


# -- options ---------------------------------------------------------------------------------------------------


async def test_options_reach_the_cache_and_the_key(clock: FakeClock) -> None:
    f = cached(
        maxsize=2, ttl=5, tags=("user:{uid}",), ignore=("flag",), typed=True, policy="s3fifo", track=False,
        namespace="mine", name="users", clock=clock, cache_errors={KeyError: 1.0},
    )(get)  # fmt: skip
    await f(1)
    assert f.peek(1, True) == "<1, False>"
    assert f.peek(1.0) is None  # type: ignore[arg-type]  # another type is the test
    assert "users" in repr(f.cache)
    assert "of 2 entries" in repr(f.cache)
    clock.advance(5)
    assert f.peek(1) is None


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"maxsize": -1}, ValueError, "maxsize=-1"),
        ({"ttl": "60"}, TypeError, "ttl='60'"),
        ({"tags": "users"}, TypeError, "tags='users'"),
        ({"key": 5}, TypeError, "key=5 is of type int: pass a function"),
        ({"ignore": "flag"}, TypeError, "ignore='flag': pass a tuple of strings, such as \\('session'"),
        ({"ignore": (1,)}, TypeError, "ignore contains 1"),
        ({"skip_args": -1}, ValueError, "skip_args=-1"),
        ({"skip_args": True}, TypeError, "skip_args=True"),
        ({"typed": 1}, TypeError, "typed=1"),
        ({"policy": "fifo"}, ValueError, "policy='fifo'"),
        ({"track": "no"}, TypeError, "track='no'"),
        ({"namespace": ""}, ValueError, "namespace=''"),
        ({"name": 5}, TypeError, "name=5"),
        ({"clock": 5}, TypeError, "clock=5"),
        ({"cache_errors": [KeyError]}, TypeError, "cache_errors="),
        ({"key": repr, "ignore": ("flag",)}, TypeError, "makes the whole key: leave out ignore, skip_args and typed"),
        ({"key": repr, "skip_args": 1}, TypeError, "makes the whole key"),
        ({"key": repr, "typed": True}, TypeError, "makes the whole key"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_before_there_is_a_function(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        cached(**options)
    if "maxsize" not in options and "ttl" not in options:
        for preset in (AsyncLRU, AsyncTTL):
            with pytest.raises(kind, match=message):
                preset(**options)


def test_an_option_that_there_is_not_is_refused_with_those_there_are() -> None:
    presets: list[Any] = [AsyncLRU, AsyncTTL]
    for preset in presets:
        with pytest.raises(TypeError, match=rf"{preset.__name__} has no option 'max_size'.*cache_errors"):
            preset(max_size=3)


def test_a_preset_says_where_its_ttl_is() -> None:
    with pytest.raises(TypeError, match=r"AsyncLRU takes no ttl=5: use AsyncTTL\(time_to_live"):
        AsyncLRU(ttl=5)  # type: ignore[call-overload]  # the wrong call is the test
    with pytest.raises(TypeError, match="AsyncTTL takes no ttl=5: use time_to_live="):
        AsyncTTL(ttl=5)  # type: ignore[call-overload]  # the wrong call is the test
    with pytest.raises(ValueError, match="time_to_live=-1"):
        AsyncTTL(-1)


def test_options_that_name_no_parameter_are_refused_at_decoration() -> None:
    with pytest.raises(ValueError, match="ignore contains 'nobody'"):
        cached(ignore=("nobody",))(get)
    with pytest.raises(ValueError, match=r"names \{nobody\}, which is no parameter"):
        cached(tags=("{nobody}",))(get)
    with pytest.raises(ValueError, match=r"names \{flag\}, which is left out of the key"):
        cached(tags=("{flag}",), ignore=("flag",))(get)
    with pytest.raises(ValueError, match="skip_args=3"):
        cached(skip_args=3)(get)


# -- what is decorated -----------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, str]] = {
    "plain": (plain, "plain is a plain function: make it an async def, or use functools.lru_cache"),
    "generator": (generator, "generator is a generator: make it an async def"),
    "async generator": (async_generator, "async_generator is an async generator: its items cannot be replayed"),
    "class": (Getter, "Getter is a class: decorate the async def functions in it"),
    "object": (Getter(), "is an object that can be called: decorate its method"),
    "classmethod": (classmethod(with_class), "is a classmethod already: put @classmethod above the cache decorator"),
    "staticmethod": (staticmethod(get), "is a staticmethod already: put @staticmethod above the cache decorator"),
    "number": (5, "5 is of type int: a cache decorator takes an async def"),
    "switch": (with_switch, "with_switch has a parameter use_cache"),
}


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_cached_is_refused_with_what_to_do(function: Any, message: str) -> None:
    for decorator in (cached(), AsyncLRU(), AsyncTTL(60)):
        with pytest.raises(TypeError, match=message):
            decorator(function)


@pytest.mark.parametrize("name", ["generator", "async generator", "class", "classmethod", "staticmethod", "switch"])
@pytest.mark.parametrize("decorator", [AsyncLRU, AsyncTTL])
def test_what_cannot_be_cached_is_refused_by_a_bare_decorator_too(decorator: Any, name: str) -> None:
    function, message = REFUSED[name]
    with pytest.raises(TypeError, match=message):
        decorator(function)


@pytest.mark.parametrize("function", [plain, Getter()], ids=["plain", "object"])
def test_a_function_that_a_bare_ttl_takes_for_a_ttl_is_noticed_when_it_is_called(function: Any) -> None:
    with pytest.raises(TypeError, match="is no async def, as the function that makes the ttl") as refused:
        AsyncTTL(function)(1)
    assert "called with (1)" in str(refused.value)


def test_a_bare_lru_refuses_a_plain_function() -> None:
    with pytest.raises(TypeError, match="plain is a plain function"):
        AsyncLRU(plain)


def test_one_cache_decorator_is_enough() -> None:
    class Repo:
        @AsyncLRU()
        async def get(self, uid: int) -> int:
            return uid

    for wrapper in (AsyncLRU()(get), Repo.get, Repo().get):
        with pytest.raises(TypeError, match="is cached already"):
            cached()(wrapper)


async def test_a_decorator_between_two_cache_decorators_makes_another_function() -> None:
    inner = AsyncLRU()(get)

    @AsyncLRU()
    @functools.wraps(inner)
    async def outer(*args: Any, **kwargs: Any) -> str:
        return "outer " + await inner(*args, **kwargs)

    assert await outer(1) == "outer <1, False>"
    assert outer.peek(1) == "outer <1, False>"
    assert inner.peek(1) == "<1, False>"


@pytest.mark.parametrize(
    ("function", "result"),
    [(functools.partial(get, 7), "<7, False>"), (Getter().__call__, "<7>")],
    ids=["partial", "bound method"],
)
async def test_whatever_else_is_an_async_def_can_be_cached(function: Callable[..., Any], result: str) -> None:
    f: Any = cached()(function)
    args = () if isinstance(function, functools.partial) else (7,)
    assert [await f(*args), await f(*args)] == [result, result]
    assert f.cache_info().hits == 1

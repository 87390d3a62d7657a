from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from cache import AsyncCache, AsyncLRU, cached
from cache._key import ALL
from cache._wrapper import MARK, Cached, CacheInfo, cached_of, name_of
from tests.spec.steering import Loader, start


async def get(uid: int, flag: bool = False) -> str:
    """Get a user."""
    return f"<{uid}, {flag}>"


def cached_by(wrapper: object) -> Cached:
    found = cached_of(wrapper)
    assert found is not None
    return found


@pytest.fixture
def f() -> Any:
    return cached(maxsize=3, name="users")(get)


# -- what a wrapper is -----------------------------------------------------------------------------------------


def test_a_wrapper_looks_like_its_function(f: Any) -> None:
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(f, name) == getattr(get, name)
    assert f.__wrapped__ is get
    assert inspect.signature(f) == inspect.signature(get)
    assert inspect.iscoroutinefunction(f)


def test_a_wrapper_is_known_by_its_mark(f: Any) -> None:
    class Repo:
        list = f

        @staticmethod
        @AsyncLRU()
        async def one() -> None: ...

        two = classmethod(AsyncLRU()(get))

    @functools.wraps(f)
    async def wrapped(*args: Any) -> Any:
        return await f(*args)

    assert getattr(f, MARK) is cached_by(f)
    assert cached_by(f).call is f
    assert cached_by(Repo.list) is cached_by(Repo().list) is cached_by(wrapped) is cached_by(f)
    assert cached_by(vars(Repo)["one"]).call is Repo.one
    assert cached_by(vars(Repo)["two"]).function is get
    for other in (get, None, 5, AsyncCache()):
        assert cached_of(other) is None


def test_a_function_is_named_by_what_it_calls() -> None:
    class Callable_:  # noqa: N801 - it stands for a class of anybody's
        def __call__(self) -> None: ...

        def __repr__(self) -> str:
            return "<a callable>"

    assert name_of(get) == "get"
    assert name_of(functools.partial(functools.partial(get, 1), flag=True)) == "get"
    assert name_of(Callable_()) == "<a callable>"


# -- calls -----------------------------------------------------------------------------------------------------


async def test_a_call_that_binds_alike_is_one_entry(f: Any) -> None:
    assert [await f(1), await f(uid=1), await f(1, False)] == ["<1, False>"] * 3
    assert len(f.cache) == 1
    assert f.cache_info() == CacheInfo(hits=2, misses=1, maxsize=3, currsize=1)


async def test_an_entry_put_by_hand_under_the_key_of_a_call_is_what_the_call_returns(f: Any) -> None:
    f.cache.set(f.cache_key(1), "by hand")
    assert await f(1) == "by hand"
    assert f.peek(1) == "by hand"


async def test_use_cache_false_and_refresh_load_anew_and_store(f: Any) -> None:
    ways: list[Callable[[], Any]] = [lambda: f(1, use_cache=False), lambda: f.refresh(1)]
    for anew in ways:
        f.cache.set(f.cache_key(1), "old")
        assert await anew() == "<1, False>"
        assert f.peek(1) == "<1, False>"


async def test_what_the_function_would_refuse_is_refused_everywhere(f: Any) -> None:
    for call in (f.cache_key, f.invalidate_cache):
        with pytest.raises(TypeError, match="was given other arguments"):
            call(1, 2, 3)
    with pytest.raises(TypeError, match="argument"):
        f.peek(1, 2, 3)
    for call in (f, f.refresh):
        with pytest.raises(TypeError, match="argument"):
            await call(1, 2, 3)


async def test_an_argument_may_be_called_self() -> None:
    @AsyncLRU()
    async def f(**more: Any) -> Any:
        return more

    anything: Any = f
    assert await anything(self=1, args=2) == {"self": 1, "args": 2}
    assert anything.peek(self=1, args=2) == {"self": 1, "args": 2}
    assert anything.invalidate_cache(self=1, args=2)
    assert await anything.refresh(self=1) == {"self": 1}


async def test_peek_finds_what_is_stored_and_changes_nothing(f: Any) -> None:
    assert f.peek(1) is None
    await f(1)
    before = f.get_metrics()
    assert f.peek(uid=1) == "<1, False>"
    assert f.get_metrics() == before


async def test_functools_names_do_what_they_do_there(f: Any) -> None:
    await f(1)
    assert f.cache_parameters() == {"maxsize": 3, "typed": False}
    assert cached(maxsize=None, typed=True)(get).cache_parameters() == {"maxsize": None, "typed": True}
    assert f.cache_clear()
    assert f.cache_info() == CacheInfo(0, 0, 3, 0)


async def test_two_wrappers_of_one_function_share_nothing() -> None:
    one, other = AsyncLRU()(get), AsyncLRU()(get)
    await one(1)
    assert other.peek(1) is None
    assert one.cache is not other.cache


# -- tags ------------------------------------------------------------------------------------------------------


def tagged(tags: Iterable[str] | Callable[..., Iterable[str]], **options: Any) -> Any:
    return cached(tags=tags, namespace="wrapper", **options)(get)


async def test_a_call_carries_the_tags_of_its_arguments() -> None:
    f = tagged(("users", "user:{uid}"))
    await f(1)
    await f(2)
    assert f.cache.invalidate("user:1")
    assert (f.peek(1), f.peek(2)) == (None, "<2, False>")
    assert f.cache.invalidate("users")
    assert f.peek(2) is None


async def test_a_call_carries_the_tags_that_a_function_makes_of_its_result_and_arguments() -> None:
    f = tagged(lambda result, uid, flag=None: (f"{result}", f"{uid}-{flag}"))
    await f(1, True)
    await f(2, True)
    assert f.cache.invalidate("<1, True>")
    assert f.cache.invalidate("2-True")
    assert (f.peek(1, True), f.peek(2, True)) == (None, None)


@pytest.mark.parametrize("made", ["users", 5, [7], [""]])
async def test_tags_made_of_a_result_are_checked(made: Any) -> None:
    f = tagged(lambda *_: made)
    with pytest.raises((TypeError, ValueError), match="the result of tags=<function"):
        await f(1)
    assert len(f.cache) == 0


async def test_what_is_set_by_hand_carries_the_tags_that_its_key_tells() -> None:
    f = tagged(("user:{uid}",))
    f.cache.set(f.cache_key(1), "by hand")
    assert f.cache.invalidate("user:1")
    assert f.peek(1) is None


@pytest.mark.parametrize(
    ("tags", "key"),
    [
        (("user:{uid}",), "a key of another kind"),
        (("user:{uid}",), None),
        (lambda *_: (), None),
    ],
)
async def test_what_is_set_by_hand_must_say_its_tags_where_the_key_does_not(tags: Any, key: Any) -> None:
    f = tagged(tags)
    key = f.cache_key([1]) if key is None else key
    with pytest.raises(TypeError, match=r"get has tags that cannot be told from the key .* say with tags="):
        f.cache.set(key, "by hand")
    f.cache.set(key, "by hand", tags=("mine",))
    assert f.cache.peek(key) == "by hand"
    f.cache.invalidate("mine")
    assert f.cache.peek(key) is None


# -- wildcards -------------------------------------------------------------------------------------------------


async def test_a_wildcard_is_a_name_on_which_every_entry_rests_that_agrees() -> None:
    f = AsyncLRU()(get)
    mine = cached_by(f)
    mine.declare((0,))
    for uid in (1, 2):
        for flag in (True, False):
            await f(uid, flag)
    with f.cache.mutating(mine.wildcard({"uid": 1})):
        pass
    assert [f.peek(1, True), f.peek(1, False)] == [None, None]
    assert [f.peek(2, True), f.peek(2, False)] == ["<2, True>", "<2, False>"]


async def test_a_wildcard_reaches_loads_in_progress_and_what_was_set_by_hand() -> None:
    loader = Loader()

    @AsyncLRU()
    async def f(uid: int, flag: bool = False) -> Any:
        return await loader(uid, flag)

    mine = cached_by(f)
    mine.declare((0,))
    f.cache.set(f.cache_key(1, True), "by hand")
    reader = await start(f(1, False))
    with f.cache.mutating(mine.wildcard({"uid": 1})):
        pass
    loader.end("old")
    await reader
    assert (f.peek(1, True), f.peek(1, False)) == (None, None)


async def test_to_declare_a_wildcard_drops_what_does_not_rest_on_it_yet() -> None:
    f = AsyncLRU()(get)
    await f(1)
    cached_by(f).declare((0,))
    assert len(f.cache) == 0
    await f(1)
    cached_by(f).declare((0,))
    assert len(f.cache) == 1


def test_a_wildcard_over_nothing_is_everything() -> None:
    assert cached_by(AsyncLRU()(get)).wildcard({}) is ALL
    assert cached_by(AsyncLRU()(get)).wildcard({"stranger": 1}) is ALL


async def test_a_key_that_was_made_otherwise_rests_on_no_wildcard() -> None:
    f = AsyncLRU()(get)
    cached_by(f).declare((0,))
    assert f.cache.set("a key of another kind", 1)
    assert f.cache.peek("a key of another kind") == 1

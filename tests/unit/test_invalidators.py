from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cache import AsyncCache, AsyncLRU, AsyncLRUInvalidator, AsyncTTL, AsyncTTLInvalidator, invalidates
from cache._window import enclosing
from cache.testing import FakeClock
from tests.spec.steering import Loader, start
from tests.unit.users import CALLS, filled, kept, update, users

# -- order -----------------------------------------------------------------------------------------------------


async def test_the_keys_are_covered_while_the_mutation_runs_and_invalidated_again_after_it() -> None:
    f, loader = users(), Loader()
    await filled(f, (1,))

    @invalidates(f)
    async def change(uid: int, flag: bool) -> Any:
        assert f.peek(uid, flag) is None
        assert len(list(enclosing())) == 1
        return await loader()

    changing = await start(change(1, False))
    await f(1)
    assert f.peek(1) is None
    loader.end("done")
    assert await changing == "done"
    assert not list(enclosing())
    await f(1)
    assert f.peek(1) == (1, False)


@pytest.mark.parametrize("error", [KeyError("no"), KeyboardInterrupt()], ids=repr)
async def test_an_error_of_the_mutation_passes_unchanged_and_closes_the_window(error: BaseException) -> None:
    f = await filled(users(), (1,))

    @invalidates(f)
    async def change(uid: int, flag: bool = False) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await change(1)
    assert caught.value is error
    assert f.peek(1) is None
    await f(1)
    assert f.peek(1) is not None


async def test_a_mutation_whose_end_is_ambiguous_lingers_as_asked(clock: FakeClock) -> None:
    f = users(clock=clock)

    @invalidates(f, linger=lambda error: 3.0 if error else 0.0)
    async def change(uid: int, flag: bool = False) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await change(1)
    await f(1)
    clock.advance(2.999)
    assert f.peek(1) is None
    clock.advance(0.001)
    await f(1)
    assert f.peek(1) is not None


async def test_a_cancelled_mutation_lingers_by_default(clock: FakeClock) -> None:
    f, loader = users(clock=clock), Loader()

    @invalidates(f)
    async def change(uid: int, flag: bool = False) -> Any:
        return await loader()

    changing = await start(change(1))
    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    await f(1)
    assert f.peek(1) is None
    clock.advance(1.0)
    await f(1)
    assert f.peek(1) is not None


# -- tags, everything, several ---------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", [None, "mine"])
async def test_tags_are_filled_with_the_mutations_arguments(namespace: str | None) -> None:
    f = users(tags=("user:{uid}",), namespace="mine")
    other = AsyncCache(namespace="mine")
    other.set("k", "v", tags=("user:1",))
    await filled(f, *CALLS)
    targets = (f,) if namespace is None else ()
    await invalidates(*targets, tags=("user:{uid}",), namespace=namespace, key_fn=None if not targets else _nothing)(
        update
    )(1)
    assert kept(f, *CALLS) == [(2, False)]
    assert "k" not in other


def _nothing(_: Any, __: Any) -> list[Any]:
    return []


async def test_tags_alone_live_in_the_default_namespace() -> None:
    cache = AsyncCache()
    cache.set("k", "v", tags=("user:1",))
    await invalidates(tags=("user:{uid}",))(update)(1)
    assert "k" not in cache


async def test_clear_all_changes_every_result() -> None:
    f, g = await filled(users(), *CALLS), await filled(users(), *CALLS)
    await invalidates(f, g, clear_all=True)(update)(1)
    assert (kept(f, *CALLS), kept(g, *CALLS)) == ([], [])


async def test_invalidators_stack() -> None:
    f, g = users(), users()
    change = invalidates(f)(invalidates(g)(update))
    await filled(f, *CALLS)
    await filled(g, *CALLS)
    assert await change(1, name="x") == "updated 1"
    assert kept(f, *CALLS) == kept(g, *CALLS) == [(2, False)]


# -- what is decorated -----------------------------------------------------------------------------------------


def test_a_mutation_looks_like_itself() -> None:
    change = invalidates(users())(update)
    assert inspect.iscoroutinefunction(change)
    assert inspect.signature(change) == inspect.signature(update)
    assert change.__name__ == "update"


def plain(uid: int) -> Awaitable[None]:
    raise NotImplementedError


async def items(uid: int) -> Any:
    yield uid


@pytest.mark.parametrize(
    ("mutation", "message"),
    [
        (plain, "plain is a plain function: an invalidator decorates an async def"),
        (items, "items is an async generator"),
        (staticmethod(update), "is a staticmethod already: put @staticmethod above the invalidator"),
        (5, "5 is of type int"),
    ],
    ids=["plain", "generator", "static", "number"],
)
def test_what_is_no_async_def_is_refused_at_decoration(mutation: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        invalidates(users())(mutation)


@pytest.mark.parametrize("target", [update, plain, None, AsyncCache()], ids=["async", "plain", "none", "cache"])
def test_what_is_not_cached_cannot_be_invalidated(target: Any) -> None:
    with pytest.raises(TypeError, match="is not a cached function: an invalidator is given the functions"):
        invalidates(target)


async def _async_key(args: Any, kwargs: Any) -> Any: ...


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key_fn": 5}, "key_fn=5 is of type int"),
        ({"key_fn": _async_key}, "is async: the keys are made before anything may wait"),
        ({"key_fn": _nothing, "clear_all": True}, "pass one of the two"),
        ({"clear_all": 1}, "clear_all=1 is of type int"),
        ({"tags": "users"}, "tags='users'"),
        ({"namespace": 5}, "namespace=5"),
        ({"linger": "1"}, "linger='1'"),
    ],
    ids=["number", "async", "both", "flag", "tags", "namespace", "linger"],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        invalidates(users(), **options)


def test_an_invalidator_of_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="needs to know what changes"):
        invalidates()
    with pytest.raises(TypeError, match="makes the keys of cached functions"):
        invalidates(key_fn=_nothing, tags=("a",))
    with pytest.raises(ValueError, match="no parameter of it"):
        invalidates(tags=("user:{nobody}",))(update)


# -- presets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [AsyncLRUInvalidator, AsyncTTLInvalidator], ids=["lru", "ttl"])
@pytest.mark.parametrize("decorator", [AsyncLRU(), AsyncTTL(60)], ids=["of lru", "of ttl"])
async def test_either_preset_takes_any_cached_function(preset: Any, decorator: Callable[[Any], Any]) -> None:
    f = decorator(users().__wrapped__)
    change = preset(f)(update)
    await filled(f, *CALLS)
    await change(1)
    assert kept(f, *CALLS) == [(2, False)]


@pytest.mark.parametrize("skip_args", [1, -1, "one", None])
def test_skip_args_of_a_preset_is_refused_with_what_replaces_it(skip_args: Any) -> None:
    with pytest.raises(TypeError, match="key_fn=lambda args, kwargs"):
        AsyncLRUInvalidator(users(), skip_args=skip_args)

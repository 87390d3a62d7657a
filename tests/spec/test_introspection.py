from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import pydoc
import typing
from collections.abc import Callable
from typing import Annotated, Any
from unittest.mock import create_autospec

import pytest

from cache import AsyncCache, AsyncLRU, AsyncTTL, cached


class Thing:
    """Named in annotations."""


async def plain(uid: int, /, thing: Thing | None = None, *more: str, flag: bool = False, **named: Thing) -> list[Thing]:
    """Find things."""
    return [thing] if thing else []


plain.extra = "an attribute of its own"  # type: ignore[attr-defined]  # functions take attributes, and checkers do not

found = AsyncLRU(plain)


@cached(ttl=5, tags=("things",))
async def at_the_door(uid: int) -> Thing:
    """Stand where pickle finds it."""
    return Thing()


class Repo:
    @AsyncLRU()
    async def get(self, uid: int, flag: bool = False) -> Thing:
        """Get one."""
        return Thing()

    @classmethod
    @AsyncLRU()
    async def of_class(cls, uid: int) -> Thing:
        return Thing()

    @staticmethod
    @AsyncLRU()
    async def of_nobody(uid: int) -> Thing:
        return Thing()


ATTRIBUTES = ["__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "extra"]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_the_wrapper_has_what_the_function_has(attribute: str) -> None:
    assert getattr(found, attribute) == getattr(plain, attribute)


def test_the_wrapper_is_a_function() -> None:
    assert inspect.isfunction(found)
    assert callable(found)


def test_the_wrapper_is_a_real_coroutine_function() -> None:
    assert inspect.iscoroutinefunction(found)
    assert inspect.iscoroutinefunction(inspect.unwrap(found))
    coroutine = found(1)
    assert inspect.iscoroutine(coroutine)
    coroutine.close()


def test_the_wrapper_has_the_signature_of_the_function() -> None:
    for follow_wrapped in (True, False):
        assert inspect.signature(found, follow_wrapped=follow_wrapped) == inspect.signature(plain)


def test_the_wrapper_wraps_the_function() -> None:
    assert found.__wrapped__ is plain
    assert inspect.unwrap(found) is plain


def test_the_source_of_the_wrapper_is_that_of_the_function() -> None:
    assert inspect.getsource(found) == inspect.getsource(plain)


def test_annotations_can_be_resolved() -> None:
    assert typing.get_type_hints(found) == typing.get_type_hints(plain)
    assert typing.get_type_hints(found)["return"] == list[Thing]


def test_annotations_of_a_function_in_a_function_can_be_resolved_where_it_stands() -> None:
    class Local:
        pass

    @AsyncLRU
    async def get(x: Annotated[Local, "metadata"]) -> Local:
        return x

    hints = typing.get_type_hints(get, localns=locals(), include_extras=True)
    assert hints == {"x": Annotated[Local, "metadata"], "return": Local}


def test_help_shows_the_function() -> None:
    text = pydoc.plain(pydoc.render_doc(at_the_door))
    assert "at_the_door(uid: 'int') -> 'Thing'" in text
    assert "Stand where pickle finds it." in text


@pytest.mark.parametrize("decorate", [AsyncLRU, AsyncTTL])
async def test_a_framework_that_reads_signatures_can_call_it(decorate: Callable[..., Any]) -> None:
    calls: list[dict[str, Any]] = []

    async def endpoint(uid: int, page: int = 1, *, query: str | None = None) -> str:
        calls.append({"uid": uid, "page": page, "query": query})
        return f"{uid}/{page}/{query}"

    handler = decorate(endpoint)
    request = {"uid": "7", "query": "x"}
    hints = typing.get_type_hints(handler)
    values: dict[str, Any] = {}
    for name, parameter in inspect.signature(handler).parameters.items():
        if name in request:
            values[name] = int(request[name]) if hints[name] is int else request[name]
        else:
            assert parameter.default is not inspect.Parameter.empty
    assert await handler(**values) == "7/1/x"
    assert await handler(**values) == "7/1/x"
    assert calls == [{"uid": 7, "page": 1, "query": "x"}]


# -- methods -----------------------------------------------------------------------------------------------------


def test_a_method_is_seen_as_one() -> None:
    repo = Repo()
    assert inspect.ismethod(repo.get)
    assert inspect.iscoroutinefunction(repo.get)
    assert list(inspect.signature(Repo.get).parameters) == ["self", "uid", "flag"]
    assert list(inspect.signature(repo.get).parameters) == ["uid", "flag"]
    assert typing.get_type_hints(Repo.get)["return"] is Thing
    assert (Repo.get.__qualname__, Repo.get.__doc__) == ("Repo.get", "Get one.")


def test_class_methods_and_static_methods_are_seen_as_such() -> None:
    registry: Any = Repo
    assert inspect.iscoroutinefunction(registry.of_class)
    assert inspect.iscoroutinefunction(registry.of_nobody)
    assert list(inspect.signature(registry.of_class).parameters) == ["uid"]
    assert list(inspect.signature(registry.of_nobody).parameters) == ["uid"]
    assert isinstance(inspect.getattr_static(Repo, "of_class"), classmethod)


async def test_a_mock_made_from_it_is_asynchronous() -> None:
    mock = create_autospec(at_the_door, return_value=7)
    assert await mock(1) == 7
    with pytest.raises(TypeError):
        await mock(1, 2, 3)


# -- stacks ------------------------------------------------------------------------------------------------------


async def test_what_a_wraps_decorator_copies_still_works_through_it() -> None:
    def logged(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return call

    @logged
    @logged
    @AsyncLRU()
    async def get(uid: int) -> int:
        return uid

    assert list(inspect.signature(get).parameters) == ["uid"]
    assert await get(1) == 1
    assert get.peek(1) == 1
    assert get.invalidate_cache(1)
    assert get.peek(1) is None
    assert await get(1, use_cache=False) == 1


async def test_the_signature_that_an_inner_decorator_shows_is_the_one_that_counts() -> None:
    def logged(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return call

    @AsyncLRU()
    @logged
    async def get(uid: int, flag: bool = False) -> int:
        return uid

    assert list(inspect.signature(get).parameters) == ["uid", "flag"]
    assert get.cache_key(1) == get.cache_key(uid=1, flag=False)


async def test_a_partial_of_a_wrapper_is_a_call_with_fewer_arguments() -> None:
    @AsyncLRU
    async def get(tenant: str, uid: int) -> str:
        return f"{tenant}/{uid}"

    of_tenant = functools.partial(get, "a")
    assert inspect.iscoroutinefunction(of_tenant)
    assert await of_tenant(1) == "a/1"
    assert get.peek("a", 1) == "a/1"


# -- copies ------------------------------------------------------------------------------------------------------


def test_a_copy_of_the_wrapper_is_the_wrapper_as_with_any_function() -> None:
    assert copy.copy(at_the_door) is at_the_door
    assert copy.deepcopy(at_the_door) is at_the_door
    assert copy.deepcopy({"handler": at_the_door})["handler"] is at_the_door


def test_a_wrapper_is_pickled_by_its_name_as_any_function_is() -> None:
    assert pickle.loads(pickle.dumps(at_the_door)) is at_the_door  # noqa: S301 - pickled one line above
    assert pickle.loads(pickle.dumps(Repo.get)) is Repo.get  # noqa: S301 - pickled one line above


async def test_a_bound_method_survives_pickling() -> None:
    bound = pickle.loads(pickle.dumps(Repo().get))  # noqa: S301 - pickled one line above
    assert isinstance(await bound(1), Thing)


# -- what is generated -------------------------------------------------------------------------------------------


def generated(function: Any) -> str:
    """The source of what a hit runs through."""
    return inspect.getsource(function.__code__)


def test_the_generated_source_can_be_read() -> None:
    assert generated(found).lstrip().startswith("async def cached(uid, /, thing=")


def test_what_is_not_used_has_no_line_in_the_source() -> None:
    async def get(uid: int) -> int:
        return uid

    bare = cached(track=False)(get)
    assert "clock" not in generated(bare)
    assert "frame" not in generated(bare)
    assert "clock" in generated(cached(track=False, ttl=5)(get))
    assert "frame" in generated(cached()(get))
    assert "types" in generated(cached(typed=True)(get))
    assert "types" not in generated(bare)


async def test_a_debugger_sees_the_generated_lines() -> None:
    @AsyncLRU
    async def get(uid: int) -> int:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$") as caught:
        await get(1)
    shown = [str(entry.statement) for entry in caught.traceback]
    assert any("return await _c_result" in line for line in shown), shown
    assert "raise ValueError" in shown[-1]


def test_nothing_is_put_into_the_module_of_the_function() -> None:
    before = set(globals())

    async def get(uid: int) -> int:
        return uid

    AsyncLRU()(get)
    assert set(globals()) == before


# -- what is shown -----------------------------------------------------------------------------------------------


def test_a_cache_shows_its_name_and_its_size() -> None:
    cache = AsyncCache(maxsize=10, name="users")
    cache.set(1, "v")
    assert repr(cache) == "<AsyncCache 'users': 1 of 10 entries>"
    assert "any number of" in repr(AsyncCache(maxsize=None))


def test_the_function_of_a_task_can_be_told_from_its_name() -> None:
    @cached(name="users")
    async def get(uid: int) -> str:
        task = asyncio.current_task()
        return "" if task is None else task.get_name()

    assert "users" in asyncio.run(get(1))

"""Values come back as what the function is annotated to return, or are kept in memory only."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from cache import AsyncCache, cached
from cache.codec import MsgspecCodec, PickleCodec
from tests.spec.backed import Colour, Open, User, forget, from_backup, nobody
from tests.spec.steering import metric


class Struct(msgspec.Struct):
    uid: int


class Model(BaseModel):
    uid: int


VALUES: list[tuple[Any, Any]] = [
    (User, User(1)),
    (list[User], [User(1), User(2, "Eva")]),
    (dict[str, User], {"a": User(1)}),
    (User | None, None),
    (Colour, Colour.RED),
    (Struct, Struct(7)),
    (Model, Model(uid=7)),
    (tuple[int, str], (1, "x")),
    (Any, {"a": [1, 2.5, None, True, b"x", "ü", {1, 2}, (3,)]}),
    (int, 2**70),
    (str, "\ud800"),
]


@pytest.mark.parametrize(("annotation", "value"), VALUES, ids=[repr(value)[:30] for _, value in VALUES])
async def test_a_value_comes_back_equal_and_of_its_type(open_file: Open, annotation: Any, value: Any) -> None:
    async def make() -> Any:
        return value

    make.__annotations__["return"] = annotation
    f: Any = cached(name="f", backup=open_file())(make)
    await f()
    await forget(f)
    found = await f()
    assert found == value
    assert type(found) is type(value)
    assert from_backup(f) == (1, 1)


async def test_what_is_defined_below_a_function_may_be_what_it_returns(open_file: Open) -> None:
    module: dict[str, Any] = {"__name__": __name__, "cached": cached, "disk": open_file(), "dataclass": dataclass}
    exec(  # noqa: S102 - a module whose functions come first
        "from __future__ import annotations\n"
        "@cached(name='f', backup=disk)\n"
        "async def f() -> Later:\n    return Later(1)\n",
        module,
    )

    @dataclass
    class Later:
        x: int

    Later.__qualname__ = "Later"
    module["Later"] = Later
    await module["f"]()
    assert metric(module["f"].cache, "backup_unencodable") == 0
    await forget(module["f"])
    assert await module["f"]() == Later(1)
    assert from_backup(module["f"]) == (1, 1)


async def test_a_value_without_bytes_is_kept_in_memory_only_counted_and_logged_once(
    open_file: Open, caplog: pytest.LogCaptureFixture
) -> None:
    cache = AsyncCache(name="c", backup=open_file())
    values = [object(), object()]
    for number, value in enumerate(values):
        assert await cache.get(number, lambda value=value: value) is value  # type: ignore[misc]  # a default binds
    assert [cache.peek(number) for number in range(2)] == values
    assert metric(cache, "backup_unencodable") == 2
    (told,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert told.getMessage().startswith("c: a value is kept in memory only")
    assert "PickleCodec" in told.getMessage()
    await forget(cache)
    assert await cache.get(0, lambda: "anew") == "anew"


async def test_any_object_may_be_kept_by_a_signed_pickle(open_file: Open) -> None:
    disk = open_file(codec=PickleCodec(key=b"k" * 32))
    cache = AsyncCache(name="c", backup=disk)
    await cache.get("a", lambda: {User(1): {2j}})
    await forget(cache)
    assert await cache.get("a", nobody) == {User(1): {2j}}


async def test_what_was_signed_with_another_key_is_refused(open_file: Open) -> None:
    for number, key in enumerate((b"k" * 32, b"l" * 32)):
        cache = AsyncCache(name="c", backup=open_file(codec=PickleCodec(key=key)))
        assert await cache.get("a", lambda number=number: number) == number  # type: ignore[misc]  # a default binds
        await forget(cache)
        assert metric(cache, "backup_refused") == number


async def test_the_codec_of_one_cache_may_be_made_from_that_of_the_tier(open_file: Open) -> None:
    cache = AsyncCache(name="c", backup=open_file(), codec=lambda own: own.typed(User))
    await cache.get("a", lambda: User(1))
    await forget(cache)
    assert await cache.get("a", nobody) == User(1)


async def test_the_codec_of_one_cache_may_be_its_own(open_file: Open) -> None:
    cache = AsyncCache(name="c", backup=open_file(), codec=MsgspecCodec(User))
    await cache.get("a", lambda: User(1))
    await forget(cache)
    assert await cache.get("a", nobody) == User(1)


async def test_the_value_of_another_version_of_a_function_is_refused_counted_once_and_replaced(
    open_file: Open,
) -> None:
    disk = open_file()

    @cached(name="f", backup=disk)
    async def before() -> int:
        return 1

    await before()
    await forget(before)
    del before
    gc.collect()

    @cached(name="f", backup=disk)
    async def after() -> str:
        return "one"

    assert await after() == "one"
    assert metric(after.cache, "backup_refused") == 1
    await forget(after)
    assert await after() == "one"
    assert from_backup(after) == (1, 0)


async def test_a_value_that_is_changed_by_who_was_given_it_is_in_the_tier_as_it_was(open_file: Open) -> None:
    cache = AsyncCache(name="c", backup=open_file())
    (await cache.get("a", lambda: [1])).append(2)
    await forget(cache)
    assert await cache.get("a", nobody) == [1]


@pytest.mark.parametrize("key", [1, "a", (1, "a"), None, 2.5, b"x", Colour.RED, frozenset({1, 2}), True])
async def test_a_key_may_be_anything_that_is_the_same_in_every_process(open_file: Open, key: Any) -> None:
    cache = AsyncCache(name="c", backup=open_file())
    await cache.get(key, lambda: 1)
    await forget(cache)
    assert await cache.get(key, lambda: 2) == 1


async def test_a_key_that_is_another_in_every_process_is_refused_at_the_call(open_file: Open) -> None:
    cache = AsyncCache(name="c", backup=open_file(), batch_window_ms=0)
    key = object()
    for call in (
        lambda: cache.get(key, lambda: 1),
        lambda: cache.get(key, batch_loader=lambda keys: keys),
        lambda: cache.set(key, 1),
        lambda: cache.delete(key),
        lambda: cache.mutating(key).__aenter__(),
    ):
        with pytest.raises(TypeError, match="no form that is the same in every process"):
            await call()
    with pytest.raises(TypeError, match="no form that is the same in every process"):
        cache.get_blocking(key, lambda: 1)
    assert len(cache) == 0

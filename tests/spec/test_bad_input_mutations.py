"""What is wrong is refused at once, in words that name it; and the cache is as sound and as useful as before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import cache as door
from cache import AsyncCache, AsyncLRU
from tests.spec.refusal import NAN, Wrong, refused, still_works, wrong
from tests.spec.steering import Loader


@pytest.mark.parametrize("tags", [(), (5,), (None,), (("a", "b"),), (b"a",)], ids=repr)
async def test_tags_that_are_none_are_refused_by_invalidate(tags: Any) -> None:
    cache = AsyncCache()
    for invalidate in (cache.invalidate, door.invalidate):
        with refused(TypeError, "tag"):
            invalidate(*tags)
    await still_works(cache)


async def test_an_empty_tag_is_refused_by_invalidate() -> None:
    cache = AsyncCache()
    for invalidate in (cache.invalidate, door.invalidate):
        with refused(ValueError, "tags", "empty"):
            invalidate("users", "")


MUTATING = [
    *wrong("tags", TypeError, "a tuple of strings", "abc", 5, None),
    *wrong("everything", TypeError, "True or False", None, 1, "no"),
    *wrong("linger", ValueError, "0 or more", -1, NAN),
    *wrong("linger", TypeError, "0 or more", None, "1", True, timedelta(seconds=1)),
]


@pytest.mark.parametrize("case", MUTATING)
async def test_a_wrong_argument_of_mutating_is_refused_before_anything_is_covered(case: Wrong) -> None:
    cache = AsyncCache()
    arguments: dict[str, Any] = {case.parameter: case.value}
    with refused(case.kind, *case.words):
        cache.mutating("k", **arguments)
    await still_works(cache)


async def test_a_mutation_of_nothing_is_refused() -> None:
    with refused(TypeError, "keys", "tags=", "everything=True"):
        AsyncCache().mutating()


@pytest.mark.parametrize(
    "target", [5, "k", None, len, (), ("a", "b"), (AsyncCache, 1), (1, 2, 3)], ids=lambda target: f"{target!r:.30}"
)
async def test_what_is_no_target_is_refused_by_mutating_of_the_module(target: Any) -> None:
    with refused(TypeError, repr(target)[:30], "cached function", "AsyncCache"):
        door.mutating(target)


async def test_an_unhashable_key_of_a_target_is_refused() -> None:
    @AsyncLRU
    async def get(words: list[str]) -> int:
        return len(words)

    with refused(TypeError, "['a']", "not hashable", "cache_key"):
        door.mutating((get, ["a"]))
    await still_works(get.cache)


@pytest.mark.parametrize(
    "case",
    [
        *wrong("tags", TypeError, "a tuple of strings", "abc", 5),
        *wrong("namespace", TypeError, "a string", 5, None),
        *wrong("namespace", ValueError, "not empty", ""),
        *wrong("linger", ValueError, "0 or more", -1, NAN),
    ],
)
async def test_a_wrong_argument_of_mutating_of_the_module_is_refused(case: Wrong) -> None:
    arguments: dict[str, Any] = {"tags": ("users",), case.parameter: case.value}
    with refused(case.kind, *case.words):
        door.mutating(**arguments)


async def test_a_mutation_of_nothing_is_refused_by_the_module_too() -> None:
    with refused(TypeError, "cached functions", "tags="):
        door.mutating()


WARMUP = [
    *wrong("loaders", TypeError, "mapping of keys to loaders", [1], None, 5, (1, 2)),
    *wrong("concurrency", ValueError, "1 or more", 0, -1),
    *wrong("concurrency", TypeError, "1 or more", "8", 1.5, NAN, True, None),
    *wrong("on_progress", TypeError, "on_progress(done, in_all)", 5, "print"),
]


@pytest.mark.parametrize("case", WARMUP)
async def test_a_wrong_argument_of_warmup_is_refused_and_nothing_is_loaded(case: Wrong) -> None:
    cache, loader = AsyncCache(), Loader()
    arguments: dict[str, Any] = {"loaders": {"k": loader}, case.parameter: case.value}
    with refused(case.kind, *case.words):
        await cache.warmup(**arguments)
    assert loader.calls == []
    await still_works(cache)


async def test_a_loader_of_warmup_that_cannot_be_called_is_refused_with_its_key() -> None:
    cache, loader = AsyncCache(), Loader()
    loaders: Any = {"good": loader, "bad": 5}
    with refused(TypeError, "'bad'", "5", "loader() -> value"):
        await cache.warmup(loaders)
    assert loader.calls == []


@pytest.mark.parametrize(
    "case",
    [
        *wrong("timeout", ValueError, "0 or more", -1, NAN),
        *wrong("timeout", TypeError, "0 or more", None, "5", True, timedelta(seconds=1)),
    ],
)
async def test_a_wrong_timeout_is_refused_and_nothing_is_closed(case: Wrong) -> None:
    cache = AsyncCache()
    cache.set("there", 1)
    with refused(case.kind, *case.words):
        await cache.aclose(case.value)
    with refused(case.kind, *case.words):
        await door.shutdown(case.value)
    assert "there" in cache
    await still_works(cache)

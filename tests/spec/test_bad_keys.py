"""What is wrong is refused at once, in words that name it; and the cache is as sound and as useful as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cache import AsyncCache
from tests.spec.refusal import refused, still_works
from tests.spec.steering import Loader, start


class Hostile:
    """A key whose hash and equality raise when they are told to."""

    def __init__(self, *, hashing: bool = False) -> None:
        self.hashing = hashing
        self.comparing = True

    def __hash__(self) -> int:
        if self.hashing:
            raise OSError("no hash today")
        return 7

    def __eq__(self, other: object) -> bool:
        if self.comparing:
            raise OSError("no comparison today")
        return self is other


USES: dict[str, Callable[[AsyncCache, Any], Any]] = {
    "get": lambda cache, key: cache.get(key, lambda: "v"),
    "get without a loader": lambda cache, key: cache.get(key),
    "get with a batch loader": lambda cache, key: cache.get(key, batch_loader=list),
    "set": lambda cache, key: cache.set(key, "v"),
    "delete": lambda cache, key: cache.delete(key),
    "peek": lambda cache, key: cache.peek(key),
    "in": lambda cache, key: key in cache,
    "mutating": lambda cache, key: cache.mutating(key).__enter__(),
}


async def _use(use: str, cache: AsyncCache, key: Any) -> None:
    result = USES[use](cache, key)
    if use.startswith("get"):
        await result


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("key", [[1], {"a": 1}, {1}, (1, [2])], ids=["list", "dict", "set", "tuple with a list"])
async def test_a_key_that_is_not_hashable_is_refused(use: str, key: Any) -> None:
    cache = AsyncCache()
    with refused(TypeError, f"key={key!r}", "not hashable", "pass a"):
        await _use(use, cache, key)
    await still_works(cache)


@pytest.mark.parametrize("use", USES)
async def test_an_error_of_the_hash_of_a_key_reaches_the_caller(use: str) -> None:
    cache = AsyncCache()
    with pytest.raises(OSError, match="no hash today"):
        await _use(use, cache, Hostile(hashing=True))
    await still_works(cache)


@pytest.mark.parametrize("use", USES)
async def test_an_error_of_the_comparison_of_keys_reaches_the_caller(use: str) -> None:
    cache, stored = AsyncCache(), Hostile()
    cache.set(stored, "there")
    with pytest.raises(OSError, match="no comparison today"):
        await _use(use, cache, Hostile())
    stored.comparing = False
    assert cache.peek(stored) == "there"
    await still_works(cache)


@pytest.mark.parametrize("use", ["get", "get with a batch loader"])
async def test_an_error_of_the_comparison_with_a_key_that_is_loading_reaches_the_caller(use: str) -> None:
    cache, loader, loading = AsyncCache(), Loader(), Hostile()
    reader = await start(cache.get(loading, loader))
    with pytest.raises(OSError, match="no comparison today"):
        await _use(use, cache, Hostile())
    loading.comparing = False
    loader.end("v")
    assert await reader == "v"
    await still_works(cache)


async def test_keys_need_no_order() -> None:
    cache = AsyncCache()
    keys = [1, "1", None, (1, "1"), 1j, frozenset({1})]
    for key in keys:
        assert await cache.get(key, lambda: "v") == "v"
    assert [key in cache for key in keys] == [True] * len(keys)

from __future__ import annotations

import pytest

from cache import AsyncCache
from tests.spec.steering import Loader, start
from tests.unit.fragile import FragileClock


@pytest.fixture
def fragile() -> FragileClock:
    return FragileClock()


def let_linger(cache: AsyncCache, key: str) -> None:
    """From now on who loads ``key`` has to ask the clock."""
    with cache.mutating(key, linger=5.0):
        pass


async def test_a_look_that_fails_leaves_nothing_behind(fragile: FragileClock) -> None:
    cache = AsyncCache(clock=fragile, default_ttl=5.0)
    cache.set("k", "v")
    fragile.broken = True
    with pytest.raises(ZeroDivisionError):
        await cache.get("k", lambda: "loaded")
    fragile.broken = False
    assert await cache.get("k", lambda: "loaded") == "v"


async def test_a_load_that_cannot_begin_leaves_nothing_behind(fragile: FragileClock) -> None:
    cache = AsyncCache(clock=fragile)
    let_linger(cache, "k")
    fragile.broken = True
    with pytest.raises(ZeroDivisionError):
        await cache.get("k", lambda: "loaded")
    fragile.broken = False
    fragile.now = 5.0
    assert await cache.get("k", lambda: "loaded") == "loaded"
    assert "k" in cache


async def test_a_queued_load_that_cannot_begin_says_so_to_those_who_wait(fragile: FragileClock, loader: Loader) -> None:
    cache = AsyncCache(clock=fragile)
    let_linger(cache, "k")
    readers = [await start(cache.get("k", loader)) for _ in range(2)]
    assert len(loader.calls) == 1
    fragile.broken = True
    loader.end("v")
    for reader in readers:
        with pytest.raises(ZeroDivisionError):
            await reader
    fragile.broken, fragile.now = False, 5.0
    assert await cache.get("k", lambda: "loaded") == "loaded"
    assert "k" in cache


async def test_a_key_that_cannot_be_compared_is_its_owners_trouble(cache: AsyncCache) -> None:
    class Key:
        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            raise TypeError("not with me")

    cache.set(Key(), "v")
    with pytest.raises(TypeError, match="not with me"):
        await cache.get(Key(), lambda: 1)
    assert len(cache) == 1

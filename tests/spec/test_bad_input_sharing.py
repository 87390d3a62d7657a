"""What cannot be shared is refused at the earliest moment, with what was wrong and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import cache
from cache import AsyncCache, AsyncLRU, AsyncTTL, DiskBackend, SharedMemoryBus, cached
from cache.codec import MsgspecCodec

MEDIA = ["bus", "backup"]


@pytest.fixture
def medium(request: pytest.FixtureRequest, disk: DiskBackend, tmp_path: Path) -> dict[str, Any]:
    return {"bus": SharedMemoryBus("shop", directory=tmp_path)} if request.param == "bus" else {"backup": disk}


@pytest.mark.parametrize("value", ["cache.db", 1, object(), DiskBackend, SharedMemoryBus])
@pytest.mark.parametrize("option", MEDIA)
async def test_what_is_no_bus_and_no_tier_is_refused(option: str, value: Any) -> None:
    told = rf"{option}=.* is of type {type(value).__name__}: pass a (bus|tier), such as (SharedMemoryBus|DiskBackend)"
    for make in (AsyncCache, cached, AsyncLRU, AsyncTTL, cache.configure):
        with pytest.raises(TypeError, match=told):
            make(**{option: value})


async def test_the_one_is_not_the_other(disk: DiskBackend, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="pass a bus"):
        AsyncCache(name="c", bus=disk)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(TypeError, match="pass a tier"):
        AsyncCache(name="c", backup=SharedMemoryBus("shop", directory=tmp_path))  # type: ignore[arg-type]  # the same


@pytest.mark.parametrize("medium", MEDIA, indirect=True)
async def test_a_cache_that_is_shared_needs_a_name(medium: dict[str, Any]) -> None:
    with pytest.raises(
        TypeError, match=r"a cache without a name cannot be shared .* pass name=.*bus=None, backup=None"
    ):
        AsyncCache(**medium)


@pytest.mark.parametrize("medium", MEDIA, indirect=True)
async def test_a_function_made_inside_another_needs_a_name(medium: dict[str, Any]) -> None:
    async def inside() -> None:
        """Made here."""

    with pytest.raises(TypeError, match=r"inside is not known by that name.*name="):
        cached(**medium)(inside)
    cached(name="inside", **medium)(inside)


@pytest.mark.parametrize("medium", MEDIA, indirect=True)
async def test_a_method_needs_a_key_without_its_instance(medium: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"is a method, .* leave it out with skip_args=1, make the key with key="):

        class Repository:
            @cached(name="read", **medium)
            async def read(self, key: str) -> None: ...


@pytest.mark.parametrize("medium", MEDIA, indirect=True)
async def test_two_of_one_name_are_refused(medium: dict[str, Any]) -> None:
    first = AsyncCache(name="c", **medium)
    with pytest.raises(ValueError, match="'c' is the name of two caches of this process"):
        AsyncCache(name="c", **medium)
    with pytest.raises(ValueError, match="'c' is the name of two caches of this process"):

        @cached(name="c", **medium)
        async def read() -> None: ...

    assert await first.get("a", lambda: 1) == 1


@pytest.mark.parametrize("medium", MEDIA, indirect=True)
async def test_a_name_is_free_again_when_nobody_has_its_cache(medium: dict[str, Any]) -> None:
    for _ in range(3):

        @cached(name="c", **medium)
        async def read() -> int:
            return 1

        assert await read() == 1
        del read


@pytest.mark.parametrize("medium", MEDIA, indirect=True)
async def test_a_name_does_not_begin_as_those_of_namespaces_do(medium: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=re.escape("name='#c': the name of a cache that is shared begins with")):
        AsyncCache(name="#c", **medium)


@pytest.mark.parametrize("codec", ["msgpack", 1, MsgspecCodec, object()])
def test_what_is_no_codec_is_refused(codec: Any) -> None:
    with pytest.raises(TypeError, match=rf"codec=.* is of type {type(codec).__name__}: pass a codec"):
        AsyncCache(codec=codec)


async def test_a_cache_that_could_not_be_made_has_taken_no_name(disk: DiskBackend) -> None:
    with pytest.raises(ValueError, match="maxsize"):
        AsyncCache(-1, name="c", backup=disk)
    AsyncCache(name="c", backup=disk)


async def test_a_namespace_is_on_one_bus(tmp_path: Path) -> None:
    first, second = (SharedMemoryBus(name, directory=tmp_path) for name in ("first", "second"))
    kept = AsyncCache(name="c", namespace="one bus", bus=first)
    with pytest.raises(ValueError, match=r"the tags of the namespace 'one bus' are on the bus .* another namespace="):
        AsyncCache(name="d", namespace="one bus", bus=second)
    assert await kept.get("a", lambda: 1) == 1

"""What the guide to many machines says of a server, tried on one."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from cache import AsyncCache, BusError, RedisBackend
from tests.docs.pages import TOP, blocks_of
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer, need_redis

need_redis()

GUIDE = (TOP / "docs" / "machines.md").read_text(encoding="utf-8")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.end()


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    cluster = RedisCluster()
    yield cluster
    cluster.end()


def commands_of(text: str) -> list[list[str]]:
    """What readers type into redis-cli."""
    typed = "\n".join(block.body for block in blocks_of(text) if block.language == "console").replace("\\\n", " ")
    return [shlex.split(line)[2:] for line in typed.splitlines() if line.startswith("$ redis-cli ")]


def place(server: RedisServer) -> str:
    return f"redis://shop:secret@127.0.0.1:{server.port}/0"


async def use(place: Any) -> tuple[int, int]:
    """Load, mutate, and find again: how many values were found at the server, and how many warnings there were."""
    name = f"rights {secrets.token_hex(4)}"
    async with RedisBackend(place) as remote:
        await remote.hear_all()
        cache = AsyncCache(name=name, namespace=name, remote_cache=remote)
        async with cache.mutating("k"):
            pass
        await cache.get("k", lambda: "v")
        await remote.flush()
        await cache.aclose()
        await cache.get("k", lambda: "w")
        await cache.delete("k")
        await cache.clear()
        await cache.load_from_backup()
        metrics = remote.metrics()
        return metrics.hits, metrics.warnings


async def test_the_rights_that_the_guide_gives_to_a_user_are_enough(server: RedisServer) -> None:
    command, _ = commands_of(GUIDE)
    assert server.ask(*command) == b"OK"
    assert await use(place(server)) == (1, 0)


@pytest.mark.parametrize("right", ["+info", "+script|load", "+evalsha", "+subscribe", "+publish", "+zadd", "+unlink"])
async def test_one_right_less_is_not_enough(server: RedisServer, right: str) -> None:
    command, _ = commands_of(GUIDE)
    assert right in command
    server.ask(*(part for part in command if part != right))
    with pytest.raises(BusError, match=r"permission|can't run"):
        await use(place(server))


def sharing(cluster: RedisCluster) -> Any:
    return cluster.client(username="shop", password="secret")  # noqa: S106 - that of the guide


async def test_in_a_cluster_it_takes_the_rights_that_the_guide_adds_and_all_of_them(cluster: RedisCluster) -> None:
    command, more = commands_of(GUIDE)
    added = [right for right in more if right.startswith("+")]
    assert len(added) == 3
    for server in cluster.servers:
        assert server.ask(*command) == b"OK"
    with pytest.raises(BusError, match=r"permission|can't run"):
        await use(sharing(cluster))
    for server in cluster.servers:
        assert server.ask(*more) == b"OK"
    assert await use(sharing(cluster)) == (1, 0)
    for right in added:
        for server in cluster.servers:
            assert server.ask("ACL", "SETUSER", "shop", right.replace("+", "-")) == b"OK"
        with pytest.raises(BusError, match=r"permission|can't run"):
            await use(sharing(cluster))
        for server in cluster.servers:
            server.ask(*more)


def test_every_option_of_the_server_in_the_guide_is_one(server: RedisServer) -> None:
    options = [block.body.split() for block in blocks_of(GUIDE) if block.language == "ini"]
    assert options
    for words in options:
        for name, value in zip(words[::2], words[1::2], strict=True):
            assert server.ask("CONFIG", "SET", name, value) == b"OK"

"""What a backend on a server may be made with, and what is said of everything else."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from redis.asyncio import Redis, SSLConnection
from redis.asyncio import sentinel as untyped_sentinel

from cache import Bus, RedisBackend, Tier
from cache.codec import PickleCodec
from tests.redis_server import need_redis

need_redis()

URL = "redis://localhost:1/3"

untyped: Any = untyped_sentinel


def test_it_is_a_tier_and_has_a_bus() -> None:
    backend = RedisBackend(URL)
    assert isinstance(backend, Tier)
    assert isinstance(backend.bus, Bus)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RedisBackend("redis://user:s3cret@there:7/3"),
        lambda: RedisBackend.from_url("redis://user:s3cret@there:7/3", protocol=2),
        lambda: RedisBackend(host="there", port=7, password="s3cret", db=3),  # noqa: S106 - it is a secret of nobody
        lambda: RedisBackend(Redis(host="there", port=7, password="s3cret", db=3)),  # noqa: S106 - it is a secret of nobody
        lambda: RedisBackend(client=Redis.from_url("redis://user:s3cret@there:7/3")),
    ],
    ids=["url", "from_url", "host", "client", "client="],
)
def test_a_server_is_named_in_many_ways_and_a_password_never(make: Any) -> None:
    backend = make()
    assert "there:7" in repr(backend)
    assert "s3cret" not in repr(backend) + repr(backend.bus) + backend.bus.address
    assert backend._options.prefix == "cache:3"


def test_sentinels_are_asked_by_clients_of_its_own_in_the_way_in_which_theirs_are() -> None:
    theirs = untyped.Sentinel([("one", 1), ("two", 2)], sentinel_kwargs={"password": "s3cret", "ssl": True})
    backend = RedisBackend(theirs.master_for("primary"))
    assert "'primary'" in repr(backend)
    servers: Any = backend._options.servers
    one, other = servers.connect(), servers.connect()
    own = one.connection_pool.sentinel_manager.sentinels
    pools = [each.connection_pool for each in own]
    assert [each.connection_kwargs["host"] for each in pools] == ["one", "two"]
    assert [each.connection_kwargs["password"] for each in pools] == ["s3cret"] * 2
    assert all(issubclass(each.connection_class, SSLConnection) for each in pools)
    assert not set(own) & {*theirs.sentinels, *other.connection_pool.sentinel_manager.sentinels}


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@there",
        "user:s3cret@there",
        "redis://user:s3cret/7@there/0",
        "redis://user:x/s3cret@there:x/0",
        "redis://user:s3cret?@there/0?socket_timeout=x",
        "redis://there/0?password=s3cret&socket_timeout=x",
        "there?password=s3cret",
    ],
)
def test_a_url_that_makes_no_sense_is_shown_without_what_may_be_a_secret(url: str) -> None:
    with pytest.raises(ValueError, match="redis://localhost:6379/0") as raised:
        RedisBackend(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({}, TypeError, "there is no server"),
        ({"server": 7}, TypeError, "builtins.int is no server"),
        ({"server": URL, "client": Redis()}, TypeError, "one or the other"),
        ({"server": URL, "host": "there"}, TypeError, "host='there'"),
        ({"server": Redis(), "password": "s3cret"}, TypeError, "password: these are options of a client"),
        ({"server": "http://user:s3cret@there"}, ValueError, "redis://localhost:6379/0"),
        ({"server": untyped.Sentinel([]).slave_for("shop")}, ValueError, "replicas of 'shop'"),
        ({"server": URL, "colour": 1}, TypeError, "colour"),
        ({"host": "there", "colour": 1}, TypeError, "colour"),
        ({"host": "there", "max_stalness": 1}, TypeError, r"max_stalness=: neither .* did you mean max_staleness=\?"),
        ({"server": untyped.Sentinel([])}, TypeError, r"pass what its master_for\('name of the service'\) returns"),
        ({"host": "redis://:s3cret@there"}, ValueError, "or a url without host="),
        ({"host": "there", "port": 65_536}, ValueError, "port=65536: pass a whole number, 1 to 65535"),
        ({"host": ""}, TypeError, "host=''"),
        ({"host": "there", "port": "7"}, TypeError, "port='7'"),
        ({"server": URL, "prefix": 7}, TypeError, "prefix=7"),
        ({"server": URL, "prefix": ""}, ValueError, "prefix=''"),
        ({"server": URL, "prefix": "a{b}"}, ValueError, r"prefix='a\{b\}'"),
        ({"server": URL, "max_staleness": 0}, ValueError, "max_staleness=0"),
        ({"server": URL, "max_staleness": "1"}, TypeError, "max_staleness='1'"),
        ({"server": URL, "max_staleness": float("inf")}, ValueError, "max_staleness=inf"),
        (
            {"server": URL, "max_ttl": 1e16},
            ValueError,
            "max_ttl=1e.16: pass a number of seconds, from 1 to",
        ),
        ({"server": URL, "lease": 1e16}, ValueError, "lease=1e.16"),
        ({"server": URL, "lease": -1}, ValueError, "lease=-1"),
        ({"server": URL, "fill_lease": None}, TypeError, "fill_lease=None"),
        ({"server": URL, "max_ttl": 0.5}, ValueError, "max_ttl=0.5"),
        ({"server": URL, "on_bus_error": "ignore"}, ValueError, "on_bus_error='ignore'"),
        ({"server": URL, "codec": PickleCodec}, TypeError, "is no codec"),
        ({"server": URL, "compress_above": -1}, ValueError, "compress_above=-1"),
        ({"server": URL, "max_value_bytes": 0}, ValueError, "max_value_bytes=0"),
        ({"server": URL, "max_value_bytes": 2**30}, ValueError, "no server keeps more"),
        ({"server": URL, "clock": 7}, TypeError, "clock=7"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as raised:
        RedisBackend(**options)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("redis", r"RedisBackend needs the client library redis, .*pip install 'async-cache\[redis\]'"),
        ("msgspec", r"values are encoded with msgspec, .*pip install 'async-cache\[redis\]'"),
    ],
)
def test_what_is_not_installed_is_named_with_the_way_to_it(
    monkeypatch: pytest.MonkeyPatch, missing: str, says: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(ImportError, match=says):
        RedisBackend(URL)


def test_a_url_is_a_text() -> None:
    url: Any = 7
    with pytest.raises(TypeError, match="pass a string"):
        RedisBackend.from_url(url)


def test_a_timeout_that_makes_no_sense_closes_nothing() -> None:
    backend = RedisBackend(URL)
    for timeout in ("5", -1, float("nan")):
        with pytest.raises((TypeError, ValueError), match=f"timeout={timeout!r}"):
            backend.close(timeout)  # type: ignore[arg-type]  # it is what is refused
    assert not backend.closed
    assert backend.close()

"""Options: what a backend is made with, checked at once, and how connections are made of it.

All that concerns connections is the client library's: its urls, its options, its clients. But the connections are made
here, and belong to the thread of the engine: those of a client that was passed are left to whoever uses it.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cache._arguments import check_choice, check_count, check_seconds, shown
from cache.codec import Codec

#: What is installed for it.
MISSING = "{what}, which is not installed: pip install 'async-cache[redis]'"
#: The most that a server keeps in one value.
MOST = 512 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class Options:
    """What a backend was made with."""

    #: Makes a connection, which is not connected yet.
    connect: Callable[[], Any]
    #: How messages name the server; without a password.
    server: str
    prefix: str
    max_staleness: float
    lease: float
    fill_lease: float
    max_ttl: float
    on_bus_error: str
    codec: Codec | None
    compress_above: int
    max_value_bytes: int
    clock: Callable[[], float]


def pool_of(server: Any, host: Any, port: Any, options: Mapping[str, Any]) -> Any:
    """The client library's way to the server, in whichever form it was told of.

    Raises:
        ImportError: it is not installed.
        TypeError, ValueError: it makes no sense.

    """
    if importlib.util.find_spec("redis") is None:
        raise ImportError(MISSING.format(what="RedisBackend needs the client library redis"))
    import redis.asyncio as library  # noqa: PLC0415 - it is an extra

    if server is not None and (host is not None or port is not None):
        raise TypeError(f"host={shown(host)}, port={shown(port)}: the server was given already; pass one or the other")
    if isinstance(server, library.Redis):
        if options:
            raise TypeError(f"{', '.join(options)}: these are options of a client, and the client is made already")
        return server.connection_pool
    if isinstance(server, str):
        try:
            return library.Redis.from_url(server, **options).connection_pool
        except ValueError as error:
            raise ValueError(f"url={_hidden(server)}: {error}. Pass one such as 'redis://localhost:6379/0'") from None
    if server is not None:
        raise TypeError(
            f"{type(server).__module__}.{type(server).__name__} is no server: pass a url, such as "
            f"'redis://localhost:6379/0', or a client of redis.asyncio"
        )
    _check_place(host, port, options)
    place = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    given: dict[str, Any] = {**options, **place}
    return library.Redis(**given).connection_pool


def _check_place(host: object, port: object, options: Mapping[str, Any]) -> None:
    if host is not None and (not isinstance(host, str) or not host):
        raise TypeError(f"host={shown(host)}: pass the name of a host, such as 'localhost'")
    if port is not None:
        check_count(port, "port", least=1)
    if host is None and "unix_socket_path" not in options:
        raise TypeError("there is no server: pass a url, such as 'redis://localhost:6379/0', or host=, or client=")


def connector(pool: Any) -> Callable[[], Any]:
    """What makes connections as those of a pool are, but for itself."""
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - it is an extra
    from redis.backoff import NoBackoff  # noqa: PLC0415 - it is an extra

    options = dict(pool.connection_kwargs)
    if "connection_pool" in options:  # the server is found by asking sentinels, whose clients are others' as well
        options["connection_pool"] = own = _own_sentinels(pool)
    else:
        own = pool
    patience = options.get("socket_connect_timeout") or options.get("socket_timeout")
    # Waiting is the line's affair. And a connection that is made once more in silence would miss what is told.
    options |= {"socket_timeout": None, "retry_on_timeout": False, "retry_on_error": [], "health_check_interval": 0}
    if patience is not None:
        options["socket_connect_timeout"] = patience
    for name in ("maint_notifications_config", "maint_notifications_pool_handler"):
        if name in options:
            options[name] = None  # these act upon a pool

    def connect(keep: Any = own) -> Any:  # noqa: ARG001 - a connection refers to its pool weakly
        return pool.connection_class(**options, retry=Retry(NoBackoff(), 0))

    options.pop("retry", None)
    connect()  # what it does not accept is refused here, and not in a thread
    return connect


def name_of(pool: Any) -> str:
    """How messages name the server: without user and password."""
    options = pool.connection_kwargs
    if "connection_pool" in options:
        return f"redis {pool.service_name!r} of its sentinels"
    if "path" in options:
        return f"redis at {options['path']}"
    return f"redis at {options.get('host', 'localhost')}:{options.get('port', 6379)}"


def check_prefix(prefix: object) -> str:
    """What all keys begin with."""
    if not isinstance(prefix, str):
        raise TypeError(f"prefix={shown(prefix)} is of type {type(prefix).__name__}: pass a string")
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", prefix):
        raise ValueError(f"prefix={shown(prefix)}: pass 1 to 100 letters, digits, '.', '_', ':' or '-'")
    return prefix


def check_duration(seconds: object, name: str, least: float) -> float:
    """Seconds, finite and not too few."""
    checked = check_seconds(seconds, name)
    if not (math.isfinite(checked) and checked >= least):
        raise ValueError(f"{name}={seconds!r}: pass a finite number of seconds, {least:g} or more")
    return checked


def check_on_bus_error(value: object) -> str:
    """What becomes of mutations of which nobody can be told."""
    check_choice(value, "on_bus_error", ("raise", "proceed"))
    return str(value)


def check_bytes(value: object, name: str, least: int) -> int:
    """A number of bytes that a server can keep."""
    checked = check_count(value, name, least=least)
    if checked > MOST:
        raise ValueError(f"{name}={value!r}: pass {MOST} or less, for no server keeps more in one value")
    return checked


def check_clock(clock: Any) -> Callable[[], float]:
    """What tells the seconds since the epoch."""
    checked: Callable[[], float] = clock
    if not callable(clock):
        raise TypeError(f"clock={clock!r} is no clock: give a callable that returns the seconds since the epoch")
    return checked


def check_codec(codec: Any) -> Codec | None:
    """How values become bytes."""
    if codec is None:
        if importlib.util.find_spec("msgspec") is None:
            raise ImportError(
                f"{MISSING.format(what='without codec=, values are encoded with msgspec')}, or pass "
                f"codec=PickleCodec(key=...)"
            )
    elif isinstance(codec, str | type) or not all(hasattr(codec, name) for name in ("typed", "dumps", "loads", "seal")):
        raise TypeError(
            f"codec={codec!r} is no codec: pass None for plain values and annotated classes, or an object such as "
            f"cache.codec.PickleCodec(key=...), whose key is 16 secret bytes or more"
        )
    return codec  # type: ignore[no-any-return]  # which was just seen to


def _own_sentinels(pool: Any) -> Any:
    from redis.asyncio import Redis  # noqa: PLC0415 - it is an extra
    from redis.asyncio import sentinel as library  # noqa: PLC0415 - it is an extra

    untyped: Any = library
    theirs = pool.sentinel_manager
    own: Any = untyped.Sentinel([], min_other_sentinels=theirs.min_other_sentinels)
    options = [dict(each.connection_pool.connection_kwargs) for each in theirs.sentinels]
    own.sentinels = [
        Redis(
            **{
                name: each[name]
                for name in ("host", "port", "username", "password", "socket_timeout", "socket_connect_timeout")
                if name in each
            }
        )
        for each in options
    ]
    return untyped.SentinelConnectionPool(pool.service_name, own, is_master=pool.is_master)


def _hidden(url: str) -> str:
    return shown(re.sub(r"//[^@/]*@", "//...@", url))

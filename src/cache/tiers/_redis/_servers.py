"""Servers: where the buckets are, and how connections are made to there.

All that concerns connections is the client library's: its urls, its options, its clients. But the connections are made
here, and belong to the thread of the engine: those of a client that was passed are left to whoever uses it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, Final
from weakref import WeakKeyDictionary

from cache._arguments import check_count, shown
from cache.tiers._redis._line import LineLost

#: What is installed for it.
MISSING: Final = "{what}, which is not installed: pip install 'async-cache[redis]'"
HIGHEST_PORT: Final = 65_535
#: For how many seconds a server of a cluster may take to say where everything is, before another is asked.
PATIENCE: Final = 1.5


class OneServer:
    """All buckets are in one server, though it may be another after the next failover."""

    is_cluster = False

    def __init__(self, pool: Any) -> None:
        self.name = _name_of(pool)
        #: Whoever uses another database of the server hears the same channels.
        self.database = int(pool.connection_kwargs.get("db") or 0)
        connect = _connector(pool.connection_class, pool.connection_kwargs)
        if "connection_pool" in pool.connection_kwargs:  # it is found by asking sentinels
            connect = _found_by_sentinels(connect, pool)
        self.connect = connect

    async def find(self, tags: Sequence[bytes]) -> list[tuple[Callable[[], Any], list[int]]]:
        """All of them, there."""
        return [(self.connect, list(range(len(tags))))]


class Cluster:
    """Each primary of a cluster has the buckets whose hash slots it has."""

    is_cluster = True
    database = 0

    def __init__(self, client: Any) -> None:
        from redis.crc import key_slot  # noqa: PLC0415 - it is an extra

        self._hash_slot = key_slot
        self._remap = client.nodes_manager.remap_host_port
        nodes = list(client.nodes_manager.startup_nodes.values())
        self._class = nodes[0].connection_class
        self._options = dict(nodes[0].connection_kwargs)
        #: Servers that may know where everything is; the next one to be asked is the first.
        self._named = [(node.host, int(node.port)) for node in nodes]
        self._known = [*self._named]
        self.name = f"redis cluster at {nodes[0].host}:{nodes[0].port}"
        self._connector(*self._known[0])  # what a connection does not accept is refused here, and not in a thread

    async def find(self, tags: Sequence[bytes]) -> list[tuple[Callable[[], Any], list[int]]]:
        """Ask one that answers.

        Raises:
            LineLost: none does, or a hash slot has no server.

        """
        ranges = await self._ask_any()
        found: dict[tuple[str, int], list[int]] = {}
        for bucket, tag in enumerate(tags):
            slot = self._hash_slot(tag)
            place = next((place for first, last, place in ranges if first <= slot <= last), None)
            if place is None:
                raise LineLost(f"no server of the cluster has hash slot {slot}")
            found.setdefault(place, []).append(bucket)
        return [(self._connector(*place), buckets) for place, buckets in found.items()]

    async def _ask_any(self) -> list[tuple[int, int, tuple[str, int]]]:
        error: Exception | None = None
        for place in tuple(self._known):
            # Another one the next time: this one may be wrong, and not know it.
            self._known = [*self._known[1:], self._known[0]]
            try:
                async with asyncio.timeout(PATIENCE):
                    answer = await self._ask(place)
            except Exception as away:  # noqa: BLE001 - whatever it is, another server may answer
                error = away
                continue
            ranges = [(first, last, self._place(nodes[0], place)) for first, last, *nodes in answer]
            now = [self._place(node, place) for _, _, *nodes in answer for node in nodes]
            # Those that are there now, and those that were named at first; the next to be asked before the others.
            known = (*(each for each in self._known if each in now), *now, *self._named)
            self._known = list(dict.fromkeys(known))
            return ranges
        raise LineLost(f"no server of the cluster says where everything is: {error}")

    async def _ask(self, place: tuple[str, int]) -> Any:
        connection = self._connector(*place)()
        try:
            await connection.connect()
            await connection.send_command("CLUSTER", b"SLOTS", check_health=False)
            return await connection.read_response(disable_decoding=True)
        finally:
            with suppress(Exception):  # it has answered, or is of no use
                connection._close()

    def _place(self, node: Any, asked: tuple[str, int]) -> tuple[str, int]:
        host = (node[0] or b"").decode().strip("?")  # the one that was asked may not know its own name
        place: tuple[str, int] = self._remap(host or asked[0], int(node[1]))
        return place

    def _connector(self, host: str, port: int) -> Callable[[], Any]:
        return _connector(self._class, {**self._options, "host": host, "port": port})


def servers_of(
    server: Any, host: Any, port: Any, options: Mapping[str, Any], own: Sequence[str] = ()
) -> OneServer | Cluster:
    """The server, or those of a cluster, in whichever form they were told of.

    ``own`` are the names of the options that are not the library's.

    Raises:
        ImportError: it is not installed.
        TypeError, ValueError: it makes no sense.

    """
    if importlib.util.find_spec("redis") is None:
        raise ImportError(MISSING.format(what="RedisBackend needs the client library redis"))
    try:
        return _servers_of(server, host, port, options)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None:
            raise
        near = get_close_matches(unknown[1], own, 1)
        meant = f"; did you mean {near[0]}=?" if near else ""
        raise TypeError(
            f"{unknown[1]}=: neither RedisBackend nor the client of redis-py has such an option{meant}"
        ) from None


def _servers_of(server: Any, host: Any, port: Any, options: Mapping[str, Any]) -> OneServer | Cluster:
    import redis.asyncio as library  # noqa: PLC0415 - it is an extra
    from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415 - it is an extra

    if server is not None and (host is not None or port is not None):
        raise TypeError(f"host={shown(host)}, port={shown(port)}: the server was given already; pass one or the other")
    if isinstance(server, library.Redis | library.RedisCluster):
        if options:
            raise TypeError(f"{', '.join(options)}: these are options of a client, and the client is made already")
        return Cluster(server) if isinstance(server, library.RedisCluster) else OneServer(server.connection_pool)
    if isinstance(server, str):
        try:
            return OneServer(library.Redis.from_url(server, **options).connection_pool)
        except ValueError as error:
            raise ValueError(
                f"url={_hidden(server)}: {_said_of(error)}. Pass one such as 'redis://localhost:6379/0'"
            ) from None
    if isinstance(server, Sentinel):
        raise TypeError(f"{shown(server)} is no server: pass what its master_for('name of the service') returns")
    if server is not None:
        raise TypeError(
            f"{type(server).__module__}.{type(server).__name__} is no server: pass a url, such as "
            f"'redis://localhost:6379/0', or a client of redis.asyncio"
        )
    _check_place(host, port, options)
    place = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    given: dict[str, Any] = {**options, **place}
    return OneServer(library.Redis(**given).connection_pool)


def _check_place(host: object, port: object, options: Mapping[str, Any]) -> None:
    if host is not None and (not isinstance(host, str) or not host):
        raise TypeError(f"host={shown(host)}: pass the name of a host, such as 'localhost'")
    if host is not None and "/" in host:
        raise ValueError(f"host={_hidden(host)}: pass the name of a host, such as 'localhost', or a url without host=")
    if port is not None and check_count(port, "port", least=1) > HIGHEST_PORT:
        raise ValueError(f"port={shown(port)}: pass a whole number, 1 to {HIGHEST_PORT}")
    if host is None and "unix_socket_path" not in options:
        raise TypeError("there is no server: pass a url, such as 'redis://localhost:6379/0', or host=, or client=")


def _connector(kind: Any, options: Mapping[str, Any]) -> Callable[..., Any]:
    """What makes connections with these options, and others if they are given, but for ourselves."""
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - it is an extra
    from redis.backoff import NoBackoff  # noqa: PLC0415 - it is an extra

    patience = options.get("socket_connect_timeout") or options.get("socket_timeout")
    # Waiting is the line's affair. And a connection that is made once more in silence would miss what is told.
    own = {
        **options,
        "socket_timeout": None,
        "retry_on_timeout": False,
        "retry_on_error": [],
        "health_check_interval": 0,
    }
    if patience is not None:
        own["socket_connect_timeout"] = patience
    for name in options:
        if "maint_notifications_" in name:
            own[name] = None  # these act upon a pool
    own.pop("retry", None)

    def connect(**others: Any) -> Any:
        return kind(**{**own, **others}, retry=Retry(NoBackoff(), 0))

    connect()  # what it does not accept is refused here, and not in a thread
    return connect


def _name_of(pool: Any) -> str:
    """How messages name the server: without user and password."""
    options = pool.connection_kwargs
    if "connection_pool" in options:
        return f"redis {pool.service_name!r} of its sentinels"
    if "path" in options:
        return f"redis at {options['path']}"
    return f"redis at {options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _found_by_sentinels(connect: Callable[..., Any], pool: Any) -> Callable[[], Any]:
    """What makes connections that ask sentinels where to, each by clients of its own, and only then connected to them.

    The clients of a pool are others' as well, and whatever is kept open would be two processes' after a fork.
    """
    from redis.asyncio import ConnectionPool, Redis  # noqa: PLC0415 - it is an extra
    from redis.asyncio import sentinel as library  # noqa: PLC0415 - it is an extra

    untyped: Any = library
    if not pool.is_master:
        raise ValueError(f"a client for the replicas of {pool.service_name!r}: pass one that master_for() has made")
    theirs = pool.sentinel_manager
    #: What each connection asks, to which it refers weakly.
    pools: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    class Asking(untyped.SentinelConnectionPool):  # type: ignore[misc]  # of whatever type, for the library has none
        async def get_master_address(self) -> Any:
            try:
                return await super().get_master_address()
            finally:
                for sentinel in self.sentinel_manager.sentinels:
                    await sentinel.connection_pool.disconnect()

    def connect_as_told() -> Any:
        own: Any = untyped.Sentinel([], min_other_sentinels=theirs.min_other_sentinels)
        own.sentinels = [
            Redis(connection_pool=ConnectionPool(each.connection_class, **_for_sentinels(each.connection_kwargs)))
            for each in (sentinel.connection_pool for sentinel in theirs.sentinels)
        ]
        asking = Asking(pool.service_name, own)
        connection = connect(connection_pool=asking)
        pools[connection] = asking
        return connection

    return connect_as_told


def _for_sentinels(options: Mapping[str, Any]) -> dict[str, Any]:
    """What leads to a sentinel: not how it answers, which not all versions understand, nor what acts upon a pool."""
    left_out = ("maint_notifications_", "orig_", "protocol", "decode_responses")
    return {name: value for name, value in options.items() if not name.startswith(left_out)}


def _hidden(url: str) -> str:
    """A url without what may be a secret: all before the last ``@``, wherever that is, and all options."""
    return shown(re.sub(r"\?.*", "?...", re.sub(r"^(\w+://)?.*@", r"\1...@", url, flags=re.DOTALL), flags=re.DOTALL))


def _said_of(error: ValueError) -> str:
    """What the library says of a url, but for what may be a part of a password that it has taken for a port."""
    if "Port" in str(error):
        return "its port is no number up to 65535, or a password in it is not quoted, as urllib.parse.quote() does"
    return f"{error}".rstrip(".")

"""What workers share but the database: for the whole application it is one line, and this is where it stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import cache
from cache.codec import PickleCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AsyncExitStack


@dataclass(frozen=True, slots=True)
class Machine:
    """Workers of one machine, on a bus in its memory."""

    memory: str
    """The folder of the bus."""
    disk: str | None
    """The file of the entries."""
    key: str
    """What the values in it are signed with, in hexadecimal digits."""

    async def begin(self, stack: AsyncExitStack) -> Callable[[], Mapping[str, int]]:
        """Let the caches of this process be those of all workers; returns what counts what that takes."""
        cache.configure(bus=cache.SharedMemoryBus("workers", directory=self.memory))
        if self.disk is not None:
            codec = PickleCodec(key=bytes.fromhex(self.key))
            cache.configure(backup=await stack.enter_async_context(cache.DiskBackend(self.disk, codec=codec)))
        return dict


@dataclass(frozen=True, slots=True)
class Server:
    """Workers of any number of machines, at one Redis server."""

    url: str
    bound: float
    """How many seconds a worker may be behind what another has changed."""
    key: str
    """What the values are signed with, in hexadecimal digits."""

    async def begin(self, stack: AsyncExitStack) -> Callable[[], Mapping[str, int]]:
        """As that of a machine."""
        codec = PickleCodec(key=bytes.fromhex(self.key))
        remote = cache.RedisBackend(self.url, max_staleness=self.bound, codec=codec)
        cache.configure(remote_cache=await stack.enter_async_context(remote))
        return lambda: {"trips": remote.metrics().trips}


Sharing: TypeAlias = Machine | Server

_KINDS: Final[Mapping[str, type[Sharing]]] = {"machine": Machine, "server": Server}


def told(sharing: Sharing | None) -> dict[str, Any] | None:
    """It as it is told to a worker."""
    if sharing is None:
        return None
    kind = next(name for name, kind in _KINDS.items() if isinstance(sharing, kind))
    return {"kind": kind, **asdict(sharing)}


def understood(said: dict[str, Any] | None) -> Sharing | None:
    """What a worker was told."""
    if said is None:
        return None
    fields = dict(said)
    return _KINDS[fields.pop("kind")](**fields)

"""Two backends of one server in one process, which are as strange to each other as those of two machines."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from cache import AsyncCache, RedisBackend
from cache._claims import claim
from cache._share import Share
from cache._tier import Address, Covering, Moment, Record

_numbers = count()


async def until(true: Callable[[], object]) -> None:
    """Wait for what happens elsewhere, and is told of to nobody."""
    while not true():  # noqa: ASYNC110 - for that there is no event
        await asyncio.sleep(0.002)


async def done(told: Any) -> Any:
    """Wait until others were told of a change; what that gives."""
    return await told


class Machine:
    """One of them, with caches that both call the same."""

    def __init__(self, server: Any, prefix: str, **options: Any) -> None:
        self.backend = RedisBackend(server, prefix=prefix, **options)
        self.namespace = f"machine {next(_numbers)}"

    async def begin(self) -> Machine:
        """As `hear`, for the first time."""
        await self.hear()
        return self

    async def hear(self) -> None:
        """Wait until all was heard here that was told up to now."""
        await self.backend.hear_all()

    async def look(self, *addresses: Address) -> list[Record | Moment | None]:
        """What is found, by somebody who will load nothing."""
        found = await self.backend.read(addresses)
        given = dict(zip(addresses, found, strict=True))
        self.backend.release({each: what for each, what in given.items() if isinstance(what, Moment)})
        return found

    @asynccontextmanager
    async def hears_nothing(self) -> AsyncIterator[None]:
        """What is told meanwhile comes later; this shorter than heartbeats are waited for."""
        link, loop = self.backend._engine.work().link, self.backend._engine._loop
        assert loop is not None

        async def hold() -> None:
            link._early = []

        async def let_go() -> None:
            early, link._early = link._early or [], None
            for told in early:
                link._hear(*told)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(hold(), loop))
        yield
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(let_go(), loop))

    @asynccontextmanager
    async def is_cut_off(self) -> AsyncIterator[None]:
        """It cannot reach the server meanwhile."""
        link, loop = self.backend._engine.work().link, self.backend._engine._loop
        servers: Any = link._servers
        find = servers.find
        assert loop is not None

        async def refuse(_: Any) -> Any:
            raise ConnectionError("the test has cut it off")

        async def cut() -> None:
            servers.find = refuse
            link.give_up("the test has cut it off")

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(cut(), loop))
        yield
        servers.find = find

    async def covering(self, *addresses: Address) -> Covering:
        """A mutation of these that has begun."""
        covering = Covering(addresses, (), secrets.randbits(63))
        await done(self.backend.begin(covering))
        return covering

    def cache(self, name: str = "c", **options: Any) -> AsyncCache:
        """Its cache of this name."""
        cache = AsyncCache(name=name, remote_cache=self.backend, namespace=self.namespace, **options)
        # Both have one namespace, though in this process each must have a name of its own for it.
        space = cache._namespace
        if space.share is None or space.share.space != "#tags":
            claim((self.backend.bus, self.backend), "#tags", space)
            space.join(Share("#tags", self.backend.bus, (self.backend,)))
        return cache

    @property
    def is_proven(self) -> bool:
        """Whether what is in memory may be served."""
        return self.backend._engine.ledger.stamps.are_proven

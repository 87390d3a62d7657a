"""A small world behind and around three caches, in which time and order are in the hands of a test.

The truth is a version for each of a few keys. ``users`` holds them; ``page`` too, with tags that are computed from the
result; ``total`` is computed from both. Every load stops before and after it reads the truth, until it is released.
"""

from __future__ import annotations

import asyncio
import itertools
from contextvars import Context, ContextVar
from typing import Any, Final

import cache as door
from cache import AsyncCache, LoadCancelled, cached
from cache.testing import FakeClock
from tests.spec.steering import settle

KEYS: Final = range(3)
TAGS: Final = ("even", "odd")
TTL: Final = 10.0
#: What a transaction reads of its own that is not committed.
DIRTY: Final = -1


class LoadFailedError(Exception):
    pass


def tag_of(key: int) -> str:
    return TAGS[key % 2]


def keys_of(what: int | str) -> tuple[int, ...]:
    """The keys that change with a key, with a tag, or with everything."""
    return tuple(key for key in KEYS if what in (key, tag_of(key), "everything"))


def next_to(key: int) -> int:
    return (key + 1) % len(KEYS)


class Mutation:
    """One mutation of ``keys``, in a body of its own or inside that of another."""

    def __init__(self, manager: Any, keys: tuple[int, ...], linger: float | None, outer: Mutation | None) -> None:
        self.keys = keys
        self.linger = linger
        self.context: Context = Context() if outer is None else outer.context
        self.outer = outer
        self.pending = False
        self.committed = False
        #: Whether its body has set a value that will be the truth when it has committed.
        self.promised = False
        self.open = True
        #: Until when its keys are covered; None while it is open.
        self.until: float | None = None
        self._manager = manager
        self.context.run(manager.__enter__)
        self.context.run(_body.set, self)

    def commit(self, world: World) -> None:
        self.pending, self.committed = False, True
        world.write(*self.keys)

    def leave(self, error: BaseException | None, linger: float, now: float) -> None:
        """End; ``linger`` is what the caller expects of the cache."""
        self.open = self.pending = False
        self.until = now + linger
        self.context.run(_body.set, self.outer)
        self.context.run(self._manager.__exit__, type(error) if error else None, error, None)

    def owners_of(self, key: int) -> list[Mutation]:
        """Those of itself and the ones around it that change ``key``."""
        around = [] if self.outer is None else self.outer.owners_of(key)
        return [*around, self] if key in self.keys else around


_body: ContextVar[Mutation | None] = ContextVar("body", default=None)


class Reader:
    """A call that goes on, with the versions that were committed when it began."""

    def __init__(self, task: asyncio.Task[Any], key: int, floor: dict[int, int], *, in_body: bool) -> None:
        self.task = task
        self.key = key
        self.floor = floor
        self.in_body = in_body
        self.may_be_cancelled = self.may_be_closed = False
        #: The load that everybody who asks for the key must share, as long as nothing comes between.
        self.shares: object = None

    def check(self, now: dict[int, int]) -> None:
        """What it got is no older than the moment it began, and was committed, or is its own."""
        if self.task.cancelled():
            assert self.may_be_cancelled
            return
        error = self.task.exception()
        if error is not None:
            assert isinstance(error, LoadFailedError) or (self.may_be_closed and isinstance(error, LoadCancelled))
            return
        result = self.task.result()
        values = result if isinstance(result, tuple) else (result,)
        for key, value in zip((self.key, self.key, next_to(self.key)), values, strict=False):
            if value == DIRTY:
                assert self.in_body, "what is not committed has reached a reader outside"
            else:
                assert self.floor[key] <= value <= now[key], f"{value} of {key}, read since {self.floor[key]}"


class World:
    """The truth, the caches, and the loads that wait to be released."""

    _number = itertools.count()

    def __init__(self) -> None:
        #: Its tags are its own, whatever another world has left behind.
        self.namespace = f"world {next(self._number)}"
        self.clock = FakeClock()
        self.loop = asyncio.new_event_loop()
        self.unhandled: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.unhandled.append(context))
        self.versions = dict.fromkeys(KEYS, 0)
        self.gates: list[asyncio.Future[None]] = []
        common: dict[str, Any] = {"clock": self.clock, "namespace": self.namespace}
        self.users = AsyncCache(maxsize=2, default_ttl=TTL, batch_window_ms=0, **common)
        #: How often ``users`` was asked, and how many keys it had loaded.
        self.calls = self.loads = 0

        @cached(ttl=TTL, tags=lambda _, key: (tag_of(key),), **common)
        async def page(key: int) -> int:
            return await self._read(key)

        @cached(maxsize=2, **common)
        async def total(key: int) -> tuple[int, int, int]:
            return await self.user(key), await page(key), await self.user(next_to(key))

        self.page, self.total = page, total
        self.caches = (self.users, page.cache, total.cache)

    # -- loading ---------------------------------------------------------------------------------------------------

    async def user(self, key: int) -> int:
        async def load() -> int:
            self.loads += 1
            return await self._read(key)

        self.calls += 1
        return await self.users.get(key, load, tags=(tag_of(key),))

    async def batched_user(self, key: int) -> Any:
        self.calls += 1
        return await self.users.get(key, batch_loader=self._load_many, tags=(tag_of(key),))

    async def _load_many(self, keys: list[int]) -> dict[int, int]:
        self.loads += len(keys)
        await self._gate()
        values = {key: self._see(key) for key in keys}
        await self._gate()
        return values

    async def _read(self, key: int) -> int:
        await self._gate()
        value = self._see(key)
        await self._gate()
        return value

    def _see(self, key: int) -> int:
        body = _body.get()
        if body is not None and any(owner.pending for owner in body.owners_of(key)):
            return DIRTY
        return self.versions[key]

    async def _gate(self) -> None:
        gate: asyncio.Future[None] = self.loop.create_future()
        self.gates.append(gate)
        await gate

    def waiting(self) -> list[asyncio.Future[None]]:
        """The gates before which loads wait, oldest first."""
        self.gates = [gate for gate in self.gates if not gate.done()]
        return self.gates

    # -- changing --------------------------------------------------------------------------------------------------

    def write(self, *keys: int) -> None:
        for key in keys:
            self.versions[key] += 1

    def mutate(self, target: int | str, linger: float | None, outer: Mutation | None) -> Mutation:
        """Begin a mutation of a key, of a tag, or of everything."""
        options: dict[str, Any] = {} if linger is None else {"linger": linger}
        if isinstance(target, int):
            manager = door.mutating((self.users, target), (self.page, self.page.cache_key(target)), **options)
        elif target in TAGS:
            manager = self.users.mutating(tags=(target,), **options)
        else:
            manager = door.mutating(self.users, self.page, **options)
        return Mutation(manager, keys_of(target), linger, outer)

    # -- time ------------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Let everything happen that needs nothing from outside."""
        self.loop.run_until_complete(settle())

    def stored(self) -> list[tuple[AsyncCache, Any, Any, tuple[int, ...], Any]]:
        """Every entry: its cache, key and value, the keys it was computed from, and what the value should be."""
        found: list[tuple[AsyncCache, Any, Any, tuple[int, ...], Any]] = []
        now = self.versions
        for key in KEYS:
            mine, other = now[key], now[next_to(key)]
            found += [
                (self.users, key, self.users.peek(key), (key,), mine),
                (self.page.cache, self.page.cache_key(key), self.page.peek(key), (key,), mine),
                (
                    self.total.cache,
                    self.total.cache_key(key),
                    self.total.peek(key),
                    (key, next_to(key)),
                    (mine,) * 2 + (other,),
                ),
            ]
        return [entry for entry in found if entry[1] in entry[0]]

"""A tier in memory, whose every answer waits for the schedule, and the processes that keep their entries in it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from itertools import count
from typing import Any, Self, TypeAlias

from cache import AsyncCache, cached
from cache._claims import claim
from cache._protocols import CachedFunction
from cache._share import Share
from cache._stable import encode
from cache._tier import Address, Covering, Moment, Record, Slice
from cache.codec._envelope import Checksum
from cache.testing import Race, Row, Source
from tests.races.catalogue import end_quietly
from tests.races.machine import Process
from tests.races.shelf_windows import Truth, Windows

#: What is called when the tier knows, in whatever order.
Then: TypeAlias = Callable[[], object] | None

_numbers = count()


class Shelf:
    """What is on disk: the entries with the number from which each is good, the mark of every truth, and mutations."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.entries: dict[Address, tuple[Record, int]] = {}
        self.marks: dict[Truth, int] = {}
        self.windows = Windows(clock)
        self.number = 0
        self.values: list[Any] = []

    def moment(self) -> Moment:
        return Moment(1, self.number)

    def read(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        return [self._valid(address) or self.moment() for address in addresses]

    def _valid(self, address: Address) -> Record | None:
        record, begun = self.entries.get(address, (None, 0))
        return record if record is not None and self._none_since(begun, _grounds(record)) else None

    def _none_since(self, begun: int, truths: Collection[Truth]) -> bool:
        return all(self.marks.get(truth, 0) <= begun for truth in truths)

    def _is_covered(self, truths: Collection[Truth]) -> bool:
        self._mark(self.windows.take_from_dead())
        return self.windows.cover_any(truths)

    def _mark(self, truths: Collection[Truth]) -> None:
        self.number += bool(truths)
        self.marks.update(dict.fromkeys(truths, self.number))

    def wake(self) -> None:
        """Time has passed: end what lingers no longer."""
        self._mark(self.windows.take_elapsed())

    def write(self, record: Record, moment: Moment, replaces: bool) -> None:
        begun, truths = moment.number, {record.address, *_grounds(record)}
        if not self._is_covered(truths) and self._none_since(begun, truths):
            if replaces:
                self.invalidate([record.address], [])
                begun = self.number
            self.entries[record.address] = (record, begun)

    def assign(self, record: Record) -> None:
        covered = self._is_covered({record.address, *_grounds(record)})
        self.invalidate([record.address], [])
        if not covered:
            self.entries[record.address] = (record, self.number)

    def invalidate(self, addresses: Sequence[Address], spaces: Sequence[str]) -> None:
        self._mark([*addresses, *spaces])
        for address in addresses:
            self.entries.pop(address, None)

    def begin(self, owner: object, covering: Covering) -> None:
        self.invalidate(covering.addresses, covering.spaces)
        self.windows.begin(owner, covering)

    def end(self, covering: Covering, linger: float) -> None:
        self.invalidate(covering.addresses, covering.spaces)
        self.windows.end(covering, linger)

    def scan(self, space: str) -> tuple[Moment, Slice]:
        records = [record for address in self.entries if address.space == space and (record := self._valid(address))]
        return self.moment(), Slice(records, None)


def _grounds(record: Record) -> set[Truth]:
    return {*record.grounds, *[ground.space for ground in record.grounds], record.address.space}


class ByHeart:
    """Bytes that say which of the values of a shelf they are: rows are compared, not encoded."""

    id, form, seal = 255, "by heart", Checksum()

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def typed(self, annotation: Any) -> Self:
        return self

    def dumps(self, value: Any) -> bytes:
        self.values.append(value)
        return b"%d" % (len(self.values) - 1)

    def loads(self, payload: bytes) -> Any:
        return self.values[int(payload)]


class Operation:
    """Something that a process has asked of the shelf, and what comes of it."""

    def __init__(self, do: Callable[[], Any], then: Then) -> None:
        self.do = do
        self.then = then
        self.result: Any = None


class View:
    """A shelf as one process has it: what it asks is done in the order in which it was asked, sooner or later."""

    closed = False
    compress_above = 1024

    def __init__(self, race: Race, shelf: Shelf) -> None:
        self.race = race
        self.shelf = shelf
        self.codec = ByHeart(shelf.values)
        self.clock = race.clock
        self.asked: deque[Operation] = deque()
        self.tasks: set[asyncio.Task[Any]] = set()

    def _ask(self, do: Callable[..., Any], *args: Any, then: Then = None) -> Operation:
        self.asked.append(Operation(lambda: do(*args), then))
        return self.asked[-1]

    def _done(self, operation: Operation) -> Any:
        while operation in self.asked:
            first = self.asked.popleft()
            self.shelf.wake()
            first.result = first.do()
            if first.then is not None:
                first.then()
        return operation.result

    async def _answered(self, operation: Operation, name: str) -> Any:
        await self.race.checkpoint(f"the tier {name}")
        return self._done(operation)

    def _soon(self, operation: Operation, name: str) -> asyncio.Task[Any] | None:
        if asyncio._get_running_loop() is None:
            return self._done(operation)  # type: ignore[no-any-return]  # of these, none has a result
        task = asyncio.get_running_loop().create_task(self._answered(operation, name))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def read(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        answer: list[Record | Moment | None] = await self._answered(self._ask(self.shelf.read, addresses), "looks")
        await self.race.checkpoint("the answer of the tier arrives")
        return answer or [None] * len(addresses)  # if it has died meanwhile

    def read_blocking(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        answer: list[Record | Moment | None] = self._done(self._ask(self.shelf.read, addresses))
        return answer

    async def moment(self) -> Moment | None:
        moment: Moment = await self._answered(self._ask(self.shelf.moment), "looks at its marks")
        return moment

    def moment_blocking(self) -> Moment | None:
        moment: Moment = self._done(self._ask(self.shelf.moment))
        return moment

    def release(self, given: Mapping[Address, Moment]) -> None:
        """Nobody waits for another's load."""

    def write(self, record: Record, moment: Moment, *, replaces: bool = False) -> None:
        self._soon(self._ask(self.shelf.write, record, moment, replaces), "stores")

    def assign(self, record: Record, then: Then = None) -> Any:
        return self._soon(self._ask(self.shelf.assign, record, then=then), "is told of a value")

    def invalidate(self, addresses: Sequence[Address], spaces: Sequence[str] = (), then: Then = None) -> Any:
        return self._soon(self._ask(self.shelf.invalidate, tuple(addresses), tuple(spaces), then=then), "is told")

    def begin(self, covering: Covering) -> Any:
        return self._soon(self._ask(self.shelf.begin, self, covering), "is told of a beginning")

    def end(self, covering: Covering, linger: float = 0.0) -> Any:
        return self._soon(self._ask(self.shelf.end, covering, linger), "is told of an end")

    async def scan(self, space: str, after: int | None = None) -> tuple[Moment | None, Slice]:
        found: tuple[Moment, Slice] = await self._answered(self._ask(self.shelf.scan, space), "is scanned")
        await self.race.checkpoint("the answer of the tier arrives")
        return found

    async def flush(self) -> int:
        return self.flush_blocking()

    def flush_blocking(self) -> int:
        if self.asked:
            self._done(self.asked[-1])
        return 0

    async def aclose(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - as every tier has it
        return True

    def close(self, timeout: float = 5.0) -> bool:
        return True

    def die(self) -> None:
        """What has not been done is not done, and what was begun is not ended."""
        self.asked.clear()
        self.shelf.windows.dead.add(self)

    def check_quiet(self) -> None:
        """Whatever has happened, nothing stays covered."""
        assert self in self.shelf.windows.dead or not self.shelf.windows.has_any_of(self)


class Host:
    """A process that keeps entries on a shelf: its caches are called there as those of any other on the same."""

    def __init__(self, race: Race, shelf: Shelf, bus: Process | None = None) -> None:
        self.race = race
        self.name = f"host {next(_numbers)}"
        self.bus = bus
        self.view = View(race, shelf)
        self.caches: list[AsyncCache] = []

    def options(self) -> dict[str, Any]:
        return {"clock": self.race.clock, "bus": self.bus, "backup": self.view, "namespace": self.name}

    def cache(self, name: str = "cache", **options: Any) -> AsyncCache:
        return self.meet(AsyncCache(**{"name": name, **self.options(), **options}))

    def reader(self, users: Source, *, quiet: bool = True, **options: Any) -> CachedFunction[[int], Row]:
        """The function that reads one user."""

        @cached(name="get_user", **{**self.options(), **options})
        async def get_user(uid: int) -> Row:
            return await users.load(uid)

        self.meet(get_user.cache, quiet=quiet)
        return get_user

    def outer(
        self, inner: Callable[[int], Awaitable[Any]], name: str = "get_page", **options: Any
    ) -> CachedFunction[[int], tuple[str, Any]]:
        """A function that computes its result from that of another."""

        @cached(name=name, **{**self.options(), **options})
        async def get_page(uid: int) -> tuple[str, Any]:
            return (name, await inner(uid))

        self.meet(get_page.cache)
        return get_page

    def shelve(self, of: Any, key: int, value: Any, *grounds: tuple[str, Hashable]) -> None:
        """This result is in the tier, where it rests on ``grounds``, and not in memory."""
        cache: AsyncCache = of if isinstance(of, AsyncCache) else of.cache
        name = key if of is cache else of.cache_key(key)
        backing = cache._loads.backing
        assert backing is not None
        rested = tuple(Address(space, encode(ground)) for space, ground in grounds)
        record = Record(backing.address(name), backing.envelope.encode(value), None, rested)
        self.view.shelf.write(record, self.view.shelf.moment(), replaces=False)

    def forget(self) -> None:
        """Nothing is in memory, as after a restart or many other reads."""
        for cache in self.caches:
            cache._store.drop_all()

    def die(self) -> None:
        """Killed: nothing of what was on its way arrives, and nobody waits for it."""
        self.view.die()
        if self.bus is not None:
            self.bus.die()
        for cache in self.caches:
            cache._store.windows.clear()
            cache._namespace.windows.clear()

    def meet(self, cache: AsyncCache, *, quiet: bool = True) -> AsyncCache:
        """The tags of all processes are the same, though in this one each has a namespace of its own."""
        space = cache._namespace
        if space.share is None or space.share.space != "#tags":
            claim((self.view,), "#tags", space)
            space.share = None
            space.join(Share("#tags", self.bus, (self.view,)))
        self.caches.append(cache)
        if quiet:
            end_quietly(self.race, cache)
            self.race.at_quiet(self.view.check_quiet, kind="leaks")
        return cache

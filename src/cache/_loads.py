"""Loads: the way from a key that is not stored to its value. Which load a caller joins is decided here."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from inspect import isawaitable
from types import CoroutineType
from typing import Any

from cache._arguments import shown
from cache._backing import Backing
from cache._entry import Entry
from cache._flight import Flight, refuse
from cache._lease import QUEUED, RUNNING, Lease, current_frame, frame, running
from cache._recipe import NO_ARGUMENTS, Arguments, Recipe
from cache._step import step
from cache._store import Store
from cache._tags import epoch
from cache._window import enclosing, mutation
from cache.errors import CacheCycleError, LoadCancelled


class Switch:
    """Whether results are stored and shared at all; ``off`` counts those who want them not to be."""

    __slots__ = ("off",)

    def __init__(self) -> None:
        self.off = 0


switch = Switch()


def leave(flight: Flight | None, future: Any) -> None:
    """Whoever waited for ``future`` does so no longer."""
    if flight is not None:
        step.run(flight.leave, future)


async def run_loader(load: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a loader, plain or async."""
    try:
        value = load(*args, **kwargs)
    except StopIteration as stop:
        raise RuntimeError(f"the loader {load!r} raised StopIteration") from stop
    if type(value) is CoroutineType or isawaitable(value):
        value = await value
    return value


async def _serve(entry: Entry) -> Any:
    return entry.result()


def _nowhere() -> None:
    """No loop was met yet."""


class Loads:
    """The loads of one cache.

    ``flying`` are the flights that have a task; they are kept here, because a loop keeps no task alive. Where
    invalidations look for flights is ``store.flights``: the newest of each key on each loop.
    """

    __slots__ = ("_latest", "backing", "cache_errors", "flying", "store", "task_name", "track")

    def __init__(self, store: Store, *, track: bool, cache_errors: Mapping[type[BaseException], float]) -> None:
        self.store = store
        self.track = track
        self.cache_errors = cache_errors
        #: The tier behind the cache.
        self.backing: Backing | None = None
        self.task_name = f"cache load of {store.name}"
        self.flying: set[Flight] = set()
        #: The loop that was met last.
        self._latest: Callable[[], asyncio.AbstractEventLoop | None] = _nowhere

    def is_hit(self, entry: Entry) -> bool:
        """Whether an entry may be served as it is, without a step: what a wrapper tests in its second line."""
        store, guard = self.store, entry.guard
        return (
            (guard is None or guard.seen is epoch.now or guard.renew())
            and (not running or frame.get() is None)
            and (not store.reader_checks_exp or entry.exp > store.clock())
        )

    def look(self, key: Hashable, reader: Lease | None) -> Entry | None:
        """A read, inside a step: the entry if there is a fresh one, which then counts as a hit; else a miss.

        The reader rests on the key before it learns its value, so that no invalidation falls in between.
        """
        store = self.store
        entry = store.fresh(key)
        if reader is not None and self.track:
            reader.rest_on_key(store, key)
            if entry is not None:
                reader.rest_on_entry(entry, store.clock)
        if entry is None:
            store.misses += 1
        else:
            store.touch(entry)
        return entry

    def ask(
        self,
        key: Hashable,
        recipe_of: Callable[[Hashable, Arguments], Recipe],
        arguments: Arguments = NO_ARGUMENTS,
        *,
        anew: bool = False,
    ) -> tuple[Flight | None, Awaitable[Any]]:
        """The value of ``key``, from its entry (unless ``anew``), from a load that may be joined, or from a new one.

        How a new one loads is said by ``recipe_of(key, arguments)``, which who joins need not make. The value is to be
        awaited at once; if that fails, whoever waited is to `leave` the flight. There is no coroutine around the wait,
        since a herd would have as many of them as there are callers.
        """
        loop = asyncio.get_running_loop()
        self.store.code(key)  # refused before anybody else is concerned
        reader = current_frame()
        private = bool(switch.off) or (mutation.get() is not None and next(enclosing(), None) is not None)
        entry: Entry | None = None
        seat = None if anew or private or reader is not None else self._join(key, loop)
        if seat is not None:
            return seat
        try:
            with step:  # its end begins loads, and may raise what beginning one raises
                if anew:  # what it will rest on is the value to come
                    self.store.misses += 1
                else:
                    entry = self.look(key, reader)
                if entry is None:
                    if reader is not None:
                        self._refuse_cycle(key, reader)
                    if not private:
                        seat = self._board(key, recipe_of, arguments, loop, reader, anew=anew)
        except BaseException:  # an interrupt, too: nobody will wait
            if seat is not None:
                leave(*seat)
            del entry, seat  # the exception's traceback would keep them, and they the exception
            raise
        if entry is not None:
            return None, _serve(entry)
        return seat or (None, self._load_privately(key, recipe_of(key, arguments), arguments, reader))

    def _join(self, key: Hashable, loop: asyncio.AbstractEventLoop) -> tuple[Flight, asyncio.Future[Any]] | None:
        """A seat in the load in progress, the short way that all but the first of a herd can take."""
        store = self.store
        board = store.flights.get(loop)
        if not board:
            return None
        with step.lock:
            current: Any = board.get(key)
            # Of one that rests on what other processes change, it takes a step to hear of that.
            if current is None or not current.joinable or current.watches or current.below or key in store.data:
                return None
            store.misses += 1
            store.coalesced += 1
            return current, current.admit(None)

    def _refuse_cycle(self, key: Hashable, reader: Lease) -> None:
        above = reader.find_above(self.store, key)
        if above is not None:
            raise CacheCycleError(self.store.name, key, reader.keyspace.name, reader.key)

    def _board(
        self,
        key: Hashable,
        recipe_of: Callable[[Hashable, Arguments], Recipe],
        arguments: Arguments,
        loop: asyncio.AbstractEventLoop,
        reader: Lease | None,
        *,
        anew: bool,
    ) -> tuple[Flight, asyncio.Future[Any]]:
        """Join the load in progress if its result will be good for one who asks now; else begin or queue another."""
        board = self.store.flights.get(loop)
        if board is None:
            board = self._new_board(loop)
        current: Any = board.get(key)
        if current is not None and (current.watches or current.below):
            current.hear()
        if current is not None and (current.state == QUEUED or (current.joinable and not anew)):
            self.store.coalesced += 1
            current.anew = current.anew or anew
            return current, current.admit(reader)
        recipe = recipe_of(key, arguments)
        flight = (recipe.kind or Flight)(self, key, recipe, loop, anew)
        flight.arguments = arguments
        future = flight.admit(reader)  # before it begins: what spoils it from the start spoils the reader
        if anew:
            self.store.outdate(key)
        board[key] = flight
        try:
            if current is not None and current.state == RUNNING and current.chained:
                current.successor = flight
                flight.predecessor = current
            else:
                flight.begin()
        except BaseException:  # a clock, a key's __eq__, a stack that is full: nobody may join what never began
            flight.give_up()
            raise
        return flight, future

    def can_begin(self) -> bool:
        """Whether what is loaded from now on can be stored, as far as other processes are concerned."""
        return self.backing is None or self.backing.can_hear()

    def _new_board(self, loop: asyncio.AbstractEventLoop) -> dict[Hashable, Lease]:
        if self._latest() is not loop:
            self._latest = weakref.ref(loop)
            self._forget_closed_loops()
        board = self.store.flights[loop] = {}
        return board

    def _forget_closed_loops(self) -> None:
        boarded = [flight for board in self.store.flights.values() for flight in board.values()]
        # Copied at once, for other threads add to them. Those of other caches too: a cache that nobody uses any more
        # meets no new loop.
        for flight in (*boarded, *self.flying, *running):
            if isinstance(flight, Flight) and flight.loop.is_closed():
                flight.abandon()
                flight.loads.flying.discard(flight)

    def remove(self, flight: Flight) -> None:
        """Take a flight from where newcomers and invalidations find it, if it is still the one they find."""
        board = self.store.flights.get(flight.loop)
        if board is None or board.get(flight.key) is not flight:
            return
        predecessor = flight.predecessor
        if predecessor is not None and predecessor.state == RUNNING:
            predecessor.successor = None
            board[flight.key] = predecessor
            return
        del board[flight.key]
        if not board:
            del self.store.flights[flight.loop]

    async def _load_privately(self, key: Hashable, recipe: Recipe, arguments: Arguments, reader: Lease | None) -> Any:
        with self.private(key, reader):
            try:
                return await run_loader(recipe.load, *arguments[0], **arguments[1])
            except asyncio.CancelledError as cause:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                raise LoadCancelled(f"the load of {self.store.name}[{shown(key)}] was cancelled from inside") from cause

    @contextmanager
    def private(self, key: Hashable, reader: Lease | None) -> Iterator[None]:
        """A load for the body of a mutation: it may read what is not committed, so nothing is shared or stored."""
        lease = Lease(self.store, key, tracked=self.track, parent=reader)
        with step:
            self.store.loads += 1
            lease.start()
            lease.spoil()
        frame.set(lease)
        try:
            yield
        except BaseException as error:  # counted, and passed on
            if not isinstance(error, asyncio.CancelledError):  # which is the caller's own
                with step:
                    self.store.load_errors += 1
            raise
        finally:
            if frame.get() is lease:
                frame.set(reader)
            step.run(lease.close)

    def ttl_of_error(self, error: BaseException) -> float | None:
        """For how many seconds an error is kept, None if it is not.

        That a load was cancelled, or waited for itself, says nothing of what the next one would find.
        """
        if isinstance(error, LoadCancelled | CacheCycleError):
            return None
        for kind, seconds in self.cache_errors.items():
            if isinstance(error, kind):
                return seconds
        return None

    async def cancel_all(self, error: LoadCancelled, patience: float) -> list[str]:
        """End all loads; their callers get ``error``. The names of the tasks that have not ended in ``patience`` s."""
        loop = asyncio.get_running_loop()
        with step:
            boarded = [flight for board in self.store.flights.values() for flight in board.values()]
            flights = set(self.flying) | {flight for flight in boarded if isinstance(flight, Flight)}
            landed = [(flight.loop, flight.give_up()) for flight in flights]
        for home, waiters in landed:
            if home is loop:
                refuse(waiters, error)
            elif not home.is_closed():
                home.call_soon_threadsafe(refuse, waiters, error)
        tasks = [flight.task for flight in flights if flight.task is not None and flight.loop is loop]
        tasks = [task for task in tasks if task is not asyncio.current_task()]
        if not tasks:
            return []
        _, late = await asyncio.wait(tasks, timeout=patience)
        return [task.get_name() for task in late]

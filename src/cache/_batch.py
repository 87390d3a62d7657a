"""Batch: many missing keys, one call of the loader.

Each key keeps a flight of its own, queued while the batch collects, begun when it is sent, and judged for itself at
the end: a key that was invalidated meanwhile is given to those who had asked and not stored; its neighbours are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from inspect import isawaitable
from types import MethodType
from typing import Any

from cache._backing import Backing
from cache._domain import Names
from cache._flight import Flight
from cache._key import ALL
from cache._lease import DONE, QUEUED, Lease
from cache._loads import Loads
from cache._recipe import Recipe
from cache._step import for_each, step

BatchLoader = Callable[[list[Any]], Any]


async def load_keys(loader: BatchLoader, keys: list[Hashable]) -> dict[Hashable, Any]:
    """The value of each key.

    Raises:
        ValueError: the loader returned a sequence of another length.
        TypeError: it returned neither a mapping nor a sequence.

    """
    value = loader(list(keys))
    if isawaitable(value):
        value = await value
    if isinstance(value, Mapping):
        return {key: value.get(key) for key in keys}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if len(value) != len(keys):
            raise ValueError(
                f"the batch loader {loader!r} was given {len(keys)} keys and returned a sequence of {len(value)} "
                f"values: return one value for each key, in their order, or a mapping"
            )
        return dict(zip(keys, value, strict=True))
    raise TypeError(
        f"the batch loader {loader!r} returned {type(value).__name__}: return a mapping of keys to values, or a "
        f"sequence of one value for each key in their order"
    )


async def load_one(loader: BatchLoader, key: Hashable) -> Any:
    """The value of one key, for a caller who may share no batch."""
    return (await load_keys(loader, [key]))[key]


def _identity(loader: BatchLoader) -> Hashable:
    # A bound method is a new object at every access; anything else is the same loader only if it is the same object.
    return loader if isinstance(loader, MethodType) else id(loader)


class Batches:
    """The batches of one cache that are still collecting, by loop and loader."""

    __slots__ = ("collecting", "loads", "max_size", "window")

    def __init__(self, loads: Loads, window: float, max_size: int) -> None:
        self.loads = loads
        self.window = window
        self.max_size = max_size
        self.collecting: dict[tuple[asyncio.AbstractEventLoop, Hashable], Batch] = {}

    def collect(self, flight: KeyFlight) -> None:
        """Put a queued flight, on its own loop, into the batch that is collecting for its loader."""
        name = (flight.loop, _identity(flight.loader))
        batch = self.collecting.get(name)
        if batch is None:
            for other in tuple(self.collecting):  # at once, for other threads add to it
                if other[0].is_closed():
                    self.collecting.pop(other, None)
            batch = self.collecting[name] = Batch(self, name, flight)
        batch.take(flight)


class KeyFlight(Flight):
    """The flight of one key of a batch: it has no task, the batch has."""

    __slots__ = ("batch", "batches", "loader")

    def __init__(
        self, loads: Loads, key: Hashable, recipe: KeyRecipe, loop: asyncio.AbstractEventLoop, anew: bool
    ) -> None:
        Flight.__init__(self, loads, key, recipe, loop, anew)
        self.batches = recipe.batches
        self.loader = recipe.loader
        self.batch: Batch | None = None

    def begin(self) -> None:
        """Join a batch when the step is over; nothing is read before it is sent."""
        self.predecessor = None
        step.launches.append(self)

    def land_in_batch(self, values: dict[Hashable, Any]) -> None:
        """As `land`, with this key's part of what the batch has loaded."""
        try:
            value = values[self.key]
            self.land(value, *self.recipe.judge(value))
        except (KeyboardInterrupt, SystemExit) as error:
            self.fail(error)
            raise
        except BaseException as error:  # noqa: BLE001 - of the caller's ttl or tags function: it belongs to those who wait
            self.fail(error)

    def _go(self) -> None:
        if self.state != DONE:
            self.batches.collect(self)
        elif self.batch is not None:
            self.batch.forget(self)


class KeyRecipe(Recipe):
    """How one key is loaded by ``loader``: with others, or, for a caller who may share no batch, alone."""

    kind = KeyFlight

    __slots__ = ("batches", "loader")

    def __init__(
        self,
        batches: Batches,
        loader: BatchLoader,
        key: Hashable,
        ttl_of: Callable[[Any], float | None],
        names: Names,
    ) -> None:
        Recipe.__init__(self, partial(load_one, loader, key), ttl_of, names)
        self.batches = batches
        self.loader = loader


class Batch(Flight):
    """The load of a batch: what its loader reads, every one of its keys rests on.

    It has no waiters of its own and is found by no key; it ends with the last of its keys.
    """

    __slots__ = ("batches", "flights", "loader", "name", "sender")

    def __init__(self, batches: Batches, name: tuple[asyncio.AbstractEventLoop, Hashable], first: KeyFlight) -> None:
        super().__init__(batches.loads, ALL, Recipe(self._load, _unused), first.loop)
        self.context = first.context.copy()
        self.batches = batches
        self.name = name
        self.loader = first.loader
        self.flights: dict[Hashable, KeyFlight] = {}
        self.sender = (
            first.loop.call_later(batches.window, self.send) if batches.window else first.loop.call_soon(self.send)
        )

    def take(self, flight: KeyFlight) -> None:
        flight.batch = self
        self.flights[flight.key] = flight
        if len(self.flights) >= self.batches.max_size:
            self.send()

    def forget(self, flight: KeyFlight) -> None:
        """Nobody waits for this key any more; with the last key the batch dies."""
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]
            self.above.pop(flight, None)
        if not self.flights:
            self._stop_collecting()
            step.run(self.abandon)

    def send(self) -> None:
        """Call the loader with the keys collected so far."""
        self._stop_collecting()
        try:
            can_begin = self.loads.can_begin()
        except BaseException as error:  # of a bus, or an interrupt: no key may wait for a batch that was never sent
            self.fail(error)
            raise
        if can_begin:
            self.set_out()
        if self.flights:
            self.take_off()

    def set_out(self) -> None:
        """Here the keys begin to be read, those that anybody still waits for."""
        try:
            with step:
                self.flights = {key: flight for key, flight in self.flights.items() if flight.state != DONE}
                if self.state != QUEUED or not self.flights:
                    return
                Lease.start(self)
                for flight in self.flights.values():
                    self.above[flight] = flight
                    flight.below.add(self)
                    flight.start()
        except BaseException as error:  # a clock, a key's __eq__: no key may wait for a batch that was never sent
            self.fail(error)
            raise

    def _stop_collecting(self) -> None:
        self.sender.cancel()
        if self.batches.collecting.get(self.name) is self:
            del self.batches.collecting[self.name]

    async def ask(self, backing: Backing) -> None:
        """As `Flight.ask`, for all keys at once; those that the tier has need not be loaded."""
        await backing.fetch(tuple(self.flights.values()))
        with step:
            self.flights = {key: flight for key, flight in self.flights.items() if flight.state != DONE}
            self.above = dict[object, Lease]((flight, flight) for flight in self.flights.values())
        if not self.flights and self.state != DONE:
            self._release()

    async def _load(self) -> dict[Hashable, Any]:
        return await load_keys(self.loader, list(self.flights))

    def land(self, value: dict[Hashable, Any], ttl: float | None, tags: tuple[str, ...] = ()) -> None:  # noqa: ARG002 - each key has its own
        for_each(lambda flight: flight.land_in_batch(value), iter(self._release()))

    def fail(self, error: BaseException) -> None:
        for_each(lambda flight: flight.fail(error), iter(self._release()))

    def _release(self) -> list[KeyFlight]:
        """End, and leave to each key what the loader has read."""
        with step:
            flights = list(self.flights.values())
            self.hand_up(self.deadline)
            self.flights = {}
            self._conclude()
        return flights


def _unused(_: object) -> float | None:
    """The keys of a batch have each their own ttl."""
    return None

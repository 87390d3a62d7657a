"""Gathering: loads that begin in one turn of a loop ask the tier together, and then go on, each for itself.

So what is missed in one turn is one question, in one task; a load for which the tier has a value has none of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cache._flight import Flight
from cache._key import ALL
from cache._lease import DONE
from cache._recipe import Recipe
from cache._step import for_each, step

if TYPE_CHECKING:
    from cache._backing import Backing

#: The gatherings to which loads may still be added, by loop.
Collecting = dict[asyncio.AbstractEventLoop, "Gathering"]


def gather(backing: Backing, collecting: Collecting, flight: Flight) -> None:
    """Have a load, on its own loop, ask the tier at the end of this turn."""
    gathering = collecting.get(flight.loop)
    if gathering is None:
        for loop in tuple(collecting):  # at once, for other threads add to it
            if loop.is_closed():
                collecting.pop(loop, None)
        gathering = collecting[flight.loop] = Gathering(backing, collecting, flight)
    gathering.flights[flight] = None
    flight.gathering = gathering


class Gathering(Flight):
    """What asks the tier. It has no waiters of its own, rests on nothing, and is found by no key."""

    __slots__ = ("_backing", "_collecting", "flights")

    def __init__(self, backing: Backing, collecting: Collecting, first: Flight) -> None:
        super().__init__(first.loads, ALL, Recipe(self._ask, _unused), first.loop)
        self.tracked = False
        self.context = first.context.copy()
        self.flights: dict[Flight, None] = {}
        self._backing = backing
        self._collecting = collecting
        self.loop.call_soon(self._send)

    def _send(self) -> None:
        if self._collecting.get(self.loop) is self:
            del self._collecting[self.loop]
        if self.state != DONE:
            self.take_off()

    def forget(self, flight: Flight) -> None:
        """Nobody waits for this one any more; with the last one goes the question."""
        self.flights.pop(flight, None)
        if not self.flights:
            step.run(self.abandon)

    async def _ask(self) -> None:
        if not self._backing.can_hear():
            await self._backing.tier.moment()  # which waits for a server that is being connected to
        for flight in tuple(self.flights):
            flight.set_out()
        await self._backing.fetch([sought for flight in self.flights for sought in flight.seek()])

    def land(self, value: None, ttl: float | None, tags: tuple[str, ...] = ()) -> None:  # noqa: ARG002 - it has no value
        for_each(lambda flight: flight.go_on(), iter(self._release()))

    def fail(self, error: BaseException) -> None:
        for_each(lambda flight: flight.fail(error), iter(self._release()))

    def _release(self) -> list[Flight]:
        with step:
            flights, self.flights = list(self.flights), {}
            self._conclude()
        for flight in flights:
            flight.gathering = None
        return flights


def _unused(_: object) -> float | None:
    """Each of them has a ttl of its own."""
    return None

"""Change: something that others have to know, from when it is asked for until whoever waits is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from cache._tier import Address, Record
from cache.tiers._redis._waiting import Failed, Waiter

logger = logging.getLogger("cache")


@dataclass(eq=False, slots=True)
class Change:
    """Something that changes these slots, and who waits until all know.

    ``kind`` says whether a mutation begins or ends with it, which is then ``mutation``; ``linger`` is for how many
    seconds it goes on after its end. ``record`` is the value that is true from then on, unless what it rests on was
    changed after so many changes as ``number`` says, and ``lives`` how long that is to be kept, in milliseconds.
    ``replaces``: if it is not, there is no change.
    """

    kind: bytes
    slots: tuple[int, ...]
    addresses: tuple[Address, ...]
    waiter: Waiter
    then: Callable[[], object] | None = None
    mutation: bytes = bytes(8)
    linger: float = 0.0
    record: Record | None = None
    lives: int = 1
    number: int = 0
    replaces: bool = False
    #: What whoever waits is given.
    result: object = None
    stamp: int = 0
    #: What others are told: kind, mutation, and for how many seconds that covers the slots; known when it is sent.
    told: tuple[bytes, bytes, float] | None = None
    was_sent: bool = False
    #: In how many buckets.
    unanswered: int = 0
    unheard: int = 0
    overdue: asyncio.TimerHandle | None = field(default=None, repr=False)

    def give_up_value(self) -> None:
        """Nobody knows what will have changed when it is sent, or something has: it invalidates, and that is all."""
        if self.record is not None:
            self.record = None
            self.replaces = False
            self.result = None

    def settle(self, result: object) -> None:
        """It is done, or it has failed; what is to follow comes first."""
        if self.overdue is not None:
            self.overdue.cancel()
        try:
            if self.then is not None:
                self.then()
        except Exception:  # of a stranger's: neither the engine nor who waits is to suffer from it
            logger.exception("what was to follow a change has failed")
        finally:
            self.waiter.give(result)

    def refuse(self, error: Exception) -> None:
        """It has failed, of which whoever waits is told."""
        self.settle(Failed(error))

"""Mutations: those of this process that go on, which are told of again and again, for else they would lapse."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Container
from time import monotonic
from typing import Any

from cache.tiers._redis._change import Change
from cache.tiers._redis._ledger import BEGUN, ENDED, Ledger, Window
from cache.tiers._redis._telling import Notice, Telling


class Mutations:
    """From their beginning to their end; in the thread of the engine. The ledger has what they cover."""

    def __init__(self, ledger: Ledger, telling: Telling, lease: float) -> None:
        self._own = ledger.own
        self._telling = telling
        self._lease = lease
        #: When they have to be renewed.
        self._renewals: dict[bytes, float] = {}

    def take(self, change: Change) -> Notice:
        """Take notice if one begins or ends with this; what others are to be told."""
        own, mutation = self._own, change.mutation
        if change.kind == BEGUN:
            own[mutation] = Window(frozenset(change.slots), math.inf)
            self._renewals[mutation] = monotonic() + self._lease / 3
            return Notice(BEGUN, mutation, self._lease)
        if change.kind == ENDED and mutation in own:
            self._renewals.pop(mutation, None)
            if change.linger > 0:
                own[mutation] = Window(frozenset(change.slots), monotonic() + change.linger)
                return Notice(BEGUN, mutation, change.linger)
            del own[mutation]
            return Notice(ENDED, mutation)
        # It was ended before, or begun by another process, which is to end it.
        return Notice()

    def forget(self, mutation: bytes) -> None:
        """Its body will not run."""
        self._own.pop(mutation, None)
        self._renewals.pop(mutation, None)

    def begin_again(self, but: Container[bytes] = ()) -> list[asyncio.Future[Any]]:
        """All of them, in a server that may know nothing of them any more."""
        found = []
        for mutation, window in tuple(self._own.items()):
            if mutation not in but:
                found += self._again(mutation, window)
        return found

    def renew(self) -> list[asyncio.Future[Any]]:
        """Those of which it is time."""
        now, found = monotonic(), []
        for mutation, due in tuple(self._renewals.items()):
            if due <= now:
                found += self._again(mutation, self._own[mutation])
        return found

    def _again(self, mutation: bytes, window: Window) -> list[asyncio.Future[Any]]:
        if mutation in self._renewals:
            self._renewals[mutation] = monotonic() + self._lease / 3
        left = self._lease if window.deadline == math.inf else max(0.001, window.deadline - monotonic())
        return self._telling.begin_again(sorted(window.slots), mutation, left)

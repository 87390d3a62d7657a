"""Window: a mutation in progress.

From before its first step to after its last, whether that is a return, an error or a cancellation, nothing that it
may be changing is stored, and nobody is given a result whose load began before they asked. Both ends invalidate: the
first so that nothing old is served, the second so that nothing read in between survives.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextvars import ContextVar
from typing import Protocol
from weakref import WeakSet

from cache._bus import Bus
from cache._domain import Domain, Names, Truth
from cache._key import ALL
from cache._share import slots_by_bus
from cache._step import step
from cache._tags import epoch

#: The innermost mutation whose body the current context is in.
mutation: ContextVar[Window | None] = ContextVar("cache.mutation", default=None)


def enclosing() -> Iterator[Window]:
    """The open mutations whose body the current context is in, innermost first."""
    return outwards(mutation.get())


def outwards(window: Window | None) -> Iterator[Window]:
    """``window`` and those that it is nested in, as far as they are open, innermost first."""
    while window is not None:
        if window.open:
            yield window
        window = window.outer


class Kept(Protocol):
    """What a mutation asks of a value that its body has set: see `_held`."""

    @property
    def clean(self) -> bool: ...
    def close(self) -> None: ...
    def settle(self) -> object: ...


class Window:
    """One mutation of ``targets``.

    It is an object in a list, not a flag, so that nested and concurrent mutations add up. ``held`` are the values
    that its own body has set, each with a lease: they are settled when it has succeeded, unless something that they
    rest on was invalidated since, or the mutation is ``contested``, that is another mutation of the same truth
    overlapped and may have committed after it.
    """

    __slots__ = (
        "__weakref__",
        "began",
        "clock",
        "contested",
        "covered",
        "has_body",
        "held",
        "open",
        "outer",
        "targets",
        "until",
    )

    def __init__(self, targets: Names, clock: Callable[[], float], *, has_body: bool = True) -> None:
        self.targets = targets
        self.clock = clock
        self.open = True
        self.until = -math.inf
        self.contested = False
        self.outer = next(enclosing(), None)
        self.held: dict[Truth, Kept] = {}
        self.began = 0
        #: What other processes know it to cover, by their bus.
        self.covered: list[tuple[Bus, list[int]]] = []
        #: Without one it is a change that has been made, of which not everybody has heard yet.
        self.has_body = has_body

    def begin(self) -> None:
        """Cover all targets, then invalidate them: an entry can appear in between in no order of events.

        Raises:
            TypeError: a target has no form that is the same in every process, and others are to be told.
            BusError: other processes cannot be told.

        """
        covering = slots_by_bus(self.targets)
        for domain, name in self.targets:
            domain.code(name)
        for domain, name in self.targets:
            for other in self._overlapping(domain, name):
                if other is not self and other not in outwards(self.outer):
                    self.contested = other.contested = True
        try:
            for bus, slots in covering:
                bus.begin(slots)
                self.covered.append((bus, slots))
                self.contested = self.contested or bus.is_changing(slots)
            for domain, name in self.targets:
                domain.cover(name, self)
            self._invalidate()
        except BaseException:  # a key's __eq__: nothing may stay covered by a mutation that never ran
            self.open = False
            try:
                self._uncover()
            finally:
                self._uncover_elsewhere(0.0)
            raise
        self.began = epoch.changes
        _open.add(self)

    def end(self, linger: float, *, succeeded: bool) -> None:
        """Uncover the targets, or leave them covered for ``linger`` seconds more; and invalidate again."""
        if not self.open:
            return
        kept = [held for held in self.held.values() if held.clean]
        if not succeeded or linger or self.contested:
            kept = []
        for held in self.held.values():
            held.close()
        step.doomed.append(self.held)
        self.held = {}
        self.open = False
        _open.discard(self)
        self.until = self.clock() + linger if linger else -math.inf
        try:
            if not linger:
                self._uncover()
            self._invalidate()
        finally:
            self._uncover_elsewhere(linger)
        for domain, name in self.targets:
            if linger:
                domain.linger(name, self)
            domain.sweep()
        self.targets = ()  # however long it lingers in one domain, it keeps no other alive
        for held in kept:
            held.settle()

    def lift(self) -> None:
        """Everybody has heard of a change without a body: what was loaded meanwhile was not stored anyway."""
        if not self.open:
            return
        self.open = False
        _open.discard(self)
        try:
            self._uncover()
        finally:
            self._uncover_elsewhere(0.0)

    def disown(self) -> None:
        """In a process that was forked while it was open: it goes on in the parent alone."""
        self.open = False
        for bus, slots in self.covered:
            bus.forget(slots)
        self.covered = []
        self._uncover()

    def cover_elsewhere(self, bus: Bus, slots: list[int]) -> None:
        """Other processes hear of these from now on: of what it covers there, as long as it does."""
        bus.begin(slots)
        if self.open:
            self.covered.append((bus, slots))
            self.contested = True
        else:
            bus.end(slots, max(0.0, self.until - self.clock()))

    def has_elapsed(self) -> bool:
        """Whether nothing keeps it on its targets any more."""
        return not self.open and self.until <= self.clock()

    def may_hold(self, names: Iterable[Truth]) -> bool:
        """Whether a value that rests on ``names`` can still be the last word when the body ends.

        Of its own targets it knows whether another mutation overlapped; of other names only that none has begun or
        ended since in all of their domain. Where other processes may change any of them, it cannot be known.
        """
        targets, names = self.targets, tuple(names)
        others = (domain for domain, name in names if (domain, name) not in targets and (domain, ALL) not in targets)
        return (
            self.open
            and not self.contested
            and all(domain.mutated <= self.began for domain in others)
            and not any(domain.is_watched for domain, _ in names)
        )

    def _invalidate(self) -> None:
        for domain, name in self.targets:
            domain.invalidate(name)
        for domain, _ in self.targets:
            domain.mutated = epoch.changes

    def _uncover(self) -> None:
        for domain, name in self.targets:
            domain.uncover(name, self)

    def _uncover_elsewhere(self, linger: float) -> None:
        covered, self.covered = self.covered, []
        for bus, slots in covered:
            bus.end(slots, linger)

    @staticmethod
    def _overlapping(domain: Domain, name: Hashable) -> list[Window]:
        return domain.all_windows() if name is ALL else domain.windows_on(name)


#: Those in progress.
_open: WeakSet[Window] = WeakSet()


def _disown_others() -> None:
    """In a forked process only what stands around the fork goes on."""
    own = set(enclosing())
    for window in tuple(_open):
        if window not in own:
            _open.discard(window)
            window.disown()


if hasattr(os, "register_at_fork"):
    # Before a bus makes itself at home in the child, for buses are imported later.
    os.register_at_fork(after_in_child=_disown_others)

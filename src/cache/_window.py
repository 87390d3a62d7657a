"""Window: a mutation in progress.

From before its first step to after its last, whether that is a return, an error or a cancellation, nothing that it
may be changing is stored, and nobody is given a result whose load began before they asked. Both ends invalidate: the
first so that nothing old is served, the second so that nothing read in between survives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextvars import ContextVar
from typing import Protocol

from cache._step import step
from cache._tags import ALL, Domain, Names, Truth, epoch

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

    __slots__ = ("began", "clock", "contested", "held", "open", "outer", "targets", "until")

    def __init__(self, targets: Names, clock: Callable[[], float]) -> None:
        self.targets = targets
        self.clock = clock
        self.open = True
        self.until = -math.inf
        self.contested = False
        self.outer = next(enclosing(), None)
        self.held: dict[Truth, Kept] = {}
        self.began = 0

    def begin(self) -> None:
        """Cover all targets, then invalidate them: an entry can appear in between in no order of events."""
        for domain, name in self.targets:
            for other in self._overlapping(domain, name):
                if other is not self and other not in outwards(self.outer):
                    self.contested = other.contested = True
        try:
            for domain, name in self.targets:
                domain.windows.setdefault(name, []).append(self)
            self._invalidate()
        except BaseException:  # a key's __eq__: nothing may stay covered by a mutation that never ran
            self.open = False
            self._uncover()
            raise
        self.began = epoch.mutations

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
        self.until = self.clock() + linger if linger else -math.inf
        if not linger:
            self._uncover()
        self._invalidate()
        for domain, name in self.targets:
            if linger:
                domain.lingering.append((name, self))
            domain.sweep()
        self.targets = ()  # however long it lingers in one domain, it keeps no other alive
        for held in kept:
            held.settle()

    def has_elapsed(self) -> bool:
        """Whether nothing keeps it on its targets any more."""
        return not self.open and self.until <= self.clock()

    def may_hold(self, names: Iterable[Truth]) -> bool:
        """Whether a value that rests on ``names`` can still be the last word when the body ends.

        Of its own targets it knows whether another mutation overlapped; of other names only that none has begun or
        ended since in all of their domain.
        """
        targets = self.targets
        others = (domain for domain, name in names if (domain, name) not in targets and (domain, ALL) not in targets)
        return self.open and not self.contested and all(domain.mutated <= self.began for domain in others)

    def _invalidate(self) -> None:
        epoch.mutations += 1
        for domain, name in self.targets:
            domain.mutated = epoch.mutations
            domain.invalidate(name)

    def _uncover(self) -> None:
        for domain, name in self.targets:
            domain.uncover(name, self)

    @staticmethod
    def _overlapping(domain: Domain, name: Hashable) -> list[Window]:
        if name is ALL:
            return [window for name in tuple(domain.windows) for window in domain.windows_on(name)]
        return domain.windows_on(name)

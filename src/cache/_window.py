"""Window: a mutation in progress.

From before its first step to after its last, whether that is a return, an error or a cancellation, nothing that it
may be changing is stored, and nobody is given a result whose load began before he asked. Both ends invalidate: the
first so that nothing old is served, the second so that nothing read in between survives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar

from cache._tags import ALL, Domain, epoch

#: The innermost mutation whose body the current context is in.
mutation: ContextVar[Window | None] = ContextVar("cache.mutation", default=None)


def enclosing() -> Iterator[Window]:
    """The open mutations whose body the current context is in, innermost first."""
    window = mutation.get()
    while window is not None:
        if window.open:
            yield window
        window = window.outer


class Window:
    """One mutation of ``targets``.

    It is an object in a list, not a flag, so that nested and concurrent mutations add up. ``held`` are the values
    that its own body has set: they are stored when it has succeeded, unless ``contested``, that is unless another
    mutation of the same truth overlapped and may have committed after it.
    """

    __slots__ = ("clock", "contested", "held", "kills", "open", "outer", "targets", "until")

    def __init__(self, targets: tuple[tuple[Domain, Hashable], ...], clock: Callable[[], float]) -> None:
        self.targets = targets
        self.clock = clock
        self.open = True
        self.until = -math.inf
        self.contested = False
        self.outer = next(enclosing(), None)
        self.held: dict[tuple[Domain, Hashable], Callable[[], object]] = {}
        self.kills = 0

    def begin(self) -> None:
        """Cover all targets, then invalidate them: an entry can appear in between in no order of events."""
        for domain, name in self.targets:
            for other in self._overlapping(domain, name):
                if other is not self and other not in enclosing():
                    self.contested = other.contested = True
        try:
            for domain, name in self.targets:
                domain.windows.setdefault(name, []).append(self)
            self._invalidate()
        except BaseException:  # a key's __eq__: nothing may stay covered by a mutation that never ran
            self.open = False
            for domain, name in self.targets:
                self._uncover(domain, name)
            raise
        self.kills = epoch.kills

    def end(self, linger: float, *, succeeded: bool) -> None:
        """Uncover the targets, or leave them covered for ``linger`` seconds more; and invalidate again."""
        until = self.clock() + linger if linger else -math.inf
        uncontested = succeeded and not linger and not self.contested
        held = list(self.held.values()) if uncontested else []
        self.held = {}
        self.open = False
        self.until = until
        if not linger:
            for domain, name in self.targets:
                self._uncover(domain, name)
        self._invalidate()
        for store in held:
            store()

    def has_elapsed(self) -> bool:
        """Whether nothing keeps it on its targets any more."""
        return not self.open and self.until <= self.clock()

    def may_hold(self, names: tuple[tuple[Domain, Hashable], ...]) -> bool:
        """Whether a value set by the body can still be the last word when it ends."""
        return self.open and not self.contested and (not names or self.kills == epoch.kills)

    def _invalidate(self) -> None:
        for domain, name in self.targets:
            domain.invalidate(name)

    def _uncover(self, domain: Domain, name: Hashable) -> None:
        windows = domain.windows.get(name, [])
        rest = [window for window in windows if window is not self]
        if rest:
            domain.windows[name] = rest
        elif windows:
            del domain.windows[name]

    @staticmethod
    def _overlapping(domain: Domain, name: Hashable) -> list[Window]:
        if name is ALL:
            return [window for name in tuple(domain.windows) for window in domain.windows_on(name)]
        return domain.windows_on(name)

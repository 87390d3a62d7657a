"""Lease: the stamp that a load takes before it reads anything, and that proves what its result may be used for.

A load in progress rests on its own key and on everything that it has read so far. The lease hears of it when one of
these is invalidated, and passes the news on to the loads that wait for it, so that the four questions below are
answered at any moment without looking at anything else:

* ``clean``: nothing it rests on was invalidated, and nothing was read during a mutation: the result may be stored.
* ``joinable``: whoever asks for the key now may be given this result.
* ``chained``: whoever asks for the key now waits for a new load that begins when this one has ended.
* ``deadline``: the moment up to which everything it has read is good.

The three turns that a lease can take, from mild to grave: *detach* (newcomers load for themselves), *dirty* (and the
result is not stored), *spoil* (and newcomers queue, since what they would load cannot be stored either). Only the
queue is ever given up again, when the mutation ends.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from contextvars import ContextVar
from typing import Final

from cache._domain import Truth
from cache._key import ALL, ANY
from cache._keyspace import Keyspace
from cache._namespace import Namespace
from cache._reader import Reader
from cache._step import step

QUEUED: Final = 0
RUNNING: Final = 1
DONE: Final = 2
DETACH: Final = 0
DIRTY: Final = 1
SPOIL: Final = 2

#: The load, if any, whose loader the current context is in.
frame: ContextVar[Lease | None] = ContextVar("cache.frame", default=None)

#: The tracked loads in progress. While it is empty, no reader need ask for its frame.
running: set[Lease] = set()


def current_frame() -> Lease | None:
    """The frame of this context, unless its load has ended and left this context behind."""
    lease = frame.get()
    return None if lease is None or lease.state == DONE else lease


class Lease(Reader):
    """One load: queued (it has read nothing yet), running, or done.

    ``above`` are the loads that wait for this one, by the waiter through which they do, and ``below`` those that it
    waits for; ``parent`` is the load inside whose loader this one runs inline; ``successor`` the queued load of the
    same key that begins when this one ends. All but ``below`` point from what is waited for to what waits, and
    ``predecessor`` is the way back from a successor.

    ``mark`` is from when it began, for the tags that are computed from its result; empty if it proves nothing.
    """

    __slots__ = (
        "__weakref__",
        "above",
        "below",
        "chained",
        "clean",
        "joinable",
        "key",
        "mark",
        "names",
        "parent",
        "predecessor",
        "state",
        "successor",
        "suspects",
        "tracked",
        "undecided_in",
    )

    def __init__(
        self,
        keyspace: Keyspace,
        key: Hashable,
        names: Iterable[Truth] = (),
        undecided_in: Namespace | None = None,
        tracked: bool = True,
        *,
        parent: Lease | None = None,
    ) -> None:
        super().__init__(keyspace, reads=tracked)
        self.key = key
        self.names = names
        self.undecided_in = undecided_in
        self.tracked = tracked
        self.parent = parent
        self.state = QUEUED
        self.clean = True
        self.joinable = False
        self.chained = False
        self.above: dict[object, Lease] = {}
        self.below: set[Lease] = set()
        self.mark = b""
        self.predecessor: Lease | None = None
        self.successor: Lease | None = None
        self.suspects: set[Hashable] = set()

    # -- its life ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Go ahead: start, and have the load launched when the step is over."""
        self.start()
        step.launches.append(self)

    def resume(self) -> None:
        """Go ahead after having been queued, unless nobody waits any more."""
        if self.state == QUEUED:
            self.begin()

    def launch(self) -> None:
        """Set the load going; called outside the step."""

    def start(self) -> None:
        """From here on whatever is invalidated counts. A load that begins during a mutation is spoiled at once."""
        # Everything is looked up before anything changes: a clock or a key's __eq__ may raise.
        in_window = bool(self.keyspace.windows and self.keyspace.windows_on(self.key))
        for domain, name in self.names:
            in_window = bool(domain.windows_on(name)) or in_window
        changing = () if self.undecided_in is None else self.undecided_in.changing()
        self.state = RUNNING
        self.predecessor = None
        self.joinable = True
        if self.tracked:
            running.add(self)
        # The stamps first, which come with the tags, then the mutations of other processes: one that covers what this
        # rests on is either seen in progress, or changes a stamp that was taken.
        share = self.keyspace.share
        if share is not None and share.is_watched:
            grounds = self.keyspace.grounds(self.key)
            for tag in grounds:
                self._rest_on(tag)
            in_window = share.bus.is_changing([tag.slot for tag in grounds]) or in_window
        for domain, name in self.names:
            self._rest_on(domain.tag(name))
            in_window = domain.is_changing_elsewhere(name) or in_window
        if self.undecided_in is not None:
            self._start_undecided(self.undecided_in, changing)
        if in_window:
            self.spoil()

    def _start_undecided(self, namespace: Namespace, changing: Iterable[Hashable]) -> None:
        namespace.undecided.add(self)
        self.suspects.update(changing)  # of one that lingers nothing more will be heard
        share = namespace.share
        if share is not None and share.is_watched:
            self.watches = True
            self.mark = share.bus.mark()
        elsewhere = namespace.is_changing_elsewhere(ANY)
        if elsewhere:
            # Any tag may be among those: its mutation may commit and die, and of that nobody would hear any more.
            self.mark = b""
        if changing or elsewhere:
            self.detach()
            self.chained = True

    def decide(self, names: Iterable[str]) -> None:
        """The tags computed from the result are known: it rests on them since it began."""
        namespace = self.undecided_in
        if namespace is None:
            return
        for name in names:
            tag = namespace.tag(name)
            if namespace.windows_on(name) or namespace.is_changing_elsewhere(name):
                self.spoil()
            elif namespace.code(name) in self.suspects or not self._is_unchanged(namespace, name):
                self.dirty()
            else:
                self._rest_on(tag)

    def _is_unchanged(self, namespace: Namespace, name: Hashable) -> bool:
        """Whether no other process has invalidated this tag since the load began."""
        share = namespace.share
        if share is None or not share.is_watched:
            return True
        return bool(self.mark) and share.bus.unchanged(self.mark, (share.slot(name),))

    def hear(self) -> None:
        """Learn what other processes have invalidated, of what it rests on or will; they do not tell."""
        seen: set[Lease] = set()
        todo: list[Lease] = [self]
        while todo:
            lease = todo.pop()
            if lease in seen or lease.state != RUNNING:
                continue
            seen.add(lease)
            todo.extend(lease.below)
            for tag in [tag for tag in lease.tags if tag.slot and tag.is_dead()]:
                tag.kill()
            namespace = lease.undecided_in
            if namespace is not None and lease.joinable and not lease._is_unchanged(namespace, ANY):
                lease.detach()

    def close(self) -> None:
        """The load has ended, or nobody waits for it any more: from here on nothing it reads counts."""
        if self.state == DONE:
            return
        self.state = DONE
        running.discard(self)
        self.stop_reading()
        if self.undecided_in is not None:
            self.undecided_in.undecided.discard(self)
        # Contexts that outlive the load must not keep those who waited for it.
        if self.above:
            for above in self.above.values():
                above.below.discard(self)
            self.above = {}
        if self.below:
            self.below = set()
        self.parent = None
        if self.successor is not None:
            self._unchain()

    def hand_up(self, exp: float) -> None:
        """The loads that wait for this one rest on what it rests on, and are good no longer than ``exp``."""
        if self.tracked and self.above and (self.tags or exp != math.inf):
            for above in set(self.above.values()):
                above.rest_on(self.tags, exp, self.keyspace.clock)

    # -- the three turns ---------------------------------------------------------------------------------------

    def detach(self) -> None:
        """Newcomers do not join."""
        self._spread(DETACH)

    def dirty(self) -> None:
        """Something it rests on was invalidated: those who wait get the result, nobody else does."""
        self._spread(DIRTY)

    def spoil(self) -> None:
        """It has read something during a mutation of it."""
        self._spread(SPOIL)

    def suspect(self, name: Hashable, namespace: Namespace) -> None:
        """A tag was invalidated that may turn out to be this load's."""
        self.suspects.add(name)
        self.detach()
        if self.clean and self.chained and not namespace.is_changing():
            self._unchain()

    def _unchain(self) -> None:
        """Those who have queued need wait no longer: what they load can be stored."""
        self.chained = False
        successor, self.successor = self.successor, None
        if successor is not None:
            step.queued.append(successor)

    def _spread(self, turn: int) -> None:
        # A worklist: loads may wait for one another over more levels than the stack has room for.
        todo: list[Lease] = [self]
        while todo:
            lease = todo.pop()
            if lease.state != RUNNING or not lease._turn(turn):
                continue
            if lease.tracked:
                todo.extend(above for above in lease.above.values() if above.tracked)
            if lease.parent is not None:
                todo.append(lease.parent)

    def _turn(self, turn: int) -> bool:
        clean = self.clean and turn == DETACH
        chained = turn == SPOIL or (self.chained and turn == DETACH)
        if not self.joinable and clean == self.clean and chained == self.chained:
            return False
        self.joinable, self.clean, self.chained = False, clean, chained
        if clean:
            # It may still be stored, but the next load of its key takes its place where invalidations look for it.
            self._rest_on(self.keyspace.tag(self.key))
            self._rest_on(self.keyspace.tag(ALL))
        if not chained:
            self._unchain()
        return True

    def find_above(self, keyspace: Keyspace, key: Hashable) -> Lease | None:
        """The load of ``key`` that waits, directly or not, for this one: to wait for it from here would never end."""
        seen: set[Lease] = set()
        todo: list[Lease] = [self]
        while todo:
            lease = todo.pop()
            if lease in seen:
                continue
            seen.add(lease)
            if lease.keyspace is keyspace and lease.key == key:
                return lease
            todo.extend(lease.above.values())
            todo.extend(waiting for waiting in (lease.parent, lease.successor) if waiting is not None)
        return None

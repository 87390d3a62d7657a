"""Store: the entries of one cache and its loads in progress, always changed together, inside a step."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

from cache._domain import Names, Truth
from cache._entry import NEVER, Entry, make_entry
from cache._held import Held
from cache._key import ALL, ANY
from cache._keyspace import Keyspace
from cache._lease import Lease
from cache._policy import LRU, Policy
from cache._shards import Contents, count_parts, make_contents
from cache._share import Share
from cache._step import step
from cache._tags import SharedTag, Tag
from cache._window import Window, enclosing

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

#: How many entries each insertion looks at, to drop those that nobody will ever be served again.
INSPECTED = 2


class Store(Keyspace):
    """Entries by key, with the loads in progress by event loop and key.

    Invariants: no key that a mutation covers has an entry, because its begin removed it and nothing is stored before
    its end; so a hit need not look at mutations. ``data`` and ``policy`` hold the same entries.

    ``tick`` counts insertions and hits, so that hits are what remains of it.
    """

    __slots__ = (
        "coalesced",
        "counts_uses",
        "data",
        "evictions",
        "expirations",
        "fenced",
        "flights",
        "inserts",
        "invalidations",
        "is_plain",
        "load_errors",
        "loads",
        "make_policy",
        "maxsize",
        "misses",
        "mortal",
        "parts",
        "policy",
        "reader_checks_exp",
        "rebind",
        "tick",
    )

    def __init__(
        self,
        name: str,
        maxsize: int | None,
        clock: Callable[[], float],
        *,
        reader_checks_exp: bool,
        make_policy: Callable[[int | None], Policy] = LRU,
    ) -> None:
        super().__init__(name, clock)
        self.maxsize = maxsize
        self.reader_checks_exp = reader_checks_exp
        self.parts = count_parts(maxsize)
        self.data: Contents[Entry] = make_contents(self.parts)
        #: Tells a generated wrapper, which holds ``data`` itself, of a new one.
        self.rebind: Callable[[Contents[Entry]], None] = _nobody
        self.make_policy = make_policy
        self.policy = make_policy(maxsize)
        self.counts_uses = self.policy.counts_uses
        #: Whether a hit is one stamp, and no look at the clock.
        self.is_plain = not (reader_checks_exp or self.counts_uses)
        self.flights: dict[AbstractEventLoop, dict[Hashable, Lease]] = {}
        self.mortal = False
        self.reset_metrics()

    # -- metrics -----------------------------------------------------------------------------------------------

    def reset_metrics(self) -> None:
        """Count from zero again; only when there is no entry, whose tick would lie in the future."""
        self.tick = self.inserts = 0.0
        self.misses = self.loads = self.load_errors = self.coalesced = 0
        self.evictions = self.expirations = self.invalidations = self.fenced = 0

    def metrics(self) -> dict[str, int | float]:
        hits = int(self.tick - self.inserts)
        calls = hits + self.misses
        return {
            "hits": hits,
            "misses": self.misses,
            "size": len(self.data),
            "hit_rate": hits / calls if calls else 0.0,
            "loads": self.loads,
            "load_errors": self.load_errors,
            "coalesced": self.coalesced,
            "evictions": self.evictions,
            "expirations": self.expirations,
            "invalidations": self.invalidations,
            "fenced": self.fenced,
        }

    # -- entries -----------------------------------------------------------------------------------------------

    def touch(self, entry: Entry) -> None:
        """Count a hit."""
        if self.counts_uses:
            self.tick += 1.0
            entry.tick += 1.0
        else:
            self.tick = entry.tick = self.tick + 1.0

    def is_full(self) -> bool:
        """Whether one more entry would be the end of another."""
        return self.maxsize is not None and len(self.data) >= self.maxsize

    def find(self, key: Hashable) -> Entry | None:
        """The entry of ``key`` if it may be served."""
        entry = self.data.get(key)
        return entry if entry is not None and entry.is_fresh(self.clock()) else None

    def fresh(self, key: Hashable) -> Entry | None:
        """The same; one that may not be served is dropped on the way."""
        entry = self.data.get(key)
        if entry is None:
            return None
        if entry.is_fresh(self.clock()):
            return entry
        self._drop_unfit(entry)
        return None

    def put(self, key: Hashable, value: Any, exp: float, tags: tuple[Tag, ...]) -> bool:
        """Store a value, making room for it. False if this cache stores nothing."""
        if self.maxsize == 0:
            return False
        entry = make_entry(key, value, exp, tags, reader_checks_exp=self.reader_checks_exp)
        old = self.data.get(key)
        if old is not None:
            self._remove(old)
        if self.mortal or entry.guard is not None or exp != NEVER:
            self.mortal = True
            self._inspect()
        if self.is_full():
            victim = self.policy.evict(self.tick)
            del self.data[victim.key]
            step.doomed.append(victim)
            self.evictions += 1
        self.inserts += 1.0
        self.tick = entry.tick = self.tick + 1.0
        self.data[key] = entry
        self.policy.add(entry)
        return True

    def _inspect(self) -> None:
        now = self.clock()
        for _ in range(INSPECTED):
            entry = self.policy.inspect()
            if entry is not None and not entry.is_fresh(now):
                self._drop_unfit(entry)

    def _drop_unfit(self, entry: Entry) -> None:
        guard = entry.guard
        if guard is not None and not guard.is_alive():
            self.invalidations += 1
        else:
            self.expirations += 1
        self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        del self.data[entry.key]
        self.policy.discard(entry)
        step.doomed.append(entry)

    # -- setting from outside ----------------------------------------------------------------------------------

    def assign(self, key: Hashable, value: Any, ttl: float | None, names: Names) -> bool:
        """Store what the caller says is the truth. During mutations only their own body may, and at their end."""
        exp = NEVER if ttl is None else self.clock() + ttl
        return self.settle(Held(self, key, value, exp, names), tuple(enclosing()))

    def settle(self, held: Held, own: tuple[Window, ...]) -> bool:
        """Store a value that was set in the bodies of ``own``, or have the innermost of them hold it to its end."""
        windows = self._mutations_of(held.truths())
        if windows and all(window in own for window in windows):
            self._drop(held.key)  # others were told when the mutation began
            held.begin()  # before it is seen whether they have changed it since
            if all(window.may_hold(held.truths()) for window in windows):
                self._hold(held, own[0])
                return False
            held.close()
        self.invalidate(held.key)
        if not windows:
            tags = [domain.tag(name) for domain, name in held.names]
            share = self.share
            if share is not None and share.is_watched:
                self._tag_stamped(held.key, share.announced)
                tags += self.grounds(held.key)
            if any(domain.is_changing_elsewhere(name) for domain, name in held.truths()):
                return False
            return held.exp > self.clock() and self.put(held.key, held.value, held.exp, tuple(tags))
        return False

    def _hold(self, held: Held, window: Window) -> None:
        """Have a mutation keep a value aside, in place of what it has kept before."""
        earlier = window.held.pop((self, held.key), None)
        if earlier is not None:
            earlier.close()
            step.doomed.append(earlier)
        window.held[self, held.key] = held

    def is_covered(self, key: Hashable, names: Names) -> bool:
        """Whether a mutation, here or elsewhere, covers what a value of ``key`` rests on."""
        truths = ((self, key), *names)
        elsewhere = any(domain.is_changing_elsewhere(name) for domain, name in truths)
        return elsewhere or bool(self._mutations_of(truths))

    @staticmethod
    def _mutations_of(truths: Iterable[Truth]) -> list[Window]:
        """Those that cover one of these and have a body, which may write on; a change without one has been made."""
        return [window for domain, name in truths for window in domain.windows_on(name) if window.has_body]

    def _tag_stamped(self, key: Hashable, stamp: int) -> Tag:
        """The tag of ``key``, alive only as long as this is its stamp, whatever it is at the moment."""
        tag = self.tag(key)
        if isinstance(tag, SharedTag):
            tag.stamp = stamp
        return tag

    # -- loads -------------------------------------------------------------------------------------------------

    def finish(self, lease: Lease, value: Any, ttl: float | None, *, replaces: bool = False) -> float | None:
        """A load has its result: store it if its lease allows, and tell those who wait what it rests on.

        Returns up to when it may be kept, None if it may not.
        """
        if lease.watches:
            lease.hear()
        now = self.clock()
        exp = lease.deadline if ttl is None else min(now + ttl, lease.deadline)
        if not lease.clean:
            self.fenced += 1
        elif replaces:
            self._replace(lease)
        may_keep = lease.clean and exp > now
        if may_keep:
            self.put(lease.key, value, exp, tuple(lease.tags))
        if lease.above:
            lease.hand_up(exp)
        return exp if may_keep else None

    def _replace(self, lease: Lease) -> None:
        """What was computed from the value that goes now rests on its key, and dies; the new value does not."""
        anything = self.known(ANY)
        coarse = anything in lease.tags
        own = self.known(lease.key)
        rested = own in lease.tags
        for tag in (own, anything):
            if tag is not None:
                lease.tags.discard(tag)
                tag.readers.discard(lease)
        self.kill(lease.key)
        # What the load has found of others, from its beginning on, counts for what takes the place of the old tags.
        if coarse:
            stamp = anything.stamp if isinstance(anything, SharedTag) else 0
            lease.tags.add(self._tag_stamped(ANY, stamp))
        if rested and isinstance(own, SharedTag) and own.slot:
            lease.tags.add(self._tag_stamped(lease.key, own.stamp))
        for board in self.flights.values():
            other = board.get(lease.key)
            if other is not None and other is not lease:  # it may have got the value of before from a tier
                other.dirty()
        old = self.data.get(lease.key)
        if old is not None:  # it is the older one even if the new is not stored
            self._remove(old)

    # -- invalidation ------------------------------------------------------------------------------------------

    def invalidate(self, name: Hashable) -> bool:
        """Drop the entry, fence and detach the loads in progress, kill what rests on it; True if an entry went."""
        if name is ALL:
            return self.invalidate_all()
        served = self._drop(name)
        self.announce(name)
        return served

    def _drop(self, name: Hashable) -> bool:
        """The same for this process alone."""
        # Everything is looked up before anything changes: a key's __eq__ may raise.
        entry = self.data.get(name)
        flights = [board[name] for board in self.flights.values() if name in board]
        windows = self.windows_on(name)
        self.known(name)
        served = entry is not None and entry.is_fresh(self.clock())
        if entry is not None:
            self.invalidations += 1
            self._remove(entry)
        self._fence(flights, windows)
        self.kill(name)
        return served

    def invalidate_all(self) -> bool:
        """The same for every key, in time that does not depend on how many there are."""
        self.announce(ALL)
        return self.drop_all()

    def join(self, share: Share) -> None:
        super().join(share)
        self.drop_all()

    def declare(self, at: tuple[int, ...]) -> None:
        """From now on entries rest on the wildcards over these components of their keys; those that do not yet go."""
        if self.share is not None:
            self.share.declare(at)
            self.announce(ALL)
        self.drop_all()

    def drop_all(self) -> bool:
        """The same for this process alone: nothing has changed that others need to know."""
        data, self.data = self.data, make_contents(self.parts)
        self.rebind(self.data)
        step.heaps.append((data, self.policy))
        self.policy = self.make_policy(self.maxsize)
        self.invalidations += len(data)
        for board in self.flights.values():
            for key, flight in tuple(board.items()):
                self._fence([flight], self.windows_on(key))
        self.kill(ALL)
        return bool(data)

    def outdate(self, key: Hashable) -> None:
        """A load of ``key`` is about to begin that must have the last word: none of before, on any loop, is stored."""
        for board in self.flights.values():
            older = board.get(key)
            if older is not None and older.clean:
                older.dirty()

    @staticmethod
    def _fence(flights: list[Lease], windows: list[Window]) -> None:
        for flight in flights:
            for lease in (flight, flight.predecessor):
                if lease is not None:
                    if windows:
                        lease.spoil()
                    else:
                        lease.dirty()


def _nobody(_: Contents[Entry]) -> None:
    """No wrapper holds the dict."""

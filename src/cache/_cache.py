"""AsyncCache: the switchboard that connects the rooms."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload
from weakref import WeakSet

from cache._applied import Applied
from cache._arguments import (
    DEFAULT,
    TTL,
    Default,
    check_cache_errors,
    check_callable,
    check_choice,
    check_count,
    check_flag,
    check_key,
    check_name,
    check_seconds,
    check_some_tags,
    check_tags,
    check_ttl,
    shown,
)
from cache._backing import Backing
from cache._batch import Batches, KeyRecipe
from cache._blocking import ThreadRecipe, fetch_blocking
from cache._bus import Bus
from cache._change import Telling, change, cover
from cache._domain import Names
from cache._entry import Entry, Failure
from cache._key import ALL
from cache._lease import current_frame, running
from cache._loads import Loads, leave, switch
from cache._membership import Membership
from cache._mutation import Linger, Mutating, check_linger
from cache._namespace import named_namespace
from cache._places import Remote, check_places
from cache._policy import LRU, Policy
from cache._preloading import preload
from cache._recipe import Recipe
from cache._reclaim import reclaim
from cache._s3fifo import S3FIFO
from cache._share import check_told
from cache._step import step
from cache._store import Store
from cache._tier import Tier
from cache._warmup import warm_up
from cache.codec import Codec
from cache.errors import LoadCancelled

logger = logging.getLogger("cache")

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
D = TypeVar("D")

POLICIES: dict[str, Callable[[int | None], Policy]] = {"lru": LRU, "s3fifo": S3FIFO}

# What a step has dropped may be a million entries, and event loops must not be held up by it.
step.let_go = reclaim

#: Every cache that is alive.
_caches: WeakSet[AsyncCache] = WeakSet()


def living() -> tuple[AsyncCache, ...]:
    """Every cache that is alive."""
    with step:  # others may be made meanwhile
        return tuple(_caches)


def _nothing() -> None:
    """Change nothing in this process."""


class AsyncCache:
    """An asyncio cache whose invalidation can be trusted.

    Once a declared mutation has committed, no read that starts later gets the old value, and nothing computed from
    the old value is stored: see `mutating`. Without a mutation, `delete` and `invalidate` are final for every load
    that began before them: its result goes to those who already wait for it and is not stored.

    One cache may be used from any number of event loops, one after the other or at once in threads, and invalidated
    from threads that have none. Entries are shared; a load is shared by the callers of one loop.

    Args:
        maxsize: Entries to keep at most; None for no bound, 0 to store nothing (loads are still shared).
        default_ttl: Seconds to keep an entry, from the end of its load, where no ``ttl`` is given. None keeps it
            until it is evicted or invalidated, 0 stores nothing; or a function of the result that returns these.
        batch_window_ms: Milliseconds for which missing keys are collected for a batch loader; 0 collects to the end
            of the turn of the loop.
        max_batch_size: Keys that a batch loader is given at most.
        backup: A tier behind the cache, in which entries survive the process: see `DiskBackend`. Asked before a
            loader, and given what loaders return; needs a ``name``, by which it finds them again. By default that of
            `configure`, None for none.
        remote_cache: A store that other machines share, and their invalidations with it: see `RedisBackend`. It takes
            the place of ``bus`` and ``backup``.
        name: How the cache is called in messages.
        namespace: Where its tags live; caches of one namespace share them.
        policy: What goes when room is needed: ``"lru"``, the least recently used; or ``"s3fifo"``, what was not asked
            for again, which keeps more of what is popular and is not flushed by a scan (Yang et al., SOSP 2023).
        clock: Returns seconds, never going back.
        track: Whether a load that reads this cache rests on what it has read, and is invalidated with it; and whether
            the loads of this cache do so themselves. False opts out of both.
        cache_errors: Classes of exceptions and for how many seconds the error of a loader is kept and raised again.
        bus: Tells other processes of invalidations, and this one of theirs: see `SharedMemoryBus`. Needs a ``name``,
            by which they find one another. By default that of `configure`, None for none.
        codec: How values become bytes in a tier, if not by its own codec for plain values: another, or a function
            that makes one from that, ``lambda own: own.typed(User)``.

    Raises:
        TypeError: an argument has the wrong type, or a cache that is shared has no name.
        ValueError: a number is negative or NaN, or a word is unknown; or a cache of this name is on the bus already.

    """

    def __init__(  # noqa: PLR0917 - all but the last had this order before they were keywords
        self,
        maxsize: int | None = 128,
        default_ttl: TTL = None,
        batch_window_ms: float = 5,
        max_batch_size: int = 100,
        backup: Tier | Default | None = DEFAULT,
        remote_cache: Remote | None = None,
        *,
        name: str | None = None,
        namespace: str = "default",
        policy: str = "lru",
        clock: Callable[[], float] = time.monotonic,
        track: bool = True,
        cache_errors: Mapping[type[BaseException], float] | None = None,
        bus: Bus | Default | None = DEFAULT,
        codec: Codec | Callable[[Codec], Codec] | None = None,
    ) -> None:
        check_count(maxsize, "maxsize", least=0, none="no bound")
        self._ttl_of = check_ttl(default_ttl, "default_ttl")
        window = check_seconds(batch_window_ms, "batch_window_ms", unit="milliseconds")
        most = check_count(max_batch_size, "max_batch_size", least=1)
        self.name: str = "cache" if name is None else check_name(name, "name")
        places = check_places(bus, backup, remote_cache)
        self._namespace = named_namespace(check_name(namespace, "namespace"), places.bus)
        check_choice(policy, "policy", tuple(POLICIES))
        check_callable(clock, "clock", "clock() -> seconds")
        self._store = Store(
            self.name, maxsize, clock, reader_checks_exp=default_ttl is not None, make_policy=POLICIES[policy]
        )
        self._loads = Loads(
            self._store, track=check_flag(track, "track"), cache_errors=check_cache_errors(cache_errors)
        )
        self._batches = Batches(self._loads, window / 1000, most)
        #: The names that rest in a key itself, beside those that a caller gives.
        self._implied: Callable[[Hashable, bool], Names] | None = None
        self._membership = Membership(self._loads, self._namespace, name, codec)
        with step:
            _caches.add(self)
            self._membership.join(places)

    # -- reading -----------------------------------------------------------------------------------------------

    @overload
    async def get(
        self,
        key: Hashable,
        loader: Callable[[], Awaitable[T]],
        batch_loader: None = None,
        ttl: TTL | Default = ...,
        *,
        tags: Iterable[str] = ...,
        default: Any = ...,
    ) -> T: ...
    @overload
    async def get(
        self,
        key: Hashable,
        loader: Callable[[], T],
        batch_loader: None = None,
        ttl: TTL | Default = ...,
        *,
        tags: Iterable[str] = ...,
        default: Any = ...,
    ) -> T: ...
    @overload
    async def get(
        self,
        key: K,
        loader: None = None,
        *,
        batch_loader: Callable[[list[K]], Awaitable[Mapping[K, T]] | Mapping[K, T]],
        ttl: TTL | Default = ...,
        tags: Iterable[str] = ...,
        default: Any = ...,
    ) -> T | None: ...
    @overload
    async def get(
        self,
        key: K,
        loader: None = None,
        *,
        batch_loader: Callable[[list[K]], Awaitable[Sequence[T]] | Sequence[T]],
        ttl: TTL | Default = ...,
        tags: Iterable[str] = ...,
        default: Any = ...,
    ) -> T: ...
    @overload
    async def get(self, key: Hashable, loader: None = None, *, default: Any = ...) -> Any: ...

    async def get(
        self,
        key: Hashable,
        loader: Callable[[], Any] | None = None,
        batch_loader: Callable[[list[Any]], Any] | None = None,
        ttl: TTL | Default = DEFAULT,
        *,
        tags: Iterable[str] = (),
        default: Any = None,
    ) -> Any:
        """The value of ``key``: from its entry, or from one load that all who ask meanwhile share.

        Args:
            key: Any hashable.
            loader: Called without arguments on a miss; plain or async. Its errors reach every waiter as raised.
            batch_loader: Called with a list of distinct missing keys; plain or async. Returns a mapping, in which a
                key that is missing counts as None, or a sequence of one value for each key in their order.
            ttl: Seconds to keep the result: see ``default_ttl``.
            tags: The tags that the entry rests on.
            default: Returned on a miss where there is no loader.

        What concerns a load only, all but ``key`` and ``default``, is checked when the key is not stored.

        Raises:
            TypeError: the key is not hashable, a loader cannot be called, or both loaders are given.
            ValueError: ``ttl`` is negative or NaN; or a batch loader returned a sequence of the wrong length.
            CacheCycleError: this call is made by a load on which the load of ``key`` already waits.
            LoadCancelled: the load was cancelled, and not its caller.

        """
        store = self._store
        try:
            entry = store.data[key]
        except KeyError:
            pass
        except TypeError:
            check_key(key)
            raise
        else:
            # The common case first: no guard, no load in progress, no deadline, the least recently used in order.
            if entry.guard is None and not running and store.is_plain:
                entry.tick = store.tick = store.tick + 1.0
                return entry.value
            if self._loads.is_hit(entry):
                store.touch(entry)
                return entry.value
        # Apart, because the frame of this function is part of what a hit costs.
        return await self._look_or_load(key, loader, batch_loader, ttl=ttl, tags=tags, default=default)

    @overload
    def get_blocking(
        self, key: Hashable, loader: Callable[[], T], ttl: TTL | Default = ..., *, tags: Iterable[str] = ...
    ) -> T: ...
    @overload
    def get_blocking(self, key: Hashable, loader: None = None, *, default: Any = ...) -> Any: ...

    def get_blocking(
        self,
        key: Hashable,
        loader: Callable[[], Any] | None = None,
        ttl: TTL | Default = DEFAULT,
        *,
        tags: Iterable[str] = (),
        default: Any = None,
    ) -> Any:
        """`get` for a thread without an event loop, with a plain ``loader``: it waits by blocking the thread.

        Entries and guarantees are those of `get`. The load runs in the thread of the first who asks, and other threads
        that ask meanwhile share it; a load that an event loop runs is not waited for, nor the other way round. Where
        the event loop of this very thread is running, the caller loads for itself, for to wait might never end.

        A thread that is interrupted (KeyboardInterrupt) leaves, and hands the load on to the next who waits. The load
        itself is not interrupted when the cache is closed: its thread hears of that at the end of its loader.

        Raises:
            TypeError: as `get`; or the loader returned something to be awaited.
            ValueError: ``ttl`` is negative or NaN.
            CacheCycleError: this call is made by a load on which the load of ``key`` already waits.
            LoadCancelled: the cache was closed meanwhile, or the loader raised CancelledError.

        """
        check_key(key)
        entry = self._store.data.get(key)
        if entry is not None and self._loads.is_hit(entry):
            self._store.touch(entry)
            return entry.value
        del entry  # if it is an error that is kept, its traceback would keep the entry, and so itself
        if loader is None:
            return self._look(key, ttl, tags, default)
        load = check_callable(loader, "loader", "loader() -> value")
        ttl_of = self._ttl_of if ttl is DEFAULT else check_ttl(ttl)
        return fetch_blocking(self._loads, key, ThreadRecipe(load, ttl_of, self._names(key, tags)))

    async def _look_or_load(
        self,
        key: Hashable,
        loader: Callable[[], Any] | None,
        batch_loader: Callable[[list[Any]], Any] | None,
        *,
        ttl: TTL | Default,
        tags: Iterable[str],
        default: Any,
    ) -> Any:
        if loader is not None or batch_loader is not None:
            recipe = self._recipe(key, loader, batch_loader, ttl, tags)
            flight, result = self._loads.ask(key, lambda *_: recipe)
            try:
                return await result
            except BaseException:  # of the load, which has ended then; or the caller is cancelled, or thrown away
                leave(flight, result)
                del flight, result  # the exception's traceback would keep them, and they the exception
                raise
        return self._look(key, ttl, tags, default)

    def _look(self, key: Hashable, ttl: TTL | Default, tags: Iterable[str], default: Any) -> Any:
        check_ttl(None if ttl is DEFAULT else ttl)
        check_tags(tags)
        with step:
            entry = self._loads.look(key, current_frame())
        try:
            return default if entry is None else entry.result()
        finally:
            del entry

    def _recipe(
        self,
        key: Hashable,
        loader: Callable[[], Any] | None,
        batch_loader: Callable[[list[Any]], Any] | None,
        ttl: TTL | Default,
        tags: Iterable[str],
    ) -> Recipe:
        ttl_of = self._ttl_of if ttl is DEFAULT else check_ttl(ttl)
        names = self._names(key, tags)
        if batch_loader is None:
            return Recipe(check_callable(loader, "loader", "loader() -> value"), ttl_of, names)
        if loader is not None:
            raise TypeError(f"loader={shown(loader)} and batch_loader={shown(batch_loader)}: pass one of the two")
        check_callable(batch_loader, "batch_loader", "batch_loader(keys) -> mapping or sequence")
        return KeyRecipe(self._batches, batch_loader, key, ttl_of, names)

    def _names(self, key: Hashable, tags: Iterable[str]) -> Names:
        names: Names = ()
        if type(tags) is not tuple or tags:  # mostly there are none
            names = tuple([(self._namespace, tag) for tag in check_tags(tags)])
        return names if self._implied is None else names + self._implied(key, bool(names))

    # -- looking -----------------------------------------------------------------------------------------------

    def peek(self, key: Hashable, default: Any = None) -> Any:
        """The cached value of ``key``, or ``default``; loads, counts and promotes nothing."""
        store = self._store
        try:
            entry = store.data.get(key)
        except TypeError:
            check_key(key)
            raise
        if entry is not None and entry.guard is None and not running:
            if not store.reader_checks_exp or entry.exp > store.clock():
                return entry.value
        elif entry is None and not running:
            return default
        found = self._peek(key)
        return default if found is None else found.value

    def __contains__(self, key: Hashable) -> bool:
        return self._peek(key) is not None

    def _peek(self, key: Hashable) -> Entry | None:
        check_key(key)
        reader = current_frame()
        with step:
            if reader is not None and self._loads.track:
                reader.rest_on_key(self._store, key)
            entry = self._store.find(key)
            if entry is not None and reader is not None and self._loads.track:
                reader.rest_on_entry(entry, self._store.clock)
        return None if entry is None or type(entry.value) is Failure else entry

    def __len__(self) -> int:
        return len(self._store.data)

    def get_metrics(self) -> dict[str, int | float]:
        """What happened since the cache was made or cleared.

        ``hits`` + ``misses`` = calls, ``hit_rate`` = hits / calls; ``size`` counts entries; ``loads`` the keys loaded,
        ``load_errors`` those whose loader raised, ``coalesced`` the misses that joined another's load; ``evictions``,
        ``expirations`` and ``invalidations`` the entries that went for want of room, by time, and because the truth
        changed; ``fenced`` the loads whose result was refused because it had changed meanwhile.

        Where there is a tier, ``backup_hits`` and ``backup_misses`` are the loads for which it had a value or had
        none; ``backup_refused`` the values that it had and that could not be used, of another version of the
        function or damaged, and ``backup_unencodable`` those that were not given to it because they have no bytes.
        """
        backing = self._loads.backing
        return self._store.metrics() if backing is None else self._store.metrics() | backing.metrics()

    # -- changing ----------------------------------------------------------------------------------------------

    def set(self, key: Hashable, value: Any, ttl: TTL | Default = DEFAULT, *, tags: Iterable[str] = ()) -> Applied:
        """Store ``value`` now; loads of ``key`` that began before are not stored, and what was computed from it goes.

        While a mutation covers the key, only its own body may set it: the value is then kept aside, and stored when
        the mutation has succeeded, unless what it rests on was invalidated meanwhile, or another mutation of it
        overlapped or is open around this one. On a bus it is not kept at all, for another process may have changed it
        too. Truthy if the value was stored at once.

        Raises:
            TypeError, ValueError: as `get`.

        """
        check_key(key)
        ttl_of = self._ttl_of if ttl is DEFAULT else check_ttl(ttl)
        names = self._names(key, tags)
        if switch.off:  # nothing is stored; and in a tier nothing older is left
            behind = self._loads.backing is not None
            return Applied(*change([(self._store, key)], _nothing)) if behind else Applied(False)
        ttl, backing = ttl_of(value), self._loads.backing
        if backing is None:
            stored, told = step.run(self._store.assign, key, value, ttl, names), None
        else:
            stored, told = self._assign_behind(backing, key, value, ttl, names)
        check_told([(self._store, key)])
        return Applied(stored, () if told is None else (told,))

    def _assign_behind(
        self, backing: Backing, key: Hashable, value: Any, ttl: float | None, names: Names
    ) -> tuple[bool, Awaitable[None] | None]:
        """Set a value in the tier too, unless a mutation covers it: what that keeps aside may still be refused."""
        store = self._store
        if step.is_mine():  # a finalizer asks in the middle of a step
            step.launches.append(Telling([(store, key)]))
            return step.run(store.assign, key, value, ttl, names), None
        with step:
            refused = store.is_covered(key, names)
            lift = cover([(store, key)])
            stored = store.assign(key, value, ttl, names)
        return stored, backing.assign(key, value, 0 if refused else ttl, names, lift)

    def delete(self, key: Hashable) -> Applied:
        """``key`` has changed: drop its entry and what was computed from it, and store no load that began before.

        Takes effect before it returns. Truthy if an entry was dropped; deleting what is not there is no error.
        """
        check_key(key)
        return Applied(*change([(self._store, key)], self._store.invalidate, key))

    def invalidate(self, *tags: str) -> Applied:
        """What rests on any of these tags, in all caches of the namespace, has changed.

        Takes effect before it returns, in time that does not depend on how many entries there are. Truthy if a tag
        was in use.
        """
        checked = check_some_tags(tags)
        truths = [(self._namespace, tag) for tag in checked]
        return Applied(*change(truths, self._namespace.invalidate_each, checked))

    def clear(self) -> Applied:
        """Everything has changed; the metrics begin anew. Truthy if there were entries."""
        return Applied(*change([(self._store, ALL)], self._clear))

    def _clear(self) -> bool:
        cleared = self._store.invalidate_all()
        self._store.reset_metrics()
        if self._loads.backing is not None:
            self._loads.backing.reset_metrics()
        return cleared

    def mutating(
        self,
        *keys: Hashable,
        tags: Iterable[str] = (),
        everything: bool = False,
        linger: Linger | Default = DEFAULT,
    ) -> Mutating:
        """A mutation of ``keys``, of what carries ``tags``, or of ``everything``: ``async with`` it around the write.

        From entry to exit, whether the body returns, raises or is cancelled: nothing that it covers is stored, no
        reader outside gets the result of a load that began before they asked, and the body's own reads are private.
        So once its commit is made, no read that starts later gets the old value, even before the body ends.

        Args:
            keys: Keys of this cache.
            tags: Tags of its namespace.
            everything: All keys, those not yet known included.
            linger: Seconds for which it stays covered after the end, or a function of the error (None: success).
                By default 1 s where nobody knows if the write was made: CancelledError, TimeoutError or OSError, or
                an error that came from one of these; else 0.

        """
        for key in keys:
            check_key(key)
        targets: Names = tuple((self._store, key) for key in dict.fromkeys(keys))
        targets += tuple((self._namespace, tag) for tag in check_tags(tags))
        if check_flag(everything, "everything"):
            targets += ((self._store, ALL),)
        if not targets:
            raise TypeError("mutating() needs to know what is changed: pass keys, tags=(...) or everything=True")
        return Mutating(targets, self._store.clock, check_linger(linger))

    async def warmup(
        self,
        loaders: Mapping[K, Callable[[], Any]],
        *,
        concurrency: int = 8,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """Load what is missing, ``concurrency`` keys at a time.

        Args:
            loaders: A loader for each key, as for `get`.
            concurrency: Loads in progress at most.
            on_progress: Called after each key with the number done and the number in all.

        Raises:
            ExceptionGroup: some loaders failed; all others have been loaded. It names the keys.

        """
        await warm_up(self.get, loaders, concurrency=concurrency, on_progress=on_progress)

    # -- the tier behind it ------------------------------------------------------------------------------------

    async def save_to_backup(self) -> int:
        """Have the tier store what is still on its way to it; how many records it has stored since the last time.

        Loads are written behind, within a fraction of a second, so there is no need to call it but to be sure. A tier
        that several caches share stores, and counts, for all of them.

        Raises:
            TypeError: there is no tier.

        """
        return await self._backing("save_to_backup").tier.flush()

    async def load_from_backup(self) -> int:
        """Store in memory what the tier has, those used last first, until the cache is full; how many were stored.

        They keep what remains of their ttl, their tags, and what else they rest on. There is no need to call it:
        what is missing is looked for in the tier before it is loaded.

        Raises:
            TypeError: there is no tier.

        """
        backing = self._backing("load_from_backup")
        return 0 if switch.off else await preload(backing, self._names_of)

    def _backing(self, asked: str) -> Backing:
        backing = self._loads.backing
        if backing is None:
            raise TypeError(f"{asked}() needs a tier behind the cache: pass backup=DiskBackend('cache.db')")
        return backing

    def _names_of(self, key: Hashable) -> Names:
        return () if self._implied is None else self._implied(key, True)

    # -- closing -----------------------------------------------------------------------------------------------

    async def aclose(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - it bounds a wait, and cancels nothing
        """End the loads in progress, whose callers get `LoadCancelled`, and drop all entries of this process.

        What is on its way to a tier is stored there first; the tier itself stays open, for others may use it.
        Waits at most ``timeout`` seconds for the loads of this loop to end. May be repeated; the cache can be used
        again. A cache need not be closed: what is not in use is garbage like anything else.
        """
        seconds = check_seconds(timeout, "timeout")
        step.run(self._store.drop_all)
        late = await self._loads.cancel_all(LoadCancelled(f"the cache {self.name!r} was closed"), seconds)
        if late:
            logger.warning("%r was closed; loads still running after %g s: %d", self.name, seconds, len(late))
        if self._loads.backing is not None:
            try:
                await asyncio.wait_for(self.save_to_backup(), seconds)
            except TimeoutError:
                logger.warning("%r was closed; its tier has not stored everything within %g s", self.name, seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        maxsize = self._store.maxsize
        return f"<AsyncCache {self.name!r}: {len(self)} of {'any number of' if maxsize is None else maxsize} entries>"

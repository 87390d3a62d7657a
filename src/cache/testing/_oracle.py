"""Oracle: what must be true of a cache's inside, at any moment and when all is quiet."""

from __future__ import annotations

import gc

from cache._cache import AsyncCache, living
from cache._lease import DONE, running
from cache._namespace import Namespace
from cache._step import step
from cache._store import Store
from cache._tags import Tag


def assert_sound(*of: AsyncCache) -> None:
    """Assert that the structure of these caches, by default of all that are alive, agrees with itself.

    Entries and eviction order hold the same entries, no more than ``maxsize``; no key that a mutation covers has an
    entry; every load that is found by its key is one in progress.

    Raises:
        AssertionError: says which cache and what is wrong.

    """
    with step:
        for cache in of or living():
            _check_entries(cache._store)
            _check_loads(cache._store)


def assert_quiet(*of: AsyncCache) -> None:
    """Assert `assert_sound`, and that nothing is left of what has ended: for a moment when nothing is in progress.

    No load, no batch, no mutation (nor one that lingers), and no tag on which nothing rests any more. What is left
    only until the garbage is collected does not count.

    Raises:
        AssertionError: says which cache and what is left.

    """
    if not _is_quiet(of):
        gc.collect()
        _check_quiet(of)


def _is_quiet(of: tuple[AsyncCache, ...]) -> bool:
    try:
        _check_quiet(of)
    except AssertionError:  # asked again after a collection, without this error's frames, which keep what they saw
        return False
    return True


def _check_quiet(of: tuple[AsyncCache, ...]) -> None:
    checked = of or living()
    assert_sound(*checked)
    with step:
        live = _tags_in_use(living())
        for cache in checked:
            store, name = cache._store, cache.name
            _claim(not store.flights, f"{name}: loads are left: {[list(board) for board in store.flights.values()]}")
            # A task that has ended is let go of in the next turn of its loop.
            flying = [flight for flight in cache._loads.flying if flight.task is None or not flight.task.done()]
            _claim(not flying, f"{name}: tasks are left: {flying}")
            _claim(not cache._batches.collecting, f"{name}: batches are left: {list(cache._batches.collecting)}")
            _claim(not store.is_changing(), f"{name}: mutations are left: {list(store.windows)}")
            namespace = cache._namespace
            _claim(not namespace.is_changing(), f"{namespace.name}: mutations are left: {list(namespace.windows)}")
            _claim(not namespace.undecided, f"{namespace.name}: loads are left: {namespace.undecided}")
            for domain in (store, namespace):
                for tag in list(domain.tags.values()):
                    _check_tag(tag, live)
        ours = {lease for lease in running if lease.keyspace in {cache._store for cache in checked}}
        _claim(not ours, f"leases are left: {[(lease.keyspace.name, lease.key) for lease in ours]}")


def _check_entries(store: Store) -> None:
    name = store.name
    filed = [entry for bucket in store.policy.buckets for entry in bucket.filed()]
    _claim(len(filed) == len(store.data), f"{name}: {len(store.data)} entries, {len(filed)} in the eviction order")
    _claim(all(store.data.get(entry.key) is entry for entry in filed), f"{name}: the order holds what is not stored")
    # Queues have no bounds; in an order of ticks they rise.
    bounds = [bucket.bound for bucket in store.policy.buckets]
    _claim(bounds == sorted(bounds), f"{name}: the eviction order is not one: {bounds}")
    for bucket in store.policy.buckets:
        entries = bucket.filed()
        _claim(bucket.live == len(entries), f"{name}: a bucket counts {bucket.live} and holds {len(entries)}")
        for entry in entries:
            _claim(entry.bucket is bucket, f"{name}: {entry.key!r} does not know its bucket")
            _claim(bucket.entries[entry.at] is entry, f"{name}: {entry.key!r} does not know its place")
    _claim(store.maxsize is None or len(store.data) <= store.maxsize, f"{name}: {len(store.data)} > {store.maxsize}")
    for key in store.data:
        _claim(not store.windows_on(key), f"{name}: {key!r} is stored during a mutation of it")


def _check_loads(store: Store) -> None:
    for board in store.flights.values():
        _claim(board, f"{store.name}: an empty board is left")
        for key, flight in board.items():
            _claim(flight.key == key, f"{store.name}: the load of {flight.key!r} is found as {key!r}")
            _claim(flight.state != DONE, f"{store.name}: the load of {key!r} is done and still found")


def _tags_in_use(of: tuple[AsyncCache, ...]) -> set[Tag]:
    stores = [cache._store for cache in of]
    guards = [guard for store in stores for key in store.data if (guard := store.data[key].guard) is not None]
    return {tag for guard in guards for tag in guard.tags}


def _check_tag(tag: Tag, live: set[Tag]) -> None:
    home = tag.home
    name = home.name if isinstance(home, Store | Namespace) else "?"
    _claim(not tag.readers, f"{name}: loads are left on the tag {tag.name!r}: {tag.readers}")
    _claim(tag in live, f"{name}: the tag {tag.name!r} is left, and nothing rests on it")


def _claim(holds: object, otherwise: str) -> None:
    # Not an assert statement: the oracle must speak under `python -O` too.
    if not holds:
        raise AssertionError(otherwise)

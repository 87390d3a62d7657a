"""A store alone, and loads in progress where its invalidations find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cache._lease import Lease
from cache._policy import LRU, Policy
from cache._store import Store
from cache.testing import FakeClock

#: A store asks of a loop only which it is.
LOOP: Any = "loop"
ANOTHER_LOOP: Any = "another loop"


def make_store(clock: FakeClock, maxsize: int | None = None, policy: Callable[[int | None], Policy] = LRU) -> Store:
    return Store("store", maxsize, clock, reader_checks_exp=True, make_policy=policy)


def load(store: Store, key: object = "k", **options: Any) -> Lease:
    """A load in progress, where invalidations find it."""
    lease = Lease(store, key, **options)
    store.flights.setdefault(LOOP, {})[key] = lease
    lease.start()
    return lease


def end(lease: Lease) -> None:
    store = lease.keyspace
    assert isinstance(store, Store)
    store.flights.clear()
    lease.close()


def values(store: Store) -> dict[object, Any]:
    return {key: store.data[key].value for key in store.data}


def metric(store: Store, name: str) -> float:
    return store.metrics()[name]

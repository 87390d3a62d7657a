"""Held: a value set by the body of a mutation, kept aside until the mutation has succeeded."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from cache._domain import Names, Truth
from cache._key import ALL
from cache._lease import RUNNING, Lease

if TYPE_CHECKING:
    from cache._store import Store


class Held(Lease):
    """A value set by the body of a mutation: it rests on its key and its names from then on, as a load would."""

    __slots__ = ("exp", "store", "value")

    names: Names

    def __init__(self, store: Store, key: Hashable, value: Any, exp: float, names: Names) -> None:
        super().__init__(store, key, names=names)
        self.store = store
        self.value = value
        self.exp = exp

    def truths(self) -> Iterator[Truth]:
        """What it rests on."""
        yield self.store, self.key
        yield from self.names

    def begin(self) -> None:
        self.state = RUNNING
        for domain, name in (*self.truths(), (self.store, ALL)):
            self._rest_on(domain.tag(name))

    def settle(self) -> bool:
        """Store it, unless another mutation still covers it, which may write on."""
        return self.store.settle(self, ())

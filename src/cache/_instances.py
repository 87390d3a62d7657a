"""Instances: how ``self`` stands in a key, by identity and without being kept alive."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from cache._step import step
from cache._store import Store


class Token:
    """Stands for one living instance. ``keys`` are those of its entries, and of some that have gone."""

    __slots__ = ("keys", "label", "limit")

    def __init__(self, label: str) -> None:
        self.label = label
        self.keys: set[Hashable] = set()
        self.limit = 16

    def __repr__(self) -> str:
        return f"<{self.label}>"


class Instances:
    """The instances on which one method was called.

    ``tokens`` goes from an ``id`` to a weak reference and the token; an id is used again when its object has died, so
    whoever looks compares what the reference gives. An instance that dies takes its entries with it.
    """

    __slots__ = ("__weakref__", "_owner", "_path", "_store", "tokens")

    def __init__(self, store: Store, qualname: str) -> None:
        self._store = store
        self._path = qualname
        owner = qualname.rpartition(".")[0].rpartition(".")[2]
        self._owner = "" if owner == "<locals>" else owner
        self.tokens: dict[int, tuple[weakref.ref[Any], Token]] = {}

    def mint(self, instance: Any) -> Token:
        """The token of an instance that may not have one yet."""
        with step:
            found = self.tokens.get(id(instance))
            if found is not None and found[0]() is instance:
                return found[1]
            self.check_owner(instance)
            token = Token(f"{type(instance).__name__} at {id(instance):#x}")
            try:
                reference = weakref.ref(instance, partial(_forget, weakref.ref(self), id(instance), token))
            except TypeError as error:
                raise TypeError(
                    f"{self._path}: {instance!r} cannot be weakly referenced, so its entries could not die with it. "
                    f"Give the class a weak reference slot ('__weakref__' in __slots__, or weakref_slot=True for a "
                    f"dataclass), leave the instance out of the key with skip_args=1, or make the key with key=..."
                ) from error
            self.tokens[id(instance)] = (reference, token)
            return token

    def own(self, token: Token, key: Hashable) -> None:
        """``key`` may soon be stored for the instance of ``token``."""
        keys = token.keys
        keys.add(key)
        if len(keys) > token.limit:
            store = self._store
            boards = tuple(store.flights.values())
            token.keys = {k for k in keys if k == key or k in store.data or any(k in board for board in boards)}
            token.limit = 2 * len(token.keys) + 16

    def forget(self, address: int, token: Token) -> bool:
        """The instance has died."""
        found = self.tokens.get(address)
        if found is not None and found[1] is token:
            del self.tokens[address]
        for key in token.keys:
            self._store.invalidate(key)
        return True

    def check_owner(self, instance: Any) -> None:
        """Refuse what is no instance of the class in which the method was defined."""
        if not self._owner:
            return
        classes = inspect.getmro(instance if isinstance(instance, type) else type(instance))
        if any(cls.__name__ == self._owner for cls in classes):
            return
        method = self._path.rpartition(".")[2]
        raise TypeError(
            f"{self._path} was given {instance!r} in place of its instance, which is no {self._owner}. What works on "
            f"the cache of a method is called on the class and given the instance: "
            f"{self._owner}.{method}.invalidate_cache({self._owner.lower()}, ...), not "
            f"{self._owner.lower()}.{method}.invalidate_cache(...)"
        )


def _forget(instances: Callable[[], Instances | None], address: int, token: Token, _: object) -> None:
    alive = instances()
    if alive is not None:
        step.run(alive.forget, address, token)

"""Instances: how ``self`` stands in a key, by identity and without being kept alive."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from cache._arguments import shown
from cache._key import Token
from cache._step import step
from cache._store import Store


class Instances:
    """The instances on which one method was called; ``parameter``, self or cls, is how the method calls them.

    ``tokens`` goes from an ``id`` to a weak reference and the token; an id is used again when its object has died, so
    whoever looks compares what the reference gives. An instance that dies takes its entries with it.
    """

    __slots__ = ("__weakref__", "_method", "_owner", "_parameter", "_path", "_store", "tokens")

    def __init__(self, store: Store, qualname: str, parameter: str) -> None:
        self._store = store
        self._path = qualname
        self._parameter = parameter
        owner, _, self._method = qualname.rpartition(".")
        owner = owner.rpartition(".")[2]
        self._owner = "" if owner == "<locals>" else owner
        self.tokens: dict[int, tuple[weakref.ref[Any], Token]] = {}

    def mint(self, instance: Any) -> Token:
        """The token of an instance that may not have one yet."""
        token = Token(f"{type(instance).__name__} at {id(instance):#x}")
        try:
            reference = weakref.ref(instance, partial(_forget, weakref.ref(self), id(instance), token))
        except TypeError as error:
            raise TypeError(
                f"{self._path}: {shown(instance)} cannot be weakly referenced, so its entries could not die with it. "
                f"Give the class a weak reference slot ('__weakref__' in __slots__, or weakref_slot=True for a "
                f"dataclass), leave the instance out of the key with skip_args=1, or make the key with key=..."
            ) from error
        with step:
            found = self.tokens.get(id(instance))
            if found is None or found[0]() is not instance:
                found = self.tokens[id(instance)] = (reference, token)
            return found[1]

    def own(self, token: Token, key: Hashable) -> None:
        """``key`` may soon be stored for the instance of ``token``."""
        keys = token.keys
        keys.add(key)
        if len(keys) > token.limit:
            store = self._store
            boards = tuple(store.flights.values())
            token.keys = {k for k in keys if k == key or k in store.data or any(k in board for board in boards)}
            token.limit = 2 * len(token.keys) + 16

    def forget(self, address: int, token: Token) -> None:
        """The instance has died."""
        found = self.tokens.get(address)
        if found is not None and found[1] is token:
            del self.tokens[address]
        for key in token.keys:
            self._store.invalidate(key)

    def check_owner(self, instance: Any, method: object) -> None:
        """Refuse what ``method`` was never called on and cannot be: no class in its line has the method.

        Whatever is called on the class of a method takes the instance first, and who forgets it passes another
        argument in its place.
        """
        found = self.tokens.get(id(instance))
        if not self._owner or (found is not None and found[0]() is instance):
            return
        kinds: tuple[type, ...] = type(instance).__mro__
        if self._parameter == "cls":
            kinds = (*instance.__mro__, *kinds) if isinstance(instance, type) else ()
        if any(kind.__name__ == self._owner or _defines(kind, method) for kind in kinds):
            return
        wanted = f"no class derived from {self._owner}" if self._parameter == "cls" else f"no {self._owner}"
        raise TypeError(
            f"{self._path} was given {shown(instance)} in place of its {self._place}, which is {wanted}. {self.hint}"
        )

    @property
    def _place(self) -> str:
        return "class" if self._parameter == "cls" else "instance"

    @property
    def hint(self) -> str:
        """How that which works on the cache of a method is called."""
        owner = self._owner or "Class"
        first = owner if self._parameter == "cls" else owner.lower()
        bound = "" if self._parameter == "cls" else f", not {owner.lower()}.{self._method}.invalidate_cache(...)"
        return (
            f"What works on the cache of a method is called on the class and given the {self._place}: "
            f"{owner}.{self._method}.invalidate_cache({first}, ...){bound}"
        )


def _defines(kind: type, method: object) -> bool:
    return any(value is method or getattr(value, "__func__", None) is method for value in tuple(vars(kind).values()))


def _forget(instances: Callable[[], Instances | None], address: int, token: Token, _: object) -> None:
    alive = instances()
    if alive is not None:
        step.run(alive.forget, address, token)

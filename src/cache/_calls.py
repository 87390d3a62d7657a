"""Calls: from the arguments of a call to its key, and back as far as the key tells."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from inspect import Parameter
from typing import Any

from cache._arguments import shown
from cache._instances import Instances
from cache._key import UNHASHABLE, Frozen, Token, freeze
from cache._step import step
from cache._store import Store

#: The kinds of parameters that collect what others leave.
COLLECTING = frozenset((Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD))


class Calls:
    """The calls of one cached function.

    ``key_names`` are the parameters in the key, in order; ``instance`` is the one of them, if any, that stands by
    identity; ``make_key`` is the user's function that makes the key in place of these. ``key`` and ``wrapper`` are
    generated later: the key of a call whose arguments are hashable, and what the user calls.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        store: Store,
        *,
        make_key: Callable[..., Hashable] | None,
        ignore: tuple[str, ...],
        skip_args: int,
        typed: bool,
    ) -> None:
        self.name = name
        self.signature = inspect.signature(function)
        self.parameters = tuple(self.signature.parameters.values())
        self.kinds = {p.name: p.kind for p in self.parameters}
        self.make_key = make_key
        self.typed = typed
        self.left_out = self._skipped(skip_args) | self._ignored(ignore)
        names = tuple(p.name for p in self.parameters if p.name not in self.left_out)
        self.key_names = names if make_key is None else ()
        self.instance = None if inspect.ismethod(function) else self._instance()
        self.instances = Instances(store, name, self.instance or "")
        self.key: Callable[..., Any] = freeze
        self.wrapper: object = None

    # -- what is in the key ------------------------------------------------------------------------------------

    def _skipped(self, skip_args: int) -> set[str]:
        positional = [name for name, kind in self.kinds.items() if kind <= Parameter.POSITIONAL_OR_KEYWORD]
        if skip_args > len(positional):
            raise ValueError(
                f"skip_args={skip_args}: {self.name} has only {len(positional)} positional parameters to skip"
            )
        return set(positional[:skip_args])

    def _ignored(self, ignore: tuple[str, ...]) -> set[str]:
        for ignored in ignore:
            if ignored not in self.kinds:
                raise ValueError(
                    f"ignore contains {ignored!r}: {self.name} has the parameters {', '.join(self.kinds) or '(none)'}"
                )
        return set(ignore)

    def _instance(self) -> str | None:
        """The parameter that stands by identity: the first, if it is called self or cls."""
        first = self.key_names[0] if self.key_names else ""
        is_first = first in ("self", "cls") and first == self.parameters[0].name
        return first if is_first and self.kinds[first] <= Parameter.POSITIONAL_OR_KEYWORD else None

    # -- from a call to its key --------------------------------------------------------------------------------

    def key_named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """As `key_of`, for a call that somebody talks of; there a forgotten instance is a common mistake.

        Raises:
            TypeError: as `key_of`; or what stands for the instance of a method cannot be one.

        """
        if self.instance is not None and (args or self.instance in kwargs):
            self.instances.check_owner(args[0] if args else kwargs[self.instance], self.wrapper)
        return self.key_of(args, kwargs)

    def key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """The key of the call ``f(*args, **kwargs)``, which its instance owns from now on.

        Raises:
            TypeError: the arguments do not fit the function, or one of them cannot be part of a key.

        """
        try:
            key: Any = self.key(*args, **kwargs)
        except TypeError:
            self.check(args, kwargs)
            raise
        return self.hashable(key)

    def hashable(self, key: Any) -> Hashable:
        """``key`` with what is not hashable in it frozen; its instance owns it from now on.

        Raises:
            TypeError: one of the arguments cannot be part of a key, or the user's function made none.

        """
        try:
            hash(key)
        except UNHASHABLE:
            if self.make_key is not None:
                raise TypeError(
                    f"{self.name}: key={self.make_key!r} returned {shown(key)}, which is not hashable: return a "
                    f"hashable key, such as a tuple or a string"
                ) from None
            key = self._frozen(key)
        if self.instance is not None:
            step.run(self.instances.own, key if isinstance(key, Token) else key[0], key)
        frozen: Hashable = key
        return frozen

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse a call that the function would refuse."""
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            remedy = "" if self.instance is None else f". {self.instances.hint}"
            raise TypeError(f"{self.name}{self.signature} was given other arguments: {error}{remedy}") from None

    def _frozen(self, key: Any) -> Hashable:
        names = (*self.key_names, "the types of the arguments")
        parts = []
        for name, part in zip(names, (key,) if self._is_single else key, strict=False):
            try:
                parts.append(self._freeze(name, part))
            except TypeError as error:
                raise TypeError(
                    f"{self.name}: the argument {name}={shown(part)} cannot be part of a key: {error}. Leave it out "
                    f"with ignore=({name!r},), or make the key yourself with key=..."
                ) from error
        return parts[0] if self._is_single else tuple(parts)

    @property
    def _is_single(self) -> bool:
        """Whether the key is the one argument itself."""
        return len(self.key_names) == 1 and not self.typed

    def _freeze(self, name: str, part: Any) -> Hashable:
        # What *args and **kwargs have collected is frozen value by value, as other arguments are.
        match self.kinds.get(name):
            case Parameter.VAR_POSITIONAL:
                return tuple([freeze(value) for value in part])
            case Parameter.VAR_KEYWORD:
                return tuple([(keyword, freeze(value)) for keyword, value in part])
            case _:
                return freeze(part)

    def key_of_values(self, values: Mapping[str, Any]) -> Hashable:
        """The key of the call whose parameters have these ``values``; what is skipped or has a default may lack one."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter in self.parameters:
            name, kind = parameter.name, parameter.kind
            if kind is Parameter.VAR_POSITIONAL:
                args += values.get(name, ())
            elif kind is Parameter.VAR_KEYWORD:
                kwargs |= values.get(name, {})
            else:
                value = values.get(name, parameter.default)
                value = None if value is Parameter.empty else value
                if kind is Parameter.KEYWORD_ONLY:
                    kwargs[name] = value
                else:
                    args.append(value)
        return self.key_named(tuple(args), kwargs)

    # -- from a key to what it tells ---------------------------------------------------------------------------

    def components(self, key: Hashable) -> tuple[Hashable, ...]:
        """What ``key`` has for each of ``key_names``; nothing if it is no key of this function."""
        parts = (key,) if self._is_single else key
        if not self.key_names or not isinstance(parts, tuple) or len(parts) != len(self.key_names) + self.typed:
            return ()
        return parts[: len(self.key_names)]

    def values_in(self, key: Hashable) -> dict[str, Any]:
        """The arguments that ``key`` tells: not what stands in it by identity or frozen."""
        parts = zip(self.key_names, self.components(key), strict=False)
        values: dict[str, Any] = {name: part for name, part in parts if self._tells(name, part)}
        return {
            name: dict(value) if self.kinds[name] is Parameter.VAR_KEYWORD else value for name, value in values.items()
        }

    def _tells(self, name: str, part: Any) -> bool:
        match self.kinds[name]:
            case Parameter.VAR_POSITIONAL:
                parts = part
            case Parameter.VAR_KEYWORD:
                parts = [value for _, value in part]
            case _:
                parts = (part,)
        return not any(isinstance(value, Frozen | Token) for value in parts)

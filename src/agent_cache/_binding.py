"""Binding: from the arguments of a call to its key, to what its templates need, and to whom it was made for.

What a framework fills in is never part of a key. The key itself is the one that `cache.cached` makes.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from inspect import Parameter, Signature
from types import FunctionType
from typing import Any, Protocol, TypeAlias, TypeVar

from agent_cache._audience import Partition
from agent_cache._frameworks import Injected, injected, is_answered, is_injected
from agent_cache._signature import resolved_signature
from cache import cached

#: The positional arguments of a call.
Arguments: TypeAlias = tuple[Any, ...]

#: Parameters that take what is left.
_COLLECTING = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Bound(Protocol):
    """How the arguments of a call are understood."""

    @property
    def personal(self) -> tuple[str, ...]: ...
    @property
    def is_varied(self) -> bool: ...
    def key(self, args: Arguments, kwargs: dict[str, Any], /) -> Hashable: ...
    def values(self, args: Arguments, kwargs: dict[str, Any], /) -> Mapping[str, Any]: ...
    def partition(self, args: Arguments, kwargs: dict[str, Any], /) -> Partition | None: ...
    def is_answered(self, args: Arguments, kwargs: dict[str, Any], /) -> bool: ...
    def completed(self, args: Arguments, kwargs: dict[str, Any], /) -> tuple[Arguments, dict[str, Any]]: ...
    def mapped(self, values: Mapping[str, Any], writer: str, /) -> Hashable | None: ...


class Binding:
    """The parameters of one tool.

    ``contexts`` are those by which a framework hands over the context of a run, ``personal`` all by which it may tell
    whose run it is, and ``injected`` all that it fills in.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        vary: Callable[..., Any] | None = None,
        ignore: Iterable[str] = (),
        key: Callable[..., Hashable] | None = None,
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.signature = resolved_signature(function)
        self.parameters = self.signature.parameters
        roles: dict[str, Injected | None] = {
            p.name: injected(p.annotation, p.default) for p in self.parameters.values()
        }
        self.contexts = _with_role(roles, "context")
        self.personal = (*self.contexts, *_with_role(roles, "dependency"))
        self.injected = (*self.personal, *_with_role(roles, "neutral"))
        #: Parameters that may turn out to be a context: only the value tells.
        self.untyped = tuple(
            p.name for p in self.parameters.values() if p.name not in self.injected and _may_be_anything(p.annotation)
        )
        self._context_at = [self._place(name) for name in self.contexts]
        self._untyped_at = [self._place(name) for name in self.untyped]
        left_out = (*self.injected, *ignore)
        #: The parameters that a key is made of; all if a function of the user's makes it.
        self.keyed = tuple(name for name in self.parameters if key is not None or name not in left_out)
        self._key_of = _key_maker(function, self.signature, left_out=left_out, key=key)
        self._vary = None if vary is None else Vary(vary, self)
        #: What a method calls the object that it belongs to.
        self._receiver = _receiver(function, self.signature)

    @property
    def is_varied(self) -> bool:
        return self._vary is not None

    def key(self, args: Arguments, kwargs: dict[str, Any]) -> Hashable:
        """What identifies a call.

        Raises:
            TypeError: the arguments do not fit, or one of them cannot be part of a key; or a context was handed over
                in a parameter that does not say so.

        """
        if self.untyped:
            self._check_untyped(args, kwargs)
        return self._key_of(*args, **kwargs)

    def _check_untyped(self, args: Arguments, kwargs: dict[str, Any]) -> None:
        for name, at in zip(self.untyped, self._untyped_at, strict=True):
            value = _argument(name, at, args, kwargs)
            if is_injected(value):
                raise TypeError(
                    f"{self.name}: the argument {name!r} is a {type(value).__name__}, which a framework has filled in "
                    f"and which must be no part of a key: annotate the parameter with its type"
                )

    def values(self, args: Arguments, kwargs: dict[str, Any]) -> Mapping[str, Any]:
        """The arguments by name, defaults included."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def completed(self, args: Arguments, kwargs: dict[str, Any]) -> tuple[Arguments, dict[str, Any]]:
        """A call with None for what a framework would have filled in.

        Raises:
            TypeError: the arguments do not fit.

        """
        return (args, kwargs) if self._fits(args, kwargs) else self._filled(args, kwargs)

    def is_answered(self, args: Arguments, kwargs: dict[str, Any]) -> bool:
        """Whether somebody has approved or answered this very call."""
        for name, at in zip(self.contexts, self._context_at, strict=True):
            if is_answered(_argument(name, at, args, kwargs)):
                return True
        return False

    def partition(self, args: Arguments, kwargs: dict[str, Any]) -> Partition | None:
        """Whose call this is, as ``vary`` says; None if it does not know."""
        if self._vary is None:
            return None
        return self._vary(args, kwargs)

    def mapped(self, values: Mapping[str, Any], writer: str) -> Hashable | None:
        """The key of the call with those of ``values`` that it has parameters for; None if that is no single call.

        Raises:
            TypeError: ``writer``, whose arguments they are, lacks one.

        """
        known: dict[str, Any] = {}
        for name in self.keyed:
            parameter = self.parameters[name]
            if parameter.kind in _COLLECTING:
                return None
            if name in values:
                if name == self._receiver and not self._is_of(values[name]):
                    return None
                known[name] = values[name]
            elif parameter.default is Parameter.empty:
                raise TypeError(
                    f"{writer} was not run: it has no argument {name!r}, which {self.name} needs to find its result. "
                    f"Say which calls change with key_fn=lambda args, kwargs: ((...), {{}}), which returns the "
                    f"arguments of {self.name}, or with clear_all=True that all do"
                )
            else:
                return None
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter in self.parameters.values():
            value = known.get(parameter.name, parameter.default)
            if parameter.kind <= Parameter.POSITIONAL_OR_KEYWORD:
                args.append(value)
            elif parameter.kind is Parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = value
        return self._key_of(*args, **kwargs)

    def keys(self, args: Arguments, kwargs: dict[str, Any]) -> Iterator[Hashable]:
        """The keys of a call that somebody has written down, with what a framework fills in or without.

        Where it can be read in both ways, both.

        Raises:
            TypeError: the arguments do not fit.

        """
        given = (args, kwargs)
        ways = [way for way in (given, self._filled(args, kwargs)) if self._fits(*way)] if self.injected else [given]
        for way in ways or [given]:
            yield self._key_of(*way[0], **way[1])

    def _fits(self, args: Arguments, kwargs: dict[str, Any]) -> bool:
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError:
            return False
        return True

    def _filled(self, args: Arguments, kwargs: dict[str, Any]) -> tuple[Arguments, dict[str, Any]]:
        """The same with None for what a framework would have filled in."""
        kwargs = {**dict.fromkeys(self.injected), **kwargs}
        places = [
            p.name
            for p in self.parameters.values()
            if p.kind <= Parameter.POSITIONAL_OR_KEYWORD and p.name not in kwargs
        ]
        return args[len(places) :], {**dict(zip(places, args, strict=False)), **kwargs}

    def _is_of(self, receiver: object) -> bool:
        """Whether ``receiver`` has this method: one of another class says nothing of whose result changes."""
        kind = receiver if isinstance(receiver, type) else type(receiver)
        here = (self.function.__module__, self.function.__qualname__.rpartition(".")[0])
        return any((base.__module__, base.__qualname__) == here for base in kind.__mro__)

    def _place(self, name: str) -> int:
        """Where a positional argument of this name stands; out of every reach if there is none."""
        for at, parameter in enumerate(self.parameters.values()):
            if parameter.name == name and parameter.kind <= Parameter.POSITIONAL_OR_KEYWORD:
                return at
        return sys.maxsize

    def argument_of(self, name: str) -> Callable[[Arguments, dict[str, Any]], Any]:
        """Finds the argument ``name`` of a call without binding all of them."""
        default = self.parameters[name].default
        if self.parameters[name].kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            return lambda args, kwargs: self.values(args, kwargs)[name]
        return functools.partial(_argument, name, self._place(name), default=default)


class Vary:
    """The function that says whose call it is.

    It is given, by name, the parameters of the tool that it names; a single other name is given the first context;
    without parameters it is called bare.
    """

    def __init__(self, vary: Callable[..., Any], binding: Binding) -> None:
        self._vary = vary
        self._by = _asks(vary)
        if not callable(vary) or inspect.iscoroutinefunction(vary):
            raise TypeError(f"vary={vary!r}: pass a plain function, such as lambda ctx: ctx.deps.user_id")
        try:
            names = [p.name for p in inspect.signature(vary).parameters.values() if p.default is Parameter.empty]
        except ValueError:  # a builtin, such as ContextVar.get, that does not say
            names = []
        others = [name for name in names if name not in binding.parameters]
        if len(others) > 1 or (others and not binding.contexts):
            raise TypeError(
                f"vary={vary!r} asks for {', '.join(map(repr, others))}, and {binding.name} has the parameters "
                f"{', '.join(binding.parameters) or '(none)'}: name one of these, one other for the context of the "
                f"framework, or nothing"
            )
        self._finders = [binding.argument_of(binding.contexts[0] if name in others else name) for name in names]

    def __call__(self, args: Arguments, kwargs: dict[str, Any]) -> Partition | None:
        return Partition.of(self._vary(*[find(args, kwargs) for find in self._finders]), self._vary, self._by)


def _asks(vary: Callable[..., Any]) -> Hashable:
    """The same for functions that ask alike: a lambda is written anew for each tool."""
    if isinstance(vary, FunctionType) and not (vary.__closure__ or vary.__defaults__ or vary.__kwdefaults__):
        code = vary.__code__
        return (vary.__module__, code.co_code, code.co_consts, code.co_names, code.co_varnames)
    return id(vary)


def _receiver(function: Callable[..., Any], signature: Signature) -> str | None:
    owner = function.__qualname__.rpartition(".")[0]
    first = next(iter(signature.parameters), None)
    return first if first in ("self", "cls") and owner and not owner.endswith("<locals>") else None


def _argument(name: str, at: int, args: Arguments, kwargs: dict[str, Any], default: Any = None) -> Any:
    return args[at] if at < len(args) else kwargs.get(name, default)


def _may_be_anything(annotation: object) -> bool:
    is_wide = annotation in (Parameter.empty, Any, object)
    return is_wide or isinstance(annotation, str | TypeVar) or bool(getattr(annotation, "_is_protocol", False))


def _with_role(roles: Mapping[str, Injected | None], wanted: Injected) -> tuple[str, ...]:
    return tuple(name for name, role in roles.items() if role == wanted)


def _key_maker(
    function: Callable[..., Any],
    signature: Signature,
    *,
    left_out: tuple[str, ...],
    key: Callable[..., Hashable] | None,
) -> Callable[..., Hashable]:
    async def lend() -> None:
        """Never called: it lends its signature."""

    stub: Any = lend
    functools.update_wrapper(stub, function)
    del stub.__wrapped__  # which would count instead
    stub.__signature__ = signature
    # It makes keys and keeps nothing, so nobody is to know of it, whatever is configured.
    if key is not None:
        return cached(maxsize=0, key=key, bus=None, backup=None)(stub).cache_key
    return cached(maxsize=0, ignore=left_out, bus=None, backup=None)(stub).cache_key

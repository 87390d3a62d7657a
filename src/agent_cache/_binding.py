"""Binding: from the arguments of a call to its key, to what its templates need, and to whom it was made for.

What a framework fills in is never part of a key. The key itself is the one that `cache.cached` makes.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from inspect import Parameter, Signature
from typing import Any, Protocol, TypeAlias

from agent_cache._audience import Partition
from agent_cache._frameworks import Injected, injected, is_answered, is_injected
from cache import cached

#: The positional arguments of a call.
Arguments: TypeAlias = tuple[Any, ...]


class Bound(Protocol):
    """How the arguments of a call are understood."""

    @property
    def contexts(self) -> tuple[str, ...]: ...
    @property
    def is_varied(self) -> bool: ...
    def key(self, args: Arguments, kwargs: dict[str, Any]) -> Hashable: ...
    def values(self, args: Arguments, kwargs: dict[str, Any]) -> Mapping[str, Any]: ...
    def partition(self, args: Arguments, kwargs: dict[str, Any]) -> Partition | None: ...
    def is_answered(self, args: Arguments, kwargs: dict[str, Any]) -> bool: ...
    def completed(self, args: Arguments, kwargs: dict[str, Any]) -> tuple[Arguments, dict[str, Any]]: ...
    def mapped(self, values: Mapping[str, Any], writer: str) -> Hashable | None: ...


class Binding:
    """The parameters of one tool.

    ``contexts`` are those by which a framework hands over the context of a run, ``injected`` all that it fills in.
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
        roles = {p.name: injected(p.annotation, p.default) for p in self.parameters.values()}
        self.contexts = _with_role(roles, "context")
        self.injected = (*self.contexts, *_with_role(roles, "neutral"))
        #: Parameters that may turn out to be a context: only the value tells.
        self.untyped = tuple(
            p.name for p in self.parameters.values() if p.annotation is Parameter.empty and p.name not in self.injected
        )
        self._context_at = [self._place(name) for name in self.contexts]
        self._untyped_at = [self._place(name) for name in self.untyped]
        left_out = (*self.injected, *ignore)
        #: The parameters that a key is made of; all if a function of the user's makes it.
        self.keyed = tuple(name for name in self.parameters if key is not None or name not in left_out)
        self._key_of = _key_maker(function, self.signature, left_out=left_out, key=key)
        self._vary = None if vary is None else Vary(vary, self)

    @property
    def is_varied(self) -> bool:
        return self._vary is not None

    def key(self, args: Arguments, kwargs: dict[str, Any]) -> Hashable:
        """What identifies a call.

        Raises:
            TypeError: the arguments do not fit, or one of them cannot be part of a key; or a context was handed over
                in a parameter that does not say so.

        """
        for name, at in zip(self.untyped, self._untyped_at, strict=True):
            value = _argument(name, at, args, kwargs)
            if is_injected(value):
                raise TypeError(
                    f"{self.name}: the argument {name!r} is a {type(value).__name__}, which a framework has filled in "
                    f"and which must be no part of a key: annotate the parameter with its type"
                )
        return self._key_of(*args, **kwargs)

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
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError:
            kwargs = {**dict.fromkeys(self.injected), **kwargs}
            open_places = [
                p.name
                for p in self.parameters.values()
                if p.kind <= Parameter.POSITIONAL_OR_KEYWORD and p.name not in kwargs
            ]
            return args[len(open_places) :], {**dict(zip(open_places, args, strict=False)), **kwargs}
        return args, kwargs

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
            if name in values:
                known[name] = values[name]
            elif parameter.default is Parameter.empty and parameter.kind <= Parameter.POSITIONAL_OR_KEYWORD:
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
        return Partition.of(self._vary(*[find(args, kwargs) for find in self._finders]), self._vary)


def _argument(name: str, at: int, args: Arguments, kwargs: dict[str, Any], default: Any = None) -> Any:
    return args[at] if at < len(args) else kwargs.get(name, default)


def _with_role(roles: Mapping[str, Injected | None], wanted: Injected) -> tuple[str, ...]:
    return tuple(name for name, role in roles.items() if role == wanted)


def _key_maker(
    function: Callable[..., Any],
    signature: Signature,
    *,
    left_out: tuple[str, ...],
    key: Callable[..., Hashable] | None,
) -> Callable[..., Hashable]:
    async def stub() -> None:
        """Never called: it lends its signature."""

    functools.update_wrapper(stub, function)
    del stub.__wrapped__  # type: ignore[attr-defined]  # set by update_wrapper; a signature of its own is what counts
    stub.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads first
    made = cached(maxsize=0, key=key) if key is not None else cached(maxsize=0, ignore=left_out)
    return made(stub).cache_key


def resolved_signature(function: Callable[..., Any]) -> Signature:
    """The signature with annotations that are objects, as far as the names in them are known."""
    hints = resolved_annotations(function)
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in signature.parameters.values()]
    returned = hints.get("return", signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=returned)


def resolved_annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations, those that were written as strings evaluated where the function was defined."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001 - whatever evaluating a stranger's string raises: it stays a string
        annotations: dict[str, Any] = inspect.get_annotations(inspect.unwrap(function))
        return {name: _evaluated(annotation, function) for name, annotation in annotations.items()}


def _evaluated(annotation: object, function: Callable[..., Any]) -> object:
    if not isinstance(annotation, str):
        return annotation
    carrier = type("carrier", (), {"__annotations__": {"it": annotation}})
    globals_ = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(carrier, globalns=globals_, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - as above
        return annotation

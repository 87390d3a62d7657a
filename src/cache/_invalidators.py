"""Invalidators: mutations that keep their promise to the functions whose results they change."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping
from inspect import Parameter
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

from cache._arguments import DEFAULT, Default, check_callable, check_flag, check_name, check_tags, kind_of, shown
from cache._calls import COLLECTING
from cache._domain import Domain, Names, Truth
from cache._key import ALL
from cache._mutation import Linger, Mutating, check_linger
from cache._namespace import named_namespace
from cache._templates import Templates
from cache._wrapper import Cached, cached_of, name_of

P = ParamSpec("P")
R = TypeVar("R")

#: ``(args, kwargs)`` of the mutation to those of the cached function, or to a list of such pairs.
KeyFn: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], Any]


class Invalidating(Protocol):
    """Turns a mutation into one that invalidates, and keeps its types."""

    def __call__(self, mutation: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[object, object, R]]: ...


def invalidates(
    *cached_fns: Callable[..., Any],
    clear_all: bool = False,
    key_fn: KeyFn | None = None,
    tags: Iterable[str] = (),
    namespace: str | None = None,
    linger: Linger | Default = DEFAULT,
) -> Invalidating:
    """A mutation, an ``async def`` that changes what cached functions return.

    The keys are computed first; then a mutation window is open on them while the mutation runs, and closed however it
    ends: see `AsyncCache.mutating` for what that promises. Its result or its error is passed on unchanged.

    The arguments of each cached function are taken from the mutation's by name. Where the mutation lacks one that has
    a default, every entry that agrees on the others goes.

    Args:
        cached_fns: The cached functions whose results change.
        clear_all: All their results change.
        key_fn: ``(args, kwargs)`` of the mutation to ``(args, kwargs)`` of the cached function, or to a list of such
            pairs; for methods ``args`` begins with the instance. Asked once for each of ``cached_fns``.
        tags: Templates over the mutation's arguments, ``("user:{user_id}",)``: what carries the tag goes too.
        namespace: Where the tags live; by default where those of the cached functions do.
        linger: As for `AsyncCache.mutating`.

    Raises:
        TypeError: at decoration, if the mutation is no ``async def``, if a target is no cached function, or if the
            arguments of one cannot be found; at the call, before the mutation runs, if they cannot be computed.

    """
    targets = tuple(_cached(function) for function in cached_fns)
    check_flag(clear_all, "clear_all")
    if key_fn is not None:
        check_callable(key_fn, "key_fn", "key_fn(args, kwargs) -> (args, kwargs)")
        if inspect.iscoroutinefunction(key_fn):
            raise TypeError(f"key_fn={key_fn!r} is async: the keys are made before anything may wait; use a plain def")
        if clear_all:
            raise TypeError(f"key_fn={key_fn!r} says which entries go, clear_all=True that all do: pass one of the two")
        if not targets:
            raise TypeError(f"key_fn={key_fn!r} makes the keys of cached functions: pass these first")
    templates = check_tags(tags)
    if not targets and not templates:
        raise TypeError("invalidates() needs to know what changes: pass cached functions, or tags=(...)")
    spaces = _spaces(targets, templates, namespace)
    linger_of = check_linger(linger)

    def decorate(mutation: Callable[..., Any]) -> Any:
        plan = _Plan(
            mutation, cached_fns=targets, clear_all=clear_all, key_fn=key_fn, templates=templates, spaces=spaces
        )

        @functools.wraps(mutation)
        async def mutate(*args: Any, **kwargs: Any) -> Any:
            async with Mutating(plan.targets_of(args, kwargs), plan.clock, linger_of):
                return await mutation(*args, **kwargs)

        return mutate

    return decorate


def AsyncLRUInvalidator(  # noqa: N802 - the name that users know
    cached_fn: Callable[..., Any],
    skip_args: int = 0,
    clear_all: bool = False,
    key_fn: KeyFn | None = None,
    *,
    tags: Iterable[str] = (),
    linger: Linger | Default = DEFAULT,
) -> Invalidating:
    """`invalidates` for one cached function, and tags of its namespace."""
    if skip_args != 0:
        name = getattr(cached_fn, "__name__", "cached_fn")
        raise TypeError(
            f"skip_args={skip_args!r}: arguments are found by name here, and what is left over is left out. Where the "
            f"names differ say it with key_fn: key_fn=lambda args, kwargs: (args[{skip_args!r}:], {{}}), which returns "
            f"the (args, kwargs) of {name}"
        )
    return invalidates(cached_fn, clear_all=clear_all, key_fn=key_fn, tags=tags, linger=linger)


AsyncTTLInvalidator = AsyncLRUInvalidator


def _spaces(targets: tuple[Cached, ...], templates: tuple[str, ...], namespace: str | None) -> tuple[Domain, ...]:
    """Where the tags live."""
    if namespace is not None:
        check_name(namespace, "namespace")
        if not templates:
            raise TypeError(f"namespace={namespace!r} is where tags live: pass tags=(...) too")
        return (named_namespace(namespace),)
    if targets:
        return tuple(dict.fromkeys(cached.cache._namespace for cached in targets))
    return (named_namespace("default"),)


def _cached(function: object) -> Cached:
    found = cached_of(function)
    if found is None:
        raise TypeError(
            f"{name_of(function)} is not a cached function: an invalidator is given the functions whose results "
            f"change, @AsyncLRUInvalidator(get_user), each decorated with AsyncLRU, AsyncTTL or cached first"
        )
    return found


class _Plan:
    """From the arguments of a mutation to what it changes."""

    def __init__(
        self,
        mutation: Callable[..., Any],
        *,
        cached_fns: tuple[Cached, ...],
        clear_all: bool,
        key_fn: KeyFn | None,
        templates: tuple[str, ...],
        spaces: tuple[Domain, ...],
    ) -> None:
        name = name_of(mutation)
        if isinstance(mutation, classmethod | staticmethod):
            kind = type(mutation).__name__
            raise TypeError(f"{name} is a {kind} already: put @{kind} above the invalidator")
        if not inspect.iscoroutinefunction(mutation):
            raise TypeError(
                f"{name} is {kind_of(mutation)}: an invalidator decorates an async def. Around any other write use "
                f"`with cache.mutating(...)`"
            )
        self._name = name
        self._signature = inspect.signature(mutation)
        self._cached_fns = cached_fns
        self._clear_all = clear_all
        self._key_fn = key_fn
        parameters = tuple(self._signature.parameters.values())
        self._templates = Templates(templates, parameters, name)
        self._spaces = spaces
        self._extra = next((p.name for p in parameters if p.kind is Parameter.VAR_KEYWORD), None)
        self._is_open = any(p.kind in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL) for p in parameters)
        self.clock = cached_fns[0].cache._store.clock if cached_fns else time.monotonic
        if not clear_all and key_fn is None:
            for cached in cached_fns:
                self._check_mapping(cached)

    def targets_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Names:
        """What this call changes, computed before it changes anything.

        Raises:
            TypeError: it cannot be computed; or the arguments do not fit the mutation, which would raise the same.

        """
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}{self._signature} was given other arguments: {error}") from None
        bound.apply_defaults()
        values = bound.arguments
        targets: list[Truth] = []
        for cached in self._cached_fns:
            store = cached.cache._store
            if self._clear_all:
                targets.append((store, ALL))
            elif self._key_fn is not None:
                targets += [(store, key) for key in self._keys_from(self._key_fn, cached, args, kwargs)]
            else:
                targets.append((store, self._name_by_name(cached, values)))
        tags = self._templates.fill(values)
        targets += [(space, tag) for space in self._spaces for tag in tags]
        return tuple(dict.fromkeys(targets))

    def _name_by_name(self, cached: Cached, values: dict[str, Any]) -> Hashable:
        kinds = cached.calls.kinds
        known = {name: value for name, value in values.items() if self._maps(name, cached)}
        if self._extra is not None:
            extra = values[self._extra]
            known |= {name: value for name, value in extra.items() if name not in known and name in kinds}
            if self._extra in known:  # what the cached function names itself does not go into its **kwargs
                known[self._extra] = {name: value for name, value in extra.items() if name not in kinds}
        names = _needed(cached)
        missing = [name for name in names if name not in known]
        for name in missing:
            if not _has_default(cached, name):
                raise self._cannot_map(cached, name)
        wanted = {name: known[name] for name in names if name in known}
        try:
            return cached.wildcard(wanted) if missing else cached.calls.key_of_values(wanted)
        except TypeError as error:
            error.add_note(f"{self._name} was not run. {self._remedy}")
            raise

    def _maps(self, name: str, cached: Cached) -> bool:
        """Whether the mutation's parameter is the cached function's: what collects the rest is only its like."""
        kind = self._signature.parameters[name].kind
        return name in cached.calls.kinds and (
            kind is cached.calls.kinds[name] or COLLECTING.isdisjoint((kind, cached.calls.kinds[name]))
        )

    def _keys_from(
        self, key_fn: KeyFn, cached: Cached, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterable[Hashable]:
        try:
            calls = key_fn(args, kwargs)
        except Exception as error:  # the user's, passed on with a word on where it came from
            error.add_note(f"{self._name} was not run: this was raised by key_fn={key_fn!r}")
            raise
        pairs = calls if isinstance(calls, list) else [calls]
        for pair in pairs:
            match pair:
                case (tuple() | list() as its_args, Mapping() as its_kwargs) if isinstance(pair, tuple):
                    pass
                case _:
                    raise TypeError(
                        f"{self._name} was not run: key_fn={key_fn!r} returned {shown(calls)}. Return the arguments of "
                        f"{cached.name} as a pair (args, kwargs), such as ((7,), {{}}), or a list of such pairs"
                    )
            try:
                yield cached.cache_key(*its_args, **its_kwargs)
            except TypeError as error:
                error.add_note(f"{self._name} was not run: key_fn={key_fn!r} returned {shown(pair)} for {cached.name}")
                raise

    def _check_mapping(self, cached: Cached) -> None:
        names = self._signature.parameters
        for name in _needed(cached):
            known = name in names and self._maps(name, cached)
            if not known and not self._is_open and not _has_default(cached, name):
                raise self._cannot_map(cached, name)
        if cached.calls.make_key is None and not self._is_open:
            at = [i for i, name in enumerate(cached.calls.key_names) if name in names and self._maps(name, cached)]
            if at and len(at) < len(cached.calls.key_names):
                cached.declare(tuple(at))

    def _cannot_map(self, cached: Cached, name: str) -> TypeError:
        return TypeError(
            f"{self._name} has no argument {name!r}, which {cached.name} needs to find its entry. {self._remedy}"
        )

    @property
    def _remedy(self) -> str:
        return (
            f"Say which entries {self._name} changes with key_fn=lambda args, kwargs: ((...), {{}}), which returns the "
            f"arguments of the cached function, with tags=(...) on both, or with clear_all=True"
        )


def _needed(cached: Cached) -> tuple[str, ...]:
    """The parameters that a key needs; all of them where a function of the user's makes it."""
    return cached.calls.key_names if cached.calls.make_key is None else tuple(cached.calls.kinds)


def _has_default(cached: Cached, name: str) -> bool:
    parameter = cached.calls.signature.parameters[name]
    return cached.calls.make_key is None and (parameter.default is not Parameter.empty or parameter.kind in COLLECTING)

"""Wrapper: one cached function, its key, its tags, and the cache that holds its entries."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from inspect import Parameter
from typing import Any, NamedTuple

from cache._applied import Applied
from cache._arguments import check_callable, check_tags
from cache._cache import AsyncCache
from cache._codegen import Shape, generate, parameters_of
from cache._flight import Recipe
from cache._instances import Instances, Token
from cache._key import freeze
from cache._lease import frame, running
from cache._step import step
from cache._tags import ALL, Domain, Sentinel, epoch
from cache._templates import Templates

#: The attribute by which a wrapper is known.
MARK = "__cached__"

#: Stands before the names of wildcard invalidations, among which no key of a user's can then be.
WILDCARD = Sentinel("wildcard")


class CacheInfo(NamedTuple):
    """As `functools.lru_cache` reports it; ``get_metrics()`` says more."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class Cached:
    """What a wrapper is made of. The wrapper itself is the generated function ``call``.

    ``partials`` are the sets of parameters by which some invalidator drops all entries that agree on them.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        cache: AsyncCache,
        *,
        ttl_of: Callable[[Any], float | None],
        has_ttl: bool,
        tags: tuple[str, ...] | Callable[..., Iterable[str]],
        key: Callable[..., Hashable] | None,
        ignore: tuple[str, ...],
        skip_args: int,
        typed: bool,
        track: bool,
    ) -> None:
        self.function = function
        self.cache = cache
        self.name = getattr(function, "__qualname__", None) or repr(function)
        self.signature = inspect.signature(function)
        self.parameters = tuple(self.signature.parameters.values())
        self.kinds = {p.name: p.kind for p in self.parameters}
        self.ttl_of = ttl_of
        self.make_key = key
        self.partials: list[tuple[int, ...]] = []
        self.skipped = _skipped(self.name, self.parameters, skip_args)
        left_out = self.skipped | _ignored(self.name, self.parameters, ignore)
        self.key_names = tuple(p.name for p in self.parameters if p.name not in left_out) if key is None else ()
        instance = _instance_parameter(function, self.parameters, self.key_names)
        self.instances = Instances(cache._store, self.name)
        self.tags_of = tags if callable(tags) else None
        self.templates = Templates(() if callable(tags) else tags, self.parameters, self.name, left_out)
        shape = Shape(
            parameters=parameters_of(self.signature),
            key=self.key_names,
            instance=instance,
            typed=typed,
            custom=key is not None,
            has_ttl=has_ttl,
            has_tags=bool(tags),
            track=track,
            counts_uses=cache._store.counts_uses,
        )
        self.shape = shape
        store = cache._store
        names = {
            "data": store.data, "store": store, "epoch": epoch, "running": running, "frame": frame.get,
            "clock": store.clock, "slow": self.slow, "make_key": key, "types": _types,
            "instances": self.instances.tokens, "mint": self.instances.mint,
            "id": id, "tuple": tuple, "sorted": sorted, "KeyError": KeyError, "TypeError": TypeError,
        }  # fmt: skip
        defaults = {p.name: p.default for p in self.parameters if p.default is not Parameter.empty}
        globals_ = getattr(inspect.unwrap(function), "__globals__", {})
        self.call, self._key, self._bound, store.rebind = generate(shape, names, defaults, globals_)
        functools.update_wrapper(self.call, function)
        attributes = {
            MARK: self, "__signature__": self.signature, "cache": cache, "cache_key": self.key_of,
            "invalidate_cache": self.invalidate, "clear_cache": cache.clear, "get_metrics": cache.get_metrics,
            "refresh": self.refresh, "peek": self.peek, "cache_info": self.cache_info,
            "cache_clear": cache.clear, "cache_parameters": self.cache_parameters,
        }  # fmt: skip
        for name, value in attributes.items():
            setattr(self.call, name, value)

    # -- keys --------------------------------------------------------------------------------------------------

    def key_of(self, /, *args: Any, **kwargs: Any) -> Hashable:
        """The key of the call ``f(*args, **kwargs)`` in ``f.cache``.

        Raises:
            TypeError: the arguments do not fit the function, or one of them cannot be part of a key.

        """
        try:
            key = self._key(*args, **kwargs)
        except TypeError:
            self._check_call(args, kwargs)
            raise
        try:
            hash(key)
        except TypeError:
            if self.make_key is not None:
                raise TypeError(
                    f"{self.name}: key={self.make_key!r} returned {key!r}, which is not hashable: return a hashable "
                    f"key, such as a tuple or a string"
                ) from None
            return self._frozen(key)
        return key  # type: ignore[no-any-return]  # hash() has just shown that it is Hashable

    def _check_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.shape.instance is not None and args:
            self.instances.check_owner(args[0])
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}{self.signature} was given other arguments: {error}") from None

    def _frozen(self, key: Any) -> Hashable:
        single = len(self.key_names) == 1 and not self.shape.typed
        names = (*self.key_names, "the types of the arguments")
        parts = []
        for name, part in zip(names, (key,) if single else key, strict=False):
            try:
                parts.append(self._freeze(name, part))
            except TypeError as error:
                raise TypeError(
                    f"{self.name}: the argument {name}={part!r} cannot be part of a key: {error}. Leave it out with "
                    f"ignore=({name!r},), or make the key yourself with key=..."
                ) from error
        return parts[0] if single else tuple(parts)

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
        return self.key_of(*args, **kwargs)

    # -- wildcards ---------------------------------------------------------------------------------------------

    def wildcard(self, values: Mapping[str, Any]) -> Hashable:
        """The name in this function's cache on which every entry rests that agrees with ``values``."""
        at = tuple(i for i, name in enumerate(self.key_names) if name in values)
        if not at:
            return ALL
        self.declare(at)
        key: Any = self.key_of_values(values)
        return (WILDCARD, at, tuple(key[i] for i in at))

    def declare(self, at: tuple[int, ...]) -> None:
        """From now on entries rest on these components of their keys; those that do not yet are dropped."""
        if at in self.partials:
            return
        self.partials = [*self.partials, at]
        self.cache._implied = self._implied
        step.run(self.cache._store.invalidate, ALL)

    def _implied(self, key: Hashable) -> tuple[tuple[Domain, Hashable], ...]:
        if not isinstance(key, tuple) or len(key) < len(self.key_names):
            return ()
        return tuple((self.cache._store, (WILDCARD, at, tuple(key[i] for i in at))) for at in self.partials)

    # -- calls -------------------------------------------------------------------------------------------------

    async def slow(self, use_cache: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call that was not a plain hit."""
        key = self.key_of(*args, **kwargs)
        if self.shape.instance is not None:
            self._own(key)
        names: tuple[tuple[Domain, Hashable], ...] = ()
        if self.templates:
            tags = self.templates.fill(self._bound(*args, **kwargs))
            names = tuple((self.cache._namespace, tag) for tag in tags)
        if self.partials:
            names += self._implied(key)
        recipe = Recipe(partial(self.function, *args, **kwargs), self.ttl_of, names)
        if self.tags_of is not None:
            recipe.undecided_in = self.cache._namespace
            recipe.tags_of = partial(self._tags_of_result, args, kwargs)
        loads = self.cache._loads
        return await loads.fetch(key, recipe, loads.flight, anew=not use_cache)

    def _own(self, key: Hashable) -> None:
        token = key if isinstance(key, Token) else next(iter(key))  # type: ignore[call-overload]  # a tuple: self first
        with step:
            self.instances.own(token, key)

    def _tags_of_result(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> tuple[str, ...]:
        tags_of = check_callable(self.tags_of, "tags", "tags(result, *args, **kwargs) -> tags")
        return check_tags(tags_of(result, *args, **kwargs), f"the result of tags={tags_of!r}")

    async def refresh(self, /, *args: Any, **kwargs: Any) -> Any:
        """Load anew, whatever is stored, and store the result; others are served the old entry meanwhile."""
        return await self.call(*args, **kwargs, use_cache=False)

    def peek(self, /, *args: Any, **kwargs: Any) -> Any:
        """The cached result of ``f(*args, **kwargs)`` or None; loads, counts and promotes nothing."""
        return self.cache.peek(self.key_of(*args, **kwargs))

    def cache_info(self) -> CacheInfo:
        """Hits, misses, maxsize and currsize, as `functools.lru_cache` reports them."""
        metrics = self.cache.get_metrics()
        return CacheInfo(int(metrics["hits"]), int(metrics["misses"]), self.cache._store.maxsize, len(self.cache))

    def cache_parameters(self) -> dict[str, Any]:
        """``maxsize`` and ``typed``, as `functools.lru_cache` reports them."""
        return {"maxsize": self.cache._store.maxsize, "typed": self.shape.typed}

    def invalidate(self, /, *args: Any, **kwargs: Any) -> Applied:
        """``f(*args, **kwargs)`` has changed: as `AsyncCache.delete`. Truthy if an entry was dropped.

        Raises:
            TypeError: the arguments do not fit the function.

        """
        return self.cache.delete(self.key_of(*args, **kwargs))


def cached_of(function: object) -> Cached | None:
    """What ``function`` was cached by, if it is a wrapper, a method of one, or a decorated one that says so."""
    found = getattr(function, MARK, None)
    return found if isinstance(found, Cached) else None


def _types(named: tuple[Any, ...], *starred: tuple[Any, ...] | dict[str, Any]) -> tuple[type, ...]:
    values = list(named)
    for more in starred:
        values += [value for _, value in sorted(more.items())] if isinstance(more, dict) else more
    return tuple([type(value) for value in values])


def _skipped(name: str, parameters: tuple[Parameter, ...], skip_args: int) -> set[str]:
    positional = [p.name for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    if skip_args > len(positional):
        raise ValueError(f"skip_args={skip_args}: {name} has only {len(positional)} positional parameters to skip")
    return set(positional[:skip_args])


def _ignored(name: str, parameters: tuple[Parameter, ...], ignore: tuple[str, ...]) -> set[str]:
    known = [p.name for p in parameters]
    for ignored in ignore:
        if ignored not in known:
            raise ValueError(f"ignore contains {ignored!r}: {name} has the parameters {', '.join(known) or '(none)'}")
    return set(ignore)


def _instance_parameter(
    function: Callable[..., Any], parameters: tuple[Parameter, ...], key_names: tuple[str, ...]
) -> str | None:
    """The parameter that stands by identity: the first, if it is called self or cls and nothing is bound to it yet."""
    if not parameters or not key_names or inspect.ismethod(function):
        return None
    first = parameters[0].name
    is_bound_first = parameters[0].kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return first if is_bound_first and first in ("self", "cls") and first == key_names[0] else None

"""Wrapper: one cached function, its key, its tags, and the cache that holds its entries."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from inspect import Parameter
from typing import Any, NamedTuple

from cache._applied import Applied
from cache._arguments import check_callable, check_tags, shown
from cache._cache import AsyncCache
from cache._calls import Calls
from cache._codegen import Shape, parameters_of
from cache._domain import Names
from cache._entry import Entry
from cache._flight import Flight
from cache._generated import code_of_cached, generate
from cache._key import ALL, UNHASHABLE, WILDCARD
from cache._lease import frame, running
from cache._loads import leave
from cache._recipe import Arguments, Recipe
from cache._shards import Contents, Shards
from cache._shared_names import shared_name
from cache._stable import stable_key
from cache._step import step
from cache._tags import epoch
from cache._templates import Templates
from cache.codec import returned

#: The attribute by which a wrapper is known.
MARK = "__cached__"


class CacheInfo(NamedTuple):
    """As `functools.lru_cache` reports it; ``get_metrics()`` says more."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class Cached:
    """What a wrapper is made of. The wrapper itself is the generated function ``call``.

    ``partials`` are the sets of parameters by which some invalidator drops all entries that agree on them;
    ``shared_as`` is what other processes call the function, where it is not its own name.
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
        shared_as: str | None = None,
    ) -> None:
        self.function = function
        self._shared_as = shared_as
        self.cache = cache
        self.name = name_of(function)
        self.ttl_of = ttl_of
        self.partials: list[tuple[int, ...]] = []
        store = cache._store
        calls = Calls(function, self.name, store, make_key=key, ignore=ignore, skip_args=skip_args, typed=typed)
        self.calls = calls
        self._ask = cache._loads.ask
        self.tags_of = tags if callable(tags) else None
        self.templates = Templates(() if callable(tags) else tags, calls.parameters, self.name, calls.left_out)
        #: How every key is loaded, as long as no call rests on names of its own.
        self._plain = Recipe(function, ttl_of)
        self._is_plain = not tags
        if tags:
            cache._implied = self._implied
        self._shape = shape = Shape(
            parameters=parameters_of(calls.signature),
            key=calls.key_names,
            instance=calls.instance,
            typed=typed,
            custom=key is not None,
            has_ttl=has_ttl,
            has_tags=bool(tags),
            track=track,
            counts_uses=store.counts_uses,
            parts=store.parts,
        )
        names = {
            "data": _held(store.data), "store": store, "epoch": epoch, "running": running, "frame": frame.get,
            "clock": store.clock, "slow": self.slow, "leave": leave, "look": self._look,
            "make_key": key, "types": _types, "instances": calls.instances.tokens, "mint": calls.instances.mint,
            "id": id, "hash": hash, "tuple": tuple, "sorted": sorted, "misses": (KeyError, *UNHASHABLE),
        }  # fmt: skip
        defaults = {p.name: p.default for p in calls.parameters if p.default is not Parameter.empty}
        globals_ = getattr(inspect.unwrap(function), "__globals__", {})
        self.call, calls.key, peek, self._bound, rebind = generate(shape, names, defaults, globals_)
        store.rebind = lambda data: rebind(_held(data))
        cache._membership.wrapped = weakref.ref(self)
        calls.wrapper = self.call
        functools.update_wrapper(self.call, function)
        peek.__name__, peek.__qualname__ = "peek", f"{self.name}.peek"
        peek.__doc__ = "The cached result for these arguments, or None; loads, counts and promotes nothing."
        attributes = {
            MARK: self, "__signature__": calls.signature, "cache": cache, "cache_key": self.cache_key,
            "invalidate_cache": self.invalidate, "clear_cache": cache.clear, "get_metrics": cache.get_metrics,
            "refresh": self.refresh, "peek": peek, "cache_info": self.cache_info,
            "cache_clear": cache.clear, "cache_parameters": self.cache_parameters,
        }  # fmt: skip
        for name, value in attributes.items():
            setattr(self.call, name, value)

    # -- sharing -----------------------------------------------------------------------------------------------

    def space(self) -> str:
        """What all processes call the function.

        Raises:
            TypeError: it has no such name, or its keys have no form that is the same in every process.

        """
        if self.calls.instance is not None:
            raise TypeError(
                f"{self.name} is a method, whose instance stands in the key by identity, which no other process knows: "
                f"leave it out with skip_args=1, make the key with key=..., or keep the cache to this process with "
                f"bus=None, backup=None"
            )
        return self._shared_as or shared_name(self.function)

    def annotation(self) -> Any:
        """What the function is annotated to return."""
        return returned(self.function)

    def version(self) -> str:
        """What changes with the tags of the function: a value that was kept before does not rest on those of now."""
        tags: Any = self.tags_of
        if tags is None:
            return self.templates.text
        code = getattr(tags, "__code__", None)
        return f"{name_of(tags)} {'' if code is None else stable_key((code.co_code, code.co_names))}"

    def joined(self) -> None:
        """Other processes know the entries from now on."""
        store = self.cache._store
        if store.is_watched:
            # Whoever has the wrapper keeps it; what it runs is another code, which looks at the bus at every hit.
            self.call.__code__ = code_of_cached(replace(self._shape, watched=True))
        for at in self.partials:
            step.run(store.declare, at)

    # -- wildcards ---------------------------------------------------------------------------------------------

    def wildcard(self, values: Mapping[str, Any]) -> Hashable:
        """The name in this function's cache on which every entry rests that agrees with ``values``."""
        at = tuple(i for i, name in enumerate(self.calls.key_names) if name in values)
        if not at:
            return ALL
        self.declare(at)
        parts = self.calls.components(self.calls.key_of_values(values))
        return (WILDCARD, at, tuple([parts[i] for i in at]))

    def declare(self, at: tuple[int, ...]) -> None:
        """From now on entries rest on these components of their keys; those that do not yet are dropped."""
        if at in self.partials:
            return
        self.partials = [*self.partials, at]
        self._is_plain = False
        self.cache._implied = self._implied
        step.run(self.cache._store.declare, at)

    def _wildcards(self, key: Hashable) -> Names:
        parts = self.calls.components(key)
        if not parts:
            return ()
        return tuple((self.cache._store, (WILDCARD, at, tuple([parts[i] for i in at]))) for at in self.partials)

    def _implied(self, key: Hashable, tagged: bool) -> Names:
        """The names on which an entry rests that is put under ``key`` by hand, ``tagged`` or without tags given.

        Raises:
            TypeError: no tags are given, and the function's cannot be told from the key.

        """
        names = self._wildcards(key) if self.partials else ()
        if not self.templates and self.tags_of is None:
            return names
        values = self.calls.values_in(key)
        if self.tags_of is None and self.templates.fields <= values.keys():
            return names + self._tagged(self.templates.fill(values))
        if not tagged:
            raise TypeError(
                f"{self.name} has tags that cannot be told from the key {shown(key)} alone: say with tags=(...) what "
                f"the value rests on"
            )
        return names

    def _tagged(self, tags: Iterable[str]) -> Names:
        return tuple((self.cache._namespace, tag) for tag in tags)

    # -- calls -------------------------------------------------------------------------------------------------

    def slow(
        self, use_cache: bool, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Flight | None, Awaitable[Any]]:
        """A call that was not a plain hit; ``key`` may not be hashable yet. As `Loads.ask`."""
        key = self.calls.hashable(key)
        return self._ask(key, self._recipe, (args, kwargs), anew=not use_cache)

    def _recipe(self, key: Hashable, arguments: Arguments) -> Recipe:
        if self._is_plain:
            return self._plain
        args, kwargs = arguments
        names: Names = ()
        if self.templates:
            names = self._tagged(self.templates.fill(self._bound(*args, **kwargs)))
        if self.partials:
            names += self._wildcards(key)
        recipe = Recipe(self.function, self.ttl_of, names)
        if self.tags_of is not None:
            recipe.undecided_in = self.cache._namespace
            recipe.tags_of = partial(self._tags_of_result, args, kwargs)
        return recipe

    def _tags_of_result(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> tuple[str, ...]:
        tags_of = check_callable(self.tags_of, "tags", "tags(result, *args, **kwargs) -> tags")
        return check_tags(tags_of(result, *args, **kwargs), f"the result of tags={tags_of!r}")

    async def refresh(self, /, *args: Any, **kwargs: Any) -> Any:
        """Load anew, whatever is stored, and store the result; others are served the old entry meanwhile."""
        self.calls.check(args, kwargs)
        return await self.call(*args, **kwargs, use_cache=False)

    def _look(self, /, *args: Any, **kwargs: Any) -> Any:
        """A peek that was not a plain hit."""
        return self.cache.peek(self.calls.key_named(args, kwargs))

    def cache_info(self) -> CacheInfo:
        """Hits, misses, maxsize and currsize, as `functools.lru_cache` reports them."""
        metrics = self.cache.get_metrics()
        return CacheInfo(int(metrics["hits"]), int(metrics["misses"]), self.cache._store.maxsize, len(self.cache))

    def cache_parameters(self) -> dict[str, Any]:
        """``maxsize`` and ``typed``, as `functools.lru_cache` reports them."""
        return {"maxsize": self.cache._store.maxsize, "typed": self.calls.typed}

    def cache_key(self, /, *args: Any, **kwargs: Any) -> Hashable:
        """The key of the call ``f(*args, **kwargs)`` in ``f.cache``.

        Raises:
            TypeError: the arguments do not fit the function, or one of them cannot be part of a key.

        """
        return self.calls.key_named(args, kwargs)

    def invalidate(self, /, *args: Any, **kwargs: Any) -> Applied:
        """``f(*args, **kwargs)`` has changed: as `AsyncCache.delete`. Truthy if an entry was dropped.

        Raises:
            TypeError: the arguments do not fit the function.

        """
        return self.cache.delete(self.cache_key(*args, **kwargs))


def cached_of(function: object) -> Cached | None:
    """What ``function`` was cached by, if it is a wrapper, a method of one, or a decorated one that says so."""
    if isinstance(function, classmethod | staticmethod):
        function = function.__func__
    found = getattr(function, MARK, None)
    return found if isinstance(found, Cached) else None


def name_of(function: Any) -> str:
    """How messages name a function; that of a partial is the name of what it calls."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__qualname__", None) or shown(function)


def _held(data: Contents[Entry]) -> Any:
    """What a generated wrapper holds of the contents of a store."""
    return data.parts if isinstance(data, Shards) else data


def _types(named: tuple[Any, ...], *starred: tuple[Any, ...] | dict[str, Any]) -> tuple[type, ...]:
    values = list(named)
    for more in starred:
        values += [value for _, value in sorted(more.items())] if isinstance(more, dict) else more
    return tuple([type(value) for value in values])

"""Decorators: cached, and its presets AsyncLRU and AsyncTTL."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from cache._applied import Applied
from cache._arguments import TTL, check_callable, check_count, check_tags, check_ttl
from cache._cache import AsyncCache
from cache._wrapper import MARK, Cached, CacheInfo

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class BoundCachedFunction(Protocol[P, R_co]):
    """A cached method of an instance. What works on its entries is called on the class: see `CachedFunction`."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...
    @overload
    def __call__(self, *args: Any, use_cache: bool, **kwargs: Any) -> Coroutine[Any, Any, R_co]: ...


class CachedFunction(Protocol[P, R_co]):
    """A cached function: called like the function itself, with ``use_cache=False`` to load anew."""

    __name__: str
    __qualname__: str
    #: The function that was decorated.
    __wrapped__: Callable[..., Any]
    #: The cache that holds its entries, under the keys of `cache_key`.
    cache: AsyncCache

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...
    @overload
    def __call__(self, *args: Any, use_cache: bool, **kwargs: Any) -> Coroutine[Any, Any, R_co]: ...

    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> CachedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R_co], instance: S, owner: type | None = None, /
    ) -> BoundCachedFunction[Q, R_co]: ...

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Load anew, whatever is stored, and store the result; others are served the old entry meanwhile."""

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> R_co | None:
        """The cached result, or None; loads, counts and promotes nothing."""

    def invalidate_cache(self, *args: P.args, **kwargs: P.kwargs) -> Applied:
        """The result for these arguments has changed; truthy if an entry was dropped."""

    def clear_cache(self) -> Applied:
        """Every result has changed; the metrics begin anew."""

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> Hashable:
        """The key of this call in ``cache``."""

    def get_metrics(self) -> dict[str, int | float]:
        """As `AsyncCache.get_metrics`."""

    def cache_info(self) -> CacheInfo:
        """As `functools.lru_cache` reports."""

    def cache_clear(self) -> Applied:
        """The name that functools gives to `clear_cache`."""

    def cache_parameters(self) -> dict[str, Any]:
        """As `functools.lru_cache` reports."""


class Decorator(Protocol):
    """Turns an ``async def`` into a cached one, and keeps its types."""

    def __call__(self, function: Callable[P, Awaitable[R]], /) -> CachedFunction[P, R]: ...


def cached(
    *,
    maxsize: int | None = 128,
    ttl: TTL = None,
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    key: Callable[..., Hashable] | None = None,
    ignore: Iterable[str] = (),
    skip_args: int = 0,
    typed: bool = False,
    policy: str = "lru",
    track: bool = True,
    namespace: str = "default",
    name: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    cache_errors: Mapping[type[BaseException], float] | None = None,
) -> Decorator:
    """Cache the results of an ``async def`` by its arguments.

    Concurrent calls with the same arguments share one load. The key is the bound call: ``f(1)``, ``f(uid=1)`` and
    ``f(1, flag=<its default>)`` are one. A call made inside the load of another cached function makes that one rest on
    it: they are invalidated together. A method's instance stands in the key by identity and is not kept alive.

    Args:
        maxsize: Entries to keep at most; None for no bound, 0 to store nothing (loads are still shared).
        ttl: Seconds to keep a result, from the end of its load; None for ever, 0 not at all; or a function of the
            result that returns one of these.
        tags: What results rest on: templates over the arguments, ``("user:{user_id}",)``, or a function
            ``(result, *args, **kwargs) -> tags``.
        key: Makes the key from the arguments of a call, in place of the arguments themselves.
        ignore: Names of parameters to leave out of the key.
        skip_args: How many of the first positional parameters to leave out of the key; 1 shares the entries of a
            method between all instances.
        typed: Keep ``f(1)`` and ``f(1.0)`` apart.
        policy: As for `AsyncCache`.
        track: As for `AsyncCache`.
        namespace: As for `AsyncCache`.
        name: As for `AsyncCache`; by default the function's.
        clock: As for `AsyncCache`.
        cache_errors: As for `AsyncCache`.

    Raises:
        TypeError: at decoration, if it is no ``async def``, is cached already, or has a parameter ``use_cache``.
        ValueError: at decoration, if an option names a parameter that the function does not have.

    """
    ttl_of = check_ttl(ttl)
    check_count(skip_args, "skip_args", least=0)
    checked_tags = tags if callable(tags) else check_tags(tags)
    ignored = check_tags(ignore, "ignore")
    if key is not None:
        check_callable(key, "key", "key(*args, **kwargs) -> hashable")
        if ignored or skip_args or typed:
            raise TypeError(f"key={key!r} makes the whole key: leave out ignore, skip_args and typed")

    def decorate(function: Callable[..., Any]) -> Any:
        check_function(function)
        cache = AsyncCache(
            maxsize, ttl, name=name or getattr(function, "__qualname__", None), namespace=namespace, policy=policy,
            clock=clock, track=track, cache_errors=cache_errors,
        )  # fmt: skip
        return Cached(
            function, cache, ttl_of=ttl_of, has_ttl=ttl is not None, tags=checked_tags, key=key, ignore=ignored,
            skip_args=skip_args, typed=typed, track=track,
        ).call  # fmt: skip

    # The options are checked when the decorator is made, not only when it finds its function.
    AsyncCache(maxsize, ttl, name=name, namespace=namespace, policy=policy, clock=clock, cache_errors=cache_errors)
    return decorate


def check_function(function: object) -> None:
    """Refuse what cannot be cached, and say what to do instead."""
    name = getattr(function, "__qualname__", repr(function))
    if isinstance(function, classmethod | staticmethod):
        kind = type(function).__name__
        raise TypeError(f"{name} is a {kind} already: put @{kind} above the cache decorator")
    if not callable(function):
        raise TypeError(f"{function!r} is a {type(function).__name__}: a cache decorator takes an async def function")
    if inspect.isasyncgenfunction(function):
        raise TypeError(f"{name} is an async generator, whose items cannot be replayed: return a list of them")
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{name} is a generator: make it an async def that returns a list of its items")
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{name} is a plain function: make it an async def, or use functools.lru_cache")
    mark = getattr(function, MARK, None)
    if isinstance(mark, Cached) and mark.call is getattr(function, "__func__", function):
        raise TypeError(f"{name} is cached already: one cache decorator is enough, another would hide its invalidation")
    if "use_cache" in inspect.signature(function).parameters:
        raise TypeError(f"{name} has a parameter use_cache, which the wrapper adds: give it another name")


@overload
def AsyncLRU(maxsize: Callable[P, Awaitable[R]], /) -> CachedFunction[P, R]: ...
@overload
def AsyncLRU(
    maxsize: int | None = 128,
    skip_args: int = 0,
    *,
    tags: Iterable[str] | Callable[..., Iterable[str]] = ...,
    key: Callable[..., Hashable] | None = ...,
    ignore: Iterable[str] = ...,
    typed: bool = ...,
    policy: str = ...,
    track: bool = ...,
    namespace: str = ...,
    name: str | None = ...,
    clock: Callable[[], float] = ...,
    cache_errors: Mapping[type[BaseException], float] | None = ...,
) -> Decorator: ...


def AsyncLRU(maxsize: Any = 128, skip_args: int = 0, **options: Any) -> Any:  # noqa: N802 - the name that users know
    """`cached` without a ttl: the ``maxsize`` least recently used results are kept. Also bare, ``@AsyncLRU``."""
    if callable(maxsize) or isinstance(maxsize, classmethod | staticmethod):
        return cached()(maxsize)
    _refuse(options, "ttl", "AsyncLRU", "AsyncTTL(time_to_live=...)")
    return cached(maxsize=maxsize, skip_args=skip_args, **options)


@overload
def AsyncTTL(time_to_live: Callable[P, Awaitable[R]], /) -> CachedFunction[P, R]: ...
@overload
def AsyncTTL(
    time_to_live: TTL = 60,
    maxsize: int | None = 1024,
    skip_args: int = 0,
    *,
    tags: Iterable[str] | Callable[..., Iterable[str]] = ...,
    key: Callable[..., Hashable] | None = ...,
    ignore: Iterable[str] = ...,
    typed: bool = ...,
    policy: str = ...,
    track: bool = ...,
    namespace: str = ...,
    name: str | None = ...,
    clock: Callable[[], float] = ...,
    cache_errors: Mapping[type[BaseException], float] | None = ...,
) -> Decorator: ...


def AsyncTTL(  # noqa: N802 - the name that users know
    time_to_live: Any = 60, maxsize: int | None = 1024, skip_args: int = 0, **options: Any
) -> Any:
    """`cached` with a ttl of ``time_to_live`` seconds. Also bare, ``@AsyncTTL``."""
    if inspect.iscoroutinefunction(time_to_live) or isinstance(time_to_live, classmethod | staticmethod):
        return cached(ttl=60, maxsize=1024)(time_to_live)
    _refuse(options, "ttl", "AsyncTTL", "time_to_live=")
    check_ttl(time_to_live, "time_to_live")
    return cached(ttl=time_to_live, maxsize=maxsize, skip_args=skip_args, **options)


def _refuse(options: dict[str, Any], option: str, decorator: str, instead: str) -> None:
    if option in options:
        raise TypeError(f"{decorator} takes no {option}={options[option]!r}: use {instead}")


__all__ = ["AsyncLRU", "AsyncTTL", "BoundCachedFunction", "CachedFunction", "Decorator", "cached"]

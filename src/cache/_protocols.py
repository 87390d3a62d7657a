"""Protocols: what type checkers see of a cached function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypedDict, TypeVar, overload

from cache._applied import Applied
from cache._arguments import Default
from cache._bus import Bus
from cache._cache import AsyncCache
from cache._places import Remote
from cache._tier import Tier
from cache._wrapper import CacheInfo

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class CacheOperations(Protocol[P, R_co]):
    """What works on the entries of a cached function. For a method, all of it is given the instance first."""

    #: The function that was decorated.
    __wrapped__: Callable[..., Any]
    #: The cache that holds its entries, under the keys of `cache_key`.
    cache: AsyncCache

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, R_co]:
        """Load anew, whatever is stored, and store the result; others are served the old entry meanwhile."""
        ...

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> R_co | None:
        """The cached result, or None; loads, counts and promotes nothing."""
        ...

    def invalidate_cache(self, *args: P.args, **kwargs: P.kwargs) -> Applied:
        """The result for these arguments has changed; truthy if an entry was dropped."""
        ...

    def clear_cache(self) -> Applied:
        """Every result has changed; the metrics begin anew."""
        ...

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> Hashable:
        """The key of this call in ``cache``."""
        ...

    def get_metrics(self) -> dict[str, int | float]:
        """As `AsyncCache.get_metrics`."""
        ...

    def cache_info(self) -> CacheInfo:
        """As `functools.lru_cache` reports."""
        ...

    def cache_clear(self) -> Applied:
        """The name that functools gives to `clear_cache`."""
        ...

    def cache_parameters(self) -> dict[str, Any]:
        """As `functools.lru_cache` reports."""
        ...


class BoundCachedFunction(CacheOperations[P, R_co], Protocol[Q, P, R_co]):
    """A cached method of an instance, or of a class: called without it, while what works on its entries is given it."""

    @overload
    def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> Coroutine[object, object, R_co]: ...
    @overload
    def __call__(self, *args: Any, use_cache: bool, **kwargs: Any) -> Coroutine[object, object, R_co]: ...


class LookedUpCachedFunction(CacheOperations[P, R_co], Protocol[Q, P, R_co]):
    """A cached classmethod, looked up on its class or on an instance: called without the class."""

    @overload
    def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> Coroutine[object, object, R_co]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, R_co]: ...
    @overload
    def __call__(self, *args: Any, use_cache: bool, **kwargs: Any) -> Coroutine[object, object, R_co]: ...


class CachedFunction(CacheOperations[P, R_co], Protocol[P, R_co]):
    """A cached function: called like the function itself, with ``use_cache=False`` to load anew."""

    __name__: str
    __qualname__: str

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, R_co]: ...
    @overload
    def __call__(self, *args: Any, use_cache: bool, **kwargs: Any) -> Coroutine[object, object, R_co]: ...

    # mypy does not compare the first parameter with Concatenate's: it takes the first overload for every function
    # looked up on a class, and the third on an instance. pyright takes the right one.
    @overload
    def __get__(
        self: CachedFunction[Concatenate[type[S], Q], R_co], instance: None, owner: type[S], /
    ) -> LookedUpCachedFunction[Q, P, R_co]: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> CachedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R_co], instance: S, owner: type | None = None, /
    ) -> BoundCachedFunction[Q, Concatenate[S, Q], R_co]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[type[S], Q], R_co], instance: S, owner: type | None = None, /
    ) -> LookedUpCachedFunction[Q, P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> CachedFunction[P, R_co]: ...


class Decorator(Protocol):
    """Turns an ``async def`` into a cached one, and keeps its types."""

    def __call__(self, function: Callable[P, Awaitable[R]], /) -> CachedFunction[P, R]: ...


class Options(TypedDict, total=False):
    """The options that `cached`, `AsyncLRU` and `AsyncTTL` have in common."""

    tags: Iterable[str] | Callable[..., Iterable[str]]
    key: Callable[..., Hashable] | None
    ignore: Iterable[str]
    typed: bool
    policy: str
    track: bool
    namespace: str
    name: str | None
    clock: Callable[[], float]
    cache_errors: Mapping[type[BaseException], float] | None
    bus: Bus | Default | None
    backup: Tier | Default | None
    remote_cache: Remote | None

"""Decorators: cached, and its presets AsyncLRU and AsyncTTL."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from cache._arguments import (
    DEFAULT,
    TTL,
    Default,
    check_callable,
    check_count,
    check_flag,
    check_tags,
    check_ttl,
    kind_of,
    shown,
)
from cache._bus import Bus
from cache._cache import AsyncCache
from cache._places import Remote, check_places
from cache._protocols import CachedFunction, Decorator, Options
from cache._tier import Tier
from cache._wrapper import MARK, Cached, name_of

P = ParamSpec("P")
R = TypeVar("R")


@overload
def cached(function: Callable[P, Awaitable[R]], /) -> CachedFunction[P, R]: ...
@overload
def cached(
    *, maxsize: int | None = 128, ttl: TTL = None, skip_args: int = 0, **options: Unpack[Options]
) -> Decorator: ...


def cached(
    function: Any = None,
    /,
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
    bus: Bus | Default | None = DEFAULT,
    backup: Tier | Default | None = DEFAULT,
    remote_cache: Remote | None = None,
) -> Any:
    """Cache the results of an ``async def`` by its arguments. Also bare, ``@cached``.

    Concurrent calls with the same arguments share one load. The key is the bound call: ``f(1)``, ``f(uid=1)`` and
    ``f(1, flag=<its default>)`` are one. A call made inside the load of another cached function makes that one rest on
    it: they are invalidated together. A method's instance stands in the key by identity and is not kept alive.

    Args:
        function: What ``@cached`` without parentheses decorates.
        maxsize: Entries to keep at most; None for no bound, 0 to store nothing (loads are still shared).
        ttl: Seconds to keep a result, from the end of its load; None for ever, 0 not at all; or a function of the
            result that returns one of these.
        tags: What results rest on: templates over the arguments, ``("user:{user_id}",)``, or a function
            ``(result, *args, **kwargs) -> tags``. The arguments are those of the call that loads; two that are equal
            but are written differently, such as 1 and True, share that entry and so its tags.
        key: Makes the key from the arguments of a call, in place of the arguments themselves. Called once for a hit,
            and once more where it is not one, so it should be quick and always give the same.
        ignore: Names of parameters to leave out of the key.
        skip_args: How many of the first positional parameters to leave out of the key; 1 shares the entries of a
            method between all instances.
        typed: Keep ``f(1)`` and ``f(1.0)`` apart.
        policy: As for `AsyncCache`.
        track: As for `AsyncCache`.
        namespace: As for `AsyncCache`.
        name: As for `AsyncCache`; by default the function's. Other processes find it by its module and its qualified
            name, or by this.
        clock: As for `AsyncCache`.
        cache_errors: As for `AsyncCache`.
        bus: As for `AsyncCache`.
        backup: As for `AsyncCache`. Values come back as what the function is annotated to return.
        remote_cache: As for `AsyncCache`; values as for ``backup``.

    Raises:
        TypeError: at decoration, if it is no ``async def``, is cached already, or has a parameter ``use_cache``.
        ValueError: at decoration, if an option names a parameter that the function does not have.

    """
    ttl_of = check_ttl(ttl)
    check_count(skip_args, "skip_args", least=0)
    checked_tags = tags if callable(tags) else check_tags(tags)
    ignored = check_tags(ignore, "ignore", "('session', 'verbose')")
    check_flag(typed, "typed")
    if key is not None:
        check_callable(key, "key", "key(*args, **kwargs) -> hashable")
        if ignored or skip_args or typed:
            raise TypeError(f"key={key!r} makes the whole key: leave out ignore, skip_args and typed")

    make_cache = partial(
        AsyncCache,
        maxsize,
        ttl,
        namespace=namespace,
        policy=policy,
        clock=clock,
        track=track,
        cache_errors=cache_errors,
        bus=None,
        backup=None,
    )
    places = check_places(bus, backup, remote_cache)

    def decorate(function: Callable[..., Any]) -> Any:
        check_function(function)
        wrapped = Cached(
            function, make_cache(name=name or name_of(function)), ttl_of=ttl_of, has_ttl=ttl is not None,
            tags=checked_tags, key=key, ignore=ignored, skip_args=skip_args, typed=typed, track=track, shared_as=name,
        )  # fmt: skip
        wrapped.cache._membership.join(places)
        return wrapped.call

    make_cache(name=name)  # the options are checked when the decorator is made, not only when it finds its function
    return decorate if function is None else decorate(function)


def check_function(function: object) -> None:
    """Refuse what cannot be cached, and say what to do instead."""
    name = name_of(function)
    if isinstance(function, classmethod | staticmethod):
        kind = type(function).__name__
        raise TypeError(f"{name} is a {kind} already: put @{kind} above the cache decorator")
    if not inspect.iscoroutinefunction(function):
        kind = kind_of(function)
        remedy = _REMEDIES.get(kind, "a cache decorator takes an async def function")
        raise TypeError(f"{name} is {kind}: {remedy}")
    mark = getattr(function, MARK, None)
    if isinstance(mark, Cached) and mark.call is getattr(function, "__func__", function):
        raise TypeError(f"{name} is cached already: one cache decorator is enough, another would hide its invalidation")
    if "use_cache" in inspect.signature(function).parameters:
        raise TypeError(f"{name} has a parameter use_cache, which the wrapper adds: give it another name")


_REMEDIES = {
    "an async generator": "its items cannot be replayed; make it an async def that returns a list of them",
    "a generator": "make it an async def that returns a list of its items",
    "a class": "decorate the async def functions in it",
    "a plain function": "make it an async def, or use functools.lru_cache",
    "an object that can be called": "decorate its method, as in cached()(obj.__call__), if that is an async def",
}


@overload
def AsyncLRU(maxsize: Callable[P, Awaitable[R]], /) -> CachedFunction[P, R]: ...
@overload
def AsyncLRU(
    maxsize: int | None = 128,
    skip_args: int = 0,
    **options: Unpack[Options],
) -> Decorator: ...


def AsyncLRU(maxsize: Any = 128, skip_args: int = 0, **options: Any) -> Any:  # noqa: N802 - the name that users know
    """`cached` without a ttl: the ``maxsize`` least recently used results are kept. Also bare, ``@AsyncLRU``."""
    if callable(maxsize) or isinstance(maxsize, classmethod | staticmethod):
        bare: Any = cached()
        return bare(maxsize)
    _check_options(options, "AsyncLRU", ("maxsize", "skip_args"), ttl="AsyncTTL(time_to_live=...)")
    return cached(maxsize=maxsize, skip_args=skip_args, **options)


@overload
def AsyncTTL(time_to_live: Callable[P, Awaitable[R]], /) -> CachedFunction[P, R]: ...
@overload
def AsyncTTL(
    time_to_live: TTL = 60,
    maxsize: int | None = 1024,
    skip_args: int = 0,
    **options: Unpack[Options],
) -> Decorator: ...


def AsyncTTL(  # noqa: N802 - the name that users know
    time_to_live: Any = 60, maxsize: int | None = 1024, skip_args: int = 0, **options: Any
) -> Any:
    """`cached` with a ttl of ``time_to_live`` seconds. Also bare, ``@AsyncTTL``."""
    is_ttl = not callable(time_to_live) or kind_of(time_to_live) in ("a plain function", "an object that can be called")
    if not is_ttl or inspect.iscoroutinefunction(time_to_live) or isinstance(time_to_live, classmethod | staticmethod):
        bare: Any = cached(ttl=60, maxsize=1024)
        return bare(time_to_live)
    _check_options(options, "AsyncTTL", ("time_to_live", "maxsize", "skip_args"), ttl="time_to_live=")
    check_ttl(time_to_live, "time_to_live")
    ttl: Any = time_to_live
    decorate: Any = cached(ttl=ttl, maxsize=maxsize, skip_args=skip_args, **options)
    if not callable(time_to_live):
        return decorate

    def decorate_function(*given: Any, **named: Any) -> Any:
        if len(given) == 1 and not named and callable(given[0]):
            return decorate(given[0])
        name, call = name_of(time_to_live), ", ".join([*map(shown, given), *named])
        raise TypeError(
            f"AsyncTTL was given {name}, which is no async def, as the function that makes the ttl from a result, and "
            f"was then called with ({call}) in place of a function to cache. To cache {name}, make it an async def"
        )

    return decorate_function


def _check_options(options: dict[str, Any], decorator: str, first: tuple[str, ...], ttl: str) -> None:
    if "ttl" in options:
        raise TypeError(f"{decorator} takes no ttl={shown(options['ttl'])}: use {ttl}")
    for option in options:
        if option not in Options.__annotations__:
            known = ", ".join((*first, *Options.__annotations__))
            raise TypeError(f"{decorator} has no option {option!r}: it has {known}")

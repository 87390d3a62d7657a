"""Spanning: what reaches over all caches of a process."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Hashable, Iterable
from typing import Any

from cache._applied import Applied
from cache._arguments import DEFAULT, Default, check_name, check_some_tags, check_tags, shown
from cache._bus import Bus
from cache._cache import AsyncCache, living
from cache._change import change
from cache._domain import Truth
from cache._key import ALL
from cache._membership import check_members
from cache._mutation import Linger, Mutating, check_linger
from cache._namespace import named_namespace, named_namespaces
from cache._places import Remote, check_places, check_together, configured
from cache._step import step
from cache._tier import Tier
from cache._wrapper import cached_of


def mutating(
    *targets: Any, tags: Iterable[str] = (), namespace: str = "default", linger: Linger | Default = DEFAULT
) -> Mutating:
    """A mutation that spans caches: as `AsyncCache.mutating`, over any number of them.

    Args:
        targets: A cached function or an `AsyncCache`, for all of it; or a pair of one of these and a key of it, as
            ``f.cache_key(...)`` returns: ``mutating((get_user, get_user.cache_key(7)), list_users)``.
        tags: Tags of ``namespace``.
        namespace: Where the tags live.
        linger: As for `AsyncCache.mutating`.

    """
    found = [_target(target) for target in targets]
    space = named_namespace(check_name(namespace, "namespace"))
    names: list[Truth] = [(cache._store, key) for cache, key in found]
    names += [(space, tag) for tag in check_tags(tags)]
    if not names:
        raise TypeError(
            "mutating() needs to know what is changed: pass cached functions, pairs with a key, or tags=(...)"
        )
    clock = found[0][0]._store.clock if found else time.monotonic
    return Mutating(tuple(dict.fromkeys(names)), clock, check_linger(linger))


def _target(target: Any) -> tuple[AsyncCache, Hashable]:
    whole = _cache_of(target)
    if whole is not None:
        return whole, ALL
    match target:
        case (of, key) if (cache := _cache_of(of)) is not None:
            try:
                hash(key)
            except TypeError as error:
                raise TypeError(f"the key in {target!r} is not hashable: use what cache_key(...) returns") from error
            cached = cached_of(of)
            if cached is not None and cached.calls.key_names and not cached.calls.components(key):
                raise TypeError(f"{shown(key)} is no key of {cached.name}: use what its cache_key(...) returns")
            return cache, key
    hint = f"; a tag is passed as tags=({target!r},)" if isinstance(target, str) else ""
    raise TypeError(
        f"{shown(target)} is no target of a mutation: pass a cached function or an AsyncCache, or a pair (one of "
        f"these, key){hint}"
    )


def _cache_of(target: Any) -> AsyncCache | None:
    if isinstance(target, AsyncCache):
        return target
    cached = cached_of(target)
    return None if cached is None else cached.cache


def invalidate(*tags: str, namespace: str = "default") -> Applied:
    """What rests on any of these tags has changed, in all caches of ``namespace``: as `AsyncCache.invalidate`."""
    space = named_namespace(check_name(namespace, "namespace"))
    checked = check_some_tags(tags)
    return Applied(*change([(space, tag) for tag in checked], space.invalidate_each, checked))


def configure(
    *,
    bus: Bus | Default | None = DEFAULT,
    backup: Tier | Default | None = DEFAULT,
    remote_cache: Remote | None = None,
) -> None:
    """Say once for the whole application which bus its caches are on, and which tier or remote is behind them.

    It holds for every cache and cached function that was not given its own, those made before as well as those made
    afterwards; what they had stored is dropped. None: those made afterwards have none.

    A tier hears only of the end of a mutation that is in progress now, so that without a bus another process may store
    there what it loads before the commit: configure it first.

    Args:
        bus: As for `AsyncCache`.
        backup: As for `AsyncCache`.
        remote_cache: As for `AsyncCache`.

    Raises:
        TypeError: one of the caches cannot be shared, for want of a name that other processes know; nothing has
            changed then. It says which, and what to do for each.
        ValueError: two caches have the same name, caches are on another bus already, or a bus and a tier do not go
            together.

    """
    places = check_places(bus, backup, remote_cache)
    wanted = None if places.bus is DEFAULT else places.bus
    tier = None if places.tier is DEFAULT else places.tier
    gc.collect()  # a cached function that nobody has any more is garbage of the kind that has to be collected
    with step:
        members = [cache._membership for cache in living()]
        moving = [member for member in members if member.may_follow(wanted, tier)]
        check_members(moving, wanted, tier)
        check_together(
            configured.bus if places.bus is DEFAULT else wanted, configured.tier if places.tier is DEFAULT else tier
        )
        for namespace in named_namespaces():
            namespace.check_bus(wanted)
        if places.bus is not DEFAULT:
            configured.bus = wanted
        if places.tier is not DEFAULT:
            configured.tier = tier
        for namespace in named_namespaces():
            namespace.join_with(configured.bus, configured.tier)
        for member in moving:
            member.follow()


async def shutdown(timeout: float = 5.0) -> None:  # noqa: ASYNC109 - it bounds a wait, and cancels nothing
    """Close every cache that is alive, as `AsyncCache.aclose` does; may be repeated."""
    await asyncio.gather(*[cache.aclose(timeout) for cache in living()])

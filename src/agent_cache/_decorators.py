"""Decorators: AgentCache for tools that read, AgentCacheInvalidator for tools that write."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from inspect import Signature
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from agent_cache._binding import Binding
from agent_cache._call import Scope
from agent_cache._frameworks import check_tool
from agent_cache._kept import OutcomeCodec
from agent_cache._outcome import copier
from agent_cache._reading import Reading
from agent_cache._resources import Resource, resources_of
from agent_cache._tags import tags_of
from agent_cache._wrapped import READS, WRITES, check_not_cached, reading_of, wrapped
from agent_cache._writing import KeyFn, Writing
from cache import DEFAULT, AsyncCache, Bus, Remote, Tier, cached, shared_name
from cache.codec import Codec, returned

F = TypeVar("F", bound=Callable[..., Any])


def AgentCache(  # noqa: N802 - it reads as the class that it could be
    resource: str | Iterable[str],
    scope: Scope = "global",
    ttl: float | Callable[[Any], float | None] | None = None,
    *,
    vary: Callable[..., Hashable] | None = None,
    tags: Iterable[str] = (),
    poll: bool = False,
    maxsize: int | None = 1024,
    copy: Callable[[Any], Any] | None = None,
    key: Callable[..., Hashable] | None = None,
    ignore: Iterable[str] = (),
    cache_errors: Mapping[type[BaseException], float] | None = None,
    name: str | None = None,
    bus: Bus | None = None,
    backup: Tier | None = None,
    remote_cache: Remote | None = None,
) -> Callable[[F], F]:
    """A tool that reads ``resource``, ``async def`` or plain: its results are kept until that is written.

    Once a write tool that declares the resource has returned, raised or been cancelled, no call that starts later gets
    a result from before, and calls in progress meanwhile are not kept. Calls with the same arguments share one
    execution. Each caller gets a copy of its own. What a framework fills in, such as the context of a run, is no part
    of the key, and the schema that a model sees is that of the tool itself.

    Never kept: exceptions, error results, what steers the run (approvals, interrupts, commands), what carries the id
    of its call, what cannot be copied. A tool that has asked for approval in its body is not cached from then on.
    Generators pass through.

    Args:
        resource: What it reads: ``"cart"``, or ``"cart:{cart_id}"`` with an argument in it, which lies below
            ``"cart"``; or several.
        scope: ``"global"`` shares the results with every caller, or with those that ``vary`` puts together;
            ``"session"`` keeps them in the open `AgentCacheSession`.
        ttl: Seconds to keep a result; None until it is written or evicted; or a function of the result.
        vary: Whose call it is: a function of the context, ``lambda ctx: ctx.deps.user_id``, or of arguments that it
            names. Results, executions in progress and all else are kept apart by what it returns. None means unknown:
            the call is not cached.
        tags: Further tags that the result rests on, templates over the arguments: see `cache.cached`.
        poll: The tool is meant to be called again and again: never cached, and no loop.
        maxsize: Results to keep at most, for all callers or in each session.
        copy: Makes the copy, in place of `copy.deepcopy`.
        key: Makes the key from the arguments, in place of the arguments themselves.
        ignore: Names of parameters to leave out of the key.
        cache_errors: Classes of exceptions and for how many seconds one of them is kept and raised again.
        name: How it is called in metrics and messages; by default the function's name.
        bus: Tells other processes what was written, and this one what they have written: see `cache.SharedMemoryBus`.
            None: that of `cache.configure`, if there is one.
        backup: A tier in which results for everybody survive the process: see `cache.DiskBackend`. It finds them by
            the name of the tool, ``name`` or the function's own.
        remote_cache: A store that other machines share, in which results for everybody are found in the same way, and
            which tells what was written: see `cache.RedisBackend`.

    Raises:
        TypeError: at decoration, if it is no function, is cached already, or is given a context without saying whose
            results those are; if an option has the wrong type.
        ValueError: at decoration, if an option has no meaning.

    Calls raise what the tool raises, and `AgentLoopDetectedError` as the open session says.

    """
    resources = resources_of(resource)
    _check_scope(scope)
    _check_name(name)
    if not isinstance(poll, bool):
        raise TypeError(f"poll={poll!r}: pass True or False")
    if not isinstance(ignore, Iterable):
        raise TypeError(f"ignore={ignore!r}: pass names of parameters, such as ('trace_id',)")
    ignored = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    make_copy = copier(copy)
    # Which refuses at once, and by their names, what no cache can be made with.
    places: dict[str, Any] = {"bus": bus, "backup": backup, "remote_cache": remote_cache}
    cached(maxsize=maxsize, ttl=ttl, key=key, cache_errors=cache_errors, **places)
    for option in ("backup", "remote_cache"):
        if scope == "session" and places[option] is not None:
            raise ValueError(f"{option}={places[option]!r}: what is read in a session ends with it; leave {option} out")

    def decorate(tool: F) -> F:
        check_tool(tool, "AgentCache")
        check_not_cached(tool)
        binding = Binding(tool, vary=vary, ignore=ignored, key=key)
        called = name or binding.name
        names = _check_resources(resources, binding, called, ignored)
        if scope == "global" and binding.personal and vary is None and not poll:
            given = binding.personal[0]
            what = "the context of somebody's run" if given in binding.contexts else "which may be a user's own"
            raise TypeError(
                f"{called} is given {given!r}, {what}, and scope='global' would share its results with everybody: say "
                f"whose they are with vary=lambda {given}: ..., such as the id of the user, or keep them in the "
                f"session with scope='session'; what is the same for everybody is vary=lambda: 'everybody'"
            )
        reading = Reading(
            called,
            binding,
            resources,
            scope=scope,
            poll=poll,
            ttl=ttl,
            make_cache=partial(
                _make_cache,
                partial(AsyncCache, maxsize, None if callable(ttl) else ttl, cache_errors=cache_errors),
                tool=tool,
                name=name,
                called=called,
                **places,
            ),
            make_copy=make_copy,
            tags_of=tags_of(tags, names, called),
            may_be_none=_may_be_none(binding.signature),
        )
        return wrapped(tool, binding.signature, reading, READS)

    return decorate


def _make_cache(
    make: Callable[..., AsyncCache],
    *,
    tool: Callable[..., Any],
    name: str | None,
    called: str,
    **places: Any,
) -> AsyncCache:
    if all(place is None for place in places.values()):
        # What other processes write reaches the results through the tags of what they read.
        return make(name=called, bus=None, backup=None)
    wrap = partial(_outcomes, returned(tool))
    return make(name=name or shared_name(tool), codec=wrap, **places)


def _outcomes(annotation: Any, own: Codec) -> OutcomeCodec:
    return OutcomeCodec(own.typed(annotation))


def AgentCacheInvalidator(  # noqa: N802 - it reads as the class that it could be
    resource: str | Iterable[str],
    scope: Scope = "global",
    clear_all: bool = True,
    key_fn: KeyFn | None = None,
    *,
    vary: Callable[..., Hashable] | None = None,
    tags: Iterable[str] = (),
    linger: float | Callable[[BaseException | None], float] | None = None,
    name: str | None = None,
) -> Callable[[F], F]:
    """A tool that writes ``resource``, ``async def`` or plain: what was read of it is good no longer.

    From before the tool runs until after it has returned, raised or been cancelled, nothing that was read of the
    resource, of what lies below it, or of what lies above it as a whole, is kept or handed to newcomers.

    Args:
        resource: What it writes: as for `AgentCache`.
        scope: ``"global"`` reaches the results of all sessions; ``"session"`` those of the open one, and the global.
        clear_all: Every call of read tools of the resource is invalidated. False: only the one with the same
            arguments, by name, or as ``key_fn`` says; where a parameter is missing that has a default, all of them.
        key_fn: ``(args, kwargs)`` of this tool to those of a read tool, or to a list of such pairs.
        vary: Whose results it reaches, as for `AgentCache`; without it, or if it returns None, everybody's.
        tags: Further tags that change, templates over the arguments: see `cache.invalidates`.
        linger: Seconds for which nothing is kept after an end that leaves open whether the write was made: see
            `cache.mutating`.
        name: How it is called in metrics and messages; by default the function's name.

    Raises:
        TypeError, ValueError: at decoration, as `AgentCache`; at the call, before the tool runs, if what it changes
            cannot be told.

    """
    resources = resources_of(resource)
    _check_scope(scope)
    _check_name(name)
    if not isinstance(clear_all, bool):
        raise TypeError(f"clear_all={clear_all!r}: pass True or False")
    if key_fn is not None:
        if not callable(key_fn) or inspect.iscoroutinefunction(key_fn):
            raise TypeError(f"key_fn={key_fn!r}: pass a plain function, called as key_fn(args, kwargs)")
        if clear_all:
            raise TypeError(
                f"key_fn={key_fn!r} says which calls change, clear_all=True that all do: pass clear_all=False"
            )

    def decorate(tool: F) -> F:
        check_tool(tool, "AgentCacheInvalidator")
        binding = Binding(tool, vary=vary)
        called = name or binding.name
        names = _check_resources(resources, binding, called)
        reading = reading_of(tool)
        if reading is not None:
            reading.writes = True
        writing = Writing(
            called,
            binding,
            resources,
            scope=scope,
            clear_all=clear_all,
            key_fn=key_fn,
            linger=DEFAULT if linger is None else linger,
            tags_of=tags_of(tags, names, called),
            may_be_none=_may_be_none(binding.signature),
            reads_itself=reading is not None,
        )
        return wrapped(tool, binding.signature, writing, WRITES)

    return decorate


def _check_scope(scope: object) -> None:
    if scope not in ("global", "session"):
        raise ValueError(f"scope={scope!r} is unknown: pass 'global' or 'session'")


def _check_name(name: object) -> None:
    if name is not None and (not isinstance(name, str) or not name):
        raise TypeError(f"name={name!r}: pass what the tool is called in metrics, such as 'get_cart', or leave it out")


def _check_resources(
    resources: tuple[Resource, ...], binding: Binding, called: str, ignored: tuple[str, ...] = ()
) -> list[str]:
    """The parameters that templates may name: what is not in the key tells calls apart no better in a tag."""
    names = [name for name in binding.parameters if name not in binding.injected and name not in ignored]
    for resource in resources:
        resource.check_fields(names, called)
    return names


def _may_be_none(signature: Signature) -> bool:
    """Whether None is a result that the declared type allows."""
    return _allows_none(signature.return_annotation)


def _allows_none(annotation: Any) -> bool:
    if annotation in (Signature.empty, Any, None, NoneType, object):
        return True
    if get_origin(annotation) is Annotated:
        return _allows_none(get_args(annotation)[0])
    return get_origin(annotation) in (Union, UnionType) and any(map(_allows_none, get_args(annotation)))

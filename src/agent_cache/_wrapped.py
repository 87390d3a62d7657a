"""Wrapped: the function that takes a tool's place, of the same kind and signature, and how it is known."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from inspect import Signature
from typing import Any, TypeVar

from agent_cache._reading import Reading
from agent_cache._writing import Writing
from cache import AsyncCache

F = TypeVar("F", bound=Callable[..., Any])

#: The attributes by which wrapped tools are known.
READS = "__agent_cache_reads__"
WRITES = "__agent_cache_writes__"


def reading_of(tool: object) -> Reading | None:
    """What a decorated tool reads by, if it does."""
    found = getattr(tool, READS, None)
    return found if isinstance(found, Reading) else None


def check_not_cached(tool: Any) -> None:
    """Refuse what must not be wrapped by a read again.

    Raises:
        TypeError: it is cached already, or writes.

    """
    called = getattr(tool, "__name__", repr(tool))
    if getattr(tool, READS, None) is not None or isinstance(getattr(tool, "cache", None), AsyncCache):
        raise TypeError(f"{called} is cached already: one cache is enough, another would hide its invalidation")
    if getattr(tool, WRITES, None) is not None:
        raise TypeError(
            f"{called} writes: cached above @AgentCacheInvalidator, a hit would leave the write out. Put "
            f"@AgentCacheInvalidator above @AgentCache"
        )


def wrapped(tool: F, signature: Signature, through: Reading | Writing, mark: str) -> F:
    """A function of the same kind and the same signature that goes ``through`` the cache."""
    wrapper: Any
    if inspect.isasyncgenfunction(tool):

        @functools.wraps(tool)
        async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            async with through.passing_async(args, kwargs), aclosing(tool(*args, **kwargs)) as items:
                async for item in items:
                    yield item

        wrapper = stream
    elif inspect.isgeneratorfunction(tool):

        @functools.wraps(tool)
        def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with through.passing(args, kwargs):
                return (yield from tool(*args, **kwargs))

        wrapper = generate
    elif inspect.iscoroutinefunction(tool):

        @functools.wraps(tool)
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await through.call(args, kwargs, tool)

        wrapper = call
    else:

        @functools.wraps(tool)
        def call_blocking(*args: Any, **kwargs: Any) -> Any:
            return through.call_blocking(args, kwargs, tool)

        wrapper = call_blocking
    # Some frameworks evaluate annotations in the globals of the wrapper, others rewrite its signature in place.
    wrapper.__signature__ = signature
    wrapper.__annotations__ = {
        **{p.name: p.annotation for p in signature.parameters.values() if p.annotation is not p.empty},
        **({} if signature.return_annotation is signature.empty else {"return": signature.return_annotation}),
    }
    setattr(wrapper, mark, through)
    result: F = wrapper
    return result

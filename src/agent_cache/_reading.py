"""Reading: a tool that reads, and what becomes of a call of it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakSet

from agent_cache._audience import NOBODY
from agent_cache._binding import Arguments, Bound
from agent_cache._call import Call, Scope
from agent_cache._metrics import added, enlist, summed
from agent_cache._notes import Execution, Latest
from agent_cache._read_call import ReadCall, Run
from agent_cache._resources import Resource
from agent_cache._session import current_session
from cache import AsyncCache

logger = logging.getLogger("agent_cache")


class Reading:
    """A read tool. Its results for everybody are in ``cache``, those of a session in the session."""

    def __init__(
        self,
        name: str,
        binding: Bound,
        resources: tuple[Resource, ...],
        *,
        scope: Scope,
        poll: bool,
        ttl: Any,
        make_cache: Callable[..., AsyncCache],
        make_copy: Callable[[Any], Any],
        tags_of: Callable[[Mapping[str, Any]], Iterable[str]],
        may_be_none: bool,
    ) -> None:
        self.name = name
        self.binding = binding
        self.resources = resources
        self.templates = tuple(resource.template for resource in resources)
        self.scope = scope
        self.poll = poll
        self.ttl = ttl
        self.make_copy = make_copy
        self.tags_of = tags_of
        self.may_be_none = may_be_none
        #: Whether it has ever asked for approval: then its results are nobody's but the caller's.
        self.is_guarded = False
        #: Whether a write tool stands above it, so that to run it is to write.
        self.writes = False
        #: Whether its results are everybody's, whoever calls, which is told without looking at the call.
        self.is_shared = scope == "global" and not poll and not binding.personal and not binding.is_varied
        self.executions: Latest[int, Execution] = Latest()
        self._make_cache = make_cache
        self.cache = make_cache()
        self._bypassed = 0
        self._retired: Counter[str] = Counter()
        self._in_sessions: WeakSet[AsyncCache] = WeakSet()
        # Reentrant, for a finalizer may run a tool.
        self._lock = threading.RLock()
        self._warned = False
        enlist(self)
        with _lock:
            _readings.add(self)

    # -- calling -----------------------------------------------------------------------------------------------

    async def call(self, args: Arguments, kwargs: dict[str, Any], run: Run) -> Any:
        """The result of ``run(*args, **kwargs)``, from where it is kept if it is."""
        call = ReadCall(self, args, kwargs, run)
        if call.outer is not None or call.cache is None:
            self._tell(call)
        if not call.arrive(call.key):
            return call.short_answer()
        try:
            if call.cache is None:
                outcome = await call.load()
            else:
                outcome = await call.cache.get(call.key, call.load, ttl=call.ttl_of, tags=call)
                if outcome.reason is not None and outcome.maker is not call:
                    outcome = await call.load()
        except BaseException as error:  # recorded, and passed on
            call.fail(error)
            raise
        return call.answer(outcome)

    def call_blocking(self, args: Arguments, kwargs: dict[str, Any], run: Run) -> Any:
        """The same for a plain function, in whatever thread it is called."""
        call = ReadCall(self, args, kwargs, run)
        if call.outer is not None or call.cache is None:
            self._tell(call)
        if not call.arrive(call.key):
            return call.short_answer()
        try:
            if call.cache is None:
                outcome = call.load_blocking()
            else:
                outcome = call.cache.get_blocking(call.key, call.load_blocking, ttl=call.ttl_of, tags=call)
                if outcome.reason is not None and outcome.maker is not call:
                    outcome = call.load_blocking()
        except BaseException as error:  # recorded, and passed on
            call.fail(error)
            raise
        return call.answer(outcome)

    @contextmanager
    def passing(self, args: Arguments, kwargs: dict[str, Any]) -> Iterator[None]:  # noqa: ARG002 - as `Writing.passing`
        """Around a tool that passes through, because its items cannot be given out again."""
        call = Call(self.name, self.templates, current_session())
        call.tell_outer(NOBODY)
        call.check()
        with self._lock:
            self._bypassed += 1
        yield

    @asynccontextmanager
    async def passing_async(self, args: Arguments, kwargs: dict[str, Any]) -> AsyncIterator[None]:
        """The same around an asynchronous one."""
        with self.passing(args, kwargs):
            yield

    def _tell(self, call: ReadCall) -> None:
        """Tell those whom it concerns where the result goes, or that it goes nowhere."""
        call.tell_outer(call.audience or NOBODY)
        if call.cache is None:
            with self._lock:
                self._bypassed += 1
                warn, self._warned = call.is_misplaced and not self._warned, self._warned or call.is_misplaced
            if warn:
                logger.warning("%s is not cached: %s", self.name, call.nowhere)

    # -- keeping -----------------------------------------------------------------------------------------------

    def make_cache(self) -> AsyncCache:
        """A cache for the results of one session, which is over when the process is."""
        cache = self._make_cache(bus=None, backup=None, remote_cache=None)
        with self._lock:
            self._in_sessions.add(cache)
        return cache

    def retire(self, cache: AsyncCache) -> None:
        """A session has been closed: what it has counted counts on."""
        self._count(cache)
        with self._lock:
            self._in_sessions.discard(cache)

    def _count(self, cache: AsyncCache) -> None:
        """What a cache has counted counts on when it is cleared."""
        total = summed(cache)
        del total["size"]
        with self._lock:
            self._retired.update(total)

    def totals(self) -> Counter[str]:
        """What is counted of this tool, in all sessions."""
        with self._lock:
            total = added([self._retired, summed(self.cache), *map(summed, self._in_sessions)])
            total["bypassed"] += self._bypassed
        return total

    def guard(self) -> None:
        """The tool has asked for approval: what it returns after one must not be given out without."""
        if not self.is_guarded:
            self.is_guarded, self.is_shared = True, False
            logger.warning("%s asks for approval in its body: its results are not cached any more", self.name)
            with self._lock:
                caches = (self.cache, *self._in_sessions)
            for cache in caches:
                self._count(cache)
                cache.clear()


#: Every read tool that is alive.
_readings: WeakSet[Reading] = WeakSet()
_lock = threading.RLock()


def readings() -> tuple[Reading, ...]:
    """Every read tool that is alive."""
    with _lock:
        return tuple(_readings)

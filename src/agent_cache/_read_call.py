"""ReadCall: one call of a tool that reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from agent_cache._audience import EVERYBODY, NOBODY, Audience, Partition, tags_read
from agent_cache._binding import Arguments
from agent_cache._call import Call
from agent_cache._frameworks import has_paused, is_error, is_signal, was_answered_before
from agent_cache._notes import Execution
from agent_cache._outcome import Outcome, kept, moments
from agent_cache._resources import names_read
from agent_cache._session import current_session
from cache import AsyncCache

if TYPE_CHECKING:
    from agent_cache._reading import Reading

#: The tool itself.
Run = Callable[..., Any]

_OVERHEARD: Final = "it was made from what not everybody may see who may see it"


class ReadCall(Call):
    """One call of a read tool: the loader of its result, the tags that it rests on, and how long it is good.

    ``cache`` is where its result is kept, None if nowhere; ``key`` its place there, and ``arguments`` that without the
    partition.
    """

    __slots__ = (
        "_args",
        "_began",
        "_kwargs",
        "_result",
        "_run",
        "_started",
        "arguments",
        "cache",
        "has_run",
        "is_misplaced",
        "key",
        "nowhere",
        "reading",
    )

    def __init__(self, reading: Reading, args: Arguments, kwargs: dict[str, Any], run: Run) -> None:
        super().__init__(reading.name, reading.templates, current_session())
        self.reading = reading
        self._args = args
        self._kwargs = kwargs
        self._run = run
        self._result: Any = None
        self._began = next(moments)
        self._started = 0.0
        self.has_run = False
        self.cache: AsyncCache | None = None
        self.key = self.arguments = reading.binding.key(args, kwargs)
        #: Why the result is kept nowhere, and whether that is a mistake that somebody should be told of.
        self.nowhere = ""
        self.is_misplaced = False
        if reading.is_shared:
            self.cache, self.audience = reading.cache, EVERYBODY
        else:
            self._find_place()

    def _find_place(self) -> None:
        reading, session = self.reading, self.session
        partition = None
        if reading.poll:
            self.nowhere = "tools with poll=True are never cached"
            self.is_watched = False  # it is meant to be called again and again
        elif not reading.resources:
            self.nowhere = "no rule says what it reads"
        elif reading.is_guarded:
            self.nowhere = "it has asked for approval before"
        elif reading.binding.is_answered(self._args, self._kwargs):
            self.nowhere = "somebody has approved or answered this very call"
        elif reading.scope == "session" and session is None:
            self.nowhere = "its scope is the session, and none is open: put `async with AgentCacheSession():` around it"
            self.is_misplaced = True
        elif reading.binding.is_varied:
            partition = reading.binding.partition(self._args, self._kwargs)
            if partition is None:
                self.nowhere = "vary returned None, so that nobody knows whose result it is"
                self.is_misplaced = True
        if not self.nowhere:
            self._settle(partition)

    def _settle(self, partition: Partition | None) -> None:
        reading, session = self.reading, self.session
        if partition is not None:
            # Whoever asks is the tool, always: by what, need not be told, and means nothing to other processes.
            self.key = (partition._replace(by=None), self.arguments)
        if reading.scope == "global" or session is None:
            self.cache, self.audience = reading.cache, Audience(None, partition)
            return
        self.cache = session.memory.cache_of(reading)
        if self.cache is None:
            self.nowhere = "its session was closed in this moment"
        else:
            self.audience = Audience(session.memory.label, partition)

    # -- what the cache asks of it -----------------------------------------------------------------------------

    async def load(self) -> Outcome:
        """Run the tool."""
        outer = self._start()
        try:
            value = self._run(*self._args, **self._kwargs)
            if isawaitable(value):
                value = await value
        except Exception as error:  # the tool's own: passed on, unless it is for this call alone
            outcome = self._own(error)
            if outcome is None:
                raise
            return outcome
        finally:
            self.exit(outer)
        return self._judged(value)

    def load_blocking(self) -> Outcome:
        """Run a plain tool, in this thread."""
        outer = self._start()
        try:
            value = self._run(*self._args, **self._kwargs)
        except Exception as error:  # as above
            outcome = self._own(error)
            if outcome is None:
                raise
            return outcome
        finally:
            self.exit(outer)
        return self._judged(value)

    def _start(self) -> Call | None:
        self.has_run = True
        self._started = time.monotonic()
        return self.enter()

    def ttl_of(self, outcome: Outcome) -> float | None:
        """For how long an outcome is kept."""
        ttl = self.reading.ttl
        seconds: Any = 0 if outcome.reason is not None else ttl(outcome.value) if callable(ttl) else ttl
        self.reading.executions.put(self.mark, Execution(self._started, outcome.reason, seconds))
        checked: float | None = seconds  # by the cache, which is given it
        return checked

    def __iter__(self) -> Iterator[str]:
        """The tags on which the result rests; the cache asks for them on a miss only."""
        if self.audience is None:
            return
        reading = self.reading
        values = reading.binding.values(self._args, self._kwargs)
        for resource in reading.resources:
            yield from tags_read(names_read(resource.path(values), self.arguments), self.audience)
        yield from reading.tags_of(values)

    @property
    def mark(self) -> int:
        """By which executions are remembered: not by the arguments, which would be kept alive."""
        return hash((self.audience, self.key))

    def _own(self, error: Exception) -> Outcome | None:
        """The outcome of an error that is for this call alone; None if all who wait may have it."""
        execution = Execution(self._started, f"it raised {type(error).__name__}", None)
        self.reading.executions.put(self.mark, execution)
        errors = tuple(_leaves(error))
        if any(map(has_paused, errors)):
            self.reading.guard()
        for each in errors:
            if is_signal(each):
                return Outcome(self, None, reason=f"it raised {type(each).__name__}, which steers the run", error=error)
        if self.overheard:
            return Outcome(self, None, reason=_OVERHEARD, error=error)
        return None

    def _judged(self, value: Any) -> Outcome:
        self._result = value
        if has_paused(value):
            self.reading.guard()
        if self.cache is None:
            return Outcome(self, value, reason="it does not go through the cache")
        if self.overheard:
            return Outcome(self, value, reason=_OVERHEARD)
        if self.reading.is_guarded or was_answered_before():
            return Outcome(self, value, reason="it is given after approval only")
        copied, reason = kept(value, self.reading.make_copy)
        return Outcome(self, copied, reason=reason)

    # -- answering ---------------------------------------------------------------------------------------------

    def answer(self, outcome: Outcome) -> Any:
        """The caller's own copy of the result.

        Raises:
            AgentLoopDetectedError: this call completes a loop.

        """
        if outcome.error is not None:
            self.fail(outcome.error)
            raise outcome.error
        if self.has_run and has_paused(self._result):
            self.pause()
            return self._result
        ticket = self.ticket
        fingerprint = outcome.fingerprint if ticket is not None and ticket.counts else None
        if self.has_run:
            failed = outcome.reason is not None and is_error(self._result)
            self.finish(
                fingerprint, "bypass" if self.cache is None else "miss", failed=failed, wrote=self.reading.writes
            )
            return self._result
        self.finish(fingerprint, "hit" if outcome.at < self._began else "coalesced")
        return self.reading.make_copy(outcome.value)

    def short_answer(self) -> Any:
        """What a call gets that is part of a loop: what is cached, or None.

        Raises:
            AgentLoopDetectedError: nothing is cached, and None is no result that the tool could have.

        """
        self.say("short_circuit")
        cached = None if self.cache is None else self.cache.peek(self.key)
        if cached is not None:
            return self.reading.make_copy(cached.value)
        self.tell_outer(NOBODY)  # what is made from this is no result
        return self.answer_short(may_be_none=self.reading.may_be_none)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What was raised, each by itself where several were."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error

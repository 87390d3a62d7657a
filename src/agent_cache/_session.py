"""Session: what belongs to one conversation, and the watch over its run."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from contextvars import ContextVar
from itertools import count
from types import TracebackType
from typing import Any, Self, get_args
from uuid import uuid4

from agent_cache._loops import WINDOW, Loop
from agent_cache._memory import Memory
from agent_cache._watch import OnLoop, Watch
from agent_cache.errors import AgentLoopDetectedError

logger = logging.getLogger("agent_cache")

#: The innermost session whose block the current context is in; it may have been closed since.
_active: ContextVar[AgentCacheSession | None] = ContextVar("agent_cache.session", default=None)

_numbers = count(1)


def current_session() -> AgentCacheSession | None:
    """The open session of this context. One that has been closed counts as none, unless a loop has ended it.

    What goes on after that, in a thread or a task that nobody waits for, is the loop still, and is refused.
    """
    session = _active.get()
    return session if session is not None and (session.is_open or session.is_stopped) else None


class AgentCacheSession:
    """One conversation or run of an agent: ``async with`` it around the run.

    Results of tools with ``scope="session"`` are kept in it, shared with nobody outside, and dropped when it is
    closed. Sessions nest, and an inner one is isolated from the outer; `fork` makes one that shares the results.

    With ``loop_detection`` its calls are watched, and a run that goes round in circles is stopped: the call that
    completes the loop raises `AgentLoopDetectedError` in place of its result. If whoever called the tool swallows that
    and calls another tool, the task that entered the session is cancelled, as `asyncio.timeout` does it, and the block
    ends with the error. A cancellation from elsewhere stays one.

    Args:
        session_id: How it is called in messages; a random one by default. Nothing is shared by the same name.
        loop_detection: Whether its calls are watched.
        max_tool_repeats: The same call with the same outcome, so many times within the last 64 calls, is a loop.
        max_execution_depth: Calls of tools nested more deeply than this are one too.
        on_loop: ``"raise"`` ends the run; ``"warn"`` logs; ``"short_circuit"`` goes on, and from then on answers the
            calls that the loop was made of with what is cached, or None, without running the tool, until something
            else is written.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a number is too small, or ``on_loop`` is unknown.

    """

    def __init__(
        self,
        session_id: str | None = None,
        loop_detection: bool = False,
        max_tool_repeats: int = 5,
        max_execution_depth: int = 50,
        on_loop: OnLoop = "raise",
    ) -> None:
        if session_id is not None and (not isinstance(session_id, str) or not session_id):
            raise TypeError(f"session_id={session_id!r}: pass a name, or nothing for a random one")
        if not isinstance(loop_detection, bool):
            raise TypeError(f"loop_detection={loop_detection!r}: pass True or False")
        _check_least(max_tool_repeats, "max_tool_repeats", 2)
        if max_tool_repeats > WINDOW:
            raise ValueError(f"max_tool_repeats={max_tool_repeats!r}: pass {WINDOW} or less: no more calls are kept")
        _check_least(max_execution_depth, "max_execution_depth", 1)
        if on_loop not in get_args(OnLoop):
            raise ValueError(f"on_loop={on_loop!r} is unknown: pass one of {', '.join(map(repr, get_args(OnLoop)))}")
        self.session_id: str = session_id or uuid4().hex
        self.is_open: bool = False
        #: The results, shared by its forks.
        self.memory: Memory = Memory(f"{next(_numbers)}")
        #: Watches its calls; None if nobody does.
        self.watch: Watch | None = None
        if loop_detection:
            self.watch = Watch(
                self.session_id, max_tool_repeats, max_execution_depth, on_loop, found=self._count, stop=self._stop
            )
        self._options = (loop_detection, max_tool_repeats, max_execution_depth, on_loop)
        self._parent: AgentCacheSession | None = None
        self._outer: AgentCacheSession | None = None
        self._was_entered = False
        # The task that has entered, and what is needed to cancel it and to tell that from other cancellations.
        self._host: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cancelling_before = 0
        self._has_cancelled = False
        self._lock = threading.Lock()

    @property
    def loops(self) -> list[Loop]:
        """What was found, in order."""
        return [] if self.watch is None else list(self.watch.loops)

    @property
    def is_stopped(self) -> bool:
        """Whether a loop has ended it."""
        return self.watch is not None and self.watch.trip is not None

    def fork(self, name: str) -> AgentCacheSession:
        """A session for a part of this run, such as a sub-agent: it shares the results, and is watched by itself.

        It is entered while this one is open; a loop in it ends the task that has entered it.
        """
        if not isinstance(name, str) or not name:
            raise TypeError(f"name={name!r}: a fork is given a name, such as 'researcher'")
        forked = AgentCacheSession(f"{self.session_id}/{name}", *self._options)
        forked.memory = self.memory
        forked._parent = self
        return forked

    def get_metrics(self) -> dict[str, dict[str, int | float]]:
        """What its session-scoped tools have done in it, by the name of the tool: as ``get_metrics()["tools"]``."""
        return self.memory.metrics()

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed" if self._was_entered else "not entered"
        return f"<AgentCacheSession {self.session_id!r}: {state}>"

    # -- entering and leaving ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """For a run without an event loop: a loop that was swallowed is raised at the end of the block."""
        if self._was_entered:
            raise RuntimeError(f"session {self.session_id!r} has been entered before: make a new one for each run")
        if self._parent is not None and (not self._parent.is_open or self._parent.is_stopped):
            raise RuntimeError(
                f"the fork {self.session_id!r} cannot be entered: session {self._parent.session_id!r}, whose results "
                f"it shares, is not open; enter it inside that block"
            )
        self._was_entered = self.is_open = True
        self._outer = _active.get()
        _active.set(self)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self._close()
        self._conclude(error)

    async def __aenter__(self) -> Self:
        self.__enter__()
        self._host = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._cancelling_before = 0 if self._host is None else self._host.cancelling()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        self._close()
        host, self._host = self._host, None
        if host is None or not self._has_cancelled or host is not asyncio.current_task():
            self._conclude(error)
            return
        is_fatal = not isinstance(error, Exception | asyncio.CancelledError | None)
        if not is_fatal:
            # Perhaps it was not delivered yet, and before 3.13 `uncancel` alone does not take it back.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        if host.cancelling() > self._cancelling_before:
            host.uncancel()
        if is_fatal:
            return
        if host.cancelling() <= self._cancelling_before:
            raise self._stopped() from error
        if not isinstance(error, asyncio.CancelledError):  # somebody else wants it cancelled, too
            raise asyncio.CancelledError from error

    def _close(self) -> None:
        with self._lock:  # from here on nobody is cancelled
            self.is_open = False
        if _active.get() is self:
            _active.set(self._outer)
        if self._parent is None:
            self.memory.close()

    def _conclude(self, error: BaseException | None) -> None:
        """Raise what was found if it was swallowed, or wrapped in something else."""
        watch = self.watch
        if watch is None or watch.trip is None or (error is not None and not isinstance(error, Exception)):
            return
        if isinstance(error, AgentLoopDetectedError) and error.loop is watch.trip:
            return
        if watch.ignored or _holds(error, watch.trip):
            raise self._stopped() from error

    def _stopped(self) -> AgentLoopDetectedError:
        if self.watch is None or self.watch.trip is None:
            raise RuntimeError("only a loop stops a session")
        return self.watch.error(self.watch.trip)

    # -- what its watch asks of it -----------------------------------------------------------------------------

    def _count(self, loop: Loop) -> None:
        self.memory.count_loop(loop)

    def _stop(self) -> None:
        """Cancel the task that has entered, from the loop that runs it."""
        if self._loop is None or self._has_cancelled:
            return
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:  # the loop is closed, and the task with it
            logger.debug("the event loop of session %r is closed", self.session_id)

    def _cancel(self) -> None:
        with self._lock:
            if self.is_open and not self._has_cancelled and self._host is not None and not self._host.done():
                self._has_cancelled = True
                self._host.cancel(str(self._stopped()))


def _holds(error: BaseException | None, trip: Loop) -> bool:
    """Whether an exception came from the error of ``trip``."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, AgentLoopDetectedError) and current.loop is trip:
            return True
        with suppress(Exception):  # a stranger's error may have no text
            if str(trip) in str(current):  # and one that has come over a protocol has nothing else
                return True
        todo += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
    return False


def _check_least(value: object, name: str, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r}, of type {type(value).__name__}: pass a whole number")
    if value < least:
        raise ValueError(f"{name}={value!r}: pass {least} or more")

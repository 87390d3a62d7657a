"""Watch: the eye on the calls of one run, that sees to it that loops end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Literal, Protocol, TypeAlias

from agent_cache._loops import History, Loop, Signature, Track
from agent_cache.errors import AgentLoopDetectedError

logger = logging.getLogger("agent_cache")

#: What becomes of a loop.
OnLoop: TypeAlias = Literal["raise", "warn", "short_circuit"]

#: How many loops are remembered, the latest.
MOST = 1024


class Around(Protocol):
    """A call inside whose tool others are made; ``history`` is that of those, once there is one."""

    history: History | None


class Ticket:
    """A call in progress, and whether it counts: calls of one turn that are the same count once."""

    __slots__ = ("counts", "history", "track")

    def __init__(self, history: History, track: Track, counts: bool) -> None:
        self.history: History = history
        self.track: Track = track
        self.counts: bool = counts


class Watch:
    """The calls of one run. ``trip`` is the loop that has ended it, ``ignored`` says that it went on all the same.

    Args:
        session_id: How messages name the run.
        max_repeats: See `History`.
        max_depth: Calls nested more deeply are a loop.
        on_loop: What becomes of one.
        found: Told of every loop.
        stop: Called when a run goes on that was ended: whoever called the tool has swallowed the error.

    """

    def __init__(
        self,
        session_id: str,
        max_repeats: int,
        max_depth: int,
        on_loop: OnLoop,
        *,
        found: Callable[[Loop], None],
        stop: Callable[[], None],
    ) -> None:
        self.session_id = session_id
        self.trip: Loop | None = None
        self.ignored: bool = False
        self.loops: deque[Loop] = deque(maxlen=MOST)
        self._max_repeats = max_repeats
        self._max_depth = max_depth
        self._on_loop = on_loop
        self._tell = found
        self._stop = stop
        #: The calls that no other call is around.
        self._history = History(max_repeats)
        self._blocked: list[tuple[History, Track]] = []
        #: Which task has made which call in this turn of which event loop.
        self._turn: dict[Track, object] = {}
        self._turn_of: asyncio.AbstractEventLoop | None = None
        # Reentrant, for a finalizer may end a call in the middle of another's.
        self._lock = threading.RLock()

    def arrive(self, signature: Signature, depth: int, around: Around | None = None) -> Ticket | Loop:
        """A call begins; a loop that is returned is why it is to be answered without running the tool.

        What a tool does inside is judged by itself: two calls that both look at the same things go round no circle.

        Raises:
            AgentLoopDetectedError: the run was ended before, or is nested too deep now.

        """
        with self._lock:
            self.check()
            if depth > self._max_depth:
                loop = Loop("depth", signature[0], depth)
                if self._is_too_deep(loop):
                    return loop
            history = self._history if around is None else self._history_in(around)
            track = history.track(signature)
            if track.blocked is not None:
                return track.blocked
            track.running += 1
            return Ticket(history, track, track.running == 1 and self._is_first_in_turn(track))

    def check(self) -> None:
        """Refuse a call of a run that was ended.

        Raises:
            AgentLoopDetectedError: it was.

        """
        with self._lock:
            if self.trip is not None:
                self.ignored = True
                self._stop()
                raise self.error(self.trip)

    def leave(self, ticket: Ticket) -> None:
        """A call has ended without an outcome: it was cancelled, or waits for somebody."""
        with self._lock:
            ticket.track.running -= 1
            ticket.history.forget(ticket.track)

    def finish(
        self, ticket: Ticket, fingerprint: Hashable, *, failed: bool, wrote: bool
    ) -> AgentLoopDetectedError | None:
        """A call has ended with an outcome; an error that is returned takes its place."""
        with self._lock:
            history, track = ticket.history, ticket.track
            track.running -= 1
            error = None
            if ticket.counts and self.trip is None:
                loop = history.record(track, fingerprint, failed=failed, wrote=wrote)
                if loop is not None:
                    error = self._found(loop, history)
            else:
                history.forget(track)
            if wrote and self._blocked and track.blocked is None:
                self._unblock()
            return error

    def error(self, loop: Loop) -> AgentLoopDetectedError:
        """What is raised for a loop: anew each time, so that no traceback grows."""
        return AgentLoopDetectedError(loop, self.session_id)

    def _found(self, loop: Loop, history: History) -> AgentLoopDetectedError | None:
        self._note(loop)
        if loop.kind == "runaway" or self._on_loop == "warn":
            return None
        if self._on_loop == "raise":
            self.trip = loop
            return self.error(loop)
        for track in history.blame(loop):
            if track.blocked is None:
                self._blocked.append((history, track))
            track.blocked = loop
        return None

    def _is_too_deep(self, loop: Loop) -> bool:
        """A call is nested too deep: whether it is to be answered without running the tool."""
        self._note(loop)
        if self._on_loop == "raise":
            self.trip = loop
            raise self.error(loop)
        return self._on_loop == "short_circuit"

    def _note(self, loop: Loop) -> None:
        self.loops.append(loop)
        self._tell(loop)
        if loop.kind == "runaway" or self._on_loop != "raise":
            logger.warning("%s (session %r)", loop, self.session_id)

    def _unblock(self) -> None:
        """Something else was written: what went round may come to something now."""
        blocked, self._blocked = self._blocked, []
        for history, track in blocked:
            track.blocked = None
            history.forget(track)

    def _history_in(self, around: Around) -> History:
        if around.history is None:
            around.history = History(self._max_repeats)
        return around.history

    def _is_first_in_turn(self, track: Track) -> bool:
        """Whether no other task has made the same call in this turn of the event loop: those of one answer do."""
        loop = asyncio._get_running_loop()
        if loop is None:
            return True
        if self._turn_of is not loop:  # the loop before may have ended in the middle of a turn
            self._turn, self._turn_of = {}, loop
        if not self._turn:
            loop.call_soon(self._turn.clear)
        task = asyncio.current_task(loop)
        return self._turn.setdefault(track, task) is task

"""Call: one call of a tool, of whatever kind, in its session and inside whatever other tool has made it."""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import ContextVar
from typing import Literal, TypeAlias

from agent_cache._audience import Audience
from agent_cache._frameworks import has_paused
from agent_cache._loops import History, Loop
from agent_cache._outcome import fingerprint_of_error
from agent_cache._session import AgentCacheSession
from agent_cache._spans import annotate
from agent_cache._watch import Ticket
from agent_cache.errors import AgentLoopDetectedError

#: Whose results a tool's are shared with.
Scope: TypeAlias = Literal["global", "session"]

#: The call whose tool the current context is in; it may have ended since.
_executing: ContextVar[Call | None] = ContextVar("agent_cache.call", default=None)


class Call:
    """One call, from its arrival to its end.

    ``audience`` are those who may be given what it results in, and None where that is kept nowhere; ``overheard`` says
    that something went into it that not all of them may see.
    """

    __slots__ = (
        "_ended",
        "audience",
        "depth",
        "history",
        "is_watched",
        "loop",
        "outer",
        "overheard",
        "session",
        "templates",
        "ticket",
        "tool",
        "watch",
    )

    _ended: bool
    depth: int
    outer: Call | None

    def __init__(self, tool: str, templates: tuple[str, ...], session: AgentCacheSession | None) -> None:
        self.tool = tool
        self.templates = templates
        self.session = session
        self.watch = None if session is None else session.watch
        outer = _executing.get()
        while outer is not None and outer._ended:  # it has left this context running, inside what stood around it
            outer = outer.outer
        self.outer = outer
        self.depth = 1 if outer is None else outer.depth + 1
        self.audience: Audience | None = None
        self.overheard = False
        #: Whether it is part of the history; if not, it is refused all the same once the run was ended.
        self.is_watched = True
        #: Of the calls that its tool makes in the same session.
        self.history: History | None = None
        self.ticket: Ticket | None = None
        #: Why it is answered without the tool, if it is.
        self.loop: Loop | None = None
        self._ended = False

    def arrive(self, arguments: Hashable) -> bool:
        """Whether the tool may run; if not, the call is to be answered without it.

        Raises:
            AgentLoopDetectedError: the run was stopped.

        """
        if self.watch is None:
            return True
        if not self.is_watched:
            self.check()
            return True
        outer = self.outer
        around = outer if outer is not None and outer.session is self.session else None
        try:
            arrived = self.watch.arrive((self.tool, arguments), self.depth, around)
        except AgentLoopDetectedError as error:
            self.say("refused", error)
            raise
        if isinstance(arrived, Loop):
            self.loop = arrived
            return False
        self.ticket = arrived
        return True

    def check(self) -> None:
        """Refuse the call if the run was stopped.

        Raises:
            AgentLoopDetectedError: it was.

        """
        if self.watch is not None:
            self.watch.check()

    def enter(self) -> Call | None:
        """The tool runs from here on, in this context. To be given to `exit`."""
        outer = _executing.get()
        _executing.set(self)
        return outer

    def exit(self, outer: Call | None) -> None:
        """The tool has run."""
        self._ended = True
        if _executing.get() is self:  # a coroutine may be thrown away in another context than it ran in
            _executing.set(outer)

    def tell_outer(self, audience: Audience) -> None:
        """The tools inside which this call is made get what is meant for ``audience``."""
        call = self.outer
        while call is not None:
            if call.audience is not None and not call.audience.includes(audience):
                call.overheard = True
            call = call.outer

    def finish(self, fingerprint: Hashable, outcome: str, *, failed: bool = False, wrote: bool = False) -> None:
        """The tool has answered; it has ``failed`` if the answer says so itself.

        Raises:
            AgentLoopDetectedError: this completes a loop.

        """
        error = self._record(fingerprint, failed=failed, wrote=wrote)
        self.say(outcome, error)
        if error is not None:
            raise error

    def fail(self, error: BaseException, *, wrote: bool = False) -> None:
        """The tool has raised.

        Raises:
            AgentLoopDetectedError: this completes a loop.

        """
        found = None
        if has_paused(error):
            self.pause()
            return
        if isinstance(error, Exception) and not isinstance(error, AgentLoopDetectedError):
            found = self._record(fingerprint_of_error(error), failed=True, wrote=wrote)
        else:
            self._leave()
        self.say("error", found)
        if found is not None:
            raise found from error

    def pause(self) -> None:
        """The tool waits for somebody: it has neither answered nor failed."""
        self._leave()
        self.say("paused")

    def answer_short(self, *, may_be_none: bool) -> None:
        """None in place of the result that a loop would have had.

        Raises:
            AgentLoopDetectedError: None is no result that the tool could have.

        """
        if self.watch is not None and self.loop is not None and not may_be_none:
            raise self.watch.error(self.loop)

    def _record(self, fingerprint: Hashable, *, failed: bool, wrote: bool) -> AgentLoopDetectedError | None:
        if self.watch is None or self.ticket is None:
            return None
        if self.session is not None and self.session.is_open:
            return self.watch.finish(self.ticket, fingerprint, failed=failed, wrote=wrote)
        self.watch.leave(self.ticket)  # the session was closed meanwhile
        return None

    def _leave(self) -> None:
        if self.watch is not None and self.ticket is not None:
            self.watch.leave(self.ticket)

    def say(self, outcome: str, error: AgentLoopDetectedError | None = None) -> None:
        """Tell the current span."""
        annotate(self.tool, self.templates, outcome, None if error is None else error.loop.kind)

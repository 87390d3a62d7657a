"""WriteCall: one call of a tool that writes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from agent_cache._audience import NOBODY
from agent_cache._binding import Arguments
from agent_cache._call import Call
from agent_cache._frameworks import has_paused, is_error, is_injected
from agent_cache._outcome import fingerprint
from agent_cache._session import current_session

if TYPE_CHECKING:
    from agent_cache._writing import Writing


class WriteCall(Call):
    """One call of a write tool."""

    __slots__ = ("key", "writing")

    def __init__(self, writing: Writing, args: Arguments, kwargs: dict[str, Any]) -> None:
        super().__init__(writing.name, writing.templates, current_session())
        self.writing = writing
        if writing.reads_itself:  # and is watched there
            self.watch = None
        self.key: Hashable = None
        self.is_watched = not writing.poll
        if self.watch is not None:
            try:
                self.key = writing.binding.key(args, kwargs)
            except TypeError:  # no key can be made of an argument, or it does not fit
                self.key = _shown(args, kwargs)

    def answer(self, value: Any) -> Any:
        """The result.

        Raises:
            AgentLoopDetectedError: this call completes a loop.

        """
        if has_paused(value):
            self.pause()
            return value
        is_counted = self.ticket is not None and self.ticket.counts
        self.finish(fingerprint(value) if is_counted else None, "write", failed=is_error(value), wrote=True)
        return value

    def short_answer(self) -> Any:
        """What a call gets that is part of a loop.

        Raises:
            AgentLoopDetectedError: None is no result that the tool could have.

        """
        self.say("short_circuit")
        self.tell_outer(NOBODY)  # what is made from this is no result
        return self.answer_short(may_be_none=self.writing.may_be_none)


def _shown(args: Arguments, kwargs: dict[str, Any]) -> Hashable:
    """What tells a call from others where no key can be made: how its arguments show themselves."""
    given = {name: value for name, value in (*enumerate(args), *kwargs.items()) if not is_injected(value)}
    try:
        text = repr(given)
    except Exception:  # noqa: BLE001 - whatever a stranger's repr raises: then it is a call like no other
        return object()
    return object() if " at 0x" in text else text  # an address is used again

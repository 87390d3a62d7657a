"""What agent_cache refuses, and in what words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cache import CacheError

if TYPE_CHECKING:
    from agent_cache._loops import Loop

__all__ = ["AgentLoopDetectedError"]


class AgentLoopDetectedError(CacheError):
    """An agent goes round in circles. ``loop`` says how: its kind, the tool and the calls."""

    def __init__(self, loop: Loop, session_id: str) -> None:
        super().__init__(f"{loop} (session {session_id!r})")
        self.loop = loop
        self.session_id = session_id

    def __reduce__(self) -> tuple[type[AgentLoopDetectedError], tuple[Loop, str]]:
        return type(self), (self.loop, self.session_id)

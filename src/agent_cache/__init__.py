"""Results of the tools of AI agents: what an agent reads is cached, what it writes invalidates, and loops end.

call of a read tool  -> its arguments without what a framework fills in -> whose result it is -> the cache
call of a write tool -> the resources that it writes -> a mutation of all that was read of them, around the write
every call           -> the history of its session, which ends a run that goes round in circles
"""

from __future__ import annotations

from agent_cache._decorators import AgentCache, AgentCacheInvalidator
from agent_cache._explain import explain
from agent_cache._loops import Loop
from agent_cache._metrics import get_metrics
from agent_cache._session import AgentCacheSession
from agent_cache.errors import AgentLoopDetectedError

__all__ = [
    "AgentCache",
    "AgentCacheInvalidator",
    "AgentCacheSession",
    "AgentLoopDetectedError",
    "Loop",
    "explain",
    "get_metrics",
]

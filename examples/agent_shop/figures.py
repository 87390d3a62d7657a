"""What is measured: the figures of one pass, and how agents have ended that go round in circles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured in one pass; times are seconds."""

    seconds: float
    conversations: int
    stopped: int
    turns: int
    calls: int
    reads: int
    executions: int
    loads: int
    p50: float
    orders: int
    refused: int
    changes: int
    stale: int
    dirty: int
    oldest: float

    @property
    def hit_rate(self) -> float:
        """How many executions the reading calls were spared: 0 if each cost one."""
        return max(0.0, 1 - self.loads / self.reads) if self.reads else 0.0

    @property
    def is_sound(self) -> bool:
        """Whether no answer was stale or dirty, and no conversation was taken for a loop."""
        return not (self.stale or self.dirty or self.stopped)

    def cost(self, price: float) -> float:
        """What the executions have cost at so much each."""
        return self.executions * price


@dataclass(frozen=True, slots=True)
class Run:
    """How a run of an agent that goes round in circles has ended: by which error, and what that says."""

    calls: int
    executions: int
    ended: str
    message: str


@dataclass(frozen=True, slots=True)
class Circles:
    """Two such runs: one that only the framework watches, and one in a session that detects loops."""

    unwatched: Run
    watched: Run

    @property
    def is_stopped(self) -> bool:
        """Whether the session has ended the watched run, sooner than the framework the other one."""
        return self.watched.ended == "AgentLoopDetectedError" and self.watched.calls < self.unwatched.calls

"""Loops: a run of an agent that makes no progress, recognised from the calls of its tools.

What is remembered of a finished call is its *signature*, the tool with its arguments, and the *fingerprint* of what
came of it. A call that gives something new is progress, and so is one with other arguments; the same signature with
the same fingerprint again and again is not. Each call is judged in constant time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["repeat", "cycle", "errors", "depth", "runaway"]

#: A tool with its arguments.
Signature: TypeAlias = tuple[str, Hashable]

#: How many finished calls are remembered.
WINDOW: Final = 64
#: The longest cycle that is looked for, and how many times round make one.
LONGEST: Final = 4
ROUNDS: Final = 3
#: How many failures of one signature are too many, and how many results of one are worth a warning.
FAILURES: Final = 3
RESULTS: Final = 20


@dataclass(frozen=True)
class Loop:
    """What was found: its kind, the tool of the last call, the number of calls that show it, and which tools made them.

    ``kind`` is ``"repeat"`` (the same call with the same outcome), ``"cycle"`` (a sequence of such calls), ``"errors"``
    (one call that fails again and again), ``"depth"`` (calls nested in one another) or ``"runaway"`` (one call with
    ever new results, which is only warned of).
    """

    kind: Kind
    tool: str
    calls: int
    tools: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.kind:
            case "repeat":
                return f"{self.tool} was called {self.calls} times with the same arguments and the same result"
            case "cycle":
                return f"the calls {' -> '.join(self.tools)} were repeated {ROUNDS} times with the same results"
            case "errors":
                return f"{self.tool} failed {self.calls} times in a row with the same arguments"
            case "depth":
                return f"{self.tool} was called {self.calls} calls deep: do the tools call one another without end?"
            case "runaway":
                return f"{self.tool} was called {self.calls} times with the same arguments and gave ever new results"


class Track:
    """What is known of one signature: how often each outcome is in the window, and how often it has failed in a row.

    ``running`` counts its calls in progress; ``blocked`` is the loop for which they are answered without running the
    tool.
    """

    __slots__ = ("blocked", "changes", "failures", "has_run_away", "outcomes", "patience", "running", "signature")

    def __init__(self, signature: Signature) -> None:
        self.signature: Signature = signature
        self.outcomes: dict[Hashable, int] = {}
        self.failures: int = 0
        #: How much had been written when it failed last.
        self.changes: int = 0
        self.running: int = 0
        self.blocked: Loop | None = None
        self.has_run_away: bool = False
        #: How many more repetitions it may be before they are reported anew.
        self.patience: int = 0

    @property
    def tool(self) -> str:
        return self.signature[0]


class History:
    """The calls of one run. Not for several threads at once: its owner holds a lock.

    Args:
        max_repeats: So many times the same call with the same outcome, within the last 64 calls, is a loop.

    """

    def __init__(self, max_repeats: int) -> None:
        self.max_repeats = max_repeats
        self._tracks: dict[Signature, Track] = {}
        self._recent: deque[tuple[Track, Hashable]] = deque()
        #: How many more calls it may be before a cycle is reported anew.
        self._patience = 0
        #: How many calls have written something: after one, what has failed before may succeed.
        self._changes = 0

    def track(self, signature: Signature) -> Track:
        """What is known of a signature."""
        track = self._tracks.get(signature)
        if track is None:
            track = self._tracks[signature] = Track(signature)
        return track

    def forget(self, track: Track) -> None:
        """Let go of a signature if it is neither in the window nor being called."""
        if not track.outcomes and not track.running and track.blocked is None:
            self._tracks.pop(track.signature, None)

    def record(self, track: Track, fingerprint: Hashable, *, failed: bool = False, wrote: bool = False) -> Loop | None:
        """A call has finished; what it shows, at the call that completes it and again whenever it went on as long."""
        recent, outcomes = self._recent, track.outcomes
        recent.append((track, fingerprint))
        outcomes[fingerprint] = outcomes.get(fingerprint, 0) + 1
        if len(recent) > WINDOW:
            self._drop(*recent.popleft())
        times = outcomes[fingerprint]
        self._patience -= 1
        if not failed:
            track.failures = 0
            self._changes += wrote
        elif self._count_failure(track) % FAILURES == 0:
            return Loop("errors", track.tool, track.failures)
        if times >= self.max_repeats:
            track.patience -= 1
            if track.patience <= 0:
                track.patience = self.max_repeats
                return Loop("repeat", track.tool, times)
        if len(outcomes) >= RESULTS and not track.has_run_away:
            track.has_run_away = True
            return Loop("runaway", track.tool, RESULTS)
        return self._cycle() if times >= ROUNDS and self._patience <= 0 else None

    def blame(self, loop: Loop) -> Iterator[Track]:
        """The calls that a loop just found is made of."""
        for at in range(1, max(1, len(loop.tools)) + 1):
            yield self._recent[-at][0]

    def _count_failure(self, track: Track) -> int:
        if track.changes != self._changes:
            track.failures, track.changes = 0, self._changes
        track.failures += 1
        return track.failures

    def _drop(self, track: Track, fingerprint: Hashable) -> None:
        track.outcomes[fingerprint] -= 1
        if not track.outcomes[fingerprint]:
            del track.outcomes[fingerprint]
            if not track.outcomes:
                track.failures = 0
                self.forget(track)

    def _cycle(self) -> Loop | None:
        """Whether the last calls went round three times."""
        recent = self._recent
        last = [recent[-at] for at in range(min(ROUNDS * LONGEST, len(recent)), 0, -1)]
        for period in range(2, LONGEST + 1):
            round_ = last[-period:]
            if len(last) >= ROUNDS * period and last[-ROUNDS * period :] == round_ * ROUNDS and _is_primitive(round_):
                self._patience = ROUNDS * period
                return Loop("cycle", round_[-1][0].tool, ROUNDS * period, tuple(track.tool for track, _ in round_))
        return None


def _is_primitive(round_: list[tuple[Track, Hashable]]) -> bool:
    """Whether it is not itself a shorter one that went round."""
    whole = len(round_)
    return not any(round_ == round_[:part] * (whole // part) for part in range(1, whole) if whole % part == 0)

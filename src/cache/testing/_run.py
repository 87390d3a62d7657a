"""One run of a scenario: callbacks until all is still, then one choice, and so on until all is quiet."""

from __future__ import annotations

import asyncio
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from typing import TYPE_CHECKING, Any

from ._actor import Actor, Start
from ._stage import Gate, Option

if TYPE_CHECKING:
    from ._actor import Reader
    from ._loop import RaceLoop
    from ._plan import Plan
    from ._stage import Errors, Stage

CALLBACK_LIMIT = 20_000
"""Callbacks of one run, after which it counts as one that never comes to rest."""

PATIENCE = 10.0
"""Seconds of virtual time that tasks may sleep after the last actor has ended; then they count as leaked."""

REST = 3_600.0
"""Seconds of virtual time after which nothing may keep a value from being cached any more."""


class RestlessError(Exception):
    """A run has not come to rest within `CALLBACK_LIMIT` callbacks."""


class Advance(Option):
    """The clock moving to the next timer."""

    __slots__ = ("_stage", "_when")

    def __init__(self, stage: Stage, when: float) -> None:
        self._stage = stage
        self._when = when

    def take(self) -> None:
        clock = self._stage.clock
        clock.move_to(max(self._when, clock()))
        for loop in self._stage.loops.values():
            loop.release_due()

    def __str__(self) -> str:
        return f"the clock moves to {self._when:g} s"


class Turn(Option):
    """An event loop taking its turn to run callbacks, while another has some to run too."""

    __slots__ = ("loop",)

    def __init__(self, loop: RaceLoop) -> None:
        self.loop = loop

    def take(self) -> None:
        self.loop.make_current()

    def __str__(self) -> str:
        return f"loop {self.loop.name} goes on"


class Run:
    """Moves a stage from choice to choice, as a plan decides."""

    def __init__(self, stage: Stage, errors: Errors, plan: Plan, preemptions: int) -> None:
        self.stage = stage
        self.errors = errors
        self.choices: list[int] = []
        self.loads: dict[tuple[str, Any], tuple[int, int]] = {}
        self._plan = plan
        self._preemptions = preemptions
        self._callbacks = 0
        self._quiet_since: float | None = None
        self._is_judging = False
        self._hooks = sys.get_asyncgen_hooks()

    def play(self) -> None:
        """Go on until nothing is left to happen. Raises RestlessError if that takes too long."""
        stage = self.stage
        while True:
            self._run_callbacks()
            if stage.misuse is not None:
                raise stage.misuse
            options = self._events()
            if not options:  # those that could only be cancelled hang, and cancelling them would hide it
                break
            options += self._cancellations()
            self._take(options[self._pick(len(options))])
        if not self._is_judging:
            self.loads = stage.load_counts()

    def unfinished(self) -> list[Actor]:
        """Return the actors that have not ended."""
        return [actor for actor in self.stage.actors if not actor.ended]

    def pending_tasks(self) -> list[asyncio.Task[object]]:
        """Return the tasks that are not done, by name."""
        tasks = [task for loop in self.stage.loops.values() for task in asyncio.all_tasks(loop)]
        return sorted(tasks, key=lambda task: task.get_name())

    def read_at_quiet(self, reader: Reader) -> Actor:
        """Let a read take its course, undisturbed and outside the schedule, and return its actor."""
        self._is_judging = True
        stage = self.stage
        fn, args, of, loop, expect, _ = reader
        actor = Actor(stage, "reader", "the last read", loop, fn, args, expect, of)
        stage.actors.append(actor)
        stage.pending.append(Start(actor))
        try:
            self.play()
        finally:
            stage.actors.remove(actor)
        return actor

    def rest(self) -> None:
        """Let the time pass after which all that was delayed is over."""
        self._is_judging = True
        self.stage.note("a long time passes")
        self.stage.clock.advance(REST)
        self.play()

    def close(self, schedule: str) -> None:
        """End what still runs, close the loops, and leave the thread as it was."""
        self._is_judging = True
        try:
            if self.pending_tasks():
                self.errors.muted = True  # what is cut off now complains through no fault of its own
                self._cut_off()
        finally:
            _set_running_loop(None)
            sys.set_asyncgen_hooks(*self._hooks)
            self.stage.close()
            self.errors.close(schedule)

    def _run_callbacks(self) -> None:
        """Run callbacks until none is ready. Early choices come in between, as long as there are any left."""
        loop = self._ready_loop()
        while loop is not None:
            loop = self._run_loop(loop) or self._ready_loop()

    def _ready_loop(self) -> RaceLoop | None:
        """Return a loop that has callbacks to run, if there is one."""
        loops = self.stage.loops.values()
        ready = [loop for loop in loops if loop.ready]
        if not ready:
            for loop in loops:
                loop.release_due()
            ready = [loop for loop in loops if loop.ready]
        if len(ready) > 1:
            turn = Turn(ready[self._pick(len(ready))])
            self._take(turn)
            return turn.loop
        return ready[0] if ready else None

    def _run_loop(self, loop: RaceLoop) -> RaceLoop | None:
        """Run the callbacks of one loop until none is ready there, or another, then returned, takes its turn."""
        if _get_running_loop() is not loop:
            loop.make_current()
        queue = loop.ready
        while queue:
            while self._preemptions:
                option = self._interfere(loop)
                if option is None:
                    break
                if isinstance(option, Turn):
                    return option.loop
            loop.step()
            self._callbacks += 1
            if self._callbacks > CALLBACK_LIMIT:
                raise RestlessError
        return None

    def _interfere(self, loop: RaceLoop) -> Option | None:
        """Let something happen before the next callback of the loop, or nothing."""
        turns = [Turn(other) for other in self.stage.loops.values() if other is not loop and other.ready]
        options = [*self._events(), *self._cancellations(), *turns]
        pick = self._pick(len(options) + 1, early=True)
        if pick == 0:
            return None
        self._preemptions -= 1
        option = options[pick - 1]
        self._take(option)
        if not isinstance(option, Turn):
            loop.make_current()  # a started actor may have made its own loop the running one
        return option

    def _events(self) -> list[Option]:
        """Return what may happen next, in an order that depends on nothing but the choices before."""
        stage = self.stage
        stage.pending = [option for option in stage.pending if option.is_alive()]
        events = [option for option in stage.pending if option.is_free()]
        times = [when for loop in stage.loops.values() if (when := loop.next_timer()) is not None]
        if times and self._may_advance(min(times), is_idle=not events):
            events.append(Advance(stage, min(times)))
        return events

    def _cancellations(self) -> list[Option]:
        return [cancel for cancel in self.stage.cancellations if cancel.is_alive() and cancel.is_free()]

    def _may_advance(self, when: float, *, is_idle: bool) -> bool:
        """Whether the clock may move. With all actors ended, only for tasks that sleep a short time."""
        stage = self.stage
        if stage.landings or self.unfinished():
            self._quiet_since = None
            return True
        if self._quiet_since is None:
            self._quiet_since = stage.clock()
        return is_idle and when <= self._quiet_since + PATIENCE and bool(self.pending_tasks())

    def _pick(self, options: int, *, early: bool = False) -> int:
        if options == 1 or self._is_judging:
            return 0
        pick = self._plan.pick(options, early=early)
        self.choices.append(pick)
        return pick

    def _take(self, option: Option) -> None:
        stage = self.stage
        if stage.trace is not None:
            stage.trace.append(f"  {option}")
        option.take()
        if option in stage.pending:
            stage.pending.remove(option)

    def _cut_off(self) -> None:
        """Cancel all tasks, and again a few times, since some may refuse or have to clean up."""
        self.stage.pending = [option for option in self.stage.pending if isinstance(option, Gate)]
        for _ in range(10):
            for task in self.pending_tasks():
                task.cancel()
            self._callbacks = 0
            try:
                self._run_callbacks()
            except RestlessError:
                return
            for option in self.stage.pending:
                if isinstance(option, Gate) and option.is_alive():
                    option.take()

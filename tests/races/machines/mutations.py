"""What a process does that changes the source, step by step, and what may become of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.races.machines import client, server
from tests.races.machines.protocol import (
    COVERED,
    EXPOSED,
    INNER,
    REFRESHES,
    WAS_EXPOSED,
    Message,
    Mutation,
    Mutator,
    Process,
    State,
)
from tests.races.machines.server import with_item
from tests.races.machines.world import LETTERS, Steps, World

DEAD: Final = -1
BEGIN, RENEWAL, END = range(3)
NAMES: Final = "ABC"


@dataclass
class Mutating(World):
    """The part of the model that changes things."""

    def __post_init__(self) -> None:
        self.programs = [self._program(mutation) for mutation in self.mutations]

    def _program(self, mutation: Mutation) -> tuple[str, ...]:
        rules = self.rules
        heard = ("heard",) if rules.awaits_echo else ()
        if mutation.is_plain:
            return ("commit", "open", "change", *heard, "close")
        if not rules.begins_first:
            return ("open", "commit", "begin", *heard, "end", *heard, "close")
        return ("open", "begin", *heard, "commit", "end", *heard, "close")

    def mutate(self, state: State) -> Steps:
        for index, (mutation, mutator) in enumerate(zip(self.mutations, state.mutators, strict=True)):
            for label, following in self._next(state, index, mutation, mutator):
                yield f"{NAMES[index]}: {label}", following
            yield from self._lapse(state, index, mutator)

    def _next(self, state: State, index: int, mutation: Mutation, mutator: Mutator) -> Steps:
        program, number = self.programs[index], mutation.process
        process = state.processes[number]
        can_talk = process.reign == state.server.reign
        if mutator.at == len(program) and mutator.owed and can_talk:
            yield "tells at last that it has ended", self._told(state, index, END, "end")
        if not 0 <= mutator.at < len(program):
            return
        verb = program[mutator.at]
        on = self._put(state, index, mutator._replace(at=mutator.at + 1))
        yield from self._done(on, index, number, verb)
        if verb == "end" and self.failing_ends:
            silent = self._put(state, index, mutator._replace(at=len(program) - 1, owed=self.rules.owes_ends))
            yield "cannot tell that it ends", self.put(silent, number, self.lost(process))
        if not mutation.is_plain and self._is_told(index, mutator) and can_talk:
            yield from self._again(state, index, mutator, process)

    def _done(self, state: State, index: int, number: int, verb: str) -> Steps:
        """The step is taken, if it can be."""
        process, mutator = state.processes[number], state.mutators[index]
        can_talk = process.reign == state.server.reign
        if verb in {"begin", "change", "end"}:
            if can_talk:
                yield verb, self._told(state, index, END if verb == "end" else BEGIN, verb)
        elif verb == "heard":
            if process.link != "cut" and not self._is_coming(process, number, index):
                yield "has been heard", state
        elif verb == "commit":
            version = state.committed + 1
            state = self._put(state, index, mutator._replace(version=version))
            yield f"commit {version}", state._replace(committed=version)
        elif verb == "close":
            yield "returns", self._closed(state, index, number)
        elif self.mutations[index].is_plain or (can_talk and process.link == "on"):
            # Who cannot be told is not begun for.
            yield "open", self.put(state, number, client.killed(process, (INNER,)))

    def _again(self, state: State, index: int, mutator: Mutator, process: Process) -> Steps:
        is_needed = mutator.exposed == EXPOSED and self.rules.begins_again and process.link == "down"
        if is_needed or (self.renews and not mutator.renewed):
            renewed = self._put(state, index, mutator._replace(renewed=True))
            yield "begins again", self._told(renewed, index, RENEWAL, "begin")

    def _is_told(self, index: int, mutator: Mutator) -> bool:
        """Whether it has told of its begin, and not of its end."""
        program = self.programs[index]
        return program.index("begin") < mutator.at <= program.index("end")

    def _told(self, state: State, index: int, phase: int, kind: str) -> State:
        rules = self.rules
        mutator = state.mutators[index]
        is_stamped = {BEGIN: rules.stamps_at_begin, RENEWAL: rules.stamps_at_begin, END: rules.stamps_at_end}[phase]
        stamp = 1 + 4 * index + phase if is_stamped or kind == "change" else None
        exposed = WAS_EXPOSED if mutator.exposed else COVERED
        number = self.mutations[index].process
        state = server.change(state, rules, Message(kind, stamp or 0, number, (INNER,) if stamp else (), index))
        ended = state.ended
        if phase == END and mutator.owed:
            ended = max(ended, mutator.version)
        mutator = mutator._replace(exposed=exposed, owed=mutator.owed and phase != END)
        return self._put(state, index, mutator)._replace(ended=ended)

    def _is_coming(self, process: Process, number: int, index: int) -> bool:
        """Whether a message of this mutation is still on its way to its own process."""
        return any(each.sender == number and each.window == index for each in process.inbox)

    def _closed(self, state: State, index: int, number: int) -> State:
        mutator, process = state.mutators[index], state.processes[number]
        if not self.mutations[index].is_plain:
            state = self.put(state, number, client.killed(process, (INNER,)))
        # Of one that could not tell, and whose window had gone, others hear when it can.
        is_told = not (mutator.owed and mutator.exposed)
        return state._replace(ended=max(state.ended, mutator.version)) if is_told else state

    def _put(self, state: State, index: int, mutator: Mutator) -> State:
        return state._replace(mutators=with_item(state.mutators, index, mutator))

    # -- what others ask -----------------------------------------------------------------------------------------------

    def covers(self, state: State, number: int) -> bool:
        """Whether a mutation of this very process covers the inner truth."""
        process = state.processes[number]
        is_refreshing = process.fill is not None and process.fill.replaces
        is_refreshing |= any(each.sender == number and each.stamp >= REFRESHES for each in process.inbox)
        if is_refreshing and self.rules.refresh_covers:
            return True
        for mutation, mutator, program in zip(self.mutations, state.mutators, self.programs, strict=True):
            is_open = program.index("open") < mutator.at < len(program)
            if mutation.process == number and is_open and (self.rules.covers_plain or not mutation.is_plain):
                return True
        return False

    def owed(self, state: State, number: int) -> int:
        """The version that a read owes which begins now in this process, for it has committed it itself."""
        version = 0
        for index, mutator in enumerate(state.mutators):
            mutation, program = self.mutations[index], self.programs[index]
            if mutation.process != number:
                continue
            if mutator.at == len(program) or not (mutation.is_plain or mutator.exposed):
                version = max(version, mutator.version)
        return version

    def is_done(self, state: State, number: int) -> bool:
        """Whether this process changes nothing any more."""
        return all(
            mutation.process != number or mutator.at in {DEAD, len(program)}
            for mutation, mutator, program in zip(self.mutations, state.mutators, self.programs, strict=True)
        )

    def has_debts(self, state: State, number: int) -> bool:
        """Whether this process has to tell something before it may believe what it hears."""
        for index, mutator in enumerate(state.mutators):
            if self.mutations[index].process == number:
                if mutator.owed and self.rules.settles_debts_first:
                    return True
                if mutator.exposed == EXPOSED and self._is_told(index, mutator) and self.rules.begins_again:
                    return True
        return False

    # -- what may happen to it -----------------------------------------------------------------------------------------

    def _lapse(self, state: State, index: int, mutator: Mutator) -> Steps:
        if self.mutations[index].is_plain or index in state.lapsed or mutator.at == 0:
            return
        if mutator.at in {DEAD, len(self.programs[index])} or (self.overruns and self._is_told(index, mutator)):
            shared = state.server
            is_known = index in shared.windows or any(index in each.windows for each in state.processes)
            if is_known:
                following = state._replace(
                    server=shared._replace(windows=shared.windows - {index}), lapsed=state.lapsed | {index}
                )
                yield f"{NAMES[index]}: its window lapses", self.exposed(following, (index,))

    def exposed(self, state: State, windows: Iterable[int]) -> State:
        """These windows have gone before their time."""
        for index in windows:
            mutator = state.mutators[index]
            if self._is_told(index, mutator):
                state = self._put(state, index, mutator._replace(exposed=EXPOSED))
        return state

    def crash(self, state: State, number: int) -> Steps:
        """A process dies, if it is in the middle of anything."""
        process = state.processes[number]
        own = [index for index, mutation in enumerate(self.mutations) if mutation.process == number]
        is_busy = any(0 < state.mutators[index].at < len(self.programs[index]) for index in own)
        if not process.alive or not (is_busy or number in state.server.leases):
            return
        ended, mutators = state.ended, list(state.mutators)
        for index in own:
            mutator = mutators[index]
            is_over = mutator.at == len(self.programs[index])
            if mutator.version and (not is_over or mutator.owed):
                if self._is_lost(index, mutator) and not self.double_faults:
                    return
                ended = max(ended, mutator.version)
            if not is_over or mutator.owed:
                mutators[index] = Mutator(DEAD)
        state = state._replace(mutators=tuple(mutators), ended=ended)
        yield f"{LETTERS[number]} dies", self.put(state, number, Process(alive=False, link="down", fill=process.fill))

    def _is_lost(self, index: int, mutator: Mutator) -> bool:
        """Whether nobody would ever tell of what it has committed."""
        program = self.programs[index]
        if self.mutations[index].is_plain:
            return mutator.at <= program.index("change")
        return mutator.exposed == EXPOSED

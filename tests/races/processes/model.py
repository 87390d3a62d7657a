"""How processes that share a memory keep out of it what is stale, at the grain of single accesses and kernel calls.

One process reads one key through its cache, in one task or in several, and others change the value in the source. The
value rests on two slots, that of its key and that of a tag, and every mutation covers one of them or both. A process
in the middle of a mutation may die at any step, and the kernel then takes its locks; one that stands still is any
schedule in which it makes no step. A reader writes nothing that another process sees, so one process with readers
stands for any number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeVar

from tests.races.processes.protocol import (
    GLOBAL,
    GROUP,
    NAMES,
    NOBODY,
    OTHER,
    SOURCE,
    Entry,
    Flight,
    Mutation,
    Mutator,
    Reader,
    Rules,
    State,
    Step,
)

READY, HIT, JOIN, LOAD, JOINED, DONE, STALE = "ready", "hit", "join", "load", "joined", "done", "stale"
DEAD: Final = -1
LETTERS: Final = "ABC"

#: The file of the process that reads; those of the others go by the number of their process.
READING: Final = 100

T = TypeVar("T")


@dataclass
class Memory:
    """Some mutations, some readers, and the rules."""

    mutations: tuple[Mutation, ...]
    rules: Rules = field(default_factory=Rules)
    readers: int = 1
    reads: int = 2
    crashes: bool = True
    #: The reading process is a child that this one forks at any moment.
    forked_by: int | None = None

    def __post_init__(self) -> None:
        self.programs = [self._compiled(mutation) for mutation in self.mutations]
        self.initial = State(
            stamps=(0,) * len(NAMES),
            locks=frozenset(),
            committed=0,
            ended=0,
            entry=None,
            flight=None,
            busy=NOBODY,
            file=READING if self.forked_by is None else NOBODY,
            readers=(Reader(READY, self.reads),) * self.readers,
            mutators=(Mutator(),) * len(self.mutations),
        )

    def _compiled(self, mutation: Mutation) -> list[Step]:
        steps: list[Step] = []
        for words in self.rules.plain if mutation.is_plain else self.rules.mutation:
            verb, _, what = words.partition(" ")
            if verb == "commit" and mutation.covers == (OTHER,):
                continue  # what it commits is something else
            verbs = ("fetch", "add") if verb == "stamp" and not self.rules.unique else (verb,)
            slots = mutation.covers if what == "slots" else {"group": (GROUP,)}.get(what, (GLOBAL,))
            steps += [(each, slot) for slot in slots for each in verbs]
        return steps

    # -- what can happen next ------------------------------------------------------------------------------------------

    def after(self, state: State) -> list[tuple[str, State]]:
        steps: list[tuple[str, State]] = []
        for number, mutator in enumerate(state.mutators):
            if 0 <= mutator.at < len(self.programs[number]):
                steps.append(self._mutate(state, number, mutator))
        if self.crashes:
            steps += [self._crash(state, process) for process in sorted(self._alive(state))]
        if state.file == NOBODY:
            if self.forked_by in self._alive(state):
                steps.append(("the parent forks the child that reads", state._replace(file=self.forked_by)))
        elif state.file == self.forked_by and self.rules.reopens:
            steps.append(("the child opens the memory anew", self._closed(state._replace(file=READING))))
        else:
            steps += [
                self._read(state, number, reader)
                for number, reader in enumerate(state.readers)
                if state.busy in {NOBODY, number} and reader.way not in {DONE, STALE, JOINED}
            ]
        return steps

    def violation(self, state: State, *, final: bool) -> str | None:
        for reader in state.readers:
            if reader.way == STALE:
                return f"a read returns {reader.value}, and {reader.floor} was committed by a mutation that had ended"
        if all(not 0 <= each.at < len(program) for each, program in zip(state.mutators, self.programs, strict=True)):
            entry = state.entry
            if entry is not None and entry.value != state.committed and self._is_served(state, entry):
                return f"all is quiet, and {entry.value} is served for {state.committed} for ever"
            if final and state.locks:
                return "all is quiet, and a lock is held for ever: nothing it covers is ever stored again"
        return None

    def _is_served(self, state: State, entry: Entry) -> bool:
        hit = self.rules.hit
        if hit[:1] == (GLOBAL,) and (hit == (GLOBAL,) or state.stamps[GLOBAL] == entry.seen[GLOBAL]):
            return state.stamps[GLOBAL] == entry.seen[GLOBAL]
        return all(state.stamps[slot] == entry.seen[slot] for slot in hit if slot != GLOBAL)

    # -- those who change things ---------------------------------------------------------------------------------------

    def _mutate(self, state: State, number: int, mutator: Mutator) -> tuple[str, State]:
        program = self.programs[number]
        verb, slot = program[mutator.at]
        label = f"{LETTERS[number]}: {verb} {NAMES[slot]}"
        file = self.mutations[number].process
        if verb == "lock":
            state = state._replace(locks=state.locks | {(file, slot, number)})
        elif verb == "unlock":
            gone = {lock for lock in state.locks if lock[:2] == (file, slot) and number in (lock[2], *self._uncounted)}
            state = state._replace(locks=state.locks - gone)
        elif verb == "commit":
            version = state.committed + 1
            mutator = mutator._replace(committed=version)
            state = state._replace(committed=version)
            label = f"{LETTERS[number]}: commit {version}"
        elif verb == "stamp":
            stamp = self._stamp(number, mutator)
            state = state._replace(stamps=_with(state.stamps, slot, stamp))
            label += f" with {stamp}"
        elif verb == "fetch":
            mutator = mutator._replace(fetched=state.stamps[slot])
        elif verb == "add":
            state = state._replace(stamps=_with(state.stamps, slot, mutator.fetched + 1))
            mutator = mutator._replace(fetched=0)
        mutator = mutator._replace(at=mutator.at + 1)
        if mutator.at == len(program):
            state = state._replace(ended=max(state.ended, mutator.committed))
            mutator = Mutator(mutator.at)
            label += ", the last step"
        return label, state._replace(mutators=_with(state.mutators, number, mutator))

    @property
    def _uncounted(self) -> tuple[int, ...]:
        return () if self.rules.counted else tuple(range(len(self.mutations)))

    def _stamp(self, number: int, mutator: Mutator) -> int:
        """A number that nobody else writes: neither another process nor another step of this one."""
        if not self.rules.renumbers:
            number = 0
        return 2 * number + 1 + bool(mutator.committed)

    def _alive(self, state: State) -> set[int]:
        """The processes that are in the middle of a mutation, in which they may die or fork."""
        return {
            mutation.process
            for mutation, program, mutator in zip(self.mutations, self.programs, state.mutators, strict=True)
            if 0 < mutator.at < len(program)
        }

    def _crash(self, state: State, process: int) -> tuple[str, State]:
        ended = state.ended
        mutators = list(state.mutators)
        for number, mutation in enumerate(self.mutations):
            if mutation.process == process:
                ended = max(ended, mutators[number].committed)
                mutators[number] = Mutator(DEAD)
        label = "the process of " + " and ".join(
            LETTERS[number] for number, mutation in enumerate(self.mutations) if mutation.process == process
        )
        state = state._replace(mutators=tuple(mutators), ended=ended)
        return f"{label} dies", self._closed(state) if self.rules.unlocks_the_dead else state

    def _closed(self, state: State) -> State:
        """The kernel drops the locks of a file that nobody has open any more."""
        open_files = {state.file} | {
            mutation.process
            for mutation, mutator in zip(self.mutations, state.mutators, strict=True)
            if mutator.at != DEAD
        }
        return state._replace(locks=frozenset(lock for lock in state.locks if lock[0] in open_files))

    # -- those who read ------------------------------------------------------------------------------------------------

    def _read(self, state: State, number: int, reader: Reader) -> tuple[str, State]:
        name = f"reader {number + 1}" if self.readers > 1 else "reader"
        if reader.way == READY:
            reader = Reader(HIT if state.entry is not None else self._missed(state), reader.left, state.ended)
        label, state = getattr(self, f"_{reader.way}")(state, number, reader)
        return f"{name}: {label}", state

    def _missed(self, state: State) -> str:
        flight = state.flight
        if flight is not None and (flight.clean or not self.rules.joins_clean_only):
            return JOIN
        return LOAD

    def _hit(self, state: State, number: int, reader: Reader) -> tuple[str, State]:
        entry = state.entry
        assert entry is not None
        hit = self.rules.hit
        if reader.at == len(hit):
            return "hit", self._returned(state, number, reader, entry.value)
        slot = hit[reader.at]
        stamp = state.stamps[slot]
        label = f"hit? {NAMES[slot]} is {stamp}"
        if slot == GLOBAL and reader.at == 0 and stamp == entry.seen[slot]:
            return f"{label}: hit", self._returned(state, number, reader, entry.value)
        if slot != GLOBAL and stamp != entry.seen[slot]:
            state = state._replace(entry=None)
            return f"{label}: miss", self._going(state, number, Reader(self._missed(state), reader.left, reader.floor))
        reader = reader._replace(at=reader.at + 1, seen=_with(reader.seen, slot, stamp))
        if reader.at < len(hit):
            return label, self._going(state, number, reader)
        seen = _with(entry.seen, GLOBAL, reader.seen[GLOBAL])
        state = state._replace(entry=entry._replace(seen=seen))
        return f"{label}: hit", self._returned(state, number, reader, entry.value)

    def _join(self, state: State, number: int, reader: Reader) -> tuple[str, State]:
        flight = state.flight
        assert flight is not None
        join = self.rules.join
        if reader.at < len(join):
            slot = join[reader.at]
            label = f"join? {NAMES[slot]} is {state.stamps[slot]}"
            if state.stamps[slot] != flight.seen[slot]:
                return f"{label}: no", self._going(state, number, Reader(LOAD, reader.left, reader.floor))
            reader = reader._replace(at=reader.at + 1)
        else:
            label = "join"
        if reader.at == len(join):
            return f"{label}: joins", self._going(state, number, Reader(JOINED, reader.left, reader.floor))
        return label, self._going(state, number, reader)

    def _load(self, state: State, number: int, reader: Reader) -> tuple[str, State]:
        load = self.rules.load
        verb, slot = load[reader.at]
        label = f"{verb} {NAMES[slot]}"
        if verb == "see":
            reader = reader._replace(seen=_with(reader.seen, slot, state.stamps[slot]))
            label += f": {state.stamps[slot]}"
        elif verb == "compare":
            is_same = state.stamps[slot] == reader.seen[slot]
            reader = reader._replace(clean=reader.clean and is_same)
            label += ": the same" if is_same else ": changed"
        elif verb == "ask":
            is_locked = any(lock[0] != state.file and slot in (lock[1], GLOBAL) for lock in state.locks)
            reader = reader._replace(clean=reader.clean and not is_locked)
            label += ": locked" if is_locked else ": free"
        else:
            reader = reader._replace(value=state.committed)
            label = f"{verb}: {state.committed}"
        reader = reader._replace(at=reader.at + 1)
        if reader.at == len(load):
            return self._loaded(state, number, reader, label)
        if load[reader.at] == SOURCE:
            state = state._replace(flight=Flight(number, reader.seen, reader.clean))
        return label, self._going(state, number, reader)

    def _loaded(self, state: State, number: int, reader: Reader, label: str) -> tuple[str, State]:
        flight = state.flight
        if flight is not None and flight.reader == number:
            state = state._replace(flight=None)
            if reader.clean:
                label += ", stores"
                state = state._replace(entry=Entry(reader.value, reader.seen))
            for other, waiting in enumerate(state.readers):
                if waiting.way == JOINED:
                    state = self._returned(state, other, waiting, reader.value)
        return f"{label}, returns {reader.value}", self._returned(state, number, reader, reader.value)

    def _going(self, state: State, number: int, reader: Reader) -> State:
        """Keep the processor, but while waiting: for the source, or for the load of another."""
        around = self.rules.load[max(reader.at - 1, 0) : reader.at + 1] if reader.way == LOAD else ()
        waits = reader.way == JOINED or SOURCE in around
        return state._replace(busy=NOBODY if waits else number, readers=_with(state.readers, number, reader))

    def _returned(self, state: State, number: int, reader: Reader, value: int) -> State:
        left = reader.left - 1
        after = Reader(READY if left else DONE, left)
        if value < reader.floor:
            after = Reader(STALE, left, reader.floor, value=value)
        return state._replace(busy=NOBODY, readers=_with(state.readers, number, after))


def _with(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])

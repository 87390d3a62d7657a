"""How machines that share a server keep out of it, and out of their memory, what is stale: step by step.

Each process reads, again and again, what it keeps in memory, what is on the server, or the source, and some change the
source. Of time there is no more than its order: a lapse may come at any moment at which it is allowed to. What a proof
proves is kept in it: the newest version whose mutation had ended when it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tests.races.machines import client, server
from tests.races.machines.protocol import (
    NAMES,
    NOBODY,
    TRUTHS,
    UNPROVEN,
    Beat,
    Message,
    Mutator,
    Process,
    Server,
    State,
)
from tests.races.machines.quiet import is_quiet, unserved
from tests.races.machines.reading import Reading
from tests.races.machines.server import with_item
from tests.races.machines.world import LETTERS, Steps


def named(number: int, label: str) -> str:
    """What process ``number`` does, or what of it does something."""
    return f"{LETTERS[number]}{label}" if label.startswith("'") else f"{LETTERS[number]} {label}"


@dataclass
class Fleet(Reading):
    """Everything that can happen in a world."""

    def __post_init__(self) -> None:
        self._futures: dict[object, str | None] = {}
        super().__post_init__()

    @cached_property
    def initial(self) -> State:
        processes = tuple(Process(refreshes=self.refreshes) for _ in self.reads)
        state = State(Server(), processes, (Mutator(),) * len(self.mutations))
        for words in self.past:
            state = next(following for label, following in self.after(state) if label.startswith(words))
        return state

    # -- what can happen next ------------------------------------------------------------------------------------------

    def after(self, state: State) -> list[tuple[str, State]]:
        if state.stale:
            return []
        return [
            *self.mutate(state),
            *(
                (named(number, label), following)
                for number, process in enumerate(state.processes)
                for label, following in self._work(state, number, process)
            ),
            *self._trouble(state),
        ]

    def _work(self, state: State, number: int, process: Process) -> Steps:
        if process.fill is not None:
            yield from self.sent(state, number, process, process.fill)
        if process.alive:
            yield from self.read(state, number, process)
            yield from self._hear(state, number, process)
            yield from self._prove(state, number, process)
            yield from self._catch_up(state, number, process)
            for gone in process.windows & state.lapsed:
                yield (
                    f"drops window {gone}, which has lapsed",
                    self.put(state, number, process._replace(windows=process.windows - {gone})),
                )

    def _hear(self, state: State, number: int, process: Process) -> Steps:
        is_heard = process.link in {"on", "cut"} or (process.link == "joined" and not self.rules.holds_messages)
        if not process.inbox or not is_heard:
            return
        message = process.inbox[0]
        if self.fine and message.kind in {"begin", "end"} and message.sender != number:
            process, label = client.hear_half(process, self.rules, number)
        else:
            process, label = client.hear(process, self.rules, number, state.ended)
        yield label, self.put(state, number, process)

    def quiet_work(self, state: State, number: int, process: Process) -> Steps:
        """What a process does that nothing happens to."""
        yield from self._hear(state, number, process)
        if process.fill is not None:
            yield from self.sent(state, number, process, process.fill)
        yield from self.read(state, number, process)

    # -- proofs --------------------------------------------------------------------------------------------------------

    def _prove(self, state: State, number: int, process: Process) -> Steps:
        beat = process.beat
        is_wanted = process.link == "on" and self.reads[number] and process.proof < max(state.ended, 0)
        if beat is None and is_wanted and not any(each.kind == "beat" for each in process.inbox):
            asked = process._replace(beat=Beat(state.ended, process.sync))
            state_asked = self.put(state, number, asked)
            if self.slow_beats:
                yield "asks for a proof", state_asked
            elif process.reign == state.server.reign:
                yield "asks for a proof", self.beaten(state_asked, number, asked)
        if beat is not None and process.reign == state.server.reign:
            yield "'s question arrives", self.beaten(state, number, process)
        if self.lapses and client.is_proven(process):
            yield "has a proof no longer", self.put(state, number, process._replace(proof=UNPROVEN))

    def beaten(self, state: State, number: int, process: Process) -> State:
        beat = process.beat
        assert beat is not None
        state = server.stamped(state)
        process = state.processes[number]._replace(beat=None)
        if not self.rules.proof_by_subscription:
            process = process._replace(proof=max(process.proof, beat.proof))
        elif process.link in {"on", "joined"}:
            message = Message("beat", proof=beat.proof, sync=beat.sync)
            process = process._replace(inbox=(*process.inbox, message))
        return self.put(state, number, process)

    # -- losing the subscription, and catching up ----------------------------------------------------------------------

    def _catch_up(self, state: State, number: int, process: Process) -> Steps:
        reign = state.server.reign
        if process.link == "on" and process.losses < self.losses[number]:
            cut = process._replace(link="cut", losses=process.losses + 1)
            yield "'s subscription is cut", self.put(state, number, cut)
        elif process.link == "cut" and not self.rules.notices_reconnects and process.reign == reign:
            yield "has subscribed again unawares", self.put(state, number, process._replace(link="on", inbox=()))
        elif process.link == "cut":
            yield "notices that it hears nothing", self.put(state, number, self.lost(process))
        elif process.link == "down" and process.reign != reign:
            process = client.killed(process, TRUTHS)._replace(reign=reign, stamps=(NOBODY, NOBODY))
            yield "finds another server", self.put(state, number, process)
        elif process.link == "down" and not self.has_debts(state, number):
            if self.rules.subscribes_first or process.reply is not None:
                process = process._replace(link="joined", inbox=(), sync=process.sync + 1)
                yield "subscribes", self.put(state, number, process)
            else:
                yield self._asked(state, number)
        elif process.link == "joined" and process.reply is None:
            yield self._asked(state, number)
        elif process.link == "joined":
            yield "has caught up", self.put(state, number, self._caught_up(state, number, process))

    def _asked(self, state: State, number: int) -> tuple[str, State]:
        state = server.stamped(state)
        shared = state.server
        assert shared.stamps is not None
        windows = shared.windows if self.rules.sync_has_windows else frozenset()
        process = state.processes[number]._replace(reply=(shared.stamps, windows))
        return "asks for all stamps", self.put(state, number, process)

    def _caught_up(self, state: State, number: int, process: Process) -> Process:
        assert process.reply is not None
        stamps, windows = process.reply
        others = {each for each in windows if self.mutations[each].process != number}
        if self.rules.keeps_windows and NOBODY in process.stamps:
            others |= process.windows
        changed = [slot for slot in TRUTHS if stamps[slot] != process.stamps[slot]]
        if self.rules.sync_kills:
            process = client.killed(process, changed)
        return process._replace(link="on", stamps=stamps, windows=frozenset(others), reply=None)

    # -- trouble -------------------------------------------------------------------------------------------------------

    def _trouble(self, state: State) -> Steps:
        if self.silent > state.committed:
            yield "the source changes, and nobody tells", state._replace(committed=state.committed + 1)
        shared = state.server
        for truth, holder in enumerate(shared.leases):
            if holder != NOBODY and self.rules.leases_lapse and (self.lapses or self._is_idle(state, holder)):
                leases = with_item(shared.leases, truth, NOBODY)
                yield f"the lease of the {NAMES[truth]} lapses", state._replace(server=shared._replace(leases=leases))
        if state.evictions < self.evictions:
            for label, evicted in self._evicted(shared):
                following = state._replace(server=evicted, evictions=state.evictions + 1)
                gone = shared.windows - evicted.windows
                yield f"{label} evicted", self.exposed(following, gone)
        if self.crashes:
            for number in range(len(self.reads)):
                yield from self.crash(state, number)
        if self.restarts and not self.rules.names_reigns and state.saved is None:
            yield "the server saves", state._replace(saved=shared)
        if state.restarts < self.restarts:
            yield "the server restarts", self._restarted(state)

    def _is_idle(self, state: State, number: int) -> bool:
        process = state.processes[number]
        return process.fill is None and (not process.alive or process.reader.way == "ready")

    def _evicted(self, shared: Server) -> Iterator[tuple[str, Server]]:
        if "stamps" in self.evicts and shared.stamps is not None:
            yield "the stamps are", shared._replace(stamps=None)
        if "windows" in self.evicts and shared.windows:
            yield "the windows are", shared._replace(windows=frozenset())
        for truth in TRUTHS:
            if "leases" in self.evicts and shared.leases[truth] != NOBODY:
                yield "a lease is", shared._replace(leases=with_item(shared.leases, truth, NOBODY))
            if "records" in self.evicts and shared.records[truth] is not None:
                yield "a record is", shared._replace(records=with_item(shared.records, truth, None))

    def _restarted(self, state: State) -> State:
        shared = state.server
        if self.rules.names_reigns:
            again = Server(stamps=None, resets=shared.resets, reign=shared.reign + 1)
        else:
            again = state.saved or Server(stamps=None, resets=shared.resets)
        links = {"on": "cut", "joined": "down"}
        state = state._replace(
            server=again,
            restarts=state.restarts + 1,
            processes=tuple(
                each._replace(link=links.get(each.link, each.link), reply=None) for each in state.processes
            ),
        )
        return self.exposed(state, shared.windows - again.windows)

    # -- what must never be --------------------------------------------------------------------------------------------

    def violation(self, state: State, *, final: bool) -> str | None:
        if state.stale:
            return state.stale
        shared = state.server
        for truth in TRUTHS:
            record = shared.records[truth]
            if record is None or shared.stamps is None or record.value >= state.ended:
                continue
            if server.is_good(record, truth, shared.stamps):
                return f"the {NAMES[truth]} is {record.value} on the server for all, when {state.ended} had ended"
        for number, process in enumerate(state.processes):
            if process.alive and (stale := self._stale_in(state, number, process)):
                return f"{LETTERS[number]} {stale}"
        return self._unserved(state) if is_quiet(self, state) else None

    def _unserved(self, state: State) -> str | None:
        what = (state.server, state.processes)
        if what not in self._futures:
            self._futures[what] = unserved(self, state)
        return self._futures[what]

    def _stale_in(self, state: State, number: int, process: Process) -> str | None:
        owed = self.owed(state, number)
        has_heard = process.link == "on" and process.reign == state.server.reign and not process.inbox
        for truth, entry in enumerate(process.entries):
            if entry is None:
                continue
            if self.serves(process):
                # Without the test of the proof it may be served at any time later.
                floor = process.proof if self.rules.proof_for_hits else state.ended
                if entry.value < max(floor, owed):
                    return f"serves {entry.value} for the {NAMES[truth]}, and owes {max(floor, owed)}"
            if has_heard and entry.value < state.ended:
                return f"has heard of everything, and keeps {entry.value} for the {NAMES[truth]} for ever"
        return None

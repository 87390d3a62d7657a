"""What a process does that reads: memory, server, source."""

from __future__ import annotations

from dataclasses import dataclass

from tests.races.machines import client, server
from tests.races.machines.mutations import Mutating
from tests.races.machines.protocol import (
    INNER,
    NAMES,
    NOBODY,
    OUTER,
    REFRESHES,
    SLOTS,
    Above,
    Entry,
    Fill,
    Process,
    Reader,
    Record,
    State,
)
from tests.races.machines.server import with_item
from tests.races.machines.world import LETTERS, Steps


@dataclass
class Reading(Mutating):
    """The part of the model that reads."""

    def read(self, state: State, number: int, process: Process) -> Steps:
        reader = process.reader
        if reader.way == "ready":
            for truth in self.reads[number]:
                is_wanted = process.entries[truth] is None or not self.serves(process)
                if is_wanted and (number not in self.patient or self.is_done(state, number)):
                    yield self._begin(state, number, process, truth, None)
            if process.refreshes and process.reader.way == "ready":
                again = process._replace(refreshes=process.refreshes - 1)
                label, following = self._begin(state, number, again, INNER, None)
                reading = following.processes[number]
                anew = reading._replace(reader=reading.reader._replace(anew=True))
                yield f"{label} anew", self.put(following, number, anew)
        elif reader.way == "asking":
            yield self._ask(state, number, process)
        elif reader.way == "fetching":
            yield self._fetch(state, number, process)
        elif reader.way == "judging":
            yield from self._judge(state, number, process)
        elif reader.way == "loading":
            yield self._load(state, number, process)
        elif reader.way == "finishing":
            yield self._finish(state, number, process)
        else:
            yield self._write(state, number, process)

    def _at(self, state: State, number: int, process: Process, reader: Reader) -> State:
        return self.put(state, number, process._replace(reader=reader))

    def _begin(self, state: State, number: int, process: Process, truth: int, above: Above | None) -> tuple[str, State]:
        """The stamps are seen; whatever changes from here on counts."""
        process = process._replace(entries=with_item(process.entries, truth, None))
        reader = Reader("asking", truth, self.owed(state, number), client.bits((truth,)), above=above)
        state = self._at(state, number, process, reader)
        if self.fine:
            return f"begins to read the {NAMES[truth]}", state
        return self._ask(state, number, state.processes[number])

    def _ask(self, state: State, number: int, process: Process) -> tuple[str, State]:
        reader = process.reader
        is_clean = reader.clean and not self._is_covered(state, number, process, reader.truth)
        reader = reader._replace(way="fetching", clean=is_clean)
        label = f"begins to read the {NAMES[reader.truth]}{'' if is_clean else ', covered'}"
        return label, self._at(state, number, process, reader)

    def _is_covered(self, state: State, number: int, process: Process, slot: int) -> bool:
        """Whether what is read now may not be kept in memory."""
        elsewhere = self.rules.asks_for_memory and client.is_changing(process, self.rules, (slot,))
        return elsewhere or (slot == INNER and self.covers(state, number))

    # -- the server ----------------------------------------------------------------------------------------------------

    def _fetch(self, state: State, number: int, process: Process) -> tuple[str, State]:
        reader, rules = process.reader, self.rules
        may_ask = process.reign == state.server.reign and (client.is_proven(process) or not rules.proof_for_records)
        if rules.asks_for_server and client.is_changing(process, rules, (reader.truth,)):
            may_ask = False
        if not may_ask:
            reader = reader._replace(way="loading", moment=NOBODY)
            return "asks the server nothing", self._at(state, number, process, reader)
        found = None if reader.anew else state.server.records[reader.truth]
        reader = reader._replace(way="loading" if reader.anew else "judging", moment=0, found=found)
        return f"fetches {_shown(found)}", self._at(state, number, process, reader)

    def _judge(self, state: State, number: int, process: Process) -> Steps:
        reader, rules = process.reader, self.rules
        found, truth = reader.found, reader.truth
        is_believed = client.is_proven(process) or not rules.proof_for_records
        if found is not None and is_believed and server.is_good(found, truth, process.stamps):
            if truth == OUTER and not reader.seen & client.bits((INNER,)):
                is_clean = reader.clean and not self._is_covered(state, number, process, INNER)
                reader = reader._replace(way="fetching", seen=client.bits(SLOTS[OUTER]), clean=is_clean)
                yield "learns what it rests on", self._at(state, number, process, reader)
                return
            floor = max(reader.floor, process.proof if rules.proof_for_records else state.ended)
            if found.value < floor:
                stale = (
                    f"{LETTERS[number]} takes {found.value} for the {NAMES[truth]} from the server, and owes {floor}"
                )
                yield f"takes {found.value}", state._replace(stale=stale)
                return
            if reader.clean:
                process = process._replace(entries=with_item(process.entries, truth, Entry(found.value)))
            taken = process._replace(reader=reader._replace(value=found.value))
            yield f"takes {found.value}", self._returned(state, number, taken)
            return
        if process.reign != state.server.reign:
            yield "cannot ask", self._at(state, number, process, reader._replace(way="loading", moment=NOBODY))
        elif state.server.leases[truth] == NOBODY:
            leases = with_item(state.server.leases, truth, number)
            state = state._replace(server=state.server._replace(leases=leases))
            yield "is to load", self._at(state, number, process, reader._replace(way="loading", found=None))
        elif (record := state.server.records[truth]) is not None and record != found:
            yield f"is given {_shown(record)}", self._at(state, number, process, reader._replace(found=record))

    # -- the source ----------------------------------------------------------------------------------------------------

    def _load(self, state: State, number: int, process: Process) -> tuple[str, State]:
        reader = process.reader
        if reader.truth == INNER:
            # What is not kept need not be told apart.
            value = state.committed if reader.clean else 0
            reader = reader._replace(way="finishing", value=value)
            return f"reads {state.committed} from the source", self._at(state, number, process, reader)
        entry = process.entries[INNER]
        if entry is not None and self.serves(process):
            is_clean = reader.clean and not self._is_covered(state, number, process, INNER)
            reader = reader._replace(way="finishing", value=entry.value, seen=client.bits(SLOTS[OUTER]), clean=is_clean)
            return f"computes the outer of {entry.value}", self._at(state, number, process, reader)
        above = Above(reader.clean, reader.moment, reader.floor)
        return self._begin(state, number, process, INNER, above)

    def _finish(self, state: State, number: int, process: Process) -> tuple[str, State]:
        """The load has ended: it is kept in memory, if that is allowed."""
        reader = process.reader
        if reader.anew:
            # Whatever was computed from the value before goes with it.
            process = client.killed(process, (INNER,))
            process = process._replace(reader=reader)
        if reader.clean:
            process = process._replace(entries=with_item(process.entries, reader.truth, Entry(reader.value)))
            if reader.moment != NOBODY:
                return "ends its load", self._at(state, number, process, reader._replace(way="writing"))
        return "ends its load", self._returned(self._released(state, number, reader), number, process)

    def _write(self, state: State, number: int, process: Process) -> tuple[str, State]:
        """And on the server, if that is."""
        fill = self._filled(process)
        if fill is None:
            return "writes nothing", self._returned(self._released(state, number, process.reader), number, process)
        return f"writes {fill.value}", self._returned(state, number, process._replace(fill=fill))

    def _released(self, state: State, number: int, reader: Reader) -> State:
        """Whoever was to load, and does not write, lets others do it."""
        if state.server.leases[reader.truth] != number or reader.moment == NOBODY or reader.anew:
            return state
        leases = with_item(state.server.leases, reader.truth, NOBODY)
        return state._replace(server=state.server._replace(leases=leases))

    def _filled(self, process: Process) -> Fill | None:
        reader, rules = process.reader, self.rules
        slots = SLOTS[reader.truth]
        if reader.moment == NOBODY or process.fill is not None:
            return None
        if rules.compares_moment and reader.moment & client.bits(slots):
            return None
        if rules.asks_at_write and client.is_changing(process, rules, slots):
            return None
        rests = slots if rules.records_grounds else slots[:1]
        stamps = tuple(process.stamps[slot] for slot in rests) if rules.stamps_of_check else ()
        return Fill(reader.truth, reader.value, stamps, reader.anew, process.reign)

    def _returned(self, state: State, number: int, process: Process) -> State:
        """A read has its value; the load that has waited for it goes on."""
        reader, above = process.reader, process.reader.above
        if above is None:
            return self._at(state, number, process, Reader())
        is_clean, value = above.clean and reader.clean, reader.value
        outer = Reader("finishing", OUTER, above.floor, client.bits(SLOTS[OUTER]), is_clean, above.moment, value=value)
        return self._at(state, number, process, outer)

    def sent(self, state: State, number: int, process: Process, fill: Fill) -> Steps:
        """What was written arrives, whatever has become of the writer; or it never does."""
        if not fill.stamps:
            rests = SLOTS[fill.truth] if self.rules.records_grounds else SLOTS[fill.truth][:1]
            fill = fill._replace(stamps=tuple(process.stamps[slot] for slot in rests))
        gone = self.put(state, number, process._replace(fill=None))
        stamp = REFRESHES + 10 * number + process.refreshes
        after, label = server.fill(gone, self.rules, number, fill, stamp)
        if self.silent and fill.replaces and label.startswith("replaces"):
            after = after._replace(ended=max(after.ended, fill.value))
        yield f"'s fill {label}", after
        if self.loses_fills:
            yield "'s fill is lost", gone


def _shown(record: Record | None) -> str:
    return "nothing" if record is None else f"{record.value} with {record.stamps}"

"""What becomes of a fleet that is left alone: everything is kept again, and loaded once for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.races.machines.protocol import INNER, NAMES, NOBODY, Beat, State

if TYPE_CHECKING:
    from tests.races.machines.model import Fleet

#: More steps than any read takes.
MANY: Final = 40


def is_quiet(fleet: Fleet, state: State) -> bool:
    """Whether nothing is under way."""
    return not any(mutator.owed for mutator in state.mutators) and all(
        process.fill is None
        and (
            not process.alive
            or (
                process.link == "on"
                and process.reign == state.server.reign
                and process.reader.way == "ready"
                and process.beat is None
                and not process.inbox
            )
        )
        and fleet.is_done(state, number)
        and not fleet.has_debts(state, number)
        for number, process in enumerate(state.processes)
    )


def unserved(fleet: Fleet, state: State) -> str | None:
    """What is wrong with what becomes of it, when all windows and leases that lapse have lapsed."""
    leases = (NOBODY, NOBODY) if fleet.rules.leases_lapse else state.server.leases
    state = state._replace(server=state.server._replace(windows=frozenset(), leases=leases))
    loads = 0
    for number, process in enumerate(state.processes):
        state = fleet.put(state, number, process._replace(windows=frozenset(), refreshes=0))
    for number, process in enumerate(state.processes):
        if not process.alive or INNER not in fleet.reads[number]:
            continue
        asked = state.processes[number]._replace(beat=Beat(state.ended, process.sync), entries=(None, None))
        state = fleet.beaten(fleet.put(state, number, asked), number, asked)
        for _ in range(MANY):
            now = state.processes[number]
            if now.entries[INNER] is not None and now.reader.way == "ready" and now.fill is None:
                break
            steps = list(fleet.quiet_work(state, number, now))
            if not steps:
                return f"all is quiet, and process {number} waits for ever"
            loads += now.reader.way == "loading"
            state = steps[0][1]
        else:
            return f"all is quiet, and process {number} keeps nothing"
    return None if loads <= 1 else f"all is quiet, and the {NAMES[INNER]} is loaded {loads} times"

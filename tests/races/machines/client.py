"""What one process knows, and what becomes of it when it hears of something."""

from __future__ import annotations

from collections.abc import Iterable

from tests.races.machines.protocol import INNER, SLOTS, UNPROVEN, Message, Process, Rules
from tests.races.machines.server import with_item


def bits(slots: Iterable[int]) -> int:
    return sum(1 << slot for slot in set(slots))


def killed(process: Process, slots: Iterable[int]) -> Process:
    """Nothing that rests on these slots is served or stored any more, if it was seen before."""
    mask = bits(slots)
    if not mask:
        return process
    entries = process.entries
    for truth, rests in enumerate(SLOTS):
        if entries[truth] is not None and mask & bits(rests):
            entries = with_item(entries, truth, None)
    reader = process.reader
    if reader.way != "ready":
        above = reader.above
        if above is not None:
            # The outer load rests on the inner from when it began to read it.
            above = above._replace(clean=False, moment=above.moment | mask if above.moment >= 0 else above.moment)
        is_clean = reader.clean and not mask & reader.seen
        if is_clean or reader.way == "writing":
            moment = reader.moment | mask if reader.moment >= 0 else reader.moment
            reader = reader._replace(clean=is_clean, moment=moment, above=above)
        else:
            # What is not kept need not be told apart.
            reader = reader._replace(clean=False, moment=min(reader.moment, 0), value=0, above=above)
    return process._replace(entries=entries, reader=reader)


def is_changing(process: Process, rules: Rules, slots: Iterable[int]) -> bool:
    """Whether somebody else may be changing one of these. All mutations are of the inner."""
    if rules.proof_for_writes and not is_proven(process):
        return True
    return bool(process.windows) and INNER in slots


def is_proven(process: Process) -> bool:
    return process.proof != UNPROVEN


def hear(process: Process, rules: Rules, number: int, ended: int) -> tuple[Process, str]:
    """The next message arrives at process ``number``."""
    message, rest = process.inbox[0], process.inbox[1:]
    process = process._replace(inbox=rest)
    if message.kind == "beat":
        if rules.proof_after_sync and message.sync != process.sync:
            return process, "hears a beat of before"
        proof = message.proof if rules.proof_from_before else ended
        return process._replace(proof=max(process.proof, proof)), f"has proof of {proof}"
    if message.kind == "reset":
        if rules.hears_of_resets:
            process = killed(process._replace(stamps=(message.stamp, message.stamp)), (0, 1))
        return process, f"hears of a reset: {message.stamp}"
    process = stamp(process, rules, number, message)
    return window(process, number, message), f"hears of {message.kind} {message.stamp}"


def hear_half(process: Process, rules: Rules, number: int) -> tuple[Process, str]:
    """A change is heard in two steps, between which others in the process may look."""
    message = process.inbox[0]
    is_window_first = (message.kind == "begin") == rules.window_before_stamp
    if is_window_first != process.halfway:
        process = window(process, number, message)
    else:
        process = stamp(process, rules, number, message)
    if not process.halfway:
        return process._replace(halfway=True), f"hears half of {message.kind}"
    return process._replace(halfway=False, inbox=process.inbox[1:]), f"hears the rest of {message.kind}"


def stamp(process: Process, rules: Rules, number: int, message: Message) -> Process:
    stamps = process.stamps
    for slot in message.slots:
        stamps = with_item(stamps, slot, message.stamp)
    process = process._replace(stamps=stamps)
    if message.sender == number and rules.spares_own:
        return process
    return killed(process, message.slots)


def window(process: Process, number: int, message: Message) -> Process:
    if message.sender == number or message.window < 0:
        return process
    if message.kind == "begin":
        return process._replace(windows=process.windows | {message.window})
    return process._replace(windows=process.windows - {message.window})

"""What the server does at each script, as one."""

from __future__ import annotations

from typing import TypeVar

from tests.races.machines.protocol import INNER, NOBODY, SLOTS, Fill, Message, Record, Rules, Server, State

T = TypeVar("T")


def with_item(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])


def base(server: Server) -> int:
    """What all slots have that were never stamped: another number after each eviction."""
    return -server.resets


def publish(state: State, message: Message) -> State:
    """All who are connected will hear it, in this order."""
    return state._replace(
        processes=tuple(
            each._replace(inbox=(*each.inbox, message)) if each.link in {"on", "joined"} else each
            for each in state.processes
        )
    )


def stamped(state: State) -> State:
    """The state in which there are stamps: what every script begins with."""
    server = state.server
    if server.stamps is not None:
        return state
    server = server._replace(resets=server.resets + 1)
    number = base(server)
    state = state._replace(server=server._replace(stamps=(number, number)))
    return publish(state, Message("reset", number))


def change(state: State, rules: Rules, message: Message) -> State:
    """The inner slot gets a new stamp, a window opens or shuts, and all hear of it."""
    if message.kind == "begin" and not rules.opens_window:
        message = message._replace(kind="change")
    state = stamped(state)
    server = state.server
    assert server.stamps is not None
    stamps, windows = server.stamps, server.windows
    for slot in message.slots:
        stamps = with_item(stamps, slot, message.stamp)
    if rules.unlinks:
        server = server._replace(
            records=with_item(server.records, INNER, None), leases=with_item(server.leases, INNER, NOBODY)
        )
    lapsed = state.lapsed
    if message.kind == "begin":
        windows, lapsed = windows | {message.window}, lapsed - {message.window}
    elif message.kind == "end":
        windows = windows - {message.window}
    state = state._replace(server=server._replace(stamps=stamps, windows=windows), lapsed=lapsed)
    return publish(state, message)


def fill(state: State, rules: Rules, writer: int, what: Fill, stamp: int) -> tuple[State, str]:
    """A record is stored, if that is still allowed."""
    if rules.names_reigns and what.reign != state.server.reign:
        return state, "is for nobody: it is of another reign"
    if not what.replaces:
        server = state.server
        if rules.token and server.leases[what.truth] != writer:
            return state, "is refused: its lease is gone"
        records = with_item(server.records, what.truth, Record(what.value, what.stamps))
        leases = with_item(server.leases, what.truth, NOBODY)
        return state._replace(server=server._replace(records=records, leases=leases)), f"stores {what.value}"
    state = stamped(state)
    server = state.server
    assert server.stamps is not None
    if rules.refresh_compares and what.stamps != tuple(server.stamps[slot] for slot in SLOTS[what.truth]):
        return state, "is refused: it was changed"
    state = state._replace(
        server=server._replace(
            stamps=with_item(server.stamps, what.truth, stamp),
            records=with_item(server.records, what.truth, Record(what.value, (stamp, *what.stamps[1:]))),
            leases=with_item(server.leases, what.truth, NOBODY),
        )
    )
    state = publish(state, Message("change", stamp, writer, (what.truth,)))
    return state, f"replaces what there was by {what.value}"


def is_good(record: Record, truth: int, stamps: tuple[int, ...]) -> bool:
    """Whether everything that the record rests on has the stamps with which it was written."""
    return all(stamps[slot] == stamp for slot, stamp in zip(SLOTS[truth], record.stamps, strict=False))

"""What is different when the slots are at two servers, between which nothing has an order: a model beside the other.

P changes something once, which it tells each server by itself, and may die at any moment. Q keeps a value that rests on
some of the slots, in memory and at the server of the first of them, and hears of the servers by two ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")
Steps: TypeAlias = Iterator[tuple[str, "State"]]

SERVERS: Final = (0, 1)
UNPROVEN: Final = -1
UNTOLD, BEGUN, ENDED = range(3)


@dataclass(frozen=True)
class Rules:
    """What it takes beside the rules for one server. Each can be switched off."""

    #: A mutation commits when it was begun at all servers.
    begins_everywhere: bool = True
    #: A proof has come back from all servers.
    proves_everywhere: bool = True
    #: A value has the stamps of all it rests on, wherever these are.
    has_all_stamps: bool = True
    #: A load that rests on what is covered at any server is not kept.
    asks_everywhere: bool = True
    #: After a loss all servers are asked what has changed.
    syncs_everywhere: bool = True


class Server(NamedTuple):
    """One slot of it, which is enough; and what was told to Q and has not arrived."""

    stamp: int = 0
    is_covered: bool = False
    told: int = UNTOLD
    inbox: tuple[tuple[str, int], ...] = ()


class Known(NamedTuple):
    """What Q knows of a server, and whether it hears of it, and has asked it since it does."""

    stamp: int = 0
    is_covered: bool = False
    hears: bool = True
    synced: bool = True


class Stored(NamedTuple):
    """A value, and the stamps of all it rests on."""

    value: int
    stamps: tuple[int, ...]


class Load(NamedTuple):
    is_clean: bool
    value: int | None = None


class State(NamedTuple):
    """Everything, at one moment."""

    servers: tuple[Server, ...] = (Server(), Server())
    known: tuple[Known, ...] = (Known(), Known())
    committed: int = 0
    ended: int = 0
    is_dead: bool = False
    record: Stored | None = None
    fill: Stored | None = None
    entry: int | None = None
    load: Load | None = None
    #: Of the newest version whose mutation had ended when it was asked for; and what is asked for, and where from yet.
    proof: int = 0
    beat: tuple[int, frozenset[int]] | None = None
    losses: int = 0
    stale: str = ""


def with_item(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])


@dataclass
class Buckets:
    """On which slots the value rests, which are changed, and how often Q loses its lines."""

    rests: tuple[int, ...] = SERVERS
    changes: tuple[int, ...] = SERVERS
    losses: int = 0
    rules: Rules = field(default_factory=Rules)

    @property
    def initial(self) -> State:
        return State()

    def after(self, state: State) -> list[tuple[str, State]]:
        return (
            [] if state.stale else [*self._mutate(state), *self._hear(state), *self._read(state), *self._prove(state)]
        )

    # -- P -------------------------------------------------------------------------------------------------------------

    def _mutate(self, state: State) -> Steps:
        told = [state.servers[at].told for at in self.changes]
        if state.is_dead:
            for at in SERVERS:
                if state.servers[at].is_covered:
                    yield f"what is covered at {at} lapses", self._lapsed(state, at)
            return
        for at in self.changes:
            if state.servers[at].told == UNTOLD:
                yield f"begins at {at}", self._told(state, at, BEGUN)
            elif state.servers[at].told == BEGUN and state.committed:
                yield f"ends at {at}", self._told(state, at, ENDED)
        if not state.committed and (min(told) if self.rules.begins_everywhere else max(told)) == BEGUN:
            yield "commits", state._replace(committed=1)
        if min(told) == ENDED and not state.ended:
            yield "returns", state._replace(ended=1)
        if max(told) > UNTOLD and not state.ended:
            yield "P dies", state._replace(is_dead=True, ended=state.committed)

    def _told(self, state: State, at: int, kind: int) -> State:
        server = state.servers[at]._replace(stamp=kind, is_covered=kind == BEGUN, told=kind)
        if state.known[at].hears:
            server = server._replace(inbox=(*server.inbox, ("change", kind)))
        return state._replace(servers=with_item(state.servers, at, server))

    def _lapsed(self, state: State, at: int) -> State:
        server = state.servers[at]._replace(is_covered=False)
        return state._replace(servers=with_item(state.servers, at, server))

    # -- Q hears -------------------------------------------------------------------------------------------------------

    def _is_up(self, state: State) -> bool:
        return all(each.synced for each in state.known)

    def _hear(self, state: State) -> Steps:
        for at, (server, known) in enumerate(zip(state.servers, state.known, strict=True)):
            if server.inbox and self._is_up(state):
                (kind, what), *rest = server.inbox
                heard = state._replace(servers=with_item(state.servers, at, server._replace(inbox=tuple(rest))))
                if kind == "beat":
                    yield f"hears its heart at {at}", self._beaten(heard, at)
                else:
                    now = known._replace(stamp=what, is_covered=what == BEGUN)
                    yield f"hears of {what} at {at}", self._changed(heard, at, now)
            if known.is_covered and state.is_dead and not server.is_covered and not server.inbox:
                now = known._replace(is_covered=False)
                yield f"drops what was covered at {at}", state._replace(known=with_item(state.known, at, now))
            if not known.hears:
                now = known._replace(hears=True)
                yield f"subscribes at {at}", state._replace(known=with_item(state.known, at, now))
            elif not known.synced and all(each.hears for each in state.known):
                asked = server if at == 0 or self.rules.syncs_everywhere else Server(known.stamp, known.is_covered)
                now = Known(asked.stamp, asked.is_covered)
                yield f"asks {at} for all", self._changed(state, at, now, is_new=asked.stamp != known.stamp)
        if state.losses < self.losses and self._is_up(state):
            servers = tuple(each._replace(inbox=()) for each in state.servers)
            deaf = tuple(each._replace(hears=False, synced=False) for each in state.known)
            lost = state._replace(servers=servers, known=deaf, proof=UNPROVEN, beat=None, losses=state.losses + 1)
            yield "loses its lines", lost

    def _changed(self, state: State, at: int, now: Known, *, is_new: bool = True) -> State:
        state = state._replace(known=with_item(state.known, at, now))
        if not is_new or at not in self.rests:
            return state
        load = None if state.load is None else state.load._replace(is_clean=False)
        return state._replace(entry=None, load=load)

    # -- and proves ----------------------------------------------------------------------------------------------------

    def _prove(self, state: State) -> Steps:
        if self._is_up(state) and state.beat is None and state.proof < state.ended:
            servers = tuple(each._replace(inbox=(*each.inbox, ("beat", 0))) for each in state.servers)
            # It comes to both servers at once: the later it came, the more would have come before it.
            yield "its heart beats", state._replace(servers=servers, beat=(state.ended, frozenset(SERVERS)))
        if state.proof != UNPROVEN:
            yield "has a proof no longer", state._replace(proof=UNPROVEN)

    def _beaten(self, state: State, at: int) -> State:
        if state.beat is None:
            return state
        floor, left = state.beat[0], state.beat[1] - {at}
        proof = max(state.proof, floor) if not left or not self.rules.proves_everywhere else state.proof
        return state._replace(beat=(floor, left) if left else None, proof=proof)

    # -- and reads -----------------------------------------------------------------------------------------------------

    def _is_covered(self, state: State) -> bool:
        asked = self.rests if self.rules.asks_everywhere else self.rests[:1]
        return any(state.known[at].is_covered for at in asked)

    def _stamps(self, of: tuple[Server, ...] | tuple[Known, ...]) -> tuple[int, ...]:
        return tuple(of[at].stamp for at in (self.rests if self.rules.has_all_stamps else self.rests[:1]))

    def _read(self, state: State) -> Steps:
        if state.fill is not None:
            yield "its value is stored", state._replace(record=state.fill, fill=None)
        record, load = state.record, state.load
        if state.entry is None and load is None:
            if record is not None and state.proof != UNPROVEN and record.stamps == self._stamps(state.known):
                stale = f"takes {record.value}, and owes {state.proof}" if record.value < state.proof else ""
                entry = None if self._is_covered(state) else record.value
                yield f"takes {record.value}", state._replace(entry=entry, stale=stale)
            is_clean = state.proof != UNPROVEN and not self._is_covered(state)
            yield "begins to load", state._replace(load=Load(is_clean))
        if load is not None and load.value is None:
            yield f"loads {state.committed}", state._replace(load=load._replace(value=state.committed))
        elif load is not None and load.is_clean and state.fill is None:
            assert load.value is not None
            fill = Stored(load.value, self._stamps(state.known))
            yield f"keeps {load.value}", state._replace(entry=load.value, fill=fill, load=None)
        elif load is not None:
            yield "keeps nothing", state._replace(load=None)

    # -- what must never be --------------------------------------------------------------------------------------------

    def violation(self, state: State, *, final: bool) -> str | None:
        if state.stale:
            return state.stale
        record, entry = state.record, state.entry
        if record is not None and record.value < state.ended and record.stamps == self._stamps(state.servers):
            return f"{record.value} is at the server for all, when {state.ended} had ended"
        if entry is not None and state.proof != UNPROVEN and entry < state.proof:
            return f"serves {entry}, and owes {state.proof}"
        has_heard = self._is_up(state) and not any(server.inbox for server in state.servers)
        if entry is not None and entry < state.ended and has_heard:
            return f"has heard of everything, and keeps {entry} for ever"
        return None

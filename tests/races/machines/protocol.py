"""The protocol by which machines that share a server keep out of it what is stale: its rules, and what there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

#: Two truths, each with a slot of its own. The value of the outer is computed from the inner, and so rests on both.
INNER, OUTER = range(2)
TRUTHS: Final = (INNER, OUTER)
SLOTS: Final = ((INNER,), (OUTER, INNER))
NAMES: Final = ("inner", "outer")

#: What no process and no mutation is called, and what is older than everything.
NOBODY: Final = -1
#: The proof of a process that has none.
UNPROVEN: Final = -1
#: The first stamp of those that refreshed values give.
REFRESHES: Final = 100


@dataclass(frozen=True)
class Rules:
    """What the protocol asks for. Each can be switched off."""

    # -- a mutation ------------------------------------------------------------------------------------------------
    #: It is told before it commits,
    begins_first: bool = True
    #: with new stamps,
    stamps_at_begin: bool = True
    #: and covers what it changes up to its end,
    opens_window: bool = True
    #: which gives new stamps again.
    stamps_at_end: bool = True
    #: A change that was made is done when its own process has heard of it, on the way on which it hears of others.
    awaits_echo: bool = True
    #: What changes is taken out of the server,
    unlinks: bool = True
    #: An end that could not be told is told when that is possible, however late, and whatever has lapsed by then.
    owes_ends: bool = True
    #: Before that its process believes nothing.
    settles_debts_first: bool = True
    #: A mutation in progress begins again on a server that may not know of it.
    begins_again: bool = True
    #: What is invalidated without a body is covered in its own process until everybody can know.
    covers_plain: bool = True

    # -- what a process believes ---------------------------------------------------------------------------------------
    #: It serves what it keeps only with a proof that it has heard of everything up to a moment not long ago.
    proof_for_hits: bool = True
    #: It judges what it finds on the server with such a proof alone.
    proof_for_records: bool = True
    #: A proof has gone the way of the messages,
    proof_by_subscription: bool = True
    #: and is as old as the question.
    proof_from_before: bool = True
    #: One that was asked for before it had caught up proves nothing.
    proof_after_sync: bool = True
    #: Without a subscription there is none.
    proof_ends_with_subscription: bool = True

    # -- a load --------------------------------------------------------------------------------------------------------
    #: What begins in a window is not kept in memory,
    asks_for_memory: bool = True
    #: nor on the server;
    asks_for_server: bool = True
    #: that is asked again when it is written.
    asks_at_write: bool = True
    #: What was changed since the load began is not written.
    compares_moment: bool = True
    #: A record has the stamps of the instant in which that was compared.
    stamps_of_check: bool = True
    #: It has those of everything it rests on.
    records_grounds: bool = True
    #: Nothing is asked for, and nothing written, without a proof.
    proof_for_writes: bool = True
    #: Only who was told to load may write.
    token: bool = True
    #: And for a while only.
    leases_lapse: bool = True
    #: What takes the place of another value is refused if that was changed meanwhile.
    refresh_compares: bool = True
    #: As long as it is on its way, what rests on it is not kept in its own process.
    refresh_covers: bool = True

    # -- who was away --------------------------------------------------------------------------------------------------
    #: A new subscription is noticed, and everything compared:
    notices_reconnects: bool = True
    #: what has another stamp has changed,
    sync_kills: bool = True
    #: and the server says what is covered.
    sync_has_windows: bool = True
    #: It is asked by who has subscribed already,
    subscribes_first: bool = True
    #: and who hears what comes meanwhile when it has the answer.
    holds_messages: bool = True
    #: Whoever hears that the server has made new stamps drops the old.
    hears_of_resets: bool = True
    #: What another server, or the same at another time, has kept is not believed.
    names_reigns: bool = True
    #: What was covered under another reign stays so until it has ended, or has lapsed.
    keeps_windows: bool = True
    #: Own changes do not touch what memory keeps: it has been told already.
    spares_own: bool = True
    #: A window is known before its stamp, and after it.
    window_before_stamp: bool = True


@dataclass(frozen=True)
class Mutation:
    """A mutation of the inner truth that will be made: by which process, and with a body or without."""

    process: int
    is_plain: bool = False


class Record(NamedTuple):
    """A value on the server, and the stamps with which it is good."""

    value: int
    stamps: tuple[int, ...]


class Server(NamedTuple):
    """What all share. It has no stamps after they were evicted, until somebody asks for them."""

    stamps: tuple[int, ...] | None = (0, 0)
    resets: int = 0
    windows: frozenset[int] = frozenset()
    records: tuple[Record | None, ...] = (None, None)
    leases: tuple[int, ...] = (NOBODY, NOBODY)
    reign: int = 0


class Message(NamedTuple):
    """What a process hears: a change (``slots`` of ``sender``), a reset (of all), or the beat of its own heart."""

    kind: str
    stamp: int = 0
    sender: int = NOBODY
    slots: tuple[int, ...] = ()
    window: int = NOBODY
    proof: int = UNPROVEN
    sync: int = 0


class Beat(NamedTuple):
    """The question for a proof, on its way to the server."""

    proof: int
    sync: int


class Entry(NamedTuple):
    """A value in memory, which is gone as soon as anything changes that it rests on."""

    value: int


class Above(NamedTuple):
    """The load of the outer truth, while it waits for the inner."""

    clean: bool
    moment: int
    floor: int


class Reader(NamedTuple):
    """A task that reads, again and again.

    ``seen`` are the slots of whose changes the load hears, and ``moment`` those that have changed since the tier was
    asked, both as bits; without a moment nothing is written.
    """

    way: str = "ready"
    truth: int = INNER
    floor: int = 0
    seen: int = 0
    clean: bool = True
    moment: int = NOBODY
    found: Record | None = None
    value: int = 0
    above: Above | None = None
    anew: bool = False


class Fill(NamedTuple):
    """A record on its way to the server."""

    truth: int
    value: int
    stamps: tuple[int, ...]
    replaces: bool
    reign: int


class Process(NamedTuple):
    """A machine: what it believes, keeps, and is about to do.

    Its ``link`` is "on" when it has caught up, "cut" when nothing more arrives and it does not know that, "down" when
    it does, and "joined" when it has subscribed again and not yet caught up.
    """

    alive: bool = True
    link: str = "on"
    inbox: tuple[Message, ...] = ()
    halfway: bool = False
    stamps: tuple[int, ...] = (0, 0)
    windows: frozenset[int] = frozenset()
    proof: int = 0
    sync: int = 0
    beat: Beat | None = None
    reply: tuple[tuple[int, ...], frozenset[int]] | None = None
    reign: int = 0
    entries: tuple[Entry | None, ...] = (None, None)
    reader: Reader = Reader()
    fill: Fill | None = None
    losses: int = 0
    refreshes: int = 0


COVERED, EXPOSED, WAS_EXPOSED = range(3)


class Mutator(NamedTuple):
    """A mutation: its next step, and the version it has committed.

    ``exposed`` says that its window has gone while it was open, by which what it changes may be stored, or had gone
    before it began again; ``owed`` that its end could not be told.
    """

    at: int = 0
    version: int = 0
    exposed: int = COVERED
    renewed: bool = False
    owed: bool = False


class State(NamedTuple):
    """Everything, at one moment. A read that was stale is kept in ``stale``."""

    server: Server
    processes: tuple[Process, ...]
    mutators: tuple[Mutator, ...]
    committed: int = 0
    ended: int = 0  # the newest version whose mutation is over
    lapsed: frozenset[int] = frozenset()  # windows whose time is over
    evictions: int = 0
    restarts: int = 0
    stale: str = ""
    saved: Server | None = None

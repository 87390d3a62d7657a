"""The protocol by which processes that share a memory keep out of it what is stale: its steps, as data.

Each way (through a mutation, a hit, a load) is a list of single accesses and kernel calls, so that a rule is switched
off by leaving one out, or by putting it elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

#: What a reader looks at: two stamps on which its value rests, those that tell of many slots at once, and one of which
#: it knows nothing.
GLOBAL, GROUP, KEY, TAG, OTHER = range(5)
NAMES: Final = ("the global stamp", "the group", "the key", "the tag", "another")

Step: TypeAlias = tuple[str, int]
SOURCE: Final[Step] = ("read the source", GLOBAL)
#: To ask for the lock of the global stamp is to ask whether there is any lock at all.
ANY_LOCK: Final[Step] = ("ask", GLOBAL)


@dataclass(frozen=True)
class Rules:
    """The protocol: the steps of each way in their order, and what is true of the whole."""

    #: What is done to "slots" is done to each that the mutation covers.
    mutation: tuple[str, ...] = (
        "lock slots",
        "stamp slots",
        "stamp global",
        "commit",
        "stamp slots",
        "stamp global",
        "unlock slots",
    )
    #: Without a window: the source changes, and what rests on it is invalidated afterwards.
    plain: tuple[str, ...] = ("commit", "stamp slots", "stamp global")
    #: While the global stamp is the one that was remembered, the others need not be looked at. Once they were, the
    #: global stamp is remembered that was read last: before them.
    hit: tuple[int, ...] = (GLOBAL, KEY, TAG)
    #: Whether a load in progress may be joined.
    join: tuple[int, ...] = (KEY, TAG)
    load: tuple[Step, ...] = (
        ("see", GLOBAL),
        ("see", KEY),
        ("see", TAG),
        ("ask", KEY),
        ("ask", TAG),
        SOURCE,
        ("compare", KEY),
        ("compare", TAG),
    )
    #: A stamp is a number that nobody has written before; otherwise it is the one that is there, and one more.
    unique: bool = True
    #: Whoever arrives while a load is running that began during a mutation loads for itself.
    joins_clean_only: bool = True
    #: Two mutations of one process hold a lock until both are over.
    counted: bool = True
    #: The kernel unlocks for a process that has died.
    unlocks_the_dead: bool = True
    #: A forked child opens the memory anew, with a file of its own,
    reopens: bool = True
    #: and with a number of its own, of which its stamps are made.
    renumbers: bool = True


@dataclass(frozen=True)
class Mutation:
    """A mutation that will be made: by which process, and which slots it covers."""

    process: int
    covers: tuple[int, ...] = (KEY,)
    is_plain: bool = False


class Entry(NamedTuple):
    """A stored value, and the stamps with which it is good."""

    value: int
    seen: tuple[int, ...]


class Flight(NamedTuple):
    """A load in progress, which others of its process may join."""

    reader: int
    seen: tuple[int, ...]
    clean: bool


class Reader(NamedTuple):
    """A task that reads, again and again: how many are left, where it is in this one, and what it has seen in it."""

    way: str
    left: int
    floor: int = 0
    at: int = 0
    seen: tuple[int, ...] = (0,) * len(NAMES)
    clean: bool = True
    value: int = 0


class Mutator(NamedTuple):
    """A mutation: its next step, the version that it has committed, and the stamp that it has read."""

    at: int = 0
    committed: int = 0
    fetched: int = 0


class State(NamedTuple):
    """Everything, at one moment."""

    stamps: tuple[int, ...]
    locks: frozenset[tuple[int, int, int]]  # the open file, the slot and the mutation
    committed: int
    ended: int  # the newest version whose mutation is over
    entry: Entry | None
    flight: Flight | None
    busy: int  # the task that has the processor of the reading process, or NOBODY
    file: int  # the memory as the reading process has opened it, or NOBODY
    readers: tuple[Reader, ...]
    mutators: tuple[Mutator, ...]


NOBODY: Final = -1

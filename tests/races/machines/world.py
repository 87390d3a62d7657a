"""A fleet before anything happens: what it reads and changes, what may happen to it, and by which rules it lives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.races.machines import client
from tests.races.machines.protocol import INNER, UNPROVEN, Mutation, Process, Rules, State
from tests.races.machines.server import with_item

#: What can happen next, and what is the case then.
Steps: TypeAlias = Iterator[tuple[str, State]]
LETTERS: Final = "PQ"


@dataclass
class World:
    """Some mutations, what each process reads, what may happen to them, and the rules."""

    mutations: tuple[Mutation, ...] = ()
    reads: tuple[tuple[int, ...], ...] = ((INNER,), (INNER,))
    #: Those that read nothing before their own mutations are over.
    patient: tuple[int, ...] = ()
    rules: Rules = field(default_factory=Rules)
    crashes: bool = False
    #: How often each process loses its subscription.
    losses: tuple[int, ...] = (0, 0)
    #: What was written never arrives.
    loses_fills: bool = False
    #: Proofs grow old, and leases of loads.
    lapses: bool = False
    #: Beats are under way for a while.
    slow_beats: bool = False
    evictions: int = 0
    evicts: tuple[str, ...] = ("stamps", "windows", "leases", "records")
    restarts: int = 0
    renews: bool = False
    #: A mutation takes longer than its window stays.
    overruns: bool = False
    #: It cannot tell of its end when it comes.
    failing_ends: bool = False
    #: Whoever has lost its window dies before its end is told.
    double_faults: bool = False
    #: How often each process reads the inner truth anew.
    refreshes: int = 0
    #: The source changes, and nobody tells.
    silent: int = 0
    #: Threads of a process are interleaved while it hears of a change.
    fine: bool = False
    #: How the labels begin of the first steps, which are as good as done.
    past: tuple[str, ...] = ()

    def put(self, state: State, number: int, process: Process) -> State:
        return state._replace(processes=with_item(state.processes, number, process))

    def serves(self, process: Process) -> bool:
        """Whether it serves what it has in memory."""
        return client.is_proven(process) or not self.rules.proof_for_hits

    def lost(self, process: Process) -> Process:
        """The process knows that it has no subscription."""
        proof = UNPROVEN if self.rules.proof_ends_with_subscription else process.proof
        return process._replace(link="down", inbox=(), halfway=False, reply=None, proof=proof)

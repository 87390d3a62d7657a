"""Real machines and a real server, which are killed, stopped and cut off from each other: nothing is stale for longer
than is said."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.races.machines.crew import BOUND, Crew
from tests.races.machines.fleet import Fleet
from tests.races.machines.scattered import Scattered
from tests.races.machines.verdict import Commit, Verdict, judge
from tests.races.processes.ledger import DEATH, LAST, MUTATION, READ, Record
from tests.races.processes.shop import ROWS
from tests.redis_server import need_redis, need_valkey

need_redis()

#: Seconds in which a switch that is off must show.
LIMIT = 40.0

OF_MACHINES = ("kill_a_machine", "stop_a_machine")
OF_WIRES = ("hold_a_wire", "hold_what_is_told", "miss_what_is_told", "delay_a_wire", "cut_a_wire", "end_subscriptions")
OF_THE_SERVER = ("stop_the_server",)
#: A mutator that dies when the server has lost what it was told is the one thing that is not covered: nobody dies.
OF_A_CLUSTER = ("stop_a_primary", "move_a_slot", "end_connections")
OF_ITS_LIFE = ("evict", "restart_empty", "restart_from_a_snapshot", "fail_over")
OF_THEIR_LIVES = ("evict", "kill_a_primary", "fail_over")


class Trouble(NamedTuple):
    """To whom what happens, and how many mutations kill their machine before their end; whether only with --deep."""

    kind: Callable[..., Crew]
    troubles: tuple[str, ...]
    suicides: float = 0.0
    is_deep: bool = False
    #: Whether the servers are those of Valkey.
    is_valkey: bool = False


@contextmanager
def running(folder: Path, kind: Callable[..., Crew] = Fleet, **options: Any) -> Iterator[Crew]:
    fleet = kind(folder, **options)
    try:
        yield fleet
    finally:
        fleet.abandon()


def is_enough(verdict: Verdict) -> bool:
    """Whether so much was done that a run which finds nothing has some meaning."""
    done = verdict.done
    return done[READ] > 1_500 and verdict.hits > done[READ] / 5 and done[MUTATION] > 30


@pytest.mark.parametrize(
    "of",
    [
        Trouble(Fleet, (*OF_MACHINES, *OF_WIRES, *OF_THE_SERVER), 0.03),
        Trouble(Fleet, (*OF_ITS_LIFE, "stop_a_machine", "hold_a_wire")),
        Trouble(Scattered, (*OF_MACHINES, *OF_A_CLUSTER), 0.03, is_deep=True),
        Trouble(Scattered, (*OF_A_CLUSTER, *OF_THEIR_LIVES, "stop_a_machine")),
        Trouble(Fleet, (*OF_ITS_LIFE, *OF_WIRES, "stop_a_machine"), is_deep=True, is_valkey=True),
        Trouble(Scattered, (*OF_A_CLUSTER, *OF_THEIR_LIVES, "stop_a_machine"), is_deep=True, is_valkey=True),
    ],
    ids=[
        "machines die",
        "the server dies",
        "machines of a cluster die",
        "servers of a cluster die",
        "a Valkey server dies",
        "those of its cluster die",
    ],
)
def test_no_read_is_later_than_the_bound_and_nothing_is_stuck(
    tmp_path: Path, of: Trouble, deep: bool, report: list[str]
) -> None:
    if of.is_deep and not deep:
        pytest.skip("tried with --deep")
    seed = random.randrange(2**32) if deep else 1
    program = need_valkey() if of.is_valkey else "redis-server"
    with running(tmp_path, of.kind, program=program, troubles=of.troubles, seed=seed, suicides=of.suicides) as fleet:
        fleet.work(60 if deep else 6, enough=lambda _: is_enough(fleet.judged()))
        fleet.finish()
        verdict = fleet.judged()
    faults = ", ".join(f"{count} times: {name}" for name, count in sorted(fleet.faults.items()))
    report.append(f"{verdict}; {faults}; seed {seed}.")
    assert not verdict.stale, f"{verdict}\nseed {seed}\n" + "\n".join(map(str, verdict.stale[:20]))
    assert not verdict.stuck, f"{verdict}\nseed {seed}\n" + "\n".join(verdict.stuck[:20])
    assert is_enough(verdict), verdict
    assert fleet.survivors, "nobody was left to read when all was quiet"
    # When all is quiet everything is stored again: the second time, all are hits.
    assert verdict.done[LAST] >= fleet.survivors * 2 * ROWS
    assert verdict.last_hits == verdict.done[LAST]


#: What is switched off, the trouble in which it shows, and how many mutations kill their machine before their end.
SWITCHES = {
    "a_hit_needs_no_proof": ("hold_what_is_told", 0.0),
    "a_heartbeat_is_proof_when_it_is_sent": ("hold_what_is_told", 0.0),
    "nobody_hears_of_others": ("delay_a_wire", 0.0),
    "a_load_does_not_ask_for_foreign_mutations": ("cut_a_wire", 0.1),
    "a_record_rests_on_itself_alone": ("cut_a_wire", 0.0),
    "stamps_are_not_compared_after_a_loss": ("miss_what_is_told", 0.0),
    "a_restarted_server_goes_by_its_name": ("restart_from_a_snapshot", 0.0),
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_without_one_of_the_protections_reads_are_later(
    tmp_path: Path, switch: str, deep: bool, report: list[str]
) -> None:
    if not deep:
        pytest.skip("tried with --deep")
    trouble, suicides = SWITCHES[switch]
    with running(tmp_path, troubles=(trouble,), switch=switch, suicides=suicides) as fleet:
        fleet.work(0, enough=lambda _: bool(fleet.judged().stale), most=LIMIT)
        verdict = fleet.judged()
    assert verdict.stale, f"{switch}: not noticed in {LIMIT} s. {verdict}"
    report.append(f"{switch.replace('_', ' ')}: {verdict.stale[0]}.")


# -- the judge ---------------------------------------------------------------------------------------------------------

SECOND = 1_000_000_000


def read(began: float, version: int, kind: int = READ) -> Record:
    return Record(kind, 3, version, int(began * SECOND), int(began * SECOND) + 1)


MUTATED = Record(MUTATION, 3, 1, 0, SECOND)
COMMIT = Commit(3, 1, 7, has_window=True)


def test_a_read_of_another_process_may_be_late_by_the_bound() -> None:
    verdict = judge({7: [MUTATED], 8: [read(1.5, 0), read(2.9, 1)]}, [COMMIT], BOUND)
    assert not verdict.stale
    assert (verdict.late, verdict.worst) == (1, 0.5)
    assert judge({7: [MUTATED], 8: [read(2.1, 0)]}, [COMMIT], BOUND).stale


def test_a_read_of_the_same_process_may_not_be_late() -> None:
    assert judge({7: [MUTATED, read(1.001, 0)]}, [COMMIT], BOUND).stale


def test_how_late_a_read_is_counts_from_the_first_mutation_that_it_misses() -> None:
    later = Record(MUTATION, 3, 2, 0, int(1.9 * SECOND))
    verdict = judge({7: [MUTATED, later], 8: [read(2.0, 0)]}, [COMMIT], BOUND)
    assert verdict.worst == 1.0


def test_what_was_committed_by_a_process_that_has_died_is_owed() -> None:
    dead = Record(DEATH, 0, 7, 0, SECOND)
    verdict = judge({0: [dead], 8: [read(2.1, 0)]}, [COMMIT], BOUND)
    assert verdict.stale
    assert verdict.died_committed == 1


def test_what_is_read_when_all_is_quiet_is_what_the_source_has() -> None:
    assert judge({7: [MUTATED], 8: [read(9, 0, LAST)]}, [COMMIT], 100).stuck
    dead = Record(DEATH, 0, 7, 0, SECOND)
    untold = COMMIT._replace(has_window=False)
    assert not judge({0: [dead], 8: [read(9, 0, LAST)]}, [untold], BOUND).stuck

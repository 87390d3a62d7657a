"""Real processes that are killed, stopped and forked, and kill themselves at the worst of moments: nothing is stale."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.races.processes.driver import Run
from tests.races.processes.ledger import DEATH, INVALIDATION, LAST, MUTATION, READ, Commit, Record, Verdict, judge
from tests.races.processes.shop import ROWS
from tests.races.processes.switches import SWITCHES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shared memory is for Linux")

#: Seconds in which a switch that is off must show.
BOUND = 30.0


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Run]:
    run = Run(folder, **options)
    try:
        yield run
    finally:
        run.abandon()


def is_enough(verdict: Verdict) -> bool:
    """Whether so much was done that a run which finds nothing has some meaning."""
    done = verdict.done
    return (
        done[READ] > 5_000
        and verdict.hits > done[READ] / 4
        and done[MUTATION] > 200
        and done[INVALIDATION] > 30
        and verdict.died_committed > 20
        and done[DEATH] > 50
    )


def test_no_read_is_older_than_a_mutation_that_had_ended_or_died(tmp_path: Path, deep: bool, report: list[str]) -> None:
    seed = random.randrange(2**32) if deep else 1
    with running(tmp_path, seed=seed) as run:
        run.work(60 if deep else 10, enough=lambda verdict: is_enough(verdict) and run.faults.total() > 20)
        run.finish()
    verdict = run.verdict()
    report.append(f"{verdict}; {run.faults['killed']} kills, {run.faults['stopped']} stops, seed {seed}.")
    assert not verdict.stale, f"{verdict}\nseed {seed}\n" + "\n".join(map(str, verdict.stale[:20]))
    assert is_enough(verdict), verdict
    assert min(run.faults["killed"], run.faults["stopped"]) > 0, run.faults
    assert run.survivors, "nobody was left to read when all was quiet"
    # When all is quiet everything can be stored, whoever has died in the middle of what: the second time, all are hits.
    assert verdict.done[LAST] >= run.survivors * 2 * ROWS
    assert verdict.last_hits == verdict.done[LAST]


@pytest.mark.parametrize("switch", SWITCHES)
def test_without_one_of_the_protections_reads_are_stale(tmp_path: Path, switch: str, report: list[str]) -> None:
    with running(tmp_path, switch=switch) as run:
        run.work(0, enough=lambda verdict: bool(verdict.stale), most=BOUND)
    verdict = run.verdict()
    assert verdict.stale, f"{switch}: not noticed in {BOUND} s. {verdict}"
    report.append(f"{switch.replace('_', ' ')}: {verdict.stale[0]}.")


# -- the judge ---------------------------------------------------------------------------------------------------------


def read(began: int, version: int, kind: int = READ) -> Record:
    return Record(kind, 3, version, began, began + 1)


def test_a_read_owes_what_a_mutation_has_committed_that_ended_before_it_began() -> None:
    mutation = Record(MUTATION, 3, 1, 50, 100)
    assert not judge([mutation, read(100, 0), read(101, 1)], []).stale
    (stale,) = judge([mutation, read(101, 0)], []).stale
    assert (stale.row, stale.returned, stale.owed) == (3, 0, 1)


def test_a_read_owes_nothing_of_other_rows() -> None:
    assert not judge([Record(MUTATION, 4, 1, 50, 100), read(101, 0)], []).stale


def test_a_read_owes_the_newest_version_in_whatever_order_mutations_end() -> None:
    mutations = [Record(MUTATION, 3, 2, 50, 100), Record(MUTATION, 3, 1, 40, 200)]
    assert not judge([*mutations, read(300, 2)], []).stale
    assert judge([*mutations, read(300, 1)], []).stale


def test_a_read_owes_what_was_committed_by_a_process_that_had_died() -> None:
    verdict = judge([Record(DEATH, 0, 7, 0, 100), read(101, 0)], [Commit(3, 1, 7)])
    assert verdict.stale
    assert verdict.died_committed == 1


def test_a_read_owes_nothing_of_a_process_that_may_be_alive() -> None:
    assert not judge([Record(DEATH, 0, 8, 0, 100), read(101, 0)], [Commit(3, 1, 7)]).stale

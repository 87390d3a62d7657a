"""The judge of the third act: whom it accuses, and whom it does not. Moments are small numbers here."""

from __future__ import annotations

from typing import Final

import pytest

from examples.catalogue.ledger import Row
from examples.workers.judge import Record
from examples.workers.log import Read

LAMP: Final = Row("product", 1)
CHAIR: Final = Row("product", 2)
NEVER: Final = 10**9


def record(*changes: tuple[int, Row, int]) -> Record:
    """Changes by their number, the row that they touched, and the end of the mutation that made them."""
    return Record({change: {row} for change, row, _ in changes}, {change: end for change, _, end in changes}, NEVER)


def reads_of(version: int, *, began: int, row: Row = LAMP) -> list[Read]:
    return [Read(began, began + 5_000_000_000, {row: version})]


def test_a_read_that_began_after_the_end_of_a_mutation_and_shows_less_is_stale() -> None:
    verdicts = record((10, LAMP, 20)).judge(reads_of(0, began=21))
    assert (verdicts.stale, verdicts.dirty) == (1, 0)


def test_it_is_behind_by_the_time_from_that_end_to_its_own() -> None:
    verdicts = record((10, LAMP, 20)).judge(reads_of(0, began=20 + 1_000_000_000))
    assert verdicts.oldest == pytest.approx(6.0)


@pytest.mark.parametrize("began", [5, 15, 20])
def test_a_read_that_began_before_that_end_may_show_either(began: int) -> None:
    history = record((10, LAMP, 20))
    assert history.judge(reads_of(0, began=began) + reads_of(10, began=began)).stale == 0


def test_mutations_that_end_in_another_order_than_they_commit_require_the_last_commit() -> None:
    history = record((10, LAMP, 40), (11, LAMP, 20))
    assert [history.required(LAMP, began) for began in (20, 21, 41)] == [0, 11, 11]
    assert history.judge(reads_of(11, began=41)).stale == 0
    assert history.judge(reads_of(10, began=21)).stale == 1


def test_a_read_is_as_old_as_the_first_end_that_it_misses_was_when_it_began() -> None:
    second = 1_000_000_000
    history = record((10, LAMP, 2 * second), (11, LAMP, second), (12, CHAIR, 3 * second))
    assert [history.age(read) for read in reads_of(0, began=5 * second)] == [4.0]
    assert [history.age(read) for read in reads_of(10, began=5 * second)] == [4.0]
    assert [history.age(read) for read in reads_of(11, began=5 * second)] == [0.0]
    assert [history.age(read) for read in reads_of(0, began=second)] == [0.0]
    assert [history.age(Read(5 * second, 6 * second, {LAMP: 11, CHAIR: 0}))] == [2.0]


def test_a_change_of_another_row_requires_nothing() -> None:
    assert record((10, CHAIR, 20)).judge(reads_of(0, began=30)).stale == 0


def test_a_page_is_stale_once_however_many_of_its_rows_are() -> None:
    history = record((10, LAMP, 20), (11, CHAIR, 20))
    assert history.judge([Read(30, 31, {LAMP: 0, CHAIR: 0})]).stale == 1
    assert history.judge([Read(30, 31, {LAMP: 10, CHAIR: 0})]).stale == 1
    assert history.judge([Read(30, 31, {LAMP: 10, CHAIR: 11})]).stale == 0


def test_a_mutation_whose_worker_was_killed_had_ended_when_that_was_dead() -> None:
    history = Record({10: {LAMP}}, {}, dead=50)
    assert history.judge(reads_of(0, began=50)).stale == 0
    assert history.judge(reads_of(0, began=51)).stale == 1


def test_a_mutation_that_ended_without_a_commit_requires_nothing() -> None:
    assert Record({}, {10: 20}, NEVER).judge(reads_of(0, began=30)).stale == 0


def test_a_read_of_a_change_that_was_not_committed_to_that_row_is_dirty() -> None:
    history = record((10, CHAIR, 20))
    assert history.judge(reads_of(10, began=5)).dirty == 1
    assert history.judge(reads_of(10, began=5, row=CHAIR)).dirty == 0

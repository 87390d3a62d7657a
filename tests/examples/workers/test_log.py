"""What a worker leaves behind, and what is understood of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from examples.catalogue import seed
from examples.catalogue.database import Database
from examples.catalogue.ledger import Row
from examples.catalogue.shop import MovedMeanwhile, PublishFailed
from examples.workers.log import JOURNAL, Account, Log, journal_of

LAMP = Row("product", 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    with Log(path, lambda: {"hits": 3}) as log:
        yield log


def test_reads_ends_and_counts_come_back_as_they_were(log: Log, path: Path) -> None:
    began = log.latest
    log.judge({LAMP: 7, Row("supplier", 2): 0}, began)
    with log.mutation():
        change = log.next_change()
    log.judge({LAMP: change}, log.latest)
    log.flush()
    account = Account.read(path)
    assert [read.versions for read in account.reads] == [{LAMP: 7, Row("supplier", 2): 0}, {LAMP: change}]
    assert began == account.reads[0].began <= account.reads[0].ended <= change <= account.ends[change]
    assert account.ends[change] <= account.reads[1].began
    assert account.counts() == {"hits": 3}


def test_the_end_of_a_mutation_is_in_the_file_when_it_has_ended_in_whatever_way(log: Log, path: Path) -> None:
    with suppress(PublishFailed), log.mutation():
        change = log.next_change()
        assert not path.read_bytes()
        raise PublishFailed
    assert list(Account.read(path).ends) == [change]


def test_what_had_been_counted_at_a_moment_is_found(path: Path) -> None:
    counts = {"hits": 0}
    with Log(path, lambda: counts) as log:
        moments = []
        for hits in (1, 2):
            counts["hits"] = hits
            log.flush()
            moments.append(log.latest)
    account = Account.read(path)
    assert [account.counts(moment) for moment in (0, *moments)] == [{}, {"hits": 1}, {"hits": 2}]
    assert account.counts() == {"hits": 2}


def test_a_read_is_written_when_none_has_been_for_a_while(log: Log, path: Path) -> None:
    log.judge({LAMP: 7}, log.latest)
    assert len(Account.read(path).reads) == 1
    log._due = 2 * log.latest
    log.judge({LAMP: 7}, log.latest)
    assert len(Account.read(path).reads) == 1


def test_a_line_in_the_middle_of_which_the_worker_was_killed_is_left_out(log: Log, path: Path) -> None:
    log.judge({LAMP: 7}, log.latest)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-1])
    assert len(Account.read(path).reads) == 1


async def test_the_database_keeps_a_journal_of_what_was_committed(log: Log, path: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.sqlite"
    seed.create(file, 1)
    with closing(sqlite3.connect(file)) as sqlite:
        sqlite.executescript(JOURNAL)
    rows = {LAMP, Row("supplier", 2), Row("category", 3)}
    async with Database(file, log) as database:
        with log.mutation():
            async with database.transaction() as committed:
                for row in rows:
                    await committed.stamp(row)
        with suppress(MovedMeanwhile), log.mutation():
            async with database.transaction() as rolled_back:
                await rolled_back.stamp(LAMP)
                raise MovedMeanwhile
    assert journal_of(file) == {committed.change: rows}
    assert set(Account.read(path).ends) == {committed.change, rolled_back.change}

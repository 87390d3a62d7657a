"""The judge of the demo: whom it accuses, and whom it does not."""

from __future__ import annotations

from examples.catalogue.ledger import Ledger, Row

LAMP = Row("product", 1)
CHAIR = Row("product", 2)


def commit(ledger: Ledger, *rows: Row) -> int:
    change = ledger.next_change()
    ledger.announce(change)
    ledger.enter(change, rows)
    return change


def test_a_read_that_began_after_the_commit_and_shows_less_is_stale() -> None:
    ledger = Ledger()
    commit(ledger, LAMP)
    ledger.judge({LAMP: 0}, began=ledger.latest)
    assert ledger.verdicts.stale == 1
    assert ledger.verdicts.oldest > 0


def test_a_read_that_began_before_the_commit_may_show_either() -> None:
    ledger = Ledger()
    began = ledger.latest
    change = commit(ledger, LAMP)
    ledger.judge({LAMP: 0}, began)
    ledger.judge({LAMP: change}, began)
    assert ledger.verdicts.stale == 0


def test_what_is_required_is_the_last_commit_of_that_row_before_the_read_began() -> None:
    ledger = Ledger()
    first = commit(ledger, LAMP)
    commit(ledger, CHAIR)
    began = ledger.latest
    commit(ledger, LAMP)
    assert ledger.required(LAMP, began) == first


def test_a_page_is_stale_if_any_row_it_was_made_of_is() -> None:
    ledger = Ledger()
    change = commit(ledger, LAMP, CHAIR)
    ledger.judge({LAMP: change, CHAIR: 0}, began=ledger.latest)
    assert ledger.verdicts.stale == 1


def test_a_commit_that_is_still_under_way_may_be_seen_and_may_be_missed() -> None:
    ledger = Ledger()
    change = ledger.next_change()
    ledger.announce(change)
    ledger.judge({LAMP: 0}, began=ledger.latest)
    ledger.judge({LAMP: change}, began=ledger.latest)
    assert (ledger.verdicts.stale, ledger.verdicts.dirty) == (0, 0)


def test_a_read_of_a_change_whose_commit_has_not_begun_is_dirty() -> None:
    ledger = Ledger()
    ledger.judge({LAMP: ledger.next_change()}, began=ledger.latest)
    assert ledger.verdicts.dirty == 1

from __future__ import annotations

import traceback

import pytest

from cache._domain import Domain
from cache._entry import NEVER, Entry, Failure, Guard, make_entry
from cache._tags import Tag, epoch


def entry(exp: float = NEVER, *tags: Tag, reader_checks_exp: bool = False, value: object = "v") -> Entry:
    return make_entry("k", value, exp, tags, reader_checks_exp=reader_checks_exp)


# -- entries ---------------------------------------------------------------------------------------------------


def test_an_entry_holds_what_it_was_made_of() -> None:
    made = entry(5.0)
    assert (made.key, made.value, made.exp) == ("k", "v", 5.0)


def test_an_entry_is_fresh_until_its_deadline() -> None:
    assert entry(5.0).is_fresh(4.999)
    assert not entry(5.0).is_fresh(5.0)
    assert entry().is_fresh(1e300)


def test_an_entry_is_fresh_until_any_of_its_tags_dies() -> None:
    domain = Domain()
    made = entry(NEVER, domain.tag("a"), domain.tag("b"))
    assert made.is_fresh(0.0)
    domain.kill("other")
    assert made.is_fresh(0.0)
    domain.kill("b")
    assert not made.is_fresh(0.0)


def test_an_entry_made_of_a_tag_that_has_died_is_not_fresh() -> None:
    domain = Domain()
    tag = domain.tag("a")
    domain.kill("a")
    made = entry(NEVER, tag)
    other = domain.tag("b")
    domain.kill("b")  # what was found alive in an epoch says nothing of the next
    assert other.dead
    assert not made.is_fresh(0.0)


# -- what a hit has to verify ----------------------------------------------------------------------------------


@pytest.mark.parametrize("exp", [5.0, NEVER])
def test_an_entry_on_which_a_reader_need_look_at_nothing_more_has_no_guard(exp: float) -> None:
    assert entry(exp, reader_checks_exp=True).guard is None
    assert entry(NEVER).guard is None


def test_a_guard_is_renewed_while_its_tags_live() -> None:
    domain = Domain()
    other, guard = domain.tag("other"), Guard((domain.tag("a"), domain.tag("b")), strict=False)
    assert guard.renew()
    domain.kill("other")
    assert other.dead
    assert guard.seen is not epoch.now
    assert guard.is_alive()
    assert guard.renew()
    assert guard.seen is epoch.now
    domain.kill("a")
    assert not guard.is_alive()
    assert not guard.renew()
    assert not guard.renew()


def test_a_strict_guard_is_never_renewed_but_alive_all_the_same() -> None:
    guard = Guard((), strict=True)
    assert guard.is_alive()
    assert not guard.renew()
    assert guard.seen is None


def test_a_deadline_reaches_a_reader_that_looks_at_none() -> None:
    guard = entry(5.0, reader_checks_exp=False).guard
    assert guard is not None
    assert not guard.renew()


def test_a_kept_error_reaches_a_reader_that_returns_values() -> None:
    guard = entry(NEVER, value=Failure(KeyError("no")), reader_checks_exp=True).guard
    assert guard is not None
    assert not guard.renew()


# -- kept errors -----------------------------------------------------------------------------------------------


def failure() -> Failure:
    users: dict[str, int] = {}
    try:
        users["nobody"]
    except KeyError as error:
        return Failure(error)
    raise AssertionError


def test_a_kept_error_is_the_very_error_with_the_traceback_of_the_load_however_often_it_is_raised() -> None:
    kept = failure()
    frames = len(traceback.extract_tb(kept.error.__traceback__))
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            raise kept.again()
        assert caught.value is kept.error
        assert len(traceback.extract_tb(caught.value.__traceback__)) == frames + 1

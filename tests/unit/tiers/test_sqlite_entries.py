from __future__ import annotations

import pytest

from cache._tier import Address, Moment, Record
from cache.testing import FakeClock
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
from tests.unit.tiers.conftest import MakeFile
from tests.unit.tiers.files import OTHER_TAG, TAG, A, B, C, do, held, moment, store, write_to


def test_what_was_written_is_read_with_all_that_belongs_to_it(file: SqliteFile) -> None:
    record = Record(A, b"\x00v", expires=1e12, grounds=(TAG, Address("ü\ud800", b"\xff")))
    assert do(file, Entries.write, [(record, moment(file), False)]) == [True]
    assert do(file, Entries.read, [A]) == [record]


def test_what_is_missing_is_read_as_the_moment_from_which_it_may_be_loaded(file: SqliteFile) -> None:
    store(file, B)
    missing, found, also_missing = do(file, Entries.read, [A, B, C])
    assert missing == also_missing == moment(file)
    assert isinstance(found, Record)


def test_a_second_value_takes_the_place_of_the_first(file: SqliteFile) -> None:
    store(file, A, b"1", grounds=(TAG,), expires=1e12)
    store(file, A, b"2222")
    assert do(file, Entries.read, [A]) == [Record(A, b"2222")]
    assert do(file, Entries.usage).entries == 1


def test_a_value_is_read_until_it_expires(file: SqliteFile, clock: FakeClock) -> None:
    store(file, A, expires=clock() + 10)
    clock.advance(9)
    assert held(file, A) == [b"v"]
    clock.advance(1)
    assert held(file, A) == [None]


def test_seconds_may_be_whole_ones(file: SqliteFile) -> None:
    store(file, A, expires=10**12)
    assert held(file, A) == [b"v"]


def test_what_has_expired_is_not_stored(file: SqliteFile, clock: FakeClock) -> None:
    assert not store(file, A, expires=clock())
    assert do(file, Entries.usage).entries == 0


@pytest.mark.parametrize(
    ("addresses", "spaces"),
    [([A], []), ([TAG], []), ([], ["users"]), ([], ["#default"]), ([B, TAG], ["posts"])],
)
@pytest.mark.parametrize("grounds", [(TAG,), (TAG, C)])
def test_an_invalidation_is_the_end_of_what_rests_on_it(
    file: SqliteFile, addresses: list[Address], spaces: list[str], grounds: tuple[Address, ...]
) -> None:
    store(file, A, b"v", grounds=grounds)
    do(file, Entries.invalidate, addresses, spaces)
    assert held(file, A) == [None]


@pytest.mark.parametrize(
    ("addresses", "spaces"),
    [([A], []), ([TAG], []), ([], ["users"]), ([], ["#default"]), ([C], [])],
)
def test_a_load_that_began_before_the_invalidation_is_not_stored(
    file: SqliteFile, addresses: list[Address], spaces: list[str]
) -> None:
    before = moment(file)
    do(file, Entries.invalidate, addresses, spaces)
    record = Record(A, b"old", grounds=(TAG, C))
    assert do(file, Entries.write, [(record, before, False)]) == [False]
    assert do(file, Entries.write, [(record, moment(file), False)]) == [True]
    assert held(file, A) == [b"old"]


def test_a_refused_load_leaves_the_newer_value_alone(file: SqliteFile) -> None:
    before = moment(file)
    do(file, Entries.invalidate, [A])
    store(file, A, b"new")
    assert do(file, Entries.write, [(Record(A, b"old"), before, False)]) == [False]
    assert held(file, A) == [b"new"]


def test_an_invalidation_spares_what_does_not_rest_on_it(file: SqliteFile) -> None:
    other = Address("posts", b"a")
    for address in (A, B, other):
        store(file, address, grounds=(TAG,))
    before = moment(file)
    do(file, Entries.invalidate, [C])
    do(file, Entries.invalidate, [OTHER_TAG])
    do(file, Entries.invalidate, [], ["empty"])
    assert held(file, A, B, other) == [b"v"] * 3
    assert do(file, Entries.write, [(Record(A, b"w", grounds=(TAG,)), before, False)]) == [True]
    do(file, Entries.invalidate, [], ["users"])
    assert held(file, A, B, other) == [None, None, b"v"]


def test_what_was_made_of_a_deleted_entry_is_gone_with_it(file: SqliteFile) -> None:
    store(file, A)
    store(file, B, grounds=(A,))
    store(file, C, grounds=(B,))
    assert do(file, Entries.invalidate, [A]) == 1
    assert held(file, A, B, C) == [None, None, b"v"]  # an outer of an outer names all that it was made of


def test_what_was_made_of_a_cleared_space_is_gone_with_it(file: SqliteFile) -> None:
    store(file, B, grounds=(Address("posts", b"1"),))
    do(file, Entries.invalidate, [], ["posts"])
    assert held(file, B) == [None]


def test_deleting_tells_how_many_were_there(file: SqliteFile) -> None:
    store(file, A)
    store(file, B)
    assert do(file, Entries.invalidate, [A, C]) == 1
    assert do(file, Entries.invalidate, [A, C]) == 0


def test_an_assigned_value_needs_no_moment_and_invalidates_what_was_made_of_the_old_one(file: SqliteFile) -> None:
    store(file, A, b"old")
    store(file, B, grounds=(A,))
    before = moment(file)
    assert do(file, Entries.assign, Record(A, b"assigned", grounds=(TAG,)))
    assert held(file, A, B) == [b"assigned", None]
    assert do(file, Entries.write, [(Record(A, b"loaded"), before, False)]) == [False]
    assert held(file, A) == [b"assigned"]


def test_an_assigned_value_that_cannot_be_kept_takes_the_old_one_with_it(make_file: MakeFile) -> None:
    file = make_file(max_bytes=1_000)
    store(file, A)
    assert not do(file, Entries.assign, Record(A, bytes(2_000)))
    assert held(file, A) == [None]
    assert do(file, Entries.usage).entries == 0


def test_a_value_that_replaces_another_is_the_end_of_what_was_made_of_that(file: SqliteFile) -> None:
    store(file, A, b"old")
    store(file, B, grounds=(A,))
    store(file, C, grounds=(TAG,))
    before = moment(file)
    assert do(file, Entries.write, [(Record(A, b"new", grounds=(TAG,)), before, True)]) == [True]
    assert held(file, A, B, C) == [b"new", None, b"v"]
    stale = [(Record(A, b"older"), before, False), (Record(B, b"of the old", grounds=(A,)), before, False)]
    assert do(file, Entries.write, stale) == [False, False]
    do(file, Entries.invalidate, [TAG])
    assert held(file, A) == [None]


def test_of_two_that_replace_the_same_value_the_second_was_loaded_too_early(file: SqliteFile) -> None:
    before = moment(file)
    twice = [(Record(A, b"1"), before, True), (Record(A, b"2"), before, True)]
    assert do(file, Entries.write, twice) == [True, False]
    assert held(file, A) == [b"1"]


@pytest.mark.parametrize("why", ["invalidated", "ground", "expired", "large", "forgotten"])
def test_what_is_refused_replaces_nothing(make_file: MakeFile, clock: FakeClock, why: str) -> None:
    file = make_file(max_bytes=1_000)
    store(file, A, b"old")
    store(file, B, grounds=(A,))
    before = moment(file)
    if why == "forgotten":
        before = before._replace(number=-1)
    if why in ("invalidated", "ground"):
        do(file, Entries.invalidate, [TAG if why == "ground" else A])
    there, number = held(file, A, B), moment(file)
    expires = clock() if why == "expired" else None
    record = Record(A, bytes(2_000 if why == "large" else 1), expires, (TAG,))
    assert do(file, Entries.write, [(record, before, True)]) == [False]
    assert held(file, A, B) == there
    assert moment(file) == number


def test_a_value_larger_than_the_file_may_be_is_not_stored(make_file: MakeFile) -> None:
    file = make_file(max_bytes=1_000)
    assert not store(file, A, bytes(1_000))
    assert store(file, A, bytes(700))


def test_a_moment_of_another_file_proves_nothing(file: SqliteFile) -> None:
    file_, number = moment(file)
    assert do(file, Entries.write, [(Record(A, b"v"), Moment(file_ + 1, number), False)]) == [False]


def test_a_moment_from_before_what_was_forgotten_proves_nothing(file: SqliteFile) -> None:
    before = moment(file)
    do(file, Entries.invalidate, [A])
    assert do(file, Entries.sweep)  # of the round that had set out before the deletion
    assert do(file, Entries.usage).marks == 1
    assert do(file, Entries.sweep)
    assert do(file, Entries.usage).marks == 0
    assert do(file, Entries.write, [(Record(A, b"old"), before, False)]) == [False]
    assert store(file, A)


def test_one_write_may_hold_what_stands_and_what_does_not(file: SqliteFile) -> None:
    before = moment(file)
    do(file, Entries.invalidate, [TAG])
    batch = [
        (Record(A, b"1"), before, False),
        (Record(B, b"2", grounds=(TAG,)), before, True),
        (Record(C, b"3"), before, True),
    ]
    assert do(file, Entries.write, batch) == [True, False, True]
    assert held(file, A, B, C) == [b"1", None, b"3"]


def test_an_entry_that_was_changed_by_somebody_else_is_not_read(file: SqliteFile, path: str) -> None:
    store(file, A)
    write_to(path, "UPDATE entries SET value = x'00'")
    assert held(file, A) == [None]  # of the empty file that has taken its place
    assert do(file, Entries.usage).entries == 0

from __future__ import annotations

from typing import Any

import pytest

from cache.testing import FakeClock
from cache.tiers._records import Address, Moment, Record
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
from tests.unit.tiers.conftest import MakeFile
from tests.unit.tiers.files import A, B, C, do, held, moment, store, write_to


def test_what_was_written_is_read_with_all_that_belongs_to_it(file: SqliteFile) -> None:
    record = Record(A, b"\x00v", expires=1e12, tags=("t", "ü\ud800"), inner=(Address("other", b"\xff"),))
    assert do(file, Entries.write, [(record, moment(file))]) == [True]
    assert do(file, Entries.read, [A]) == [record]


def test_what_is_missing_is_read_as_the_moment_from_which_it_may_be_loaded(file: SqliteFile) -> None:
    store(file, B)
    missing, found, also_missing = do(file, Entries.read, [A, B, C])
    assert missing == also_missing == moment(file)
    assert isinstance(found, Record)


def test_a_second_value_takes_the_place_of_the_first(file: SqliteFile) -> None:
    store(file, A, b"1", tags=("t",), expires=1e12)
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
    ("operation", "argument"),
    [(Entries.delete, [A]), (Entries.invalidate, ["t"]), (Entries.clear, "users")],
)
@pytest.mark.parametrize("options", [{"tags": ("t",)}, {"tags": ("t",), "inner": (C,)}])
def test_an_invalidation_is_the_end_of_what_rests_on_it(
    file: SqliteFile, operation: object, argument: object, options: dict[str, Any]
) -> None:
    store(file, A, b"v", **options)
    do(file, operation, argument)  # type: ignore[arg-type]  # one of three, each with its own argument
    assert held(file, A) == [None]


@pytest.mark.parametrize(
    ("operation", "argument"),
    [(Entries.delete, [A]), (Entries.invalidate, ["t"]), (Entries.clear, "users"), (Entries.delete, [C])],
)
def test_a_load_that_began_before_the_invalidation_is_not_stored(
    file: SqliteFile, operation: object, argument: object
) -> None:
    before = moment(file)
    do(file, operation, argument)  # type: ignore[arg-type]  # one of three, each with its own argument
    record = Record(A, b"old", tags=("t",), inner=(C,))
    assert do(file, Entries.write, [(record, before)]) == [False]
    assert do(file, Entries.write, [(record, moment(file))]) == [True]
    assert held(file, A) == [b"old"]


def test_a_refused_load_leaves_the_newer_value_alone(file: SqliteFile) -> None:
    before = moment(file)
    do(file, Entries.delete, [A])
    store(file, A, b"new")
    assert do(file, Entries.write, [(Record(A, b"old"), before)]) == [False]
    assert held(file, A) == [b"new"]


def test_an_invalidation_spares_what_does_not_rest_on_it(file: SqliteFile) -> None:
    other = Address("posts", b"a")
    for address in (A, B, other):
        store(file, address, tags=("t",))
    before = moment(file)
    do(file, Entries.delete, [C])
    do(file, Entries.invalidate, ["u"])
    do(file, Entries.clear, "empty")
    assert held(file, A, B, other) == [b"v"] * 3
    assert do(file, Entries.write, [(Record(A, b"w", tags=("t",)), before)]) == [True]
    do(file, Entries.clear, "users")
    assert held(file, A, B, other) == [None, None, b"v"]


def test_what_was_made_of_a_deleted_entry_is_gone_with_it(file: SqliteFile) -> None:
    store(file, A)
    store(file, B, inner=(A,))
    store(file, C, inner=(B,))
    assert do(file, Entries.delete, [A]) == 1
    assert held(file, A, B, C) == [None, None, b"v"]  # an outer of an outer names all that it was made of


def test_what_was_made_of_a_cleared_space_is_gone_with_it(file: SqliteFile) -> None:
    store(file, B, inner=(Address("posts", b"1"),))
    do(file, Entries.clear, "posts")
    assert held(file, B) == [None]


def test_deleting_tells_how_many_were_there(file: SqliteFile) -> None:
    store(file, A)
    store(file, B)
    assert do(file, Entries.delete, [A, C]) == 1
    assert do(file, Entries.delete, [A, C]) == 0


def test_an_assigned_value_needs_no_moment_and_invalidates_what_was_made_of_the_old_one(file: SqliteFile) -> None:
    store(file, A, b"old")
    store(file, B, inner=(A,))
    before = moment(file)
    assert do(file, Entries.write, [(Record(A, b"assigned", tags=("t",)), None)]) == [True]
    assert held(file, A, B) == [b"assigned", None]
    assert do(file, Entries.write, [(Record(A, b"loaded"), before)]) == [False]
    assert held(file, A) == [b"assigned"]


def test_an_assigned_value_that_cannot_be_kept_takes_the_old_one_with_it(make_file: MakeFile) -> None:
    file = make_file(max_bytes=1_000)
    store(file, A)
    assert do(file, Entries.write, [(Record(A, bytes(2_000)), None)]) == [False]
    assert held(file, A) == [None]
    assert do(file, Entries.usage).entries == 0


def test_a_value_larger_than_the_file_may_be_is_not_stored(make_file: MakeFile) -> None:
    file = make_file(max_bytes=1_000)
    assert not store(file, A, bytes(1_000))
    assert store(file, A, bytes(700))


def test_a_moment_of_another_file_proves_nothing(file: SqliteFile) -> None:
    file_, number = moment(file)
    assert do(file, Entries.write, [(Record(A, b"v"), Moment(file_ + 1, number))]) == [False]


def test_a_moment_from_before_what_was_forgotten_proves_nothing(file: SqliteFile) -> None:
    before = moment(file)
    do(file, Entries.delete, [A])
    assert do(file, Entries.sweep)  # of the round that had set out before the deletion
    assert do(file, Entries.usage).marks == 1
    assert do(file, Entries.sweep)
    assert do(file, Entries.usage).marks == 0
    assert do(file, Entries.write, [(Record(A, b"old"), before)]) == [False]
    assert store(file, A)


def test_one_write_may_hold_what_stands_and_what_does_not(file: SqliteFile) -> None:
    before = moment(file)
    do(file, Entries.invalidate, ["t"])
    batch = [(Record(A, b"1"), before), (Record(B, b"2", tags=("t",)), before), (Record(C, b"3"), None)]
    assert do(file, Entries.write, batch) == [True, False, True]
    assert held(file, A, B, C) == [b"1", None, b"3"]


def test_an_entry_that_was_changed_by_somebody_else_is_not_read(file: SqliteFile, path: str) -> None:
    store(file, A)
    write_to(path, "UPDATE entries SET value = x'00'")
    assert held(file, A) == [None]  # of the empty file that has taken its place
    assert do(file, Entries.usage).entries == 0

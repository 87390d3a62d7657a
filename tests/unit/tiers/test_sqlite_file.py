from __future__ import annotations

import errno
import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from cache._tier import Covering, Moment, Record
from cache.tiers import _sqlite_file, _sqlite_place
from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._records import OVERHEAD
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Call, Failed, SqliteFile
from cache.tiers._sqlite_operations import changes, changing
from tests.unit.tiers.conftest import MakeFile
from tests.unit.tiers.files import TAG, A, B, C, do, held, moment, rows, store


def fail(entries: Entries) -> None:
    raise LookupError


def test_operations_are_done_in_the_order_given(file: SqliteFile) -> None:
    results = file.run(
        [
            (Entries.read, ([A],), {}),
            (Entries.assign, (Record(A, b"1"),), {}),
            (Entries.read, ([A],), {}),
            (Entries.flush, (), {}),
            (Entries.invalidate, ([A],), {}),
            (Entries.read, ([A],), {}),
        ]
    )
    before, after = results[0][0], results[5][0]
    assert isinstance(before, Moment)
    assert results[1:5] == [True, [Record(A, b"1")], None, 1]
    assert after == Moment(before.file, before.number + 2)


def test_operations_together_are_one_transaction(make_file: MakeFile, path: str) -> None:
    file, seen = make_file(), []

    def look(entries: Entries) -> None:
        seen.append(rows(path, "SELECT count(*) FROM entries"))

    write: Call = (Entries.assign, (Record(A, b"1"),), {})
    file.run([(look, (), {}), write, (look, (), {})])
    look(None)  # type: ignore[arg-type]  # it looks from outside
    assert seen == [[(0,)], [(0,)], [(1,)]]


def test_readings_together_see_one_state_of_the_file(make_file: MakeFile) -> None:
    one, other = make_file(), make_file()
    store(one, A)

    def meanwhile(entries: Entries) -> None:
        do(other, Entries.invalidate, [A])

    read: Call = (Entries.read, ([A],), {})
    first, _, second = one.run([read, (meanwhile, (), {}), read])
    assert first == second == [Record(A, b"v")]
    assert held(one, A) == [None]


def test_one_that_fails_keeps_no_other_from_being_done(file: SqliteFile) -> None:
    before, failed, after = file.run(
        [
            (Entries.assign, (Record(A, b"1"),), {}),
            (fail, (), {}),
            (Entries.assign, (Record(B, b"2"),), {}),
        ]
    )
    assert before is after is True
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, LookupError)
    assert held(file, A, B) == [b"1", b"2"]


def test_what_a_failed_operation_had_done_is_undone(file: SqliteFile) -> None:
    @changes
    def write_and_fail(entries: Entries) -> None:
        entries.assign(Record(A, b"1"))
        raise LookupError

    file.run([(write_and_fail, (), {}), (Entries.assign, (Record(B, b"2"),), {})])
    assert held(file, A, B) == [None, b"2"]


def test_an_argument_that_sqlite_cannot_take_is_the_error_of_whoever_gave_it(file: SqliteFile) -> None:
    with pytest.raises(OverflowError):
        do(file, Entries.scan, after=2**70)
    assert file.closed is None


def test_several_users_see_what_each_has_written(make_file: MakeFile) -> None:
    one, other = make_file(), make_file()
    store(one, A, grounds=(TAG,))
    before = moment(one)
    assert held(other, A) == [b"v"]
    do(other, Entries.invalidate, [TAG])
    assert held(one, A) == [None]
    assert do(one, Entries.write, [(Record(A, b"old", grounds=(TAG,)), before, False)]) == [False]


def test_while_another_writes_one_may_read_and_a_change_is_refused_in_time(make_file: MakeFile, path: str) -> None:
    file = make_file(patience=0.01)
    store(file, A)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert held(file, A) == [b"v"]
        with pytest.raises(FileBusy, match=r"cache\.db is being written by another process since more than 0\.01 s"):
            do(file, Entries.invalidate, [A])
        other.execute("ROLLBACK")
    other.close()
    assert do(file, Entries.invalidate, [A]) == 1
    assert file.closed is None


def test_while_another_opens_it_nobody_else_does(make_file: MakeFile, path: str) -> None:
    file = make_file(patience=0.01)
    store(make_file(), A)
    with sqlite3.connect(f"{path}-guard", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(FileBusy):
            do(file, Entries.usage)
    other.close()
    assert held(file, A) == [b"v"]


def test_a_process_that_has_run_out_of_files_has_not_lost_this_one(
    make_file: MakeFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store(make_file(), A)
    file = make_file()

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(FileBusy, match=r"cannot be used now \(\[Errno \d+\] Too many open files\)"):
            do(file, Entries.invalidate, [A])
    assert held(file, A) == [b"v"]
    assert do(file, Entries.invalidate, [A]) == 1
    assert caplog.messages == []


def test_a_closed_file_says_so_and_may_be_closed_again(file: SqliteFile) -> None:
    store(file, A)
    file.close()
    file.close("for another reason")
    with pytest.raises(FileClosed, match=r"cache\.db is closed: it was closed by its user") as caught:
        do(file, Entries.usage)
    assert caught.value.path == file.path
    assert caught.value.reason == file.closed


def test_a_released_file_is_opened_again_when_it_is_needed(file: SqliteFile) -> None:
    store(file, A)
    file.release()
    file.release()
    assert held(file, A) == [b"v"]


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_file_that_was_deleted_is_replaced_by_an_empty_one(
    file: SqliteFile, path: str, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    store(file, A)
    os.unlink(path)  # noqa: PTH108 - as a user would
    if operation == "write":
        assert do(file, Entries.assign, Record(B, b"2"))
    assert held(file, A, B) == [None, b"2" if operation == "write" else None]
    assert f"{path}: it was deleted or replaced. The cache goes on with an empty one." in caplog.messages
    assert sorted(os.listdir(Path(path).parent))[-2:] == [  # noqa: PTH208 - names are all it is about
        "cache.db.set-aside-1-shm",
        "cache.db.set-aside-1-wal",
    ]


def test_a_file_that_was_replaced_is_left_for_the_other(make_file: MakeFile, path: str) -> None:
    file = make_file()
    store(file, A)
    os.rename(path, f"{path}.old")  # noqa: PTH104 - as a user would
    store(make_file(), B, b"other")
    before = Moment(0, 0)
    assert held(file, A, B) == [None, b"other"]
    assert do(file, Entries.write, [(Record(A, b"old"), before, False)]) == [False]


def test_what_was_written_while_the_file_was_taken_away_is_written_again(file: SqliteFile, path: str) -> None:
    store(file, A)
    taken: list[bool] = []

    def take_away(entries: Entries) -> None:
        if not taken:
            taken.append(True)
            os.rename(path, f"{path}.old")  # noqa: PTH104 - as a user would

    file.run([(Entries.assign, (Record(B, b"2"),), {}), (take_away, (), {})])
    assert held(file, A, B) == [None, b"2"]


def test_two_that_take_each_others_file_for_damaged_come_to_an_end(
    file: SqliteFile, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(_sqlite_file.REPLACEMENTS):
        store(file, A)
        os.unlink(path)  # noqa: PTH108 - as a user would
        assert held(file, A) == [None]
    os.unlink(path)  # noqa: PTH108 - as a user would
    with pytest.raises(FileClosed, match="it was deleted or replaced"):
        held(file, A)
    assert caplog.messages[-1] == f"{path}: it was deleted or replaced. The cache goes on without it."


def test_a_defect_while_reading_sets_the_file_aside_and_what_was_asked_is_done_on_an_empty_one(
    file: SqliteFile, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    store(file, A)
    failed: list[bool] = []

    def damaged_once(entries: Entries) -> str:
        if not failed:
            failed.append(True)
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return "done"

    assert do(file, damaged_once) == "done"
    assert held(file, A) == [None]
    (message,) = caplog.messages
    assert message == (
        f"{path}: it is damaged (database disk image is malformed). The cache goes on with an empty one. "
        f"It was set aside as {path}.set-aside-1."
    )
    assert caplog.records[0].levelno == logging.WARNING
    assert rows(f"{path}.set-aside-1", "SELECT space, key, value FROM entries") == [(b"users", b"a", b"v")]


def test_a_file_that_cannot_be_written_any_more_is_set_aside_and_given_up(
    file: SqliteFile, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    store(file, A)
    connection = file._opened.connection  # type: ignore[union-attr]  # it is open
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(FileClosed, match="database or disk is full"):
        store(file, B, bytes(100_000))
    with pytest.raises(FileClosed):
        held(file, A)
    (message,) = caplog.messages
    assert message == (
        f"{path}: it cannot be used (database or disk is full). The cache goes on without it. "
        f"It was set aside as {path}.set-aside-1."
    )


def test_where_it_cannot_even_be_set_aside_the_user_is_told_what_to_do(
    file: SqliteFile, path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(file, A)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    def read_only(entries: Entries) -> None:
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY
        raise error

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(FileClosed, match="attempt to write a readonly database"):
        do(file, read_only)
    (message,) = caplog.messages
    assert message == (
        f"{path}: it cannot be used (attempt to write a readonly database). The cache goes on without it. It could not "
        f"be set aside ([Errno 13] Permission denied): delete it, or values that were invalidated may be served."
    )


def test_a_value_that_another_has_set_aside_is_not_set_aside_again(
    make_file: MakeFile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = make_file(), make_file()
    store(one, A)
    inside = _sqlite_place.guarded

    def guarded(*args: object) -> object:
        if not Path(f"{path}.set-aside-1").exists():
            os.rename(path, f"{path}.set-aside-1")  # noqa: PTH104 - as another process would
            store(other, B)
        return inside(*args)  # type: ignore[arg-type]  # what it was given

    monkeypatch.setattr(_sqlite_place, "guarded", guarded)

    def damaged(entries: Entries) -> None:
        if not Path(f"{path}.set-aside-1").exists():
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

    one.run([(damaged, (), {}), (Entries.check, (), {})])
    assert held(one, A, B) == [None, b"v"]
    assert not Path(f"{path}.set-aside-2").exists()


OPERATIONS: dict[str, tuple[Any, ...]] = {
    "assign": (Record(A, b"v"),),
    "check": (),
    "cover": (Covering((A,), ("users",), 1),),
    "evict": (),
    "flush": (),
    "invalidate": ([A], ["users"]),
    "moment": (),
    "read": ([A, B],),
    "scan": (),
    "sweep": (),
    "touch": ([A],),
    "uncover": (Covering((A,), ("users",), 1),),
    "usage": (),
    "write": (),
}


def test_an_operation_that_is_not_declared_to_change_anything_does_not(make_file: MakeFile) -> None:
    known = {name for name in vars(Entries) if not name.startswith("_")} - {"begin"}
    assert known == set(OPERATIONS)
    for name, args in OPERATIONS.items():
        file = make_file()
        store(file, A)
        store(file, B)
        given = args or ([[(Record(A, b"v"), moment(file), False)]] if name == "write" else [])
        connection = file._opened.connection  # type: ignore[union-attr]  # it is open
        connection.execute("PRAGMA query_only = ON")
        operation = getattr(Entries, name)
        try:
            operation(Entries(connection, time.time, file._owners, 2 * OVERHEAD), *given)
            changed = False
        except sqlite3.OperationalError:
            changed = True
        assert changed == (operation in changing), name
        file.close()


def test_a_transaction_of_which_the_end_fails_has_done_nothing(file: SqliteFile) -> None:
    store(file, A)

    def spoil(entries: Entries) -> None:
        entries._execute("CREATE TABLE more (id INTEGER REFERENCES entries (id) DEFERRABLE INITIALLY DEFERRED)")
        entries._execute("INSERT INTO more VALUES (99)")

    connection = file._opened.connection  # type: ignore[union-attr]  # it is open
    connection.execute("PRAGMA foreign_keys = ON")
    results = file.run([(Entries.assign, (Record(C, b"3"),), {}), (spoil, (), {})])
    assert results[0] is True
    assert held(file, A, C) == [b"v", b"3"]

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cache.testing import FakeClock
from cache.tiers import _sqlite_opening
from cache.tiers._file_errors import FileClosed
from cache.tiers._owners import Owners
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
from cache.tiers._sqlite_opening import APPLICATION_ID, FORMAT, boot_id
from cache.tiers._sqlite_place import PARTS, connect, guarded, identity_of
from tests.unit.tiers.conftest import MakeFile
from tests.unit.tiers.files import A, B, do, held, moment, rows, store, write_to


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)  # noqa: PTH116 - a string, as everywhere here


def test_a_file_that_is_missing_is_created_when_it_is_first_needed_and_for_its_owner_alone(
    file: SqliteFile, path: str
) -> None:
    assert not Path(path).exists()
    store(file, A)
    for part in (*PARTS, "-guard"):
        assert mode(path + part) == 0o600


def test_a_file_says_what_it_is(file: SqliteFile, path: str, clock: FakeClock) -> None:
    store(file, A)
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert rows(path, "PRAGMA user_version") == [(FORMAT,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]
    assert rows(path, "SELECT boot, created FROM state") == [("monday", clock())]


def test_what_was_written_is_there_after_a_restart(make_file: MakeFile, caplog: pytest.LogCaptureFixture) -> None:
    first = make_file()
    store(first, A)
    before = moment(first)
    first.close()
    assert held(make_file(), A) == [b"v"]
    assert moment(make_file()) == before
    assert caplog.messages == []


def test_after_a_start_of_the_system_the_file_begins_empty(
    make_file: MakeFile, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    first = make_file()
    store(first, A)
    before = moment(first)
    first.close()
    with caplog.at_level(logging.INFO, "cache"):
        file = make_file(boot=lambda: "tuesday")
        assert held(file, A) == [None]
    assert caplog.messages == [f"{path}: the system was started since it was written, and it begins empty."]
    assert moment(file).file != before.file
    assert do(file, Entries.usage).entries == 0
    assert store(file, A)
    assert held(make_file(boot=lambda: "tuesday"), A) == [b"v"]


@pytest.mark.parametrize(("boot", "synchronous"), [("monday", 1), (None, 2)])
def test_where_a_loss_of_power_goes_unnoticed_nothing_may_be_lost_by_it(
    make_file: MakeFile, boot: str | None, synchronous: int
) -> None:
    file = make_file(boot=lambda: boot)
    store(file, A)
    connection = file._opened.connection  # type: ignore[union-attr]  # it is open
    assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    file.close()
    assert held(make_file(boot=lambda: boot), A) == [b"v"]


def test_the_run_of_the_system_is_told_by_linux_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_opening, "BOOT_ID", tmp_path / "boot_id")
    assert boot_id() is None
    (tmp_path / "boot_id").write_text("abc\n")
    assert boot_id() == "abc"


def test_one_at_a_time_opens_a_file_or_sets_it_aside(path: str) -> None:
    with guarded(path, 0.01):
        with pytest.raises(sqlite3.OperationalError, match="database is locked"), guarded(path, 0.01):
            pass
        with guarded(f"{path}2", 0.01):
            pass
    with guarded(path, 0.01):
        assert Path(f"{path}-guard").stat().st_size == 0


def spoil_with_text(path: str) -> None:
    Path(path).write_text("not a database, and longer than the header of one\n" * 20)


def spoil_with_other_tables(path: str) -> None:
    write_to(path, "CREATE TABLE orders (id)", "INSERT INTO orders VALUES (7)")


def spoil_with_other_application(path: str) -> None:
    write_to(path, "PRAGMA application_id = 7", "CREATE TABLE orders (id)")


def spoil_with_later_format(path: str) -> None:
    write_to(path, f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 99")


def spoil_with_missing_tables(path: str) -> None:
    write_to(path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {FORMAT}")


def spoil_with_empty_state(path: str) -> None:
    spoil_with_missing_tables(path)
    write_to(path, "CREATE TABLE state (boot)")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_with_text, "it is damaged, or no SQLite file (file is not a database)"),
        (spoil_with_other_tables, "it belongs to another application"),
        (spoil_with_other_application, "it belongs to another application"),
        (
            spoil_with_later_format,
            f"it was written by another version of this cache (format 99, this one has {FORMAT})",
        ),
        (spoil_with_missing_tables, "it is damaged, or no SQLite file (no such table: state)"),
        (spoil_with_empty_state, "its state is missing"),
    ],
)
def test_what_is_no_sound_file_of_ours_is_set_aside_as_it_was(
    file: SqliteFile,
    path: str,
    spoil: Callable[[str], None],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spoil(path)
    before = Path(path).read_bytes()
    assert store(file, A)
    assert held(file, A) == [b"v"]
    aside = f"{path}.set-aside-1"
    assert caplog.messages == [f"{path}: {reason}. The cache begins with an empty one. It was set aside as {aside}."]
    assert caplog.records[0].name == "cache"
    if spoil not in (spoil_with_missing_tables, spoil_with_empty_state):  # those were ours, and switched to a log
        assert Path(aside).read_bytes() == before


def test_nothing_that_was_set_aside_is_overwritten(make_file: MakeFile, path: str) -> None:
    for number in range(1, 4):
        Path(path).write_text(f"text number {number}" * 50)
        file = make_file()
        store(file, A)
        file.close()
    assert [Path(f"{path}.set-aside-{number}").read_text()[:13] for number in (1, 2, 3)] == [
        "text number 1",
        "text number 2",
        "text number 3",
    ]


def test_an_empty_file_is_a_new_one(file: SqliteFile, path: str, caplog: pytest.LogCaptureFixture) -> None:
    Path(path).touch()
    assert store(file, A)
    assert caplog.messages == []


def test_a_file_of_which_the_end_is_missing_is_set_aside(make_file: MakeFile, path: str) -> None:
    first = make_file()
    for number in range(20):
        store(first, A._replace(key=b"%d" % number), bytes(5_000))
    first.close()
    os.truncate(path, os.stat(path).st_size // 2)  # noqa: PTH116 - a string, as everywhere here
    second = make_file()
    values = held(second, *(A._replace(key=b"%d" % number) for number in range(20)))
    assert set(values) == {None}
    assert Path(f"{path}.set-aside-1").exists()
    assert store(second, B)


def test_the_log_of_a_file_that_is_gone_is_no_log_of_the_next(
    make_file: MakeFile, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    store(make_file(), A)
    os.unlink(path)  # noqa: PTH108 - as a user would
    assert held(make_file(), A) == [None]
    (message,) = caplog.messages
    assert message == (
        f"{path}: its log is there and it is not, so somebody has deleted or moved it. "
        f"The cache begins with an empty one. It was set aside as {path}.set-aside-1."
    )


def test_a_folder_is_no_file(file: SqliteFile, path: str, caplog: pytest.LogCaptureFixture) -> None:
    Path(path).mkdir()
    with pytest.raises(FileClosed, match="it is no regular file"):
        do(file, Entries.usage)
    assert file.closed == "it is no regular file"
    assert caplog.messages == [f"{path}: it is no regular file. The cache goes on without it."]


def test_without_a_folder_there_is_no_file(
    make_file: MakeFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = make_file(str(tmp_path / "missing" / "cache.db"))
    with pytest.raises(FileClosed, match="No such file or directory"):
        do(file, Entries.usage)
    with pytest.raises(FileClosed):  # and it is not tried again
        do(file, Entries.usage)
    assert len(caplog.messages) == 1


def test_a_guard_that_is_none_leaves_no_way_to_share_the_file(file: SqliteFile, path: str) -> None:
    Path(f"{path}-guard").mkdir()
    with pytest.raises(FileClosed, match="unable to open database file"):
        do(file, Entries.usage)


def test_a_file_system_without_shared_memory_is_refused(
    file: SqliteFile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:

    class Stubborn(sqlite3.Connection):
        def execute(self, query: str, *args: object) -> sqlite3.Cursor:
            return super().execute(query.replace("= WAL", "= DELETE"), *args)  # type: ignore[arg-type]  # what it got

    def stubborn(where: str, patience: float) -> sqlite3.Connection:
        connect(where, patience).close()
        return sqlite3.connect(where, isolation_level=None, factory=Stubborn)

    monkeypatch.setattr(_sqlite_opening, "connect", stubborn)
    with pytest.raises(FileClosed, match=r"cannot share a log between processes \(journal_mode is delete\)"):
        do(file, Entries.usage)


def test_a_path_may_have_any_character(make_file: MakeFile, tmp_path: Path) -> None:
    folder = tmp_path / "ü %41?#&\udcff"
    folder.mkdir()
    file = make_file(str(folder / "a b.db"))
    assert store(file, A)
    assert (folder / "a b.db").exists()


def test_a_link_is_followed_and_stays(make_file: MakeFile, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "real" / "cache.db")
    (tmp_path / "real" / "cache.db").write_text("text" * 100)
    assert store(make_file(str(link)), A)
    assert link.is_symlink()
    assert (tmp_path / "real" / "cache.db.set-aside-1").exists()


def test_a_file_that_is_gone_has_no_identity(path: str) -> None:
    assert identity_of(path) is None


def test_a_creation_that_fails_leaves_an_empty_file(
    make_file: MakeFile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_opening, "TABLES", "INSERT INTO missing VALUES (1);\n")
    with pytest.raises(FileClosed, match="no such table: missing"):
        store(make_file(), A)
    monkeypatch.undo()
    assert store(make_file(), A)


def test_who_is_dead_is_asked_where_nobody_else_can_write(
    make_file: MakeFile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(make_file(), A)
    asked: list[bool] = []

    def dead(_: Owners) -> list[int]:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                asked.append(True)
        return []

    monkeypatch.setattr(Owners, "dead", dead)
    assert held(make_file(), A) == [b"v"]
    assert asked == [True]

"""The file that processes map: who may use it, and how it is made and replaced."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cache.errors import BusError
from cache.tiers import _stamp_file, _stamp_opening
from cache.tiers._stamp_file import StampFile
from cache.tiers._stamp_layout import FIRST_SLOT, FORMAT_AT, MAGIC_AT, SIZE
from tests.unit.tiers.conftest import MakeStamps
from tests.unit.tiers.files import descriptors, write_number

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

SLOT = FIRST_SLOT + 7


def test_a_file_is_made_for_its_owner_alone_and_nothing_else_is_left(path: str, make_stamps: MakeStamps) -> None:
    before = os.umask(0o777)
    try:
        make_stamps()
    finally:
        os.umask(before)
    found = Path(path).stat()
    assert (found.st_mode & 0o777, found.st_size, found.st_nlink) == (0o600, SIZE, 1)
    assert found.st_blocks * 512 >= SIZE  # or a full disk would be a signal, later
    assert [entry.name for entry in Path(path).parent.iterdir()] == [Path(path).name]


def test_whoever_is_quicker_makes_the_file(make_stamps: MakeStamps, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = _stamp_opening.make_at
    quicker: list[StampFile] = []

    def late(where: str) -> None:
        if not quicker:
            make(where)
            quicker.append(make_stamps())
        make(where)

    monkeypatch.setattr(_stamp_file, "make_at", late)
    assert make_stamps().stamp([SLOT]) == quicker[0].stamps[SLOT]


def test_a_file_that_is_deleted_while_it_is_opened_is_not_used(
    make_stamps: MakeStamps, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stamps()
    open_ = _stamp_opening.open_at
    deleted: list[int] = []

    def slow(where: str) -> int:
        fd = open_(where)
        if not deleted:
            deleted.append(fd)
            Path(where).unlink()
        return fd

    monkeypatch.setattr(_stamp_file, "open_at", slow)
    assert make_stamps().is_current()
    assert deleted


@pytest.mark.parametrize(
    ("at", "number", "message"),
    [(MAGIC_AT, 0, "is not of this cache"), (FORMAT_AT, 99, "another version of this cache")],
)
def test_a_file_of_another_version_is_replaced_unless_it_is_used(
    make_stamps: MakeStamps, path: str, at: int, number: int, message: str
) -> None:
    one = make_stamps()
    write_number(path, at, number)
    with pytest.raises(BusError, match=f"{message}.*stop the workers of the other version, or use another name"):
        make_stamps()
    assert one.is_current()
    one.close()
    two = make_stamps()
    assert two.is_current()
    assert not one.is_current()


@pytest.mark.parametrize("contents", [b"", b"x", b"x" * SIZE, b"x" * (SIZE + 1)])
def test_whatever_else_is_there_and_unused_is_replaced(make_stamps: MakeStamps, path: str, contents: bytes) -> None:
    Path(path).write_bytes(contents)
    Path(path).chmod(0o600)
    assert make_stamps().stamp([SLOT]) == make_stamps().stamps[SLOT]
    assert Path(path).stat().st_size == SIZE


def test_a_file_that_was_cut_short_is_replaced(make_stamps: MakeStamps, path: str) -> None:
    make_stamps().close()
    os.truncate(path, SIZE - 1)
    assert make_stamps().is_current()
    assert Path(path).stat().st_size == SIZE


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_may_use_is_refused(make_stamps: MakeStamps, path: str, mode: int) -> None:
    make_stamps().close()
    Path(path).chmod(mode)
    with pytest.raises(
        BusError, match=rf"{Path(path).name} may be used by others \(mode {mode:04o}, owner {os.getuid()}\).*delete"
    ):
        make_stamps()


def test_a_file_of_another_user_is_refused(make_stamps: MakeStamps, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stamps().close()
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(BusError, match=f"belongs to the user {uid}, and this process runs as {uid + 1}.*delete"):
        make_stamps()


def test_what_is_no_regular_file_is_refused(make_stamps: MakeStamps, path: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    StampFile(str(elsewhere)).close()
    Path(path).symlink_to(elsewhere)
    with pytest.raises(BusError, match="symbolic link"):
        make_stamps()
    Path(path).unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(BusError, match="no regular file"):
        make_stamps()
    Path(path).unlink()
    Path(path).mkdir()
    with pytest.raises(BusError, match="cannot be used"):
        make_stamps()


@pytest.mark.parametrize("folder", ["/nonexistent", "/proc"])
def test_a_folder_that_cannot_be_used_is_refused_with_what_to_do(folder: str) -> None:
    with pytest.raises(BusError, match=r"directory=.*RedisBackend"):
        StampFile(f"{folder}/stamps")


def test_a_full_disk_is_noticed_when_the_file_is_made(make_stamps: MakeStamps, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = descriptors()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(BusError, match="No space left"):
        make_stamps()
    assert descriptors() == before


def test_whoever_holds_the_guard_is_waited_for_but_not_for_ever(
    make_stamps: MakeStamps, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stamps()
    monkeypatch.setattr(_stamp_opening, "PATIENCE", 0.01)
    before = descriptors()
    fd = os.open(path, os.O_RDWR)
    with _stamp_opening.guarded(fd, path), pytest.raises(BusError, match="SIGSTOP"):
        make_stamps()
    os.close(fd)
    assert descriptors() == before
    make_stamps()

"""The file that processes map: who may use it, how it is made and replaced, and what its locks show."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cache.errors import BusError
from cache.tiers import _stamp_file
from cache.tiers._stamp_file import COUNTS, FIRST_SLOT, FORMAT_AT, MAGIC_AT, NUMBER_AT, NUMBERS, SIZE, STAMPS, StampFile

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

SLOT, OTHER, SAME_GROUP = FIRST_SLOT + 7, FIRST_SLOT + 9, FIRST_SLOT + 7 + 256
MakeFile = Callable[[], StampFile]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "stamps")


@pytest.fixture
def make_file(path: str) -> Iterator[MakeFile]:
    """Descriptions of the file at one path, each of which could be another process."""
    made: list[StampFile] = []

    def make_file() -> StampFile:
        made.append(StampFile(path))
        return made[-1]

    yield make_file
    for file in made:
        file.close()


def write(path: str, at: int, number: int) -> None:
    with Path(path).open("r+b") as file:
        file.seek(8 * at)
        file.write(number.to_bytes(8, sys.byteorder))


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_a_stamp_reaches_its_slot_its_group_and_the_first_of_all(make_file: MakeFile) -> None:
    one, two = make_file(), make_file()
    stamp = one.stamp([SLOT])
    assert [at for at, found in enumerate(two.stamps) if found] == [0, 1 + 7, SLOT]
    assert {two.stamps[at] for at in (0, 1 + 7, SLOT)} == {stamp}


def test_slots_are_stored_before_groups_and_the_first_of_all_at_last(make_file: MakeFile) -> None:
    file = make_file()
    stored: list[int] = []

    class Recording:
        def __setitem__(self, at: int, _: int) -> None:
            stored.append(at)

    file.stamps = Recording()  # type: ignore[assignment]  # it only listens
    file.stamp([SLOT, OTHER])
    assert stored == [SLOT, OTHER, 1 + 7, 1 + 9, 0]


def test_no_stamp_is_used_twice(make_file: MakeFile) -> None:
    one, two = make_file(), make_file()
    stamps = [file.stamp([SLOT]) for file in (one, two) * 20]
    assert len(set(stamps)) == len(stamps)
    assert 0 not in stamps


def test_who_has_used_up_his_stamps_takes_another_number(make_file: MakeFile) -> None:
    one, two = make_file(), make_file()
    first = one.stamp([SLOT])
    one._next = one._end
    second = one.stamp([SLOT])
    assert second // COUNTS not in {first // COUNTS, two.stamp([SLOT]) // COUNTS}


def test_a_number_is_not_used_again_when_its_process_has_gone(make_file: MakeFile) -> None:
    one = make_file()
    first = one.stamp([SLOT])
    one.close()
    assert make_file().stamp([SLOT]) // COUNTS > first // COUNTS


def test_a_file_whose_numbers_are_used_up_is_refused(make_file: MakeFile, path: str) -> None:
    make_file()
    write(path, NUMBER_AT, NUMBERS)
    with pytest.raises(BusError, match="no number left"):
        make_file()


def test_everything_can_be_stamped_at_once(make_file: MakeFile) -> None:
    one, two = make_file(), make_file()
    before = two.groups()
    one.stamp_all()
    assert 0 not in two.stamps[FIRST_SLOT:STAMPS].tolist()
    assert not any(two.has_groups(before, [FIRST_SLOT + group]) for group in range(256))


def test_a_mark_holds_until_its_group_is_stamped(make_file: MakeFile) -> None:
    one, two = make_file(), make_file()
    mark = two.groups()
    one.stamp([SLOT])
    assert two.has_groups(mark, [OTHER])
    assert not two.has_groups(mark, [SLOT])
    assert not two.has_groups(mark, [OTHER, SAME_GROUP])
    assert two.has_groups(two.groups(), [SLOT])


def test_a_mark_of_another_file_proves_nothing(make_file: MakeFile, path: str) -> None:
    mark = make_file().groups()
    Path(path).unlink()
    assert not make_file().has_groups(mark, [SLOT])


def test_what_is_held_is_seen_by_all_others_and_not_by_oneself(make_file: MakeFile) -> None:
    one, two = make_file(), make_file()
    one.hold([SLOT])
    assert two.is_held([SLOT])
    assert two.is_held([OTHER, SLOT])
    assert not two.is_held([SLOT - 1, SLOT + 1])
    assert not two.is_held([])
    assert not one.is_held([SLOT])
    two.hold([SLOT])
    one.release([SLOT])
    assert one.is_held([SLOT])
    two.close()
    assert not one.is_held([SLOT])


def test_the_locks_are_not_kept_by_the_map(make_file: MakeFile) -> None:
    one, two = make_file(), make_file()
    stamps = one.stamps
    one.hold([SLOT])
    one.close()
    assert not two.is_held([SLOT])
    two.stamp([SLOT])
    assert stamps[SLOT] == two.stamps[SLOT] != 0


def test_a_file_that_is_dropped_leaves_no_descriptor(path: str) -> None:
    before = descriptors()
    for _ in range(3):
        file = StampFile(path)
        file.stamp([SLOT])
        stamps = file.stamps
        del file
        assert stamps[SLOT] != 0
        del stamps
    gc.collect()
    assert descriptors() == before


def test_a_file_is_made_for_its_owner_alone_and_nothing_else_is_left(path: str, make_file: MakeFile) -> None:
    before = os.umask(0o777)
    try:
        make_file()
    finally:
        os.umask(before)
    found = Path(path).stat()
    assert (found.st_mode & 0o777, found.st_size, found.st_nlink) == (0o600, SIZE, 1)
    assert found.st_blocks * 512 >= SIZE  # or a full disk would be a signal, later
    assert [entry.name for entry in Path(path).parent.iterdir()] == ["stamps"]


def test_whoever_is_quicker_makes_the_file(make_file: MakeFile, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = _stamp_file._make
    quicker: list[StampFile] = []

    def late(where: str) -> None:
        if not quicker:
            make(where)
            quicker.append(make_file())
        make(where)

    monkeypatch.setattr(_stamp_file, "_make", late)
    assert make_file().stamp([SLOT]) == quicker[0].stamps[SLOT]


def test_a_file_that_is_deleted_while_it_is_opened_is_not_used(
    make_file: MakeFile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file()
    open_ = _stamp_file._open
    deleted: list[int] = []

    def slow(where: str) -> int:
        fd = open_(where)
        if not deleted:
            deleted.append(fd)
            Path(where).unlink()
        return fd

    monkeypatch.setattr(_stamp_file, "_open", slow)
    assert make_file().is_current()
    assert deleted


@pytest.mark.parametrize(
    ("at", "number", "message"),
    [(MAGIC_AT, 0, "is not of this cache"), (FORMAT_AT, 99, "another version of this cache")],
)
def test_a_file_of_another_version_is_replaced_unless_it_is_used(
    make_file: MakeFile, path: str, at: int, number: int, message: str
) -> None:
    one = make_file()
    write(path, at, number)
    with pytest.raises(BusError, match=f"{message}.*stop the workers of the other version, or use another name"):
        make_file()
    assert one.is_current()
    one.close()
    two = make_file()
    assert two.is_current()
    assert not one.is_current()


@pytest.mark.parametrize("contents", [b"", b"x", b"x" * SIZE, b"x" * (SIZE + 1)])
def test_whatever_else_is_there_and_unused_is_replaced(make_file: MakeFile, path: str, contents: bytes) -> None:
    Path(path).write_bytes(contents)
    Path(path).chmod(0o600)
    assert make_file().stamp([SLOT]) == make_file().stamps[SLOT]
    assert Path(path).stat().st_size == SIZE


def test_a_file_that_was_cut_short_is_replaced(make_file: MakeFile, path: str) -> None:
    make_file().close()
    os.truncate(path, SIZE - 1)
    assert make_file().is_current()
    assert Path(path).stat().st_size == SIZE


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_may_use_is_refused(make_file: MakeFile, path: str, mode: int) -> None:
    make_file().close()
    Path(path).chmod(mode)
    with pytest.raises(
        BusError, match=rf"stamps may be used by others \(mode {mode:04o}, owner {os.getuid()}\).*delete"
    ):
        make_file()


def test_a_file_of_another_user_is_refused(make_file: MakeFile, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_file().close()
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(BusError, match=f"belongs to the user {uid}, and this process runs as {uid + 1}.*delete"):
        make_file()


def test_what_is_no_regular_file_is_refused(make_file: MakeFile, path: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    StampFile(str(elsewhere)).close()
    Path(path).symlink_to(elsewhere)
    with pytest.raises(BusError, match="symbolic link"):
        make_file()
    Path(path).unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(BusError, match="no regular file"):
        make_file()
    Path(path).unlink()
    Path(path).mkdir()
    with pytest.raises(BusError, match="cannot be used"):
        make_file()


@pytest.mark.parametrize("folder", ["/nonexistent", "/proc"])
def test_a_folder_that_cannot_be_used_is_refused_with_what_to_do(folder: str) -> None:
    with pytest.raises(BusError, match=r"directory=.*RedisBackend"):
        StampFile(f"{folder}/stamps")


def test_a_full_disk_is_noticed_when_the_file_is_made(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = descriptors()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(BusError, match="No space left"):
        make_file()
    assert descriptors() == before


def test_a_deleted_file_is_no_longer_current(make_file: MakeFile, path: str) -> None:
    one = make_file()
    assert one.is_current()
    Path(path).unlink()
    assert not one.is_current()
    two = make_file()
    two.stamp([SLOT])
    assert one.stamps[SLOT] == 0


def test_whoever_holds_the_guard_is_waited_for_but_not_for_ever(
    make_file: MakeFile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file()
    monkeypatch.setattr(_stamp_file, "PATIENCE", 0.01)
    before = descriptors()
    fd = os.open(path, os.O_RDWR)
    with _stamp_file._guarded(fd, path), pytest.raises(BusError, match="SIGSTOP"):
        make_file()
    os.close(fd)
    assert descriptors() == before
    make_file()


def test_a_stranger_who_closes_the_descriptor_does_no_harm(make_file: MakeFile, tmp_path: Path) -> None:
    file = make_file()
    fd = file._fd
    os.close(fd)
    assert not file.is_current()
    taken = os.open(tmp_path, os.O_RDONLY)
    assert taken == fd  # its number is another's now
    assert not file.is_current()
    file.close()
    os.fstat(taken)
    os.close(taken)


def test_after_a_fork_a_description_and_a_number_are_ones_own(make_file: MakeFile) -> None:
    """As in a child, with the parent's description still open under another number."""
    child, other = make_file(), make_file()
    first = child.stamp([SLOT])
    child.hold([SLOT])
    parent = os.dup(child._fd)
    stamps = child.stamps
    child.separate([OTHER])
    assert child.stamps is stamps
    assert child.stamp([SLOT]) // COUNTS > first // COUNTS
    assert other.is_held([SLOT])
    os.close(parent)  # the parent dies
    assert not other.is_held([SLOT])
    assert other.is_held([OTHER])
    assert other.is_shared()
    child.leave()
    assert not other.is_shared()


def test_a_deleted_file_survives_a_fork(make_file: MakeFile, path: str) -> None:
    file = make_file()
    Path(path).unlink()
    file.separate([])
    assert not file.is_current()
    file.stamp([SLOT])


def test_a_descriptor_that_became_a_strangers_is_not_taken_over_by_a_fork(make_file: MakeFile, tmp_path: Path) -> None:
    file = make_file()
    fd = file._fd
    os.close(fd)
    other = os.open(tmp_path / "other", os.O_CREAT | os.O_RDWR)
    assert other == fd
    with pytest.raises(BusError, match="closed by others"):
        file.separate([])
    os.fstat(other)
    os.close(other)

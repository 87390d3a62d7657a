from __future__ import annotations

import errno

import pytest

from cache._tier import Address, Covering, Record
from cache.tiers import _owners
from cache.tiers._file_errors import FileBusy, FileClosed
from cache.tiers._owners import Owners
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
from tests.unit.tiers.conftest import MakeFile
from tests.unit.tiers.files import OTHER_TAG, TAG, A, B, C, do, held, moment, rows, store

OPEN = "SELECT count(*) FROM mutations"


def cover(file: SqliteFile, *addresses: Address, number: int = 1) -> Covering:
    covering = Covering(addresses, (), number)
    do(file, Entries.cover, covering)
    return covering


def kill(file: SqliteFile) -> None:
    """As the kernel does to its locks and its connection."""
    file._owners.inherited()
    file.release()


def write(file: SqliteFile, record: Record, *, since: int) -> bool:
    return do(file, Entries.write, [(record, moment(file)._replace(number=since), False)])[0]


def test_what_is_covered_is_marked_at_both_ends(make_file: MakeFile, path: str) -> None:
    one, other = make_file(), make_file()
    store(other, A)
    covering = cover(one, A, TAG)
    assert moment(other).number == 2
    assert held(other, A) == [None]
    assert rows(path, OPEN) == [(2,)]
    assert not store(other, B, grounds=(TAG,))
    do(one, Entries.uncover, covering)
    assert moment(other).number == 4
    assert rows(path, OPEN) == [(0,)]
    assert not write(other, Record(A, b"v"), since=2)
    assert write(other, Record(A, b"v"), since=4)


@pytest.mark.parametrize("way", ["write", "assign", "sweep", "open"])
def test_whoever_discovers_a_death_marks_and_uncovers_all_that_was_covered(
    make_file: MakeFile, path: str, way: str
) -> None:
    dying, other = make_file(), make_file()
    within = moment(other)
    cover(dying, A, TAG, number=1)
    cover(dying, TAG, B, number=2)
    before = moment(other).number
    kill(dying)
    if way == "write":
        assert not write(other, Record(A, b"old"), since=before)
    elif way == "assign":
        assert do(other, Entries.assign, Record(A, b"new"))
    elif way == "sweep":
        do(other, Entries.sweep)
    else:
        other = make_file()
        assert not write(other, Record(C, b"v"), since=within.number - 1)
        assert list(other._owners.folder.iterdir()) == []
    assert rows(path, OPEN) == [(0,)]
    assert held(other, A) == [b"new" if way == "assign" else None]
    for record in (Record(A, b"old"), Record(C, b"old", grounds=(TAG,)), Record(B, b"old")):
        assert not write(other, record, since=before)
    assert store(other, C, grounds=(TAG, A, B))


def test_a_death_that_is_discovered_in_vain_is_discovered_again(make_file: MakeFile, path: str) -> None:
    dying, other = make_file(), make_file()
    moment(other)
    cover(dying, A)
    kill(dying)

    def fail(_: Entries) -> None:
        raise ValueError

    record = Record(A, b"old")
    other.run([(Entries.sweep, (), {}), (fail, (), {})])
    assert not do(other, Entries.write, [(record, moment(other)._replace(number=1), False)])[0]
    assert rows(path, OPEN) == [(0,)]


def test_what_an_owner_covers_that_nothing_is_known_of_stays_covered(make_file: MakeFile, path: str) -> None:
    dying, other = make_file(), make_file()
    cover(dying, A)
    for file in dying._owners.folder.iterdir():
        file.unlink()
    kill(dying)
    assert not store(other, A)
    do(other, Entries.sweep)
    assert not store(make_file(), A)
    assert rows(path, OPEN) == [(1,)]


def test_of_the_living_nothing_is_uncovered(make_file: MakeFile, path: str) -> None:
    one, dying, other = make_file(), make_file(), make_file()
    cover(one, A, number=1)
    cover(dying, A, B, number=2)
    kill(dying)
    assert not store(other, A)
    do(other, Entries.sweep)
    moment(make_file())
    assert rows(path, OPEN) == [(1,)]
    assert not store(other, A)
    assert store(other, B)


def test_one_who_is_closed_with_nothing_in_progress_leaves_nothing(make_file: MakeFile, path: str) -> None:
    one = make_file()
    covering = cover(one, A)
    do(one, Entries.uncover, covering)
    one.close()
    assert list(one._owners.folder.iterdir()) == []
    assert rows(path, OPEN) == [(0,)]


def test_what_is_covered_stays_so_when_a_file_is_released_or_closed(make_file: MakeFile) -> None:
    one, other = make_file(), make_file()
    covering = cover(one, A)
    one.release()
    assert not store(other, A)
    do(one, Entries.uncover, covering)
    assert store(other, A)
    cover(one, A)
    one.close()
    assert not store(other, A)


def test_a_file_that_was_replaced_knows_of_no_mutation_and_its_end_is_an_invalidation(
    make_file: MakeFile, path: str
) -> None:
    one, other = make_file(), make_file()
    covering = cover(one, A)
    for part in ("", "-wal", "-shm"):
        (one._owners.folder.parent / f"cache.db{part}").unlink()
    assert store(other, A)
    do(one, Entries.uncover, covering)
    assert held(other, A) == [None]
    assert rows(path, OPEN) == [(0,)]


def test_after_a_start_of_the_system_there_are_no_mutations(make_file: MakeFile, path: str) -> None:
    cover(make_file(), A)
    other = make_file(boot=lambda: "tuesday")
    assert store(other, A)
    assert rows(path, OPEN) == [(0,)]


def test_who_runs_out_of_descriptors_is_told_that_nothing_was_done(
    make_file: MakeFile, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_file()
    before = moment(one)

    def fail(_: Owners) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(_owners.Owners, "_become", fail)
        with pytest.raises(FileBusy, match="too many open files"):
            cover(one, A)
    assert moment(one) == before
    assert rows(path, OPEN) == [(0,)]
    cover(one, A)


def test_where_there_can_be_no_owner_a_mutation_fails_and_the_file_stays(
    make_file: MakeFile, caplog: pytest.LogCaptureFixture
) -> None:
    one = make_file()
    store(one, A)
    one._owners.folder.touch()
    with pytest.raises(FileBusy, match=r"Not a directory: .*-owners: let its user own that folder, or delete it"):
        cover(one, A)
    assert held(one, A) == [b"v"]
    one._owners.folder.unlink()
    cover(one, A)
    assert held(one, A) == [None]
    assert caplog.text == ""


def test_where_there_is_no_room_for_an_owner_the_file_is_given_up(
    make_file: MakeFile, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_file()
    store(one, A)

    def fail(_: Owners) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(_owners.Owners, "_become", fail)
    with pytest.raises(FileClosed, match="it cannot be used"):
        cover(one, A)
    assert "The cache goes on without it" in caplog.text


@pytest.mark.parametrize("ground", [A, TAG, OTHER_TAG])
def test_names_that_are_covered_twice_are_covered_once(
    make_file: MakeFile, path: str, ground: Address, caplog: pytest.LogCaptureFixture
) -> None:
    one = make_file()
    cover(one, ground, ground)
    assert rows(path, OPEN) == [(1,)]
    assert not store(one, B, grounds=(ground,))
    assert caplog.text == ""


def test_readers_do_not_look_at_mutations(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = make_file(), make_file()
    store(other, B)
    cover(one, A)

    def look(*_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(Owners, "lives", look)
    assert held(other, A, B) == [None, b"v"]

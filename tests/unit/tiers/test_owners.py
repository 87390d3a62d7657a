from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cache.tiers import _owners
from cache.tiers._owners import Owners


@pytest.fixture
def made() -> Iterator[list[Owners]]:
    made: list[Owners] = []
    yield made
    for owners in made:
        owners.inherited()


@pytest.fixture
def one(path: str, made: list[Owners]) -> Owners:
    made.append(Owners(path))
    return made[-1]


@pytest.fixture
def other(path: str, made: list[Owners]) -> Owners:
    made.append(Owners(path))
    return made[-1]


def cover(owners: Owners, mutation: int = 1) -> int:
    number = owners.cover(mutation)
    owners.committed()
    return number


def uncover(owners: Owners, mutation: int = 1) -> bool:
    known = owners.uncover(mutation)
    owners.committed()
    return known


def die(owners: Owners) -> None:
    """As the process does: its descriptors are closed, and nothing else happens."""
    owners._let_go()


def test_whoever_has_no_mutation_leaves_nothing_on_the_disk(one: Owners) -> None:
    assert one.dead() == []
    one.remove([])
    one.leave()
    assert not one.folder.exists()


def test_owners_are_told_apart_and_live_until_they_die_or_leave(one: Owners, other: Owners) -> None:
    first, second = cover(one), cover(other)
    assert first != second
    for owners in (one, other):
        assert owners.lives(first)
        assert owners.lives(second)
        assert owners.dead() == []
    die(one)
    assert not other.lives(first)
    assert other.dead() == [first]
    other.remove([first])
    assert other.dead() == []
    uncover(other)
    other.leave()
    assert list(other.folder.iterdir()) == []


def test_an_owner_keeps_its_number(one: Owners) -> None:
    assert cover(one, 1) == cover(one, 2)
    assert len(list(one.folder.iterdir())) == 1


def test_what_owners_leave_may_be_touched_by_their_user_alone(one: Owners) -> None:
    cover(one)
    (file,) = one.folder.iterdir()
    assert stat.S_IMODE(one.folder.stat().st_mode) & 0o077 == stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_with_a_mutation_in_progress_an_owner_does_not_leave(one: Owners, other: Owners) -> None:
    number = cover(one)
    one.leave()
    assert other.lives(number)


@pytest.mark.parametrize("begun", [True, False], ids=["its beginning", "its end"])
def test_of_a_transaction_that_was_undone_nothing_is_known(one: Owners, begun: bool) -> None:
    number = one.cover(1)
    if not begun:
        one.committed()
        assert one.uncover(1)
    one.begin()
    assert one.uncover(1) is not begun
    one.begin()
    one.leave()
    assert one._path(number).exists() is not begun


def test_a_mutation_may_begin_and_end_in_one_transaction(one: Owners) -> None:
    one.cover(1)
    assert one.uncover(1)
    one.committed()
    assert not one.uncover(1)


def test_an_owner_whose_file_a_stranger_has_deleted_counts_as_alive_and_takes_another_number(
    one: Owners, other: Owners
) -> None:
    first = cover(one, 1)
    one._path(first).unlink()
    assert other.lives(first)
    second = cover(one, 2)
    assert second != first
    assert other.lives(second)
    assert uncover(one, 1)
    die(one)
    assert other.lives(first)
    assert not other.lives(second)


def test_those_who_ask_at_once_whether_an_owner_lives_do_not_take_each_other_for_it(one: Owners, other: Owners) -> None:
    number = cover(one)
    die(one)
    with one._path(number).open() as asked:
        fcntl.flock(asked, fcntl.LOCK_SH)  # as another process does while it asks
        assert not other.lives(number)


def test_an_owner_whose_file_cannot_be_opened_counts_as_alive(
    one: Owners, other: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = cover(one)
    die(one)

    def fail(*_: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        assert other.lives(number)
        other.remove([number])
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", fail)
        assert other.lives(number)
    assert not other.lives(number)


def test_what_is_being_made_is_removed_or_kept_and_never_used_without_its_file(
    one: Owners, other: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_lock = _owners._try_lock
    seen: list[int] = []

    def late(fd: int, *, shared: bool = False) -> bool:
        if not seen:
            seen.append(fd)
            other.remove(other.dead())  # it is there, and not locked yet
        return try_lock(fd, shared=shared)

    monkeypatch.setattr(_owners, "_try_lock", late)
    number = cover(one)
    assert one._path(number).exists()
    assert other.lives(number)
    assert len(list(one.folder.iterdir())) == 1


def test_one_that_was_locked_meanwhile_is_not_removed(one: Owners, other: Owners) -> None:
    number = cover(one)
    other.remove([number])
    assert one._path(number).exists()


def test_what_else_lies_in_the_folder_is_left_alone(one: Owners) -> None:
    one.folder.mkdir()
    stranger = one.folder / "read me"
    stranger.touch()
    assert one.dead() == []
    one.remove(one.dead())
    assert stranger.exists()


def test_where_there_can_be_no_folder_there_is_no_owner(one: Owners) -> None:
    Path(one.folder).touch()
    with pytest.raises(NotADirectoryError):
        one.cover(1)


def test_where_nothing_can_be_locked_there_is_no_owner(one: Owners, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    close = os.close

    def note(fd: int) -> None:
        closed.append(fd)
        close(fd)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    one.folder.mkdir()
    monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(os, "close", note)
    with pytest.raises(OSError, match="no locks"):
        one.cover(1)
    assert len(closed) == 1


def test_a_child_that_is_forked_owns_nothing_of_its_parent(one: Owners, other: Owners) -> None:
    number = cover(one)
    inherited = Owners("elsewhere")
    inherited.__dict__.update(one.__dict__, _fd=os.dup(one._fd or 0))
    inherited.inherited()
    assert not inherited.uncover(1)
    assert other.lives(number), "to close the inherited descriptor does not end the lock"

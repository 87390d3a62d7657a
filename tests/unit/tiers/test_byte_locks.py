"""Two descriptions of one file are as strange to each other as two processes are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cache.tiers import _byte_locks as locks

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

AT, OTHER = 7, 9


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[int, int]]:
    path = tmp_path / "locked"
    path.touch()
    fds = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    yield fds
    for fd in fds:
        os.close(fd)


def test_many_share_a_byte_and_all_others_see_it(two: tuple[int, int]) -> None:
    one, other = two
    locks.share(one, AT)
    assert locks.is_locked(other, AT)
    assert not locks.is_locked(one, AT)
    assert not locks.is_locked(other, OTHER)
    locks.share(other, AT)
    assert locks.is_locked(one, AT)
    locks.free(other, AT)
    assert not locks.is_locked(one, AT)
    assert locks.is_locked(other, AT)


def test_one_question_covers_many_bytes(two: tuple[int, int]) -> None:
    one, other = two
    locks.share(one, AT)
    assert locks.is_locked(other, AT - 2, 3)
    assert not locks.is_locked(other, AT - 2, 2)
    assert not locks.is_locked(other, AT + 1, 100)


def test_who_takes_a_byte_has_it_alone(two: tuple[int, int]) -> None:
    one, other = two
    assert locks.try_take(one, AT)
    assert not locks.try_take(other, AT)
    with pytest.raises(BlockingIOError):
        locks.share(other, AT)
    locks.free(one, AT)
    locks.share(one, AT)
    assert not locks.try_take(other, AT)
    locks.free(one, AT)
    assert locks.try_take(other, AT)


def test_what_cannot_be_locked_is_no_lock_of_others(two: tuple[int, int]) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        locks.try_take(1_000_000, AT)
    locks.free(two[0], AT)  # which was never locked

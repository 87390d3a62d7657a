"""Whatever becomes of the disk, the cache in front of a backend goes on: one warning, no error, and nothing stale."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from cache._tier import Address, Moment, Record
from cache.tiers._disk import DiskBackend

Somebody = Callable[[], AbstractContextManager[None]]
ADDRESSES = [Address("s", b"%d" % number) for number in range(20)]
A = ADDRESSES[0]


def store(backend: DiskBackend, address: Address = A, value: bytes = b"v") -> int:
    moment = backend.moment_blocking()
    if moment is not None:
        backend.write(Record(address, value), moment)
    return backend.flush_blocking()


def assert_goes_on_without_a_file(backend: DiskBackend) -> None:
    assert backend.read_blocking(ADDRESSES) == [None] * 20
    assert backend.moment_blocking() is None
    assert backend.usage_blocking() is None
    backend.write(Record(A, b"v"), Moment(1, 1))
    assert backend.flush_blocking() == 0
    assert backend.invalidate([A], ["s"]) is None
    assert backend.assign(Record(A, b"v")) is None
    assert backend.metrics().hits == 0
    assert backend.metrics().unanswered >= 20


def assert_one_warning(caplog: pytest.LogCaptureFixture, reason: str) -> None:
    (message,) = caplog.messages
    assert reason in message
    assert caplog.records[0].levelno == logging.WARNING
    assert caplog.records[0].name == "cache"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[DiskBackend]:
    with closing(DiskBackend(tmp_path / "cache.db")) as backend:
        yield backend


def test_on_a_full_disk_it_goes_on_without_a_file(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(DiskBackend(small_disk / "cache.db")) as backend:
        assert store(backend) == 1
        for address in ADDRESSES:
            store(backend, address, os.urandom(50_000))
        assert_goes_on_without_a_file(backend)
        assert backend.metrics().warnings == 1
        assert backend.metrics().dropped >= 1
    assert_one_warning(caplog, "database or disk is full")
    assert not (small_disk / "cache.db").exists()


def test_a_file_that_may_not_be_written_is_left_alone(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture
) -> None:
    place.chmod(0o777)
    with closing(DiskBackend(place / "cache.db")) as first:
        assert store(first) == 1
    (place / "cache.db").chmod(0o444)
    (place / "cache.db-guard").chmod(0o666)
    with unprivileged(), closing(DiskBackend(place / "cache.db")) as backend:
        assert_goes_on_without_a_file(backend)
    assert_one_warning(caplog, "it may not be written")
    assert "It stays there, and whoever can use it does not hear of invalidations from here." in caplog.messages[0]
    assert (place / "cache.db").exists()


def test_a_folder_that_is_missing_is_no_place_for_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(DiskBackend(tmp_path / "missing" / "cache.db")) as backend:
        assert_goes_on_without_a_file(backend)
    assert_one_warning(caplog, "No such file or directory")
    assert caplog.messages[0].endswith("The cache goes on without it.")


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace_by_text(path: Path) -> None:
    path.write_text("something else " * 1_000)


@pytest.mark.parametrize("harm", [spoil, truncate, replace_by_text])
def test_a_file_that_is_no_sound_one_is_set_aside_and_an_empty_one_takes_its_place(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache.db"
    with closing(DiskBackend(path)) as first:
        for address in ADDRESSES:
            store(first, address, bytes(5_000))
    harm(path)
    with closing(DiskBackend(path)) as backend:
        found = backend.read_blocking(ADDRESSES)
        assert all(isinstance(each, Moment) for each in found)
        assert store(backend) == 1
        assert backend.read_blocking([A]) == [Record(A, b"v")]
        backend.invalidate([A])
        assert backend.read_blocking([A]) == [backend.moment_blocking()]
        assert backend.metrics().warnings == 0  # of the backend: the file has told
    assert_one_warning(caplog, "It was set aside as")
    assert (tmp_path / "cache.db.set-aside-1").exists()


def test_a_file_that_is_taken_away_is_followed_by_an_empty_one_and_moments_of_the_old_prove_nothing(
    backend: DiskBackend, tmp_path: Path
) -> None:
    assert store(backend) == 1
    before = backend.moment_blocking()
    assert before is not None
    for part in ("", "-wal", "-shm"):
        (tmp_path / f"cache.db{part}").unlink()
    backend.write(Record(A, b"old"), before)
    assert backend.flush_blocking() == 0
    assert store(backend) == 1


def test_a_folder_that_is_removed_is_the_end_of_the_file_and_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with closing(DiskBackend(folder / "cache.db")) as backend:
        assert store(backend) == 1
        shutil.rmtree(folder)
        assert_goes_on_without_a_file(backend)


def test_one_that_has_given_its_file_up_may_be_closed_and_still_invalidates_without_an_error(tmp_path: Path) -> None:
    backend = DiskBackend(tmp_path / "missing" / "cache.db")
    assert backend.moment_blocking() is None
    assert backend.close()
    assert backend.invalidate([A]) is None
    assert backend.close()

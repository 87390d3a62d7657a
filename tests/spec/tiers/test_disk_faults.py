"""Whatever becomes of the disk, the cache in front of a backend goes on: one warning, no error, and nothing stale."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path

import pytest

from cache import AsyncCache, FileBusy, FileClosed
from cache._tier import Address, Covering, Moment, Record
from cache.tiers._disk import DiskBackend
from tests.unit.tiers.files import let_go

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


administrator = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only the administrator may become somebody else"
)


def of_somebody_else(place: Path, *, folder: int) -> Path:
    """A file with a value in it, which only its owner may use, in a folder with these permissions."""
    path = place / "cache.db"
    with closing(DiskBackend(path)) as first:
        assert store(first) == 1
    path.chmod(0o444)
    place.chmod(folder)
    return path


def held(path: Path) -> list[bytes | None]:
    """What a later process is served."""
    with closing(DiskBackend(path)) as later:
        return [each.value if isinstance(each, Record) else None for each in later.read_blocking([A])]


def test_a_file_that_cannot_be_opened_is_left_alone_by_who_only_reads(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture
) -> None:
    path = of_somebody_else(place, folder=0o777)
    with unprivileged(), closing(DiskBackend(path)) as backend:
        assert backend.read_blocking([A]) == [None]
        assert backend.moment_blocking() is None
    assert_one_warning(caplog, "unable to open database file")
    assert held(path) == [b"v"]


@pytest.mark.parametrize("guard", [0o666, 0o600], ids=["with the guard", "without the guard"])
@pytest.mark.parametrize("what", ["invalidate", "assign", "begin", "end"])
def test_a_file_that_cannot_be_opened_is_set_aside_by_who_changes_something(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture, what: str, guard: int
) -> None:
    path = of_somebody_else(place, folder=0o777)
    Path(f"{path}-guard").chmod(guard)
    with unprivileged(), closing(DiskBackend(path)) as backend:
        assert backend.read_blocking([A]) == [None]
        assert change(backend, what) is None
        assert not path.exists()
        assert change(backend, what) is None
        assert_goes_on_without_a_file(backend)
    assert len(caplog.messages) == 2
    assert caplog.messages[1].endswith(f"The cache goes on without it. It was set aside as {path}.set-aside-1.")
    assert held(path) == [None]


@administrator
@pytest.mark.parametrize("what", ["invalidate", "assign", "begin", "end"])
def test_where_it_cannot_be_set_aside_either_nothing_may_change(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    path = of_somebody_else(place, folder=0o755)
    with unprivileged(), closing(DiskBackend(path)) as backend:
        for _ in range(3):
            with pytest.raises(FileClosed, match=r"can neither be told of a change nor be set aside .* or delete it"):
                change(backend, what)
        assert backend.close()
        with pytest.raises(FileClosed, match=r"can neither be told of a change nor be set aside .* or delete it"):
            change(backend, what)
    assert_one_warning(caplog, "It could not be set aside")
    assert held(path) == [b"v"]


@administrator
async def test_a_mutation_that_such_a_file_would_outlive_does_not_run_until_it_is_deleted(
    place: Path, unprivileged: Somebody
) -> None:
    path = of_somebody_else(place, folder=0o755)
    with unprivileged(), closing(DiskBackend(path)) as backend:
        cache = AsyncCache(name="texts", backup=backend)
        with pytest.raises(FileClosed):
            async with cache.mutating("a"):
                pytest.fail("the body runs")
        with pytest.raises(FileClosed):
            await cache.delete("a")
        os.seteuid(0)
        path.unlink()
        os.seteuid(65534)
        async with cache.mutating("a"):
            pass
        await cache.delete("a")


@administrator
def test_what_changes_is_told_to_a_file_that_can_be_opened_again(place: Path, unprivileged: Somebody) -> None:
    path = of_somebody_else(place, folder=0o755)
    with closing(DiskBackend(path)) as backend:
        with unprivileged():
            assert backend.read_blocking([A]) == [None]
        path.chmod(0o600)
        assert backend.invalidate([ADDRESSES[1]]) is None
        assert held(path) == [b"v"]
        assert change(backend, "begin") is None
        assert held(path) == [None]
        with closing(DiskBackend(path)) as other:
            assert store(other) == 0
            assert change(backend, "end") is None
            assert store(other) == 1
        assert backend.read_blocking([A]) == [None]


def test_what_changes_is_told_to_a_file_that_others_have_made_in_place_of_one_that_was_set_aside(
    small_disk: Path,
) -> None:
    path = small_disk / "cache.db"
    with closing(DiskBackend(path)) as backend, closing(DiskBackend(path)) as other:
        for address in ADDRESSES:
            store(backend, address, os.urandom(50_000))
        assert_goes_on_without_a_file(backend)
        for aside in small_disk.glob("*.set-aside-*"):
            aside.unlink()
        assert store(other) == 1
        assert backend.invalidate([A]) is None
        assert other.read_blocking([A]) == [other.moment_blocking()]


def test_a_disk_that_is_full_before_the_file_is_opened_keeps_nothing_that_has_changed(small_disk: Path) -> None:
    path = small_disk / "cache.db"
    with closing(DiskBackend(path)) as first:
        assert store(first) == 1
    with suppress(OSError), (small_disk / "other").open("wb", buffering=0) as other:
        while other.write(bytes(512)):
            pass
    with closing(DiskBackend(path)) as backend:
        backend.read_blocking([A])
        assert change(backend, "begin") is None
        assert change(backend, "end") is None
    (small_disk / "other").unlink()
    assert held(path) == [None]


@administrator
def test_a_file_in_which_the_administrator_has_mutated_is_mutated_by_its_owner_as_before(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture
) -> None:
    path, owners = place / "cache.db", place / "cache.db-owners"
    place.chmod(0o777)
    with unprivileged(), closing(DiskBackend(path)) as first:
        assert store(first) == 1
    with closing(DiskBackend(path)) as administrators:
        assert change(administrators, "begin") is None
        for made in (owners, *owners.iterdir()):
            assert made.stat().st_uid == path.stat().st_uid != 0
        assert change(administrators, "end") is None
    with unprivileged(), closing(DiskBackend(path)) as backend:
        assert change(backend, "begin") is None
        assert change(backend, "end") is None
        assert store(backend) == 1
    assert caplog.messages == []


@administrator
def test_a_mutation_in_which_the_administrator_has_died_is_discovered_by_the_owner_of_the_file(
    place: Path, unprivileged: Somebody
) -> None:
    path = place / "cache.db"
    place.chmod(0o777)
    with unprivileged(), closing(DiskBackend(path)) as first:
        assert store(first) == 1
    with closing(DiskBackend(path)) as dying:
        assert change(dying, "begin") is None
        with unprivileged(), closing(DiskBackend(path)) as backend:
            assert store(backend) == 0
        let_go(dying._thread._worker.file)
        with unprivileged(), closing(DiskBackend(path)) as backend:
            assert store(backend) == 1


@administrator
def test_a_folder_of_owners_that_belongs_to_somebody_else_fails_mutations_and_nothing_more(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture
) -> None:
    path, owners = place / "cache.db", place / "cache.db-owners"
    place.chmod(0o777)
    owners.mkdir(0o700)
    with unprivileged(), closing(DiskBackend(path)) as backend:
        assert store(backend) == 1
        with pytest.raises(FileBusy, match=r"Permission denied.* let its user own that folder, or delete it"):
            change(backend, "begin")
        assert change(backend, "invalidate") is None
        assert store(backend) == 1
        owners.rmdir()
        assert change(backend, "begin") is None
        assert change(backend, "end") is None
    assert caplog.messages == []


def change(backend: DiskBackend, what: str) -> object:
    """One of the ways in which the value changes."""
    covering = Covering((A,), (), 1)
    match what:
        case "invalidate":
            return backend.invalidate([A])
        case "assign":
            return backend.assign(Record(A, b"w"))
        case "begin":
            return backend.begin(covering)
        case _:
            return backend.end(covering)


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

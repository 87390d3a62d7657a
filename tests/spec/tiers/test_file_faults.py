"""What becomes of a file when the disk is full, when it may not be written, and when somebody has been at it."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cache._tier import Address, Record
from cache.tiers._file_errors import FileClosed
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Call, Failed, SqliteFile

LONG = 120.0  # seconds after which a test that hangs fails
ADDRESSES = [Address("s", b"%d" % number) for number in range(40)]
Somebody = Callable[[], AbstractContextManager[None]]
USAGE: Call = (Entries.usage, (), {})


def write(address: Address, value: bytes = b"v") -> Call:
    return (Entries.assign, (Record(address, value),), {})


def ask(file: SqliteFile, call: Call) -> object:
    (result,) = file.run([call])
    return result


def assert_given_up(file: SqliteFile, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    result = ask(file, USAGE)
    assert isinstance(result, Failed)
    assert isinstance(result.error, FileClosed)
    assert file.closed is not None
    assert reason in file.closed
    (message,) = caplog.messages
    assert message.startswith(f"{file.path}: ")
    assert reason in message
    assert "The cache goes on without it." in message


def test_a_disk_that_becomes_full_is_the_end_of_the_file(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = SqliteFile(small_disk / "cache.db")
    assert ask(file, write(ADDRESSES[0])) is True
    while not isinstance(ask(file, write(ADDRESSES[1], bytes(50_000))), Failed):
        ask(file, write(ADDRESSES[2], bytes(50_000)))
    assert_given_up(file, caplog, "database or disk is full")
    assert not (small_disk / "cache.db").exists()
    assert (small_disk / "cache.db.set-aside-1").exists()


def test_a_disk_that_was_full_before_is_no_place_for_a_file(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.suppress(OSError), (small_disk / "other").open("wb", buffering=0) as other:
        while other.write(bytes(4096)):
            pass
    file = SqliteFile(small_disk / "cache.db")
    assert isinstance(ask(file, USAGE), Failed)
    assert_given_up(file, caplog, "full")
    (small_disk / "other").unlink()
    later = SqliteFile(small_disk / "cache.db")
    assert ask(later, write(ADDRESSES[0])) is True
    later.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of a process")
def test_a_process_that_may_write_no_more_goes_on_without_the_file(tmp_path: Path) -> None:
    code = f"""
import logging, resource
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
from cache._tier import Address, Record
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
file = SqliteFile({str(tmp_path / "cache.db")!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for number in range(100):
    record = Record(Address("s", b"%d" % number), bytes(20_000))
    (result,) = file.run([(Entries.assign, (record,), {{}})])
print(type(result.error).__name__)
"""
    done = subprocess.run(  # noqa: S603 - the program is written here
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG, check=False
    )
    assert (done.returncode, done.stdout) == (0, "FileClosed\n")
    (warning,) = done.stderr.splitlines()
    assert warning.startswith(f"WARNING cache {tmp_path / 'cache.db'}: it cannot be used (")
    assert warning.endswith(f"The cache goes on without it. It was set aside as {tmp_path / 'cache.db'}.set-aside-1.")


def test_a_file_that_may_not_be_written_is_left_alone(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture
) -> None:
    place.chmod(0o777)
    first = SqliteFile(place / "cache.db")
    ask(first, write(ADDRESSES[0]))
    first.close()
    (place / "cache.db").chmod(0o444)
    (place / "cache.db-guard").chmod(0o666)
    before = (place / "cache.db").read_bytes()
    file = SqliteFile(place / "cache.db")
    with unprivileged():
        assert isinstance(ask(file, USAGE), Failed)
    assert_given_up(file, caplog, "it may not be written")
    assert (place / "cache.db").read_bytes() == before


def test_a_file_that_may_not_even_be_read_is_left_alone(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture
) -> None:
    place.chmod(0o777)
    first = SqliteFile(place / "cache.db")
    ask(first, write(ADDRESSES[0]))
    first.close()
    (place / "cache.db").chmod(0)
    (place / "cache.db-guard").chmod(0o666)
    file = SqliteFile(place / "cache.db")
    with unprivileged():
        assert isinstance(ask(file, USAGE), Failed)
    assert_given_up(file, caplog, "unable to open database file")


def test_a_folder_that_may_not_be_written_is_no_place_for_a_file(
    place: Path, unprivileged: Somebody, caplog: pytest.LogCaptureFixture
) -> None:
    place.chmod(0o555)
    file = SqliteFile(place / "cache.db")
    with unprivileged():
        assert isinstance(ask(file, USAGE), Failed)
    assert_given_up(file, caplog, "Permission denied")


def test_a_folder_that_is_gone_is_the_end_of_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = SqliteFile(folder / "cache.db")
    ask(file, write(ADDRESSES[0]))
    shutil.rmtree(folder)
    result = ask(file, write(ADDRESSES[0]))
    assert isinstance(result, Failed)
    assert file.closed is not None
    assert caplog.messages[0].endswith("it was deleted or replaced. The cache goes on with an empty one.")
    assert caplog.messages[1].endswith("The cache goes on without it.")


@pytest.mark.parametrize("how", ["bytes", "pages", "end", "log"])
def test_whatever_a_disk_has_done_to_a_file_no_value_is_served_that_was_not_written(
    tmp_path: Path, how: str, deep: bool
) -> None:
    values = {address: b"%b " % address.key * 300 for address in ADDRESSES}
    path = tmp_path / "cache.db"
    file = SqliteFile(path)
    file.run([write(address, value) for address, value in values.items()])
    ask(file, (Entries.flush, (), {}))
    file.run([write(address, value) for address, value in values.items()])
    sound = {part: Path(f"{path}{part}").read_bytes() for part in ("", "-wal")}
    file.close()
    outcomes = set()
    for seed in range(300 if deep else 40):
        chance = random.Random(seed)
        where = tmp_path / f"{how}-{seed}"
        where.mkdir()
        damaged = bytearray(sound["-wal" if how == "log" else ""])
        if how == "end":
            del damaged[chance.randrange(1, len(damaged)) :]
        for _ in range(chance.choice((1, 5, 50)) if how in ("bytes", "log") else 0):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if how == "pages":
            page = chance.randrange(len(damaged) // 4096) * 4096
            damaged[page : page + 4096] = chance.choice((bytes(4096), chance.randbytes(4096)))
        (where / "cache.db").write_bytes(sound[""] if how == "log" else damaged)
        if how == "log":
            (where / "cache.db-wal").write_bytes(damaged)
        file = SqliteFile(where / "cache.db")
        for _ in range(2):
            (found,) = file.run([(Entries.read, (ADDRESSES,), {})])
            assert not isinstance(found, Failed), f"seed {seed}: {found}"
            for address, each in zip(ADDRESSES, found, strict=True):
                assert not isinstance(each, Record) or each == Record(address, values[address]), f"seed {seed}"
        for operation in (Entries.sweep, Entries.scan, Entries.check, Entries.usage):
            assert not isinstance(ask(file, (operation, (), {})), Failed), f"seed {seed}: {operation}"
        assert ask(file, write(ADDRESSES[0], b"new")) is True
        outcomes.add((where / "cache.db.set-aside-1").exists())
        file.close()
    assert True in outcomes or how == "log"  # a log of which something is missing ends before that

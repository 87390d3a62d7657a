"""Several processes share a file, and some of them die in the middle of it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cache._tier import Address, Record
from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import Failed, SqliteFile
from tests.spec.tiers import worker

LONG = 120.0  # seconds after which a test that hangs fails
TOP = Path(__file__).resolve().parents[3]


@contextmanager
def working(path: Path, space: str, seed: int, limit: int = 100_000) -> Iterator[subprocess.Popen[str]]:
    """A process that works on the file, to be begun by a line and killed at the end."""
    command = [sys.executable, worker.__file__, str(path), space, str(seed), str(limit)]
    with subprocess.Popen(  # noqa: S603 - the command is written here
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def held(file: SqliteFile, space: str) -> dict[bytes, bytes]:
    addresses = [Address(space, b"%d" % number) for number in range(worker.KEYS)]
    (found,) = file.run([(Entries.read, (addresses,), {})])
    return {each.address.key: each.value for each in found if isinstance(each, Record)}


def assert_sound(file: SqliteFile) -> None:
    (result,) = file.run([(Entries.check, (), {})])
    assert result is None
    (usage,) = file.run([(Entries.usage, (), {})])
    assert (
        usage[:2]
        == file._opened.connection.execute(  # type: ignore[union-attr]  # it is open
            "SELECT count(*), ifnull(sum(size), 0) FROM entries"
        ).fetchone()
    )


def aside(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir() if "set-aside" in other.name)


def test_what_was_answered_for_survives_a_process_that_is_killed(tmp_path: Path, deep: bool) -> None:
    seed = random.randrange(2**32) if deep else 20_261
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    chance = random.Random(seed)
    path = tmp_path / "cache.db"
    for round_ in range(60 if deep else 10):
        spaces = [f"{round_}-{number}" for number in range(2)]
        seeds = [chance.randrange(2**32) for _ in spaces]
        done = [0, 0]
        with ExitStack() as stack:
            processes = [stack.enter_context(working(path, *each)) for each in zip(spaces, seeds, strict=True)]
            for process in processes:
                assert line(process).startswith("ready")
            for process in processes:
                begin(process)
            for number in range(2):  # the second goes on, and is killed wherever it is by then
                for _ in range(chance.randrange(1, 150)):
                    done[number] = int(line(processes[number]))
                processes[number].kill()
            for number, process in enumerate(processes):
                assert process.stdout is not None
                done[number] += len(
                    [whole for whole in process.stdout.read().splitlines(keepends=True) if "\n" in whole]
                )
        file = SqliteFile(path)
        for space, its_seed, count in zip(spaces, seeds, done, strict=True):
            # The one that was under way when it died was done or was not.
            possible = [worker.foretell(space, its_seed, count + more) for more in (0, 1)]
            assert held(file, space) in possible, f"seed {seed}, round {round_}, after {count}"
        assert_sound(file)
        file.close()
    assert aside(path) == []


def test_processes_that_work_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    spaces = ["one", "two", "three"]
    with ExitStack() as stack:
        processes = [stack.enter_context(working(path, space, 7, 120)) for space in spaces]
        assert len({line(process) for process in processes}) == 1  # of one file, that they have created at once
        for process in processes:
            begin(process)
        for process in processes:
            process.communicate(timeout=LONG)
            assert process.returncode == 0
    file = SqliteFile(path)
    for space in spaces:
        assert held(file, space) == worker.foretell(space, 7, 120)
    assert_sound(file)
    file.close()
    assert aside(path) == []


def test_of_processes_that_find_a_foreign_file_at_once_one_sets_it_aside(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    path.write_text("something else " * 100)
    with ExitStack() as stack:
        processes = [stack.enter_context(working(path, "s", 7, 1)) for _ in range(4)]
        assert len({line(process) for process in processes}) == 1
    assert aside(path) == ["cache.db.set-aside-1"]


def test_a_value_loaded_before_a_deletion_by_another_process_is_not_written_after_it(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    file = SqliteFile(path)
    (moment,) = file.run([(Entries.moment, (), {})])
    deleted = next(
        (number, what) for number, (operation, what) in enumerate(worker.plan("s", 7)) if operation == "delete"
    )
    with working(path, "s", 7, deleted[0] + 1) as process:
        line(process)
        begin(process)
        process.communicate(timeout=LONG)
    stale = Record(deleted[1], b"stale")  # type: ignore[arg-type]  # the address that was deleted
    (refused,) = file.run([(Entries.write, ([(stale, moment, False)],), {})])
    assert refused == [False]
    file.close()


FORK = """
import os, sys, threading
from cache.tiers import _file_thread
from cache.tiers._file_thread import FileThread
from cache._tier import Address, Record
from cache.tiers._sqlite_entries import Entries
from cache.tiers._file_errors import FileClosed
from cache.tiers._sqlite_file import SqliteFile
path = sys.argv[1]
thread = FileThread(SqliteFile(path))

def write(key):
    return thread.call(Entries.assign, Record(Address("s", key), b"v"))

def there(key):
    return isinstance(thread.call(Entries.read, [Address("s", key)])[0], Record)

def locks():
    # By the kernel: SQLite holds none of its parent's.
    return sum(1 for line in open("/proc/locks") if f" {os.getpid()} " in line)
"""

AFTER_FORK = """
assert write(b"parent")
children = []
for number in range(3):
    child = os.fork()
    if not child:
        assert thread._worker.thread is None and thread._worker.file._opened is None
        assert there(b"parent") and write(b"child %d" % number)
        assert locks() >= 1, "the child holds no lock of its own"
        if number:
            os._exit(0)  # at once, without closing
        sys.exit(0)  # by the whole end of an interpreter
    children.append(child)
    assert write(b"between %d" % number)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
assert all(there(b"child %d" % number) and there(b"between %d" % number) for number in range(3))
assert write(b"after") and locks() >= 1
assert thread.close()
print("sound")
"""

FORK_IN_USE = """
_file_thread.FORK_PATIENCE = 0.01
assert write(b"parent")
begun, let_go = threading.Event(), threading.Event()

def hold(entries):
    begun.set()
    let_go.wait()

holder = threading.Thread(target=thread.call, args=(hold,))
holder.start()
begun.wait()
child = os.fork()
if not child:
    try:
        there(b"parent")
    except FileClosed as error:
        print(error, flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
let_go.set()
holder.join()
assert there(b"parent") and write(b"after")
assert thread.close()
print("sound")
"""


def forked(path: Path, script: str) -> subprocess.CompletedProcess[str]:
    # Later versions of Python warn of every fork of a process that has threads.
    return subprocess.run(  # noqa: S603 - the program is written here
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK + script, str(path)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked for its locks as Linux tells them")
def test_parent_and_children_have_a_thread_and_a_connection_each(tmp_path: Path) -> None:
    done = forked(tmp_path / "cache.db", AFTER_FORK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "sound\n", "")
    file = SqliteFile(tmp_path / "cache.db")
    assert_sound(file)
    (usage,) = file.run([(Entries.usage, (), {})])
    assert usage.entries == 8
    file.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_forked_in_the_middle_of_a_long_operation_goes_on_without_the_file(tmp_path: Path) -> None:
    done = forked(tmp_path / "cache.db", FORK_IN_USE)
    closed, sound = done.stdout.splitlines()
    assert closed.endswith("is closed: this process was forked in the middle of a long operation of its parent")
    assert sound == "sound"
    assert done.returncode == 0
    assert "The cache goes on without it here." in done.stderr
    file = SqliteFile(tmp_path / "cache.db")
    assert_sound(file)
    assert not isinstance(file.run([(Entries.usage, (), {})])[0], Failed)
    file.close()

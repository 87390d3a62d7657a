"""Processes that share a file and no bus: one changes what another loads, and is killed before it can tell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cache.tiers._sqlite_entries import Entries
from cache.tiers._sqlite_file import SqliteFile
from tests.spec.tiers import mutating_worker
from tests.unit.tiers.files import do, rows

LONG = 120.0  # seconds after which a test that hangs fails
TOP = Path(__file__).resolve().parents[3]


class Process:
    """A worker, and what it answers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def do(self, order: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LONG)


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "source").write_text("old")
    return str(tmp_path / "cache.db")


@pytest.fixture
def begin(path: str) -> Iterator[Callable[[], Process]]:
    with ExitStack() as stack:

        def begin() -> Process:
            process = subprocess.Popen(  # noqa: S603 - the program is written here
                [sys.executable, mutating_worker.__file__, path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=TOP,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Process(process)

        yield begin


def owners(path: str) -> list[str]:
    return sorted(each.name for each in Path(f"{path}-owners").iterdir())


#: What the one that changes the text does, and then the other, which has loaded the old one meanwhile: up to where the
#: first has died at the place marked. Wherever that is, and whenever the other stores what it has.
ORDERS = {
    "stored before the commit": "A open, B load, B return old 0, A commit, A dies",
    "stored after the commit": "A open, B load, A commit, B return old 0, A dies",
    "stored after the death": "A open, B load, A commit, A dies, B return old 0",
    "stored after the death was discovered": "A open, B load, A commit, A dies, C read new, B return old 0",
    "stored after the end": "A open, B load, A commit, A end, A dies, B return old 0",
    "stored after the end of another": "A open, D open, B load, A commit, A dies, D end, B return old 0",
    "stored before the end of another": "A open, D open, B load, A commit, A dies, B return old 0, D end",
}


@pytest.mark.parametrize("orders", ORDERS.values(), ids=ORDERS.keys())
def test_what_was_loaded_before_a_commit_is_read_by_nobody_after_it_though_its_process_was_killed(
    begin: Callable[[], Process], path: str, orders: str
) -> None:
    processes: dict[str, Process] = {}
    for each in orders.split(", "):
        name, order, *answer = each.split(" ", 2)
        if name not in processes:
            processes[name] = begin()
        if order == "dies":
            processes[name].kill()
        else:
            given = " new" if order == "commit" else ""
            assert processes[name].do(order + given) == (answer or ["done"])[0], each
    last = begin()
    assert last.do("read") == "new"
    assert last.do("read") == "new"
    assert begin().do("read") == "new"
    assert rows(path, "SELECT * FROM mutations") == []


def test_what_is_loaded_after_a_death_is_stored(begin: Callable[[], Process]) -> None:
    first, second = begin(), begin()
    assert [first.do(order) for order in ("open", "commit new")] == ["done", "done"]
    first.kill()
    assert second.do("load") == "done"
    assert second.do("return") == "new 1"


def test_nothing_is_left_of_processes_that_died_in_a_mutation(begin: Callable[[], Process], path: str) -> None:
    for _ in range(5):
        process = begin()
        assert process.do("open") == "done"
        assert len(rows(path, "SELECT DISTINCT owner FROM mutations")) == len(owners(path)) == 1
        process.kill()
    assert begin().do("read") == "old"
    assert rows(path, "SELECT * FROM mutations") == []
    assert owners(path) == []


THOUSAND = """
import os, sys
from cache._tier import Address, Covering
from cache.tiers._disk import DiskBackend
for number in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        backend = DiskBackend(sys.argv[1])
        backend.begin(Covering((Address("s", b"%d" % number),), ("s",), 1 + number))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
"""

CHILD = """
import os, sys
from cache._tier import Address, Covering, Record
from cache.tiers._disk import DiskBackend
A, B = Address("s", b"a"), Address("s", b"b")

def store(backend, address):
    backend.write(Record(address, b"v"), backend.moment_blocking())
    return backend.flush_blocking()

backend = DiskBackend(sys.argv[1])
covering = Covering((A,), (), 1)
backend.begin(covering)
child = os.fork()
if not child:
    backend.end(covering)
    assert store(backend, A) == 0, "the mutation of the parent is not the child's to end"
    backend.begin(Covering((B,), (), 2))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert store(backend, A) == 0
assert store(backend, B) == 1, "the child is dead"
backend.end(covering)
assert store(backend, A) == 1
assert backend.close()
print("sound")
"""

ORPHAN = """
import os, sys
from cache._tier import Address, Covering
from cache.tiers._disk import DiskBackend
backend = DiskBackend(sys.argv[1])
backend.begin(Covering((Address("s", b"a"),), (), 1))
other = DiskBackend(sys.argv[1])
other.begin(Covering((Address("s", b"b"),), (), 2))
assert other.close()  # and it keeps its lock
ready = os.pipe()
if not os.fork():
    os.write(ready[1], b"1")
    sys.stdin.read()  # to the end of the test
    os._exit(0)
os.read(ready[0], 1)
os.kill(os.getpid(), 9)
"""


def run(program: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the program is written here
        # Later versions of Python warn of every fork of a process that has threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *args],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@needs_fork
def test_a_thousand_processes_that_die_in_a_mutation_leave_the_rows_of_one(path: str, deep: bool) -> None:
    count = 1000 if deep else 100
    done = run(THOUSAND, path, str(count))
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(path, "SELECT count(*) FROM mutations") == [(2,)]
    assert len(owners(path)) == 1


@needs_fork
def test_a_child_is_another_owner_and_the_mutations_of_its_parent_go_on(path: str) -> None:
    done = run(CHILD, path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "sound\n", "")


@needs_fork
def test_a_child_that_lives_on_does_not_keep_the_mutations_of_its_parent_alive(path: str) -> None:
    with subprocess.Popen(  # noqa: S603 - the program is written here
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", ORPHAN, path], stdin=subprocess.PIPE
    ) as process:
        process.wait(LONG)
        assert len(owners(path)) == 2
        file = SqliteFile(path)
        do(file, Entries.moment)
        file.close()
        assert rows(path, "SELECT * FROM mutations") == []
        assert owners(path) == []

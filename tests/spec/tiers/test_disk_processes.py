"""Processes work on one file through their backends, and are killed in the middle of it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cache._tier import Record
from cache.tiers._disk import DiskBackend
from cache.tiers._sqlite_entries import Entries
from tests.spec.tiers import disk_worker
from tests.spec.tiers.disk_worker import INNER, KEYS, OUTER, WORKERS, Truth, is_stale

LONG = 120.0  # seconds after which a test that hangs fails
TOP = Path(__file__).resolve().parents[3]


@contextmanager
def working(path: Path, memory: Path, number: int, seed: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, disk_worker.__file__, str(path), str(memory), str(number), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP) as process:  # noqa: S603 - written here
        try:
            yield process
        finally:
            process.kill()


def assert_fresh(path: Path, truth: Truth) -> int:
    """As a process that starts now reads the file: nothing that is known to be over; return how much there is."""
    known = [truth.known(key) for key in range(KEYS)]
    backend = DiskBackend(path)
    found = [each for each in backend.read_blocking([*INNER, *OUTER]) if isinstance(each, Record)]
    assert [each for each in found if is_stale(each.address, each, known)] == []
    backend._thread.call(Entries.check)
    assert backend.close()
    return len(found)


def test_whoever_is_killed_nobody_reads_what_was_over_when_its_invalidation_had_returned(
    tmp_path: Path, deep: bool
) -> None:
    seed = random.randrange(2**32) if deep else 20_261
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    chance = random.Random(seed)
    path, memory = tmp_path / "cache.db", tmp_path / "truth"
    truth = Truth.create(memory)
    said: Counter[str] = Counter()
    survived = 0
    for round_ in range(60 if deep else 8):
        with ExitStack() as stack:
            workers = [
                stack.enter_context(working(path, memory, number, chance.randrange(2**32))) for number in range(WORKERS)
            ]
            for worker in chance.sample(workers, WORKERS):
                assert worker.stdout is not None
                said.update(worker.stdout.readline().strip() for _ in range(chance.randrange(1, 200)))
                worker.kill()
                worker.wait(LONG)
                survived += assert_fresh(path, truth)  # while the others go on
            for worker in workers:
                assert worker.stdout is not None
                said.update(line.strip() for line in worker.stdout)
        survived += assert_fresh(path, truth)
        assert said["stale"] == 0, f"seed {seed}, round {round_}"
    assert said["hit"]
    assert said["changed"]
    assert survived
    assert [other.name for other in tmp_path.iterdir() if "set-aside" in other.name] == []


FORK = """
import os, sys
from cache._tier import Address, Record
from cache.tiers import _behind
from cache.tiers._disk import DiskBackend
_behind.DELAY = 3_600.0
backend = DiskBackend(sys.argv[1])
A, B, C = (Address("s", key) for key in (b"a", b"b", b"c"))
moment = backend.moment_blocking()
backend.write(Record(A, b"parent"), moment)
child = os.fork()
if not child:
    assert backend.read_blocking([A]) == [moment], "what waits is the parent's to write"
    backend.write(Record(B, b"child"), moment)
    assert backend.flush_blocking() == 1
    backend.invalidate([C])
    assert backend.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert backend.read_blocking([A, B]) == [Record(A, b"parent"), Record(B, b"child")]
assert backend.flush_blocking() == 1
backend.write(Record(C, b"parent"), moment)  # which the child has invalidated
assert backend.flush_blocking() == 0
assert backend.close()
print("sound")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_what_waits_to_be_written_when_a_process_is_forked_is_written_by_the_parent_alone(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - the program is written here
        # Later versions of Python warn of every fork of a process that has threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(tmp_path / "cache.db")],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "sound\n", "")


FORKED_IN_USE = """
import os, sys, threading
from cache._tier import Address, Record
from cache.tiers import _file_thread
from cache.tiers._disk import DiskBackend
from cache.tiers._file_errors import FileClosed
_file_thread.FORK_PATIENCE = 0.01
backend = DiskBackend(sys.argv[1])
A = Address("s", b"a")
backend.assign(Record(A, b"v"))
begun, let_go = threading.Event(), threading.Event()

def hold(entries):
    begun.set()
    let_go.wait()

holder = threading.Thread(target=backend._thread.call, args=(hold,))
holder.start()
begun.wait()
child = os.fork()
if not child:
    assert backend.read_blocking([A]) == [None]
    try:
        backend.invalidate([A])
    except FileClosed:
        os._exit(0)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
let_go.set()
holder.join()
assert backend.read_blocking([A]) == [Record(A, b"v")]
assert backend.close()
print("sound")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_had_to_leave_the_file_to_its_parent_cannot_invalidate_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - the program is written here
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED_IN_USE, str(tmp_path / "cache.db")],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "sound\n")


EXIT = """
import asyncio, sys
from cache._tier import Address, Record
from cache.tiers._disk import DiskBackend
A = Address("s", b"a")

async def main():
    backend = DiskBackend(sys.argv[1])
    (moment,) = await backend.read([A])
    backend.write(Record(A, b"v"), moment)
    backend.invalidate([A])
    return backend

backend = asyncio.run(main())
print("end")
"""


def test_a_program_that_ends_without_closing_ends_at_once_and_in_silence(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - the program is written here
        [sys.executable, "-X", "dev", "-W", "error", "-c", EXIT, str(tmp_path / "cache.db")],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")

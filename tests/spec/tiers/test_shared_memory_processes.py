"""Real processes share a bus, and some of them are killed, stopped or forked in the middle of it."""

from __future__ import annotations

import ast
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cache._step import step
from cache.errors import BusError
from cache.tiers._shared_memory import SharedMemoryBus
from cache.tiers._stamp_file import COUNTS
from cache.tiers._stamp_layout import FIRST_SLOT
from tests.spec.tiers import bus_worker

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

SLOT, OTHER = FIRST_SLOT + 7, FIRST_SLOT + 9
TOP = Path(__file__).resolve().parents[3]


class Worker:
    """Another process with a bus of the same name."""

    def __init__(self, folder: Path, *, source: Path = TOP / "src") -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the command is written here
            [sys.executable, "-W", "error", bus_worker.__file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        self.pid = self._process.pid

    def ready(self) -> Worker:
        assert self._line() == f"ready {self.pid}"
        return self

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def do(self, expression: str) -> Any:
        self.tell(expression)
        line = self._line()
        try:
            return ast.literal_eval(line)
        except (ValueError, SyntaxError):
            return line

    def tell(self, expression: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{expression}\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)
        if number in {signal.SIGSTOP, signal.SIGCONT}:
            # Until the kernel says that it was heard.
            os.waitpid(self.pid, os.WUNTRACED if number == signal.SIGSTOP else os.WCONTINUED)
        else:
            self._process.wait()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                continue  # what it was told last it has not read


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    with ExitStack() as ended:

        def start() -> Worker:
            worker = Worker(tmp_path)
            ended.callback(worker.end)
            return worker

        yield start


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SharedMemoryBus]:
    bus = SharedMemoryBus("shop", directory=tmp_path)
    yield bus
    bus.close()


def test_another_process_sees_an_invalidation_as_soon_as_it_is_over(
    bus: SharedMemoryBus, start: Callable[[], Worker]
) -> None:
    worker = start().ready()
    for _ in range(50):
        stamp = bus.stamp([SLOT])
        assert worker.do(f"bus.stamps[{SLOT}] == bus.stamps[0] == {stamp}") is True
        assert worker.do(f"bus.stamp([{OTHER}])") == bus.stamps[OTHER]


def test_the_mutations_of_a_process_that_is_killed_end_with_it(
    bus: SharedMemoryBus, start: Callable[[], Worker]
) -> None:
    worker = start().ready()
    worker.do(f"bus.begin([{SLOT}])")
    worker.do(f"bus.begin([{OTHER}])")
    worker.do(f"bus.end([{OTHER}], 1000.0)")
    assert bus.is_changing([SLOT])
    assert bus.is_changing([OTHER])
    worker.signal(signal.SIGKILL)
    assert not bus.is_changing([SLOT, OTHER])


def test_a_process_that_is_stopped_keeps_its_mutations(bus: SharedMemoryBus, start: Callable[[], Worker]) -> None:
    worker = start().ready()
    worker.do(f"bus.begin([{SLOT}])")
    worker.signal(signal.SIGSTOP)
    assert bus.is_changing([SLOT])
    worker.signal(signal.SIGCONT)
    assert bus.is_changing([SLOT])
    worker.do(f"bus.end([{SLOT}], 0)")
    assert not bus.is_changing([SLOT])


def test_a_process_that_starts_another_program_takes_its_locks_with_it(
    bus: SharedMemoryBus, start: Callable[[], Worker]
) -> None:
    """What it has started inherits no descriptor that would keep them."""
    worker = start().ready()
    worker.do(f"bus.begin([{SLOT}])")
    sleeper = worker.do("__import__('subprocess').Popen(['sleep', '600'], close_fds=False).pid")
    try:
        worker.signal(signal.SIGKILL)
        assert not bus.is_changing([SLOT])
    finally:
        os.kill(sleeper, signal.SIGKILL)


def test_fifty_processes_that_open_it_at_once_have_one_file_and_stamps_of_their_own(
    tmp_path: Path, start: Callable[[], Worker]
) -> None:
    workers = [start() for _ in range(50)]
    stamps = [worker.ready().do(f"[bus.stamp([{SLOT}]) for _ in range(3)]") for worker in workers]
    assert [entry.name for entry in tmp_path.iterdir()] == [f"async-cache.{os.geteuid()}.shop"]
    assert len({stamp for each in stamps for stamp in each}) == 150
    assert len({each[0] // COUNTS for each in stamps}) == 50
    assert all(worker.do("bus.stamps[0]") == stamps[-1][-1] for worker in workers)


def test_processes_killed_while_they_open_it_leave_nothing_behind(tmp_path: Path, start: Callable[[], Worker]) -> None:
    path = tmp_path / f"async-cache.{os.geteuid()}.shop"
    for _ in range(6):
        workers = [start() for _ in range(4)]
        workers[0].ready()  # the others are somewhere on their way
        for worker in workers:
            worker.signal(signal.SIGKILL)
        path.unlink()
        assert not list(tmp_path.iterdir())
    SharedMemoryBus("shop", directory=tmp_path).close()


def test_a_file_that_is_deleted_underneath_is_deleted_for_all(
    bus: SharedMemoryBus, start: Callable[[], Worker]
) -> None:
    one, two = start().ready(), start().ready()
    one.do(f"bus.begin([{SLOT}])")
    stamp = bus.stamp([OTHER])
    Path(bus.path).unlink()
    assert two.do(f"bus.is_changing([{OTHER}])") is True  # that it was deleted was just noticed
    assert bus.stamps[OTHER] != stamp
    assert two.do(f"bus.is_changing([{SLOT}])") is True  # one does not know yet
    assert two.do(f"bus.is_changing([{OTHER}])") is False
    assert one.do(f"bus.stamp([{SLOT}])") == two.do(f"bus.stamps[{SLOT}]")
    one.signal(signal.SIGKILL)
    assert two.do(f"bus.is_changing([{SLOT}])") is False
    assert bus.stamp([OTHER]) == two.do(f"bus.stamps[{OTHER}]")


def test_workers_of_another_version_are_waited_for(
    tmp_path: Path, bus: SharedMemoryBus, start: Callable[[], Worker]
) -> None:
    worker = start().ready()
    bus.close()
    with Path(bus.path).open("r+b") as file:
        file.seek(8)
        file.write(b"\7")
    with pytest.raises(BusError, match=r"another version.*stop the workers of the other version"):
        SharedMemoryBus("shop", directory=tmp_path)
    worker.signal(signal.SIGKILL)
    SharedMemoryBus("shop", directory=tmp_path).close()


def in_child(do: Callable[[], object]) -> None:
    """Do it in a forked process, which ends with it; and what fails there fails here."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            do()
            status = 0
        except BaseException:  # noqa: BLE001 - the child must end here, whatever it is
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_forked_process_has_stamps_of_its_own_and_the_same_entries(tmp_path: Path, bus: SharedMemoryBus) -> None:
    stamps, stamp = bus.stamps, bus.stamp([SLOT])

    def child() -> None:
        assert bus.stamps is stamps
        assert bus.stamps[SLOT] == stamp
        own = bus.stamp([OTHER])
        assert own // COUNTS != stamp // COUNTS
        assert not bus.is_changing([SLOT])

    in_child(child)
    assert bus.stamps[OTHER] // COUNTS != stamp // COUNTS
    assert bus.stamp([SLOT]) // COUNTS == stamp // COUNTS


def test_a_forked_process_sees_the_mutations_of_its_parent_begun_later_and_the_other_way_round(
    bus: SharedMemoryBus,
) -> None:
    down, up = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(down[0], 1)
        seen = bus.is_changing([SLOT])
        bus.begin([OTHER])
        os.write(up[1], b"y" if seen else b"n")
        os.read(down[0], 1)
        os._exit(0)
    bus.begin([SLOT])
    os.write(down[1], b"x")
    assert os.read(up[0], 1) == b"y"
    assert bus.is_changing([OTHER])
    os.write(down[1], b"x")
    os.waitpid(pid, 0)
    assert not bus.is_changing([OTHER])
    bus.end([SLOT], 0)
    for fd in (*down, *up):
        os.close(fd)


def test_the_mutations_of_a_parent_that_dies_are_not_kept_by_its_child(
    bus: SharedMemoryBus, start: Callable[[], Worker]
) -> None:
    parent = start().ready()
    parent.do(f"bus.begin([{OTHER}])")
    parent.do(f"bus.end([{OTHER}], 1000.0)")
    child = parent.do("fork()")
    try:
        parent.do(f"bus.begin([{SLOT}])")
        assert bus.is_changing([SLOT])
        assert bus.is_changing([OTHER])
        parent.signal(signal.SIGKILL)
        assert not bus.is_changing([SLOT])
        assert not bus.is_changing([OTHER])
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_mutation_that_is_open_when_a_process_is_forked_covers_its_slots_in_both(
    tmp_path: Path, bus: SharedMemoryBus
) -> None:
    other = SharedMemoryBus("shop", directory=tmp_path)
    bus.begin([SLOT])

    def child() -> None:
        assert bus.is_changing([SLOT])  # of the parent
        bus.end([SLOT], 0)

    in_child(child)
    assert other.is_changing([SLOT])
    bus.end([SLOT], 0)
    assert not other.is_changing([SLOT])
    other.close()


def test_a_child_keeps_what_it_has_open_when_its_parent_has_ended_it(tmp_path: Path, bus: SharedMemoryBus) -> None:
    other = SharedMemoryBus("shop", directory=tmp_path)
    read, write = os.pipe()
    done, tell = os.pipe()
    bus.begin([SLOT])
    pid = os.fork()
    if pid == 0:
        os.write(tell, b"x")
        os.read(read, 1)
        os._exit(0)
    os.read(done, 1)
    bus.end([SLOT], 0)
    assert other.is_changing([SLOT])
    os.write(write, b"x")
    os.waitpid(pid, 0)
    assert not other.is_changing([SLOT])
    other.close()
    for fd in (read, write, done, tell):
        os.close(fd)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_is_in_a_step_and_one_lingers_leaves_no_lock_held(bus: SharedMemoryBus) -> None:
    bus.begin([SLOT])
    bus.end([SLOT], 1_000.0)
    inside, leave = threading.Event(), threading.Event()

    def busy() -> None:
        with step:
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=busy)
    thread.start()
    assert inside.wait(60)
    threading.Timer(0.05, leave.set).start()

    def child() -> None:
        assert threading.active_count() == 1
        assert bus.is_changing([SLOT])  # of the parent, in which it lingers
        bus.begin([OTHER])
        bus.end([OTHER], 0.01)
        assert threading.active_count() == 2
        thread = bus._lingering._thread
        assert thread is not None
        thread.join(60)
        assert bus._counts == {}

    in_child(child)
    thread.join(60)
    assert bus._lingering._thread is not None


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_children_forked_without_end_leave_no_descriptors(bus: SharedMemoryBus) -> None:
    def fds() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = fds()

    def child(depth: int = 0) -> None:
        assert fds() == before
        bus.stamp([SLOT])
        if depth < 5:
            in_child(lambda: child(depth + 1))

    in_child(child)
    assert fds() == before


def test_a_file_deleted_before_a_fork_is_noticed_in_the_child(bus: SharedMemoryBus) -> None:
    Path(bus.path).unlink()
    old = bus.stamps

    def child() -> None:
        assert bus.is_changing([SLOT])
        assert bus.stamps is not old
        assert not bus.is_changing([SLOT])

    in_child(child)
    assert old[SLOT] != 0  # and so nothing of it lives in the parent
    assert bus.is_changing([SLOT])


def spawned(folder: str) -> int:
    bus = SharedMemoryBus("shop", directory=folder)
    try:
        return bus.stamp([SLOT])
    finally:
        bus.close()


def test_a_spawned_process_makes_a_bus_of_its_own(tmp_path: Path, bus: SharedMemoryBus) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        stamp = pool.apply(spawned, (str(tmp_path),))
        pool.close()
        pool.join()
    assert bus.stamps[SLOT] == stamp
    assert stamp // COUNTS != bus.stamp([SLOT]) // COUNTS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_belongs_to_another_user_is_refused(tmp_path: Path, bus: SharedMemoryBus) -> None:
    os.chown(bus.path, 12_345, -1)
    with pytest.raises(BusError, match=f"{bus.path} belongs to the user 12345.*delete it"):
        SharedMemoryBus("shop", directory=tmp_path)

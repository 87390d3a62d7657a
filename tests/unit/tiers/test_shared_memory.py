"""Two buses of one name are as strange to each other as two processes are."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from zlib import crc32

import pytest

from cache._bus import Bus
from cache._step import step
from cache.errors import BusError
from cache.testing import FakeClock
from cache.tiers import _shared_memory
from cache.tiers._shared_memory import Never, SharedMemoryBus, Unordered
from cache.tiers._stamp_layout import FIRST_SLOT, FORMAT_AT, SLOTS, STAMPS

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

SLOT, OTHER = FIRST_SLOT + 7, FIRST_SLOT + 9
MakeBus = Callable[..., SharedMemoryBus]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(100.0)
    monkeypatch.setattr(_shared_memory, "monotonic", clock)
    return clock


@pytest.fixture
def make_bus(tmp_path: Path) -> Iterator[MakeBus]:
    made: list[SharedMemoryBus] = []

    def make_bus(name: str = "shop") -> SharedMemoryBus:
        made.append(SharedMemoryBus(name, directory=tmp_path))
        return made[-1]

    yield make_bus
    for bus in made:
        bus.close()
        thread = bus._thread
        if thread is not None:
            thread.join(60)
            assert not thread.is_alive()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def join(bus: SharedMemoryBus) -> None:
    thread = bus._thread
    if thread is not None:
        thread.join(60)
        assert not thread.is_alive()


def test_an_invalidation_is_seen_at_once_by_all_others(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    bus: Bus = one  # the protocol is kept
    before = two.stamps[0], two.stamps[SLOT], two.stamps[OTHER]
    stamp = bus.stamp([SLOT])
    assert two.stamps[SLOT] == two.stamps[0] == stamp
    assert (two.stamps[0] == before[0], two.stamps[SLOT] == before[1]) == (False, False)
    assert two.stamps[OTHER] == before[2]


def test_the_slot_of_a_name_is_the_same_in_every_process(make_bus: MakeBus) -> None:
    bus = make_bus()
    assert bus.slot("shop.price", b"i7") == FIRST_SLOT + crc32(b"shop.pricei7") % SLOTS == 17728
    assert all(FIRST_SLOT <= bus.slot("\ud800", b"%d" % number) < STAMPS for number in range(1000))
    assert len({bus.slot("s", b"%d" % number) for number in range(1000)}) > 950


def test_a_mutation_covers_its_slots_for_others_until_it_ends(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    assert two.is_changing([SLOT])
    assert two.is_changing([OTHER, SLOT])
    assert not two.is_changing([OTHER])
    assert not one.is_changing([SLOT])
    one.end([SLOT], 0)
    assert not two.is_changing([SLOT])


def test_mutations_of_one_slot_are_counted(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT, SLOT])
    one.begin([SLOT])
    for _ in range(2):
        one.end([SLOT], 0)
        assert two.is_changing([SLOT])
    one.end([SLOT], 0)
    assert not two.is_changing([SLOT])
    one.end([SLOT], 0)  # once too often
    one.begin([SLOT])
    assert two.is_changing([SLOT])


def test_a_mutation_lingers_until_its_time_is_over(make_bus: MakeBus, clock: FakeClock) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    one.begin([OTHER])
    one.end([SLOT], 2.0)
    one.end([OTHER], 1.0)
    clock.advance(0.999)
    assert one._end_elapsed() is not None
    assert two.is_changing([SLOT])
    assert two.is_changing([OTHER])
    clock.advance(0.001)
    assert one._end_elapsed() == 1.0
    assert two.is_changing([SLOT])
    assert not two.is_changing([OTHER])
    clock.advance(1.0)
    one._wake.put(None)
    join(one)
    assert not two.is_changing([SLOT])


def test_one_thread_ends_all_that_lingers_and_is_gone_with_the_last(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    for _ in range(2):
        for slot in range(SLOT, SLOT + 50):
            one.begin([slot])
            one.end([slot], 0.02 if slot % 2 else 0.01)
        join(one)
        assert one._thread is None
        assert not two.is_changing(range(SLOT, SLOT + 50))


def test_what_is_to_end_sooner_is_not_kept_waiting_by_what_lingers_long(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    waits = threading.Event()

    class Waited(SimpleQueue[None]):
        def get(self, block: bool = True, timeout: float | None = None) -> None:
            waits.set()
            super().get(block, timeout)

    one._wake = Waited()
    one.begin([SLOT, OTHER])
    one.end([SLOT], 3_000.0)
    assert waits.wait(60)
    one.end([OTHER], 0.01)
    ended = threading.Event()
    release = one._file.release  # type: ignore[union-attr]  # it is open
    one._file.release = lambda slots: (release(slots), ended.set())  # type: ignore[union-attr, method-assign, func-returns-value]  # to hear of it
    assert ended.wait(60)
    del one._file.release  # type: ignore[union-attr]  # as it was
    assert not two.is_changing([OTHER])
    assert two.is_changing([SLOT])


def test_a_mutation_that_lingers_is_counted_with_the_next(make_bus: MakeBus, clock: FakeClock) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    one.end([SLOT], 1.0)
    one.begin([SLOT])
    clock.advance(1.0)
    one._end_elapsed()
    assert two.is_changing([SLOT])
    one.end([SLOT], 0)
    assert not two.is_changing([SLOT])


def test_what_has_lingered_ends_in_a_step(make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """In which nobody else changes anything, and of which a fork waits for the end."""
    one = make_bus()
    depths: list[int] = []

    def now() -> float:
        depths.append(step._depth)
        return 0.0

    monkeypatch.setattr(_shared_memory, "monotonic", now)
    one._end_elapsed()
    assert depths == [1]


def test_a_mark_says_whether_anything_of_the_slots_was_invalidated(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    mark = two.mark()
    one.stamp([OTHER])
    assert two.unchanged(mark, [SLOT])
    one.stamp([SLOT])
    assert not two.unchanged(mark, [SLOT])
    assert not two.unchanged(b"", [SLOT])


def test_a_bus_of_another_name_is_another_bus(make_bus: MakeBus) -> None:
    one, two = make_bus("one"), make_bus("two")
    one.stamp([SLOT])
    one.begin([SLOT])
    assert two.stamps[0] == 0
    assert not two.is_changing([SLOT])


@pytest.mark.parametrize("ask", ["is_changing", "begin", "mark", "stamp"])
def test_a_deleted_file_is_noticed_and_nothing_that_rests_on_it_lives(make_bus: MakeBus, ask: str) -> None:
    one, two = make_bus(), make_bus()
    old, stamp, mark = one.stamps, one.stamp([SLOT]), two.mark()
    Path(one.path).unlink()
    getattr(one, ask)(*([] if ask == "mark" else [[SLOT]]))
    assert one.stamps is not old
    assert two.stamps is not one.stamps
    assert stamp not in (old[SLOT], two.stamps[SLOT], two.stamps[0])
    assert 0 not in [old[slot] for slot in range(FIRST_SLOT, STAMPS)]
    assert not two.unchanged(mark, [SLOT])
    assert not one.unchanged(mark, [SLOT])
    two.mark()
    assert one.stamp([OTHER]) == two.stamps[OTHER]


def test_a_file_that_was_replaced_is_noticed_too(make_bus: MakeBus, tmp_path: Path) -> None:
    one = make_bus()
    two = SharedMemoryBus("other", directory=tmp_path)
    Path(two.path).replace(one.path)
    assert one.is_changing([SLOT])
    assert one.stamp([SLOT]) == two.stamps[SLOT]
    two.close()


def test_what_was_stamped_in_a_deleted_file_is_stamped_in_the_next(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    Path(one.path).unlink()
    two.mark()  # has moved
    assert one.stamp([SLOT]) == two.stamps[SLOT]


def test_a_mutation_under_way_is_seen_although_the_file_was_deleted(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    Path(one.path).unlink()
    two.mark()  # has moved, of which the other does not know yet
    assert two.is_changing([SLOT])
    assert not two.is_changing([OTHER])
    one.stamp([SLOT])  # has moved too
    assert two.is_changing([SLOT])
    one.end([SLOT], 0)
    assert not two.is_changing([SLOT])
    assert two._former == one._former == []


def test_a_mutation_that_others_know_only_of_old_ends_with_its_process(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    Path(one.path).unlink()
    two.mark()
    one.close()  # as a process that dies
    assert not two.is_changing([SLOT])
    assert two._former == []


def test_a_mutation_whose_process_cannot_move_is_seen_until_it_ends(
    make_bus: MakeBus, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    Path(one.path).unlink()
    two.mark()  # has moved

    def refuse(path: str) -> None:
        raise BusError(f"{path} cannot be used")

    monkeypatch.setattr(_shared_memory, "StampFile", refuse)
    assert one.mark() == b""
    assert two.is_changing([SLOT])
    one.end([SLOT], 0)
    assert not two.is_changing([SLOT])


@pytest.fixture
def lost(make_bus: MakeBus, clock: FakeClock, tmp_path: Path) -> SharedMemoryBus:
    """A bus in whose place a folder has come."""
    bus = make_bus()
    Path(bus.path).unlink()
    Path(bus.path).mkdir()
    bus.is_changing([SLOT])
    return bus


def test_a_bus_without_a_file_answers_with_what_is_safe(
    lost: SharedMemoryBus, caplog: pytest.LogCaptureFixture
) -> None:
    assert lost.is_changing([SLOT])
    assert lost.is_changing([])
    assert lost.mark() == b""
    assert not lost.unchanged(b"", [])
    assert lost.stamp([SLOT]) == 0
    lost.end([SLOT], 0)
    lost.end([SLOT], 1)
    first = lost.stamps[0]
    assert [first == lost.stamps[0], (first,) == (lost.stamps[0],), lost.stamps[SLOT] == 0] == [False] * 3
    assert first != lost.stamps[0]
    with pytest.raises(BusError, match=r"'shop'.*cannot be used"):
        lost.begin([SLOT])
    assert not lost._counts
    assert "unusable" in repr(lost)


def test_a_loss_is_told_once_with_its_reason(
    lost: SharedMemoryBus, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.advance(1.0)
    lost.is_changing([SLOT])
    first = [record.getMessage() for record in caplog.get_records("setup") if record.levelno >= logging.WARNING]
    (message,) = first + told(caplog)
    assert lost.path in message
    assert "Is a directory" in message


def test_a_lost_file_is_looked_for_once_a_second(lost: SharedMemoryBus, clock: FakeClock, make_bus: MakeBus) -> None:
    Path(lost.path).rmdir()
    clock.advance(0.999)
    assert lost.is_changing([SLOT])
    clock.advance(0.001)
    assert not lost.is_changing([SLOT])
    assert lost.stamp([SLOT]) == make_bus().stamps[SLOT]


def test_what_could_not_be_stamped_is_made_up_for(lost: SharedMemoryBus, clock: FakeClock, make_bus: MakeBus) -> None:
    Path(lost.path).rmdir()
    other = make_bus()
    before = other.stamps[SLOT]
    lost.stamp([SLOT])
    clock.advance(1.0)
    lost.mark()
    assert other.stamps[SLOT] != before


def test_a_mutation_begun_before_the_loss_covers_its_slots_after_it(make_bus: MakeBus, clock: FakeClock) -> None:
    bus = make_bus()
    bus.begin([SLOT])
    Path(bus.path).unlink()
    Path(bus.path).mkdir()
    assert bus.is_changing([SLOT])
    Path(bus.path).rmdir()
    other = make_bus()
    clock.advance(1.0)
    bus.mark()
    assert other.is_changing([SLOT])
    assert other.stamps[SLOT] != 0
    bus.end([SLOT], 0)
    assert not other.is_changing([SLOT])


def test_handlers_of_the_log_do_not_run_inside_a_step(
    make_bus: MakeBus, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths: list[int] = []

    class Handler(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            depths.append(step._depth)

    handler = Handler()
    logging.getLogger("cache").addHandler(handler)
    try:
        bus = make_bus()
        Path(bus.path).unlink()
        Path(bus.path).mkdir()
        with step:
            bus.is_changing([SLOT])
            assert not depths
        assert depths == [0]
    finally:
        logging.getLogger("cache").removeHandler(handler)


def test_a_kernel_without_locks_left_refuses_the_mutation(make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_bus(), make_bus()
    held: list[int] = []

    def hold(slots: list[int]) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(one._file, "hold", hold)
    with pytest.raises(BusError, match="No locks available"):
        one.begin([SLOT, OTHER])
    assert not one._counts
    monkeypatch.undo()
    assert not two.is_changing([SLOT, OTHER])
    one.begin([SLOT])
    assert two.is_changing([SLOT])
    assert not held


def test_a_closed_bus_is_as_one_without_a_file(make_bus: MakeBus, caplog: pytest.LogCaptureFixture) -> None:
    one, two = make_bus(), make_bus()
    stamps = one.stamps
    one.begin([SLOT, OTHER])
    one.end([OTHER], 1_000.0)
    thread = one._thread
    one.close()
    one.close()
    assert thread is not None
    thread.join(60)
    assert not thread.is_alive()
    assert not two.is_changing([SLOT, OTHER])
    assert one.is_changing([SLOT])
    with pytest.raises(BusError, match="it was closed"):
        one.begin([SLOT])
    one.end([SLOT], 5.0)
    assert one.stamp([SLOT]) == 0
    assert stamps[SLOT] == two.stamps[SLOT]  # the old ones stay readable
    assert "closed" in repr(one)
    assert not told(caplog)


def test_a_dropped_bus_frees_its_map_its_descriptor_its_mutations_and_its_thread(
    make_bus: MakeBus, tmp_path: Path
) -> None:
    other = make_bus()
    gc.collect()
    before = {entry.name for entry in Path("/proc/self/fd").iterdir()}
    bus = SharedMemoryBus("shop", directory=tmp_path)
    bus.begin([SLOT, OTHER])
    bus.end([OTHER], 1_000.0)
    thread, gone = bus._thread, weakref.ref(bus)
    assert thread is not None
    del bus
    thread.join(60)
    assert not thread.is_alive()
    assert gone() is None
    assert not other.is_changing([SLOT, OTHER])
    assert {entry.name for entry in Path("/proc/self/fd").iterdir()} == before
    with Path("/proc/self/maps").open() as maps:
        assert sum("async-cache" in line for line in maps) == 1


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ä", "a" * 101, "a\n"])
def test_a_name_is_one_that_a_file_may_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        SharedMemoryBus(name, directory=tmp_path)


def test_a_name_is_a_string() -> None:
    with pytest.raises(TypeError, match="name=7 is of type int"):
        SharedMemoryBus(7)  # type: ignore[arg-type]  # wrong on purpose


def test_the_file_is_in_shared_memory_under_the_user_and_the_name() -> None:
    name = f"test-{os.getpid()}"
    bus = SharedMemoryBus(name)
    try:
        assert bus.path == f"/dev/shm/async-cache.{os.geteuid()}.{name}"  # noqa: S108 - where it is
        assert Path(bus.path).exists()
        assert repr(bus) == f"<SharedMemoryBus {name!r} at {bus.path}>"
    finally:
        bus.close()
        Path(bus.path).unlink()


def test_elsewhere_than_on_linux_redis_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BusError, match=r"needs Linux, and this is darwin.*RedisBackend"):
        SharedMemoryBus("shop", directory=tmp_path)


def test_a_file_of_another_version_that_is_used_is_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    with Path(bus.path).open("r+b") as file:
        file.seek(8 * FORMAT_AT)
        file.write(b"\7")
    with pytest.raises(BusError, match=r"format 7.*stop the workers"):
        make_bus()


def test_a_processor_that_reorders_is_never_shown_the_first_stamp(
    make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shared_memory, "IN_ORDER", False)
    bus = make_bus()
    stamp = bus.stamp([SLOT])
    assert bus.stamps[0] != bus.stamps[0]
    assert bus.stamps[SLOT] == stamp
    assert len(bus.stamps) == STAMPS
    assert bus.unchanged(bus.mark(), [SLOT])


def test_a_stamp_that_is_never_equal_to_anything() -> None:
    never = Never()
    assert never not in (0, 1)
    assert [0 == never, never == 0, never == never] == [False] * 3  # noqa: PLR0124, SIM300 - that is the point
    assert never != never  # noqa: PLR0124 - that is the point
    assert len(Unordered()) == 0

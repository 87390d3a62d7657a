"""Two buses of one name are as strange to each other as two processes are."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from pathlib import Path
from zlib import crc32

import pytest

from cache._bus import Bus
from cache.errors import BusError
from cache.testing import FakeClock
from cache.tiers import _lingering
from cache.tiers._shared_memory import SharedMemoryBus
from cache.tiers._stamp_layout import FIRST_SLOT, FORMAT_AT, SLOTS, STAMPS
from tests.unit.tiers.conftest import MakeBus
from tests.unit.tiers.files import descriptors

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

SLOT, OTHER = FIRST_SLOT + 7, FIRST_SLOT + 9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(100.0)
    monkeypatch.setattr(_lingering, "monotonic", clock)
    return clock


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
    assert one._lingering.end_elapsed() is not None
    assert two.is_changing([SLOT])
    assert two.is_changing([OTHER])
    clock.advance(0.001)
    assert one._lingering.end_elapsed() == 1.0
    assert two.is_changing([SLOT])
    assert not two.is_changing([OTHER])
    clock.advance(1.0)
    assert one._lingering.end_elapsed() is None
    assert not two.is_changing([SLOT])


def test_a_mutation_that_lingers_is_counted_with_the_next(make_bus: MakeBus, clock: FakeClock) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    one.end([SLOT], 1.0)
    one.begin([SLOT])
    clock.advance(1.0)
    one._lingering.end_elapsed()
    assert two.is_changing([SLOT])
    one.end([SLOT], 0)
    assert not two.is_changing([SLOT])


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


def test_a_kernel_without_locks_left_refuses_the_mutation(make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_bus(), make_bus()
    held: list[int] = []

    def hold(slots: list[int]) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(one._used.file, "hold", hold)
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
    thread = one._lingering._thread
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
    assert not caplog.records


def test_a_dropped_bus_frees_its_map_its_descriptor_its_mutations_and_its_thread(
    make_bus: MakeBus, tmp_path: Path
) -> None:
    other = make_bus()
    gc.collect()
    before = descriptors()
    bus = SharedMemoryBus("shop", directory=tmp_path)
    bus.begin([SLOT, OTHER])
    bus.end([OTHER], 1_000.0)
    thread, gone = bus._lingering._thread, weakref.ref(bus)
    assert thread is not None
    del bus
    thread.join(60)
    assert not thread.is_alive()
    assert gone() is None
    assert not other.is_changing([SLOT, OTHER])
    assert descriptors() == before
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

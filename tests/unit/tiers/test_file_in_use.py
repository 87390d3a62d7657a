"""A bus whose file is deleted, replaced and lost, and what another bus of its name sees meanwhile."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from cache._step import step
from cache.errors import BusError
from cache.testing import FakeClock
from cache.tiers import _file_in_use
from cache.tiers._shared_memory import SharedMemoryBus
from cache.tiers._stamp_layout import FIRST_SLOT, STAMPS
from tests.unit.tiers.conftest import MakeBus

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

SLOT, OTHER = FIRST_SLOT + 7, FIRST_SLOT + 9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(100.0)
    monkeypatch.setattr(_file_in_use, "monotonic", clock)
    return clock


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


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
    assert len(two._used.former) == len(one._used.former) == 0


def test_a_mutation_that_others_know_only_of_old_ends_with_its_process(make_bus: MakeBus) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    Path(one.path).unlink()
    two.mark()
    one.close()  # as a process that dies
    assert not two.is_changing([SLOT])
    assert len(two._used.former) == 0


def test_a_mutation_whose_process_cannot_move_is_seen_until_it_ends(
    make_bus: MakeBus, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make_bus(), make_bus()
    one.begin([SLOT])
    Path(one.path).unlink()
    two.mark()  # has moved

    def refuse(path: str) -> None:
        raise BusError(f"{path} cannot be used")

    monkeypatch.setattr(_file_in_use, "StampFile", refuse)
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

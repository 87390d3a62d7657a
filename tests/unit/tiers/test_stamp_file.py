"""The file that processes map: what its stamps prove, what its locks show, and what becomes of it."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from cache.errors import BusError
from cache.tiers._stamp_file import COUNTS, NUMBERS, StampFile
from cache.tiers._stamp_layout import FIRST_SLOT, NUMBER_AT, STAMPS
from tests.unit.tiers.conftest import MakeStamps
from tests.unit.tiers.files import descriptors, write_number

if sys.platform != "linux":
    pytest.skip("it needs Linux", allow_module_level=True)

SLOT, OTHER, SAME_GROUP = FIRST_SLOT + 7, FIRST_SLOT + 9, FIRST_SLOT + 7 + 256


def test_a_stamp_reaches_its_slot_its_group_and_the_first_of_all(make_stamps: MakeStamps) -> None:
    one, two = make_stamps(), make_stamps()
    stamp = one.stamp([SLOT])
    assert [at for at, found in enumerate(two.stamps) if found] == [0, 1 + 7, SLOT]
    assert {two.stamps[at] for at in (0, 1 + 7, SLOT)} == {stamp}


def test_slots_are_stored_before_groups_and_the_first_of_all_at_last(make_stamps: MakeStamps) -> None:
    file = make_stamps()
    stored: list[int] = []

    class Recording:
        def __setitem__(self, at: int, _: int) -> None:
            stored.append(at)

    file.stamps = Recording()  # type: ignore[assignment]  # it only listens
    file.stamp([SLOT, OTHER])
    assert stored == [SLOT, OTHER, 1 + 7, 1 + 9, 0]


def test_no_stamp_is_used_twice(make_stamps: MakeStamps) -> None:
    one, two = make_stamps(), make_stamps()
    stamps = [file.stamp([SLOT]) for file in (one, two) * 20]
    assert len(set(stamps)) == len(stamps)
    assert 0 not in stamps


def test_who_has_used_up_his_stamps_takes_another_number(make_stamps: MakeStamps) -> None:
    one, two = make_stamps(), make_stamps()
    first = one.stamp([SLOT])
    one._next = one._end
    second = one.stamp([SLOT])
    assert second // COUNTS not in {first // COUNTS, two.stamp([SLOT]) // COUNTS}


def test_a_number_is_not_used_again_when_its_process_has_gone(make_stamps: MakeStamps) -> None:
    one = make_stamps()
    first = one.stamp([SLOT])
    one.close()
    assert make_stamps().stamp([SLOT]) // COUNTS > first // COUNTS


def test_a_file_whose_numbers_are_used_up_is_refused(make_stamps: MakeStamps, path: str) -> None:
    make_stamps()
    write_number(path, NUMBER_AT, NUMBERS)
    with pytest.raises(BusError, match="no number left"):
        make_stamps()


def test_everything_can_be_stamped_at_once(make_stamps: MakeStamps) -> None:
    one, two = make_stamps(), make_stamps()
    before = two.groups()
    one.stamp_all()
    assert 0 not in two.stamps[FIRST_SLOT:STAMPS].tolist()
    assert not any(two.has_groups(before, [FIRST_SLOT + group]) for group in range(256))


def test_a_mark_holds_until_its_group_is_stamped(make_stamps: MakeStamps) -> None:
    one, two = make_stamps(), make_stamps()
    mark = two.groups()
    one.stamp([SLOT])
    assert two.has_groups(mark, [OTHER])
    assert not two.has_groups(mark, [SLOT])
    assert not two.has_groups(mark, [OTHER, SAME_GROUP])
    assert two.has_groups(two.groups(), [SLOT])


def test_a_mark_of_another_file_proves_nothing(make_stamps: MakeStamps, path: str) -> None:
    mark = make_stamps().groups()
    Path(path).unlink()
    assert not make_stamps().has_groups(mark, [SLOT])


def test_what_is_held_is_seen_by_all_others_and_not_by_oneself(make_stamps: MakeStamps) -> None:
    one, two = make_stamps(), make_stamps()
    one.hold([SLOT])
    assert two.is_held([SLOT])
    assert two.is_held([OTHER, SLOT])
    assert not two.is_held([SLOT - 1, SLOT + 1])
    assert not two.is_held([])
    assert not one.is_held([SLOT])
    two.hold([SLOT])
    one.release([SLOT])
    assert one.is_held([SLOT])
    two.close()
    assert not one.is_held([SLOT])


def test_the_locks_are_not_kept_by_the_map(make_stamps: MakeStamps) -> None:
    one, two = make_stamps(), make_stamps()
    stamps = one.stamps
    one.hold([SLOT])
    one.close()
    assert not two.is_held([SLOT])
    two.stamp([SLOT])
    assert stamps[SLOT] == two.stamps[SLOT] != 0


def test_a_file_that_is_dropped_leaves_no_descriptor(path: str) -> None:
    before = descriptors()
    for _ in range(3):
        file = StampFile(path)
        file.stamp([SLOT])
        stamps = file.stamps
        del file
        assert stamps[SLOT] != 0
        del stamps
    gc.collect()
    assert descriptors() == before


def test_a_deleted_file_is_no_longer_current(make_stamps: MakeStamps, path: str) -> None:
    one = make_stamps()
    assert one.is_current()
    Path(path).unlink()
    assert not one.is_current()
    two = make_stamps()
    two.stamp([SLOT])
    assert one.stamps[SLOT] == 0


def test_a_stranger_who_closes_the_descriptor_does_no_harm(make_stamps: MakeStamps, tmp_path: Path) -> None:
    file = make_stamps()
    fd = file._fd
    os.close(fd)
    assert not file.is_current()
    taken = os.open(tmp_path, os.O_RDONLY)
    assert taken == fd  # its number is another's now
    assert not file.is_current()
    file.close()
    os.fstat(taken)
    os.close(taken)


def test_after_a_fork_a_description_and_a_number_are_ones_own(make_stamps: MakeStamps) -> None:
    """As in a child, with the parent's description still open under another number."""
    child, other = make_stamps(), make_stamps()
    first = child.stamp([SLOT])
    child.hold([SLOT])
    parent = os.dup(child._fd)
    stamps = child.stamps
    child.separate([OTHER])
    assert child.stamps is stamps
    assert child.stamp([SLOT]) // COUNTS > first // COUNTS
    assert other.is_held([SLOT])
    os.close(parent)  # the parent dies
    assert not other.is_held([SLOT])
    assert other.is_held([OTHER])
    assert other.is_shared()
    child.leave()
    assert not other.is_shared()


def test_a_deleted_file_survives_a_fork(make_stamps: MakeStamps, path: str) -> None:
    file = make_stamps()
    Path(path).unlink()
    file.separate([])
    assert not file.is_current()
    file.stamp([SLOT])


def test_a_descriptor_that_became_a_strangers_is_not_taken_over_by_a_fork(
    make_stamps: MakeStamps, tmp_path: Path
) -> None:
    file = make_stamps()
    fd = file._fd
    os.close(fd)
    other = os.open(tmp_path / "other", os.O_CREAT | os.O_RDWR)
    assert other == fd
    with pytest.raises(BusError, match="closed by others"):
        file.separate([])
    os.fstat(other)
    os.close(other)

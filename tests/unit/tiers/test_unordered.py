from __future__ import annotations

import sys

import pytest

from cache.tiers import _unordered
from cache.tiers._stamp_layout import FIRST_SLOT, STAMPS
from cache.tiers._unordered import Never, Unordered, readable
from tests.unit.tiers.conftest import MakeBus

SLOT = FIRST_SLOT + 7


def test_stamps_are_shown_as_they_are_where_stores_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = [7, 8]
    monkeypatch.setattr(_unordered, "IN_ORDER", True)
    assert readable(stamps) is stamps
    monkeypatch.setattr(_unordered, "IN_ORDER", False)
    assert readable(stamps)[1] == 8
    assert readable(stamps)[0] != 7


@pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")
def test_a_processor_that_reorders_is_never_shown_the_first_stamp(
    make_bus: MakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_unordered, "IN_ORDER", False)
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

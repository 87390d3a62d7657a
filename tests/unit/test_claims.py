"""Which cache is known by a name, on a bus or to a tier."""

from __future__ import annotations

import gc

import pytest

from cache._claims import claim, claimed
from cache._keyspace import Keyspace
from cache.testing import FakeClock


def test_two_domains_may_not_have_one_name_but_one_may_have_it_again() -> None:
    medium = object()
    first, second = Keyspace("c", FakeClock()), Keyspace("c", FakeClock())
    claim((medium, None), "c", first)  # type: ignore[arg-type]  # it is enough of a tier
    claim((medium,), "c", first)  # type: ignore[arg-type]  # the same
    with pytest.raises(ValueError, match="'c' is the name of two caches"):
        claim((medium,), "c", second)  # type: ignore[arg-type]  # the same
    assert claimed(medium, "c") is first
    del first
    gc.collect()
    claim((medium,), "c", second)  # type: ignore[arg-type]  # the same
    assert claimed(medium, "c") is second

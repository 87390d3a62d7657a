"""What a process knows of the stamps at a server, and what it tells the cache of them."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from time import monotonic

import pytest

from cache.tiers._redis._layout import Layout
from cache.tiers._redis._ledger import BEGUN, CHANGED, ENDED, HEAD, RESET, Ledger, Window

ME, OTHER = b"me......", b"other..."
MUTATION = b"mutation"


def message(kind: bytes, slots: Sequence[int], *, stamp: int = 7, sender: bytes = OTHER, left: int = 10_000) -> bytes:
    return HEAD.pack(kind, sender, MUTATION, stamp, left) + struct.pack(f"<{len(slots)}I", *slots)


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(Layout(2, 8))
    ledger.stamps.until = math.inf
    return ledger


def test_without_a_proof_no_stamp_is_equal_to_anything(ledger: Ledger) -> None:
    ledger.stamps.until = monotonic()
    assert ledger.stamps[3] != ledger.stamps[3]
    assert not ledger.stamps.are_proven
    ledger.stamps.until = math.inf
    assert ledger.stamps[3] == ledger.stamps[3] == 0
    assert len(ledger.stamps) == 16


def test_what_another_process_has_changed_has_other_numbers(ledger: Ledger) -> None:
    before = list(ledger.stamps)
    assert ledger.hear(message(CHANGED, [3, 5]), ME) is None
    assert [at for at in range(16) if ledger.stamps[at] != before[at]] == [0, 3, 5]
    assert [ledger.server[at] for at in (3, 5)] == [7, 7]
    assert ledger.has_changed([1, 3], 0)
    assert not ledger.has_changed([1, 2], 0)
    assert not ledger.has_changed([3], ledger.number)


def test_what_this_process_has_changed_is_known_to_the_cache_already(ledger: Ledger) -> None:
    ledger.stamp([3])
    ledger.send([3], 7)
    before = list(ledger.stamps)
    assert ledger.hear(message(CHANGED, [3], sender=ME), ME) == 7
    assert list(ledger.stamps) == before
    assert ledger.server[3] == 7


def test_what_this_process_has_sent_over_a_line_that_was_lost_is_news_if_it_comes_after_all(ledger: Ledger) -> None:
    ledger.send([3], 7)
    ledger.lose()
    ledger.stamps.until = math.inf
    before = list(ledger.stamps)
    assert ledger.hear(message(CHANGED, [3], sender=ME), ME) is None
    assert [at for at in range(16) if ledger.stamps[at] != before[at]] == [0, 3]


def test_what_the_server_did_not_take_is_not_in_force(ledger: Ledger) -> None:
    ledger.send([3, 4], 5)
    ledger.send([4], 6)
    ledger.unsend([3, 4], 5)
    assert ledger.current([3, 4]) == [0, 6]


def test_what_is_being_replaced_is_changing_until_it_was(ledger: Ledger) -> None:
    number = ledger.replace([3])
    assert ledger.is_changing([2, 3])
    assert ledger.is_replacing([2, 3])
    assert not ledger.is_covered([3])
    assert not ledger.is_changing([2])
    del ledger.replacing[number]
    assert not ledger.is_changing([3])


def test_a_mutation_elsewhere_covers_its_slots_until_it_ends(ledger: Ledger) -> None:
    ledger.hear(message(BEGUN, [3]), ME)
    assert ledger.is_changing([2, 3])
    assert not ledger.is_changing([2])
    ledger.hear(message(ENDED, [3], stamp=8), ME)
    assert not ledger.is_changing([3])
    assert ledger.server[3] == 8


def test_a_mutation_elsewhere_lapses_when_nothing_more_is_heard_of_it(ledger: Ledger) -> None:
    ledger.hear(message(BEGUN, [3], left=0), ME)
    assert not ledger.is_changing([3])
    ledger.sweep()
    assert not ledger.windows


def test_the_window_is_there_before_the_stamps_that_tell_of_it(ledger: Ledger) -> None:
    seen: list[bool] = []

    class Watched(array):  # type: ignore[type-arg]  # an array of whatever
        def __setitem__(self, at: object, value: object) -> None:
            seen.append(ledger.is_changing([3]))
            super().__setitem__(at, value)  # type: ignore[call-overload]  # as it was called

    ledger.server = Watched("Q", ledger.server)
    ledger.stamps.numbers = Watched("Q", ledger.stamps.numbers)
    ledger.hear(message(BEGUN, [3]), ME)
    ledger.hear(message(ENDED, [3]), ME)
    assert seen
    assert all(seen)


def test_what_is_sent_is_in_force_for_what_is_sent_after_it(ledger: Ledger) -> None:
    ledger.send([3], 5)
    ledger.send([3, 4], 6)
    assert ledger.current([2, 3, 4]) == [0, 6, 6]
    # Of another process, and before both: whoever hears of it would else take it for the last.
    ledger.hear(message(CHANGED, [3], stamp=9), ME)
    ledger.hear(message(CHANGED, [3], stamp=5, sender=ME), ME)
    assert ledger.current([3]) == [6]
    ledger.hear(message(CHANGED, [3, 4], stamp=6, sender=ME), ME)
    assert not ledger.sent
    assert ledger.current([2, 3, 4]) == [0, 6, 6]
    ledger.hear(message(CHANGED, [3], stamp=10), ME)
    assert ledger.current([3]) == [10]


def test_new_stamps_of_a_bucket_change_all_in_it_and_nothing_else(ledger: Ledger) -> None:
    before = list(ledger.stamps)
    ledger.hear(RESET + struct.pack("<Q", 9), ME, 1)
    assert [at for at in range(16) if ledger.stamps[at] != before[at]] == [0, *range(8, 16)]
    assert list(ledger.server) == [0] * 8 + [9] * 8


def test_after_a_gap_what_has_not_changed_lives_on(ledger: Ledger) -> None:
    ledger.take(0, struct.pack("<8Q", 9, 9, 9, 9, 9, 9, 9, 9), [])
    before = list(ledger.stamps)
    ledger.take(0, struct.pack("<8Q", 9, 9, 9, 1, 9, 9, 9, 9), [(MUTATION + struct.pack("<I", 3), 5000.0)])
    assert [at for at in range(16) if ledger.stamps[at] != before[at]] == [0, 3]
    assert ledger.is_changing([3])
    assert ledger.has_changed([3], ledger.number - 1)


def test_its_own_mutations_are_those_of_nobody_else(ledger: Ledger) -> None:
    ledger.own[MUTATION] = Window(frozenset([3]), math.inf)
    ledger.take(0, bytes(64), [(MUTATION + struct.pack("<I", 3), 5000.0)])
    assert not ledger.is_changing([3])
    assert ledger.is_covered([3])


@pytest.mark.parametrize("other", [b"", b"C", b"Cshort", message(CHANGED, [10**6]), message(CHANGED, [3]) + b"x"])
def test_what_is_no_message_is_refused(ledger: Ledger, other: bytes) -> None:
    with pytest.raises((struct.error, IndexError, ValueError)):
        ledger.hear(other, ME)


def test_stamps_of_another_length_are_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="7 stamps, and not 8"):
        ledger.take(0, bytes(56), [])

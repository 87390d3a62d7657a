"""For how long a heartbeat that has come back proves that nothing was missed."""

from __future__ import annotations

import struct

import pytest

from cache.tiers._redis import _proof
from cache.tiers._redis._layout import Layout
from cache.tiers._redis._ledger import Ledger
from cache.tiers._redis._line import LineLost
from cache.tiers._redis._proof import Proof

CHANNEL, OTHER = b"h", b"i"
BASE = struct.pack("<Q", 0)


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_proof, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Layout(2, 4))


@pytest.fixture
def proof(ledger: Ledger) -> Proof:
    return Proof(ledger, 1.0)


async def test_it_counts_from_when_the_heartbeat_was_sent_and_not_from_when_it_came(
    clock: Clock, ledger: Ledger, proof: Proof
) -> None:
    number, future = proof.begin({CHANNEL: 0})
    clock.now += 0.75
    assert proof.hear(CHANNEL, number + BASE)
    assert ledger.stamps.until == 101.0
    assert future.done()


async def test_an_older_heartbeat_that_comes_later_takes_nothing_away(
    clock: Clock, ledger: Ledger, proof: Proof
) -> None:
    older, _ = proof.begin({CHANNEL: 0})
    clock.now += 0.5
    newer, _ = proof.begin({CHANNEL: 0})
    proof.hear(CHANNEL, newer + BASE)
    proof.hear(CHANNEL, older + BASE)
    assert ledger.stamps.until == 101.5


async def test_it_holds_when_the_heartbeat_has_come_back_from_all_servers(
    clock: Clock, ledger: Ledger, proof: Proof
) -> None:
    number, future = proof.begin({CHANNEL: 0, OTHER: 1})
    for _ in range(2):
        proof.hear(CHANNEL, number + BASE)
        assert not future.done()
    assert ledger.stamps.until < clock.now
    proof.hear(OTHER, number + BASE)
    assert ledger.stamps.until == 101.0


async def test_one_of_before_a_loss_proves_nothing(ledger: Ledger, proof: Proof) -> None:
    number, future = proof.begin({CHANNEL: 0})
    proof.lose(LineLost("by the test"))
    assert proof.hear(CHANNEL, number + BASE)
    assert ledger.stamps.until < 0
    with pytest.raises(LineLost):
        await future

"""How a line comes up, in whichever order its two connections bring what the server has said."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cache.tiers._redis import _lines
from cache.tiers._redis._layout import Layout
from cache.tiers._redis._ledger import CHANGED, HEAD, INCARNATED, RESET, Ledger
from cache.tiers._redis._line import LineLost
from cache.tiers._redis._link import Link
from cache.tiers._redis._scripts import INCARNATION, SYNC, Script
from cache.tiers._redis._tally import Tally

ME = b"me......"
BASE = 9
INCARNATION_ID = b"0123456789abcdef"


def changed(slot: int, stamp: int) -> bytes:
    return HEAD.pack(CHANGED, b"other...", bytes(8), stamp, 0) + struct.pack("<I", slot)


class Server:
    """Answers as the test says: what is told before the stamps are, which those are, and what comes after them."""

    def __init__(self) -> None:
        self.before: list[bytes] = []
        self.stamps = [BASE] * 8
        self.base = BASE
        self.channel = b""
        self.lost: Callable[[Exception], None]

    def line(self, _: object, hear: Callable[[bytes, bytes], None], lost: Any, __: object) -> Any:
        server = self

        class Line:
            is_of_cluster = False

            async def open(self) -> None:
                """It is."""

            async def subscribe(self, channels: Sequence[bytes], _: str) -> None:
                server.channel = channels[0]

            async def call(self, script: Script, _: Sequence[bytes], arguments: Sequence[Any]) -> Any:
                if script is SYNC:
                    for message in server.before:
                        hear(server.channel, message)
                    return [struct.pack("<8Q", *server.stamps), [], 0]
                if script is INCARNATION:
                    return INCARNATION_ID
                hear(arguments[6], arguments[7] + struct.pack("<Q", server.base))
                return 1

            def give_up(self, error: Exception) -> None:
                lost(self, error)

            def is_stuck(self, _: float) -> bool:
                return False

        line = Line()
        self.lost = line.give_up
        return line


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(_lines, "Line", server.line)
    return server


class Servers:
    name = "there"
    is_cluster = False

    async def find(self, tags: Sequence[bytes]) -> list[tuple[Callable[[], Any], list[int]]]:
        return [(object, list(range(len(tags))))]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Layout(1, 8))


@pytest.fixture
def link(ledger: Ledger) -> Link:
    return Link(ledger, Servers(), prefix="p", me=ME, max_staleness=3600.0, keep=60.0, tally=Tally())


async def test_it_is_proven_when_all_stamps_are_known_and_a_heartbeat_has_come_back(
    server: Server, ledger: Ledger, link: Link
) -> None:
    assert not link.is_proven
    await link._come_up()
    assert link.is_proven
    assert list(ledger.server) == [BASE] * 8


async def test_what_is_told_before_the_stamps_come_but_has_changed_after_them_counts(
    server: Server, ledger: Ledger, link: Link
) -> None:
    server.before = [changed(3, 7)]
    await link._come_up()
    assert ledger.server[3] == 7


async def test_what_is_told_before_the_stamps_come_and_is_in_them_changes_nothing_in_the_end(
    server: Server, ledger: Ledger, link: Link
) -> None:
    server.before = [changed(3, 6), changed(3, 7)]
    server.stamps[3] = 7
    await link._come_up()
    assert ledger.server[3] == 7


async def test_a_line_that_is_lost_proves_nothing_from_then_on(server: Server, ledger: Ledger, link: Link) -> None:
    lost: list[Exception] = []
    link.when_lost.append(lost.append)
    await link._come_up()
    ledger.send([3], 5)
    server.lost(LineLost("by the test"))
    assert not link.is_proven
    assert ledger.stamps[3] != ledger.stamps[3]
    assert not ledger.sent
    assert [str(error) for error in lost] == ["by the test"]


async def test_a_heartbeat_with_another_base_ends_the_line(server: Server, link: Link) -> None:
    await link._come_up()
    server.base = BASE + 1
    with pytest.raises(LineLost):
        await link.beat()
    assert not link.is_proven


async def test_new_stamps_of_the_server_are_told_to_whoever_has_mutations(server: Server, link: Link) -> None:
    resets: list[bool] = []
    link.when_reset.append(lambda: resets.append(True))
    await link._come_up()
    link._hear(server.channel, RESET + struct.pack("<Q", 11))
    server.base = 11
    await link.beat()
    assert resets == [True]
    assert link.is_proven


async def test_another_incarnation_of_the_server_ends_the_line_and_its_own_does_not(server: Server, link: Link) -> None:
    await link._come_up()
    link._hear(server.channel, INCARNATED + INCARNATION_ID)
    assert link.is_proven
    link._hear(server.channel, INCARNATED + INCARNATION_ID[::-1])
    assert not link.is_proven


async def test_a_line_that_is_lost_behind_the_stamps_does_not_come_up_and_nothing_is_sent(
    server: Server, link: Link
) -> None:
    synced: list[bool] = []
    link.when_synced.append(lambda: synced.append(True))
    server.before = [INCARNATED + INCARNATION_ID[::-1]]
    with pytest.raises(LineLost):
        await link._come_up()
    assert not synced
    assert not link.is_up


async def test_a_line_that_is_lost_behind_its_first_heartbeat_does_not_come_up(
    server: Server, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = link._proof.hear

    def hear_the_last(channel: bytes, message: bytes) -> bool:
        heard = hear(channel, message)
        server.lost(LineLost("by the test"))
        return heard

    monkeypatch.setattr(link._proof, "hear", hear_the_last)
    up: list[bool] = []
    link.when_up.append(lambda: up.append(True))
    with pytest.raises(LineLost):
        await link._come_up()
    assert not up
    assert not link.is_up
    assert not link.settled.is_set()


async def test_what_makes_no_sense_is_counted_and_ends_nothing(server: Server, link: Link) -> None:
    await link._come_up()
    link._hear(server.channel, b"?")
    assert link._tally.metrics().foreign == 1
    assert link.is_proven


async def test_what_waits_for_a_connection_waits_no_longer_than_it_says(link: Link) -> None:
    assert not await link.wait(0.001)
    link.settled.set()  # there is none, and that is known
    assert not await link.wait(3600)
    await asyncio.sleep(0)

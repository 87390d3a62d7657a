"""What is heard through a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cache.tiers._redis._line import Line, LineLost
from cache.tiers._redis._tally import Tally


class Ear:
    """Tells what the test says, and then that it is over."""

    def __init__(self, told: Sequence[Any]) -> None:
        self._told = list(told)

    async def read_response(self, **_: object) -> Any:
        if not self._told:
            raise ConnectionError("by the test")
        return self._told.pop(0)


async def hear(*told: Any) -> list[tuple[bytes, bytes]]:
    """What a line has heard of this, until it came to its end."""
    heard: list[tuple[bytes, bytes]] = []
    line = Line(object, lambda channel, message: heard.append((channel, message)), lambda _, __: None, Tally())
    line._ear = Ear(told)
    try:
        await line._listen()
    except ConnectionError:
        return heard
    raise AssertionError("it has no end")


async def test_what_is_told_is_heard_in_its_order() -> None:
    assert await hear([b"message", b"c", b"1"], [b"smessage", b"d", b"2"]) == [(b"c", b"1"), (b"d", b"2")]


@pytest.mark.parametrize(
    "told", [[b"subscribe", b"c", 1], [b"sunsubscribe", b"c", 0], [b"message", b"c"], b"PONG", None], ids=repr
)
async def test_anything_but_a_message_ends_the_line_for_it_may_have_been_another_meanwhile(told: Any) -> None:
    with pytest.raises(LineLost, match="the subscription was told"):
        await hear([b"message", b"c", b"1"], told, [b"message", b"c", b"2"])

from __future__ import annotations

import pytest

from bench.contenders import CONTENDERS, OURS, Contender
from bench.ratios import POLICIES
from bench.reference import PlainS3FIFO
from bench.traces import TRACES


def test_what_is_asked_for_once_passes_through_and_what_comes_back_stays() -> None:
    cache = PlainS3FIFO(10)
    assert not cache.ask("back")
    for key in range(30):
        cache.ask(key)
    assert not cache.ask("back")  # its ghost is remembered no more
    for _ in range(2):
        assert cache.ask("back")
    for key in range(100, 130):
        cache.ask(key)
    assert cache.ask("back")


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_the_same_each_time_and_as_long_as_asked_for(name: str) -> None:
    trace = TRACES[name]
    keys = list(trace(6_000, 100))
    assert keys == list(trace(6_000, 100))
    assert 0.9 * 6_000 <= len(keys) <= 1.1 * 6_000


@pytest.mark.parametrize("name", TRACES)
async def test_each_policy_hits_as_often_as_a_plain_one(name: str) -> None:
    keys, ours, room = list(TRACES[name](6_000, 50)), CONTENDERS[OURS](), 50
    assert await POLICIES["s3fifo"](ours, keys, room) == await POLICIES["S3-FIFO by the paper"](Contender(), keys, room)

from __future__ import annotations

import asyncio
import time

from bench.contenders import CONTENDERS, OURS
from bench.growth import growth
from bench.memory import per_entry
from bench.pauses import Probe, bare_pauses, given_back, pauses
from bench.soak import soak


async def test_memory_is_counted_for_each_entry() -> None:
    assert 50 < await per_entry(CONTENDERS[OURS](), entries=300, keep="lru", exact=True) < 1_000


async def test_every_operation_is_timed_at_every_size() -> None:
    found = await growth(CONTENDERS[OURS](), sizes=[600, 1_200], rounds=1)
    assert {len(times) for times in found.values()} == {2}
    assert all(time > 0 for times in found.values() for time in times)


async def test_pauses_of_a_bare_dict_are_measured_where_it_can_do_the_same() -> None:
    ours = await pauses(CONTENDERS[OURS](), size=1_000, inserts=100)
    bare = await bare_pauses(CONTENDERS[OURS](), size=1_000, inserts=100)
    assert set(bare) < set(ours)


async def test_a_probe_sees_the_longest_turn() -> None:
    with Probe() as probe:
        await asyncio.sleep(0)
        until = time.thread_time_ns() + 5_000_000
        while time.thread_time_ns() < until:
            pass
        await asyncio.sleep(0)
    assert probe.longest >= 5_000_000


async def test_what_clear_gives_back_is_compared_with_what_was_taken() -> None:
    found = await given_back(CONTENDERS[OURS](), size=2_000)
    assert set(found) == {"full", "left"}


async def test_a_soak_notes_its_course_and_does_everything() -> None:
    course = await soak(1_600, seed=1, room=100)
    assert len(course.operations) == len(course.memory) == 200
    assert course.growth > 0
    for what in ("hits", "loads", "coalesced", "evictions", "expirations", "invalidations"):
        assert course.happened[what] > 0, what

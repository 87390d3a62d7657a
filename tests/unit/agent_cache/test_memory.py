"""The results of one session."""

from __future__ import annotations

from typing import Any

import pytest

from agent_cache._loops import Loop
from agent_cache._memory import Memory
from cache import AsyncCache


class Reader:
    """A read tool, as far as a session needs it."""

    name = "get_cart"

    def __init__(self) -> None:
        self.made: list[AsyncCache] = []
        self.retired: list[AsyncCache] = []

    def make_cache(self) -> AsyncCache:
        self.made.append(AsyncCache())
        return self.made[-1]

    def retire(self, cache: AsyncCache) -> None:
        self.retired.append(cache)


def test_each_tool_has_a_cache_of_its_own() -> None:
    memory, one, other = Memory("1"), Reader(), Reader()
    cache = memory.cache_of(one)
    assert cache is not None
    assert memory.cache_of(one) is cache
    assert memory.cache_of(other) is not cache
    assert len(one.made) == 1


def test_once_closed_there_is_none() -> None:
    memory, reader = Memory("1"), Reader()
    cache = memory.cache_of(reader)
    assert cache is not None
    cache.set("k", "v")
    memory.close()
    memory.close()
    assert reader.retired == [cache]
    assert len(cache) == 0
    assert memory.cache_of(reader) is None
    assert len(reader.made) == 1


def test_a_cache_made_while_another_thread_closes_is_none() -> None:
    memory = Memory("1")

    class Late(Reader):
        def make_cache(self) -> AsyncCache:
            memory.close()
            return super().make_cache()

    late = Late()
    assert memory.cache_of(late) is None
    assert late.retired == late.made


def test_two_threads_may_close_it_at_once() -> None:
    class TakenBetween(dict[Any, AsyncCache]):
        """Looks full, and is emptied by another thread before anything is taken out."""

        def __len__(self) -> int:
            return 1

    memory = Memory("1")
    memory._caches = TakenBetween()
    memory.close()
    assert not memory.is_open


def test_metrics_are_by_tool_and_loops_are_among_them() -> None:
    memory, one, other = Memory("1"), Reader(), Reader()
    for reader in (one, other):
        cache = memory.cache_of(reader)
        assert cache is not None
        cache.get_blocking("k", lambda: 1)
        cache.get_blocking("k", lambda: 1)
    memory.count_loop(Loop("repeat", "other_tool_in_memory", 5))
    metrics = memory.metrics()
    assert metrics["get_cart"]["hits"] == 2
    assert metrics["get_cart"]["hit_rate"] == pytest.approx(0.5)
    assert metrics["other_tool_in_memory"]["loops"] == 1

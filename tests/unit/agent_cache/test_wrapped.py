"""By what wrapped tools are known."""

from __future__ import annotations

from typing import Any

from agent_cache import AgentCache, AgentCacheInvalidator
from agent_cache._reading import Reading
from agent_cache._wrapped import READS, WRITES, reading_of
from agent_cache._writing import Writing


def tool(a: int = 0, b: int = 0) -> int:
    return a


def test_a_read_is_known_by_its_mark_and_so_is_a_write() -> None:
    read, write = AgentCache("cart")(tool), AgentCacheInvalidator("cart")(tool)
    assert isinstance(getattr(read, READS), Reading)
    assert isinstance(getattr(write, WRITES), Writing)
    assert reading_of(read) is getattr(read, READS)
    assert reading_of(write) is None
    assert reading_of(5) is None
    assert reading_of(type("Odd", (), {READS: 5})()) is None


def test_a_tool_that_is_both_has_both_marks() -> None:
    both: Any = AgentCacheInvalidator("cart")(AgentCache("cart")(tool))
    assert reading_of(both) is not None
    assert getattr(both, WRITES).reads_itself
    assert not getattr(AgentCacheInvalidator("cart")(tool), WRITES).reads_itself

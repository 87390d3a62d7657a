"""How what the tools have counted is added up."""

from __future__ import annotations

import gc
from collections import Counter

import pytest

from agent_cache import _metrics, get_metrics
from agent_cache._metrics import COUNTED, added, count_loop, enlist, summed, with_rate
from cache import AsyncCache


class Tool:
    def __init__(self, name: str, templates: tuple[str, ...], **counts: int) -> None:
        self.name = name
        self.templates = templates
        self._counts = counts

    def totals(self) -> Counter[str]:
        return Counter(self._counts)


@pytest.fixture(autouse=True)
def _own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_metrics, "_tools", type(_metrics._tools)())
    monkeypatch.setattr(_metrics, "_loops", Counter())


def listed(*tools: Tool) -> tuple[Tool, ...]:
    for tool in tools:
        enlist(tool)
    return tools


def test_without_tools_there_is_nothing() -> None:
    assert get_metrics() == {"tools": {}, "resources": {}}


def test_everything_that_a_cache_counts_is_counted() -> None:
    assert set(COUNTED) - {"bypassed"} == set(AsyncCache().get_metrics()) - {"hit_rate"}
    assert set(summed(AsyncCache())) == set(COUNTED) - {"bypassed"}


def test_the_rate_is_that_of_hits_among_calls() -> None:
    assert with_rate(Counter(hits=3, misses=1))["hit_rate"] == 0.75
    assert with_rate(Counter())["hit_rate"] == 0.0


def test_a_sum_keeps_its_zeros() -> None:
    assert dict(added([Counter(a=1, b=0), Counter(a=2)])) == {"a": 3, "b": 0}


def test_tools_of_one_name_and_tools_of_one_resource_are_added_up() -> None:
    tools = listed(Tool("a", ("x",), hits=1), Tool("a", ("y",), hits=2), Tool("b", ("x", "y"), misses=4))
    metrics = get_metrics()
    assert {name: (of["hits"], of["misses"]) for name, of in metrics["tools"].items()} == {"a": (3, 0), "b": (0, 4)}
    assert {name: (of["hits"], of["misses"]) for name, of in metrics["resources"].items()} == {"x": (1, 4), "y": (2, 4)}
    assert len(tools) == 3


def test_a_resource_that_a_tool_names_twice_counts_once() -> None:
    tools = listed(Tool("a", ("x", "x"), hits=1))
    assert get_metrics()["resources"]["x"]["hits"] == 1
    assert tools


def test_a_loop_counts_for_its_tool_and_for_each_of_its_resources_once() -> None:
    tools = listed(Tool("a", ("x", "y")), Tool("a", ("x",)), Tool("b", ("x",)))
    count_loop("a")
    metrics = get_metrics()
    assert {name: of["loops"] for name, of in metrics["tools"].items()} == {"a": 1, "b": 0}
    assert {name: of["loops"] for name, of in metrics["resources"].items()} == {"x": 1, "y": 1}
    assert tools


def test_a_loop_of_a_tool_that_is_gone_is_still_counted() -> None:
    count_loop("gone")
    assert get_metrics()["tools"]["gone"]["loops"] == 1


def test_a_tool_that_is_gone_is_no_longer_listed() -> None:
    enlist(Tool("a", ("x",)))
    gc.collect()
    assert get_metrics() == {"tools": {}, "resources": {}}

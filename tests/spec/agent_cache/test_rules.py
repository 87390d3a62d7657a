"""Rules, without a framework: what every hook can rely on."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import pytest

from agent_cache import AgentCacheSession
from agent_cache.integrations import Rules

#: More names than rules remember of tools that they do not name.
MANY = 600


class Tool:
    """A tool that counts how often it was run."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self, context: Any, arguments: dict[str, Any]) -> int:
        self.runs += 1
        return self.runs


def everybody() -> str:
    return "everybody"


async def test_a_tool_that_no_rule_names_passes_through_whatever_it_is_given() -> None:
    rules, tool = Rules(read={"get_cart": "cart"}), Tool()
    async with AgentCacheSession(loop_detection=True):
        for given in (Counter("aab"), deque([1, 2]), object()):
            await rules.call("tally", None, {"words": given}, tool)
    assert tool.runs == 3


async def test_arguments_of_which_no_key_can_be_made_are_executed_each_time() -> None:
    rules, tool = Rules(read={"tally": "words"}), Tool()
    async with AgentCacheSession():
        for _ in range(2):
            await rules.call("tally", None, {"words": Counter("aab")}, tool)
    assert tool.runs == 2


async def test_names_that_a_model_makes_up_push_out_no_tool_that_a_rule_names() -> None:
    rules, tool = Rules(read={"get": "x"}, scope="global", vary=everybody), Tool()
    await rules.call("get", None, {}, tool)
    for number in range(MANY):
        await rules.call(f"made up {number}", None, {}, Tool())
    await rules.call("get", None, {}, tool)
    assert tool.runs == 1


async def test_nor_a_hinted_one_that_is_in_use() -> None:
    rules, tool = Rules(hints="files", scope="global", vary=everybody), Tool()
    for number in range(MANY):
        await rules.call(f"made up {number}", None, {}, Tool())
        if number % 100 == 0:
            await rules.call("read_file", None, {}, tool, read_only=True)
    assert tool.runs == 1


async def test_tools_of_one_name_from_several_sources_are_kept_apart() -> None:
    rules = Rules(read={"get_order": "order"}, scope="global", vary=everybody)
    eu, us = Tool(), Tool()
    us.runs = 100
    assert await rules.call("get_order", None, {}, eu, source="eu") == 1
    assert await rules.call("get_order", None, {}, us, source="us") == 101
    assert await rules.call("get_order", None, {}, eu, source="eu") == 1


async def test_a_tool_that_is_polled_and_writes_is_no_loop() -> None:
    rules, tool = Rules(write={"sync": "files"}, poll=("sync",)), Tool()
    async with AgentCacheSession(loop_detection=True, max_tool_repeats=2) as session:
        for _ in range(5):
            await rules.call("sync", None, {}, lambda *_: "running")
        await rules.call("other", None, {}, tool)
    assert session.loops == []


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("poll", 7, "poll=7: pass the names of tools"),
        ("poll", [7], "poll=.*: pass the names of tools"),
        ("hints", ["a", "b"], "resource=.*pass a name"),
        ("hints", 5, "resource=5"),
    ],
)
def test_what_names_no_tools_is_refused(option: str, value: Any, complaint: str) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(TypeError, match=complaint):
        Rules(**options)

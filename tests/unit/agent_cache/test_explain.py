"""How an explanation speaks of time, and that it looks without touching."""

from __future__ import annotations

import pytest

from agent_cache import AgentCache, explain
from agent_cache._explain import _seconds
from tests.spec.agent_cache.people import RunContext


@pytest.mark.parametrize(("seconds", "said"), [(0, "0.0 s"), (0.44, "0.4 s"), (65.0, "65.0 s"), (-3, "0.0 s")])
def test_seconds_have_one_digit_and_are_never_negative(seconds: float, said: str) -> None:
    assert _seconds(seconds) == said


def test_parameters_of_the_tool_may_have_the_name_of_explains_own() -> None:
    @AgentCache("cart")
    def look(tool: str, args: int = 0) -> str:
        return tool

    assert explain(look, tool="hammer", args=1).startswith("miss: ")


def test_the_tool_is_not_run() -> None:
    @AgentCache("cart")
    def look() -> None:
        pytest.fail("it has run")

    explain(look)


def test_an_error_of_vary_names_the_tool_if_the_context_was_left_out() -> None:
    @AgentCache("cart", vary=lambda ctx: ctx.deps.user)
    def look(ctx: RunContext) -> None: ...

    with pytest.raises(AttributeError) as caught:
        explain(look)
    assert caught.value.__notes__ == ["what a framework gives to look was left out: if vary= needs it, pass it"]

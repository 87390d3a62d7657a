"""The examples that the guide shows are run as a reader would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

AGENTS = Path(__file__).parents[2] / "examples" / "agents"

#: What each of them prints: two customers in turn, each asks twice, writes, and asks again.
PRINTED = """\
ann: I need tea.
  executed: get_cart(1)
  executed: get_stock('tea')
  executed: add_item(1, 'tea')
  executed: get_cart(1)
  There is tea in your cart.
bob: I need tea.
  executed: get_cart(1)
  executed: add_item(1, 'tea')
  executed: get_cart(1)
  There is tea in your cart.
add_item: 0 hits, 2 executed
get_cart: 2 hits, 4 executed
get_stock: 3 hits, 1 executed
"""


def run(path: Path) -> str:
    done = subprocess.run(  # noqa: S603 - a file of this project
        [sys.executable, "-W", "error::RuntimeWarning", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("name", ["pydantic_ai_shop", "openai_agents_shop", "langgraph_shop", "fastmcp_shop"])
def test_it_prints_what_was_executed_and_what_was_not(name: str) -> None:
    assert run(AGENTS / f"{name}.py") == PRINTED


def test_every_example_of_an_agent_runs() -> None:
    for path in sorted(AGENTS.glob("*_shop.py")):
        assert "executed" in run(path), path.name

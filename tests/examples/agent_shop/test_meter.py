"""The meter around the tools: what it counts, and that no stale answer gets past it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from examples.agent_shop.answers import Cart, CartLine, Findings, Found, Offer, Orders
from examples.agent_shop.meter import Meter
from examples.agent_shop.toolbox import Toolbox
from examples.catalogue.ledger import Ledger, Row


async def answered(answer: Any) -> Any:
    """A tool that answers what it is given."""
    return answer


TOOLS = Toolbox(*[answered] * 9)


def committed(ledger: Ledger, *rows: Row) -> int:
    change = ledger.next_change()
    ledger.announce(change)
    ledger.enter(change, rows)
    return change


@pytest.mark.parametrize(
    ("tool", "answer", "row"),
    [
        ("search", Findings("lamp", [Found(7, "lamp", 1, price_version=0)]), Row("price", 7)),
        ("look_at", Offer(7, "lamp", 1, 1, price_version=0, stock_version=9), Row("price", 7)),
        ("look_at", Offer(7, "lamp", 1, 1, price_version=9, stock_version=0), Row("stock", 7)),
        ("read_cart", Cart(1, version=0, lines=[]), Row("cart", 1)),
        ("read_cart", Cart(1, version=9, lines=[CartLine(7, 1, 1, price_version=0)]), Row("price", 7)),
        ("read_orders", Orders(1, version=0, number=0, cents=0), Row("orders", 1)),
    ],
)
async def test_an_answer_is_stale_if_any_row_in_it_is_older_than_a_commit_before_the_call(
    tool: str, answer: Any, row: Row
) -> None:
    ledger = Ledger()
    ledger.announce(9)
    meter = Meter(ledger)
    measured = getattr(meter.around(TOOLS), tool)
    await measured(answer)
    assert ledger.verdicts.stale == 0
    committed(ledger, row)
    await measured(answer)
    assert ledger.verdicts.stale == 1
    assert ledger.verdicts.dirty == 0


async def test_a_commit_during_the_call_may_be_missed() -> None:
    ledger = Ledger()

    async def read_while_somebody_commits(customer_id: int) -> Cart:
        committed(ledger, Row("cart", customer_id))
        return Cart(customer_id, version=0, lines=[])

    meter = Meter(ledger)
    tools = meter.around(Toolbox(*[read_while_somebody_commits] * 9))
    await tools.read_cart(1)
    assert ledger.verdicts.stale == 0
    await tools.read_cart(1)
    assert ledger.verdicts.stale == 1


async def test_every_call_of_an_agent_is_timed_those_that_read_are_judged_and_the_back_office_is_let_alone() -> None:
    meter = Meter(Ledger())
    tools = meter.around(TOOLS)
    await tools.read_cart(Cart(1, version=0, lines=[]))
    await tools.check_out("ordered")
    await tools.reprice(None)
    assert (len(meter.latencies), meter.reads) == (2, 1)
    assert tools.reprice is TOOLS.reprice


def test_a_measured_tool_looks_like_the_tool_itself() -> None:
    measured = Meter(Ledger()).around(TOOLS).search
    assert measured.__name__ == "answered"
    assert inspect.getdoc(measured) == inspect.getdoc(answered)
    assert inspect.signature(measured) == inspect.signature(answered)

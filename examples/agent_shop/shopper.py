"""The script that stands in for a model: what it says next is a function of the conversation so far."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart

from examples.agent_shop.answers import Cart, Findings, Offer, Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models.function import AgentInfo

A = TypeVar("A")

PATIENCE: Final = 3
"""How many times a check-out is tried."""
CIRCLING: Final = "lamp"
"""What the agent searches for that goes round in circles."""


def prompt(wishes: Mapping[str, int], limit: int) -> str:
    """What a customer says who wishes so many of each, for at most so many euros apiece."""
    listed = ", ".join(f"{quantity} x {word}" for word, quantity in wishes.items())
    return f"Please buy {listed}, the best that you find for {limit} euros apiece."


def shop(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Buy what the prompt wishes: look around, compare, fill the cart, have second thoughts, and check out.

    Like real models it makes several calls in one turn, also of a tool that writes and of one that reads what that
    writes; and it reads again before it decides.
    """
    turn = sum(isinstance(message, ModelResponse) for message in messages)
    calls = _closing(messages) if turn >= len(_STAGES) else list(_STAGES[turn](messages))
    if calls is None:
        return ModelResponse(parts=[TextPart("done")])
    return ModelResponse(parts=calls)


def search_for_ever(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
    """Search for the same thing again and again, as models do that expect another answer."""
    return ModelResponse(parts=[_call("search", word=CIRCLING)])


def _look_around(messages: Sequence[ModelMessage]) -> Iterator[ToolCallPart]:
    yield _call("read_cart")
    yield _call("read_orders")
    yield from (_call("search", word=word) for word in _wishes(messages))


def _compare(messages: Sequence[ModelMessage]) -> Iterator[ToolCallPart]:
    for findings in _answered(messages, Findings):
        yield from (_call("look_at", product_id=found.product_id) for found in findings.products)


def _choose(messages: Sequence[ModelMessage]) -> Iterator[ToolCallPart]:
    """Put the dearest offer that is not too dear into the cart, for each wish, or else the cheapest."""
    (limit,) = re.findall(r"(\d+) euros", _said(messages))
    for word, quantity in _wishes(messages).items():
        offers = sorted((offer for offer in _answered(messages, Offer) if word in offer.name), key=_cents)
        affordable = [offer for offer in offers if offer.cents <= int(limit) * 100]
        best = (affordable or offers[:1])[-1]
        yield _call("add_to_cart", product_id=best.product_id, quantity=quantity)
    yield _call("read_cart")


def _compare_again(messages: Sequence[ModelMessage]) -> Iterator[ToolCallPart]:
    """Have doubts, and read once more what is known already."""
    yield from _look_around(messages)
    yield from _compare(messages)


def _think_again(messages: Sequence[ModelMessage]) -> Iterator[ToolCallPart]:
    """Take one more of the first thing."""
    for line in _cart(messages).lines[:1]:
        yield _call("change_quantity", product_id=line.product_id, quantity=line.quantity + 1)
    yield _call("read_cart")


def _make_sure(messages: Sequence[ModelMessage]) -> Iterator[ToolCallPart]:
    yield from (_call("look_at", product_id=line.product_id) for line in _cart(messages).lines)
    yield from _look_around(messages)


_STAGES: Final = (_look_around, _compare, _choose, _compare_again, _think_again, _make_sure)


def _closing(messages: Sequence[ModelMessage]) -> list[ToolCallPart] | None:
    """Check out, and if that is refused, read the cart again and retry; then look at the outcome. None at the end."""
    cart, receipts = _cart(messages), _answered(messages, Receipt)
    last = messages[-1].parts[-1]
    just_called = last.tool_name if isinstance(last, ToolReturnPart) else None
    if just_called == "read_orders":
        return None
    if not cart.lines or len(receipts) >= PATIENCE or any(receipt.ordered for receipt in receipts):
        return [_call("read_cart"), _call("read_orders")]
    if just_called == "check_out":
        return [_call("read_cart")]
    return [_call("check_out", product_ids=[line.product_id for line in cart.lines], cents=cart.cents)]


def _wishes(messages: Sequence[ModelMessage]) -> dict[str, int]:
    return {word: int(quantity) for quantity, word in re.findall(r"(\d+) x (\w+)", _said(messages))}


def _said(messages: Sequence[ModelMessage]) -> str:
    """What the customer has said."""
    return next(str(part.content) for part in messages[0].parts if isinstance(part, UserPromptPart))


def _cents(offer: Offer) -> int:
    return offer.cents


def _cart(messages: Sequence[ModelMessage]) -> Cart:
    """The cart as it was last read."""
    return _answered(messages, Cart)[-1]


def _answered(messages: Sequence[ModelMessage], kind: type[A]) -> list[A]:
    """All answers of a kind, in order."""
    return [
        part.content
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart) and isinstance(part.content, kind)
    ]


def _call(tool: str, **arguments: Any) -> ToolCallPart:
    return ToolCallPart(tool, arguments)

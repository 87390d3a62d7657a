"""The tools with a cache as people put it around tools by hand, and do it well.

It is a dictionary by the name of the tool, the customer if the tool is about one, and the arguments as JSON. Calls
that ask for the same meanwhile share one execution, and each write names the answers that it makes wrong, which are
forgotten before it starts, after it has ended, or both; or nobody invalidates and an answer is good for a second.
None of these places is the right one: an answer that was read before the commit can arrive after it, and be stored
after the invalidation. ``--handmade`` lets you try them all.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from examples.agent_shop.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from examples.agent_shop.toolbox import Tool

Placement = Literal["before", "after", "around", "ttl"]

GOOD_FOR: Final = 1.0
"""How many seconds an answer is good for if nobody invalidates."""


class Key(NamedTuple):
    """A call: the tool, the customer if there is one, and the other arguments as JSON."""

    tool: str
    customer_id: int | None
    arguments: str


class Wrong(NamedTuple):
    """The answers that a write makes wrong: of one tool, and perhaps of one customer, and of one product, only."""

    tool: str
    customer_id: int | None = None
    product_id: int | None = None

    def has(self, key: Key) -> bool:
        """Whether the call is one of them."""
        return (
            key.tool == self.tool
            and self.customer_id in (None, key.customer_id)
            and (self.product_id is None or key.arguments == _as_json({"product_id": self.product_id}))
        )


class ToolCache:
    """The answers, when each was stored, and the executions under way."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._answers: dict[Key, tuple[Any, float]] = {}
        self._running: dict[Key, asyncio.Task[Any]] = {}

    def reading(self, tool: Tool) -> Tool:
        """The same tool, answered from the cache if it can be."""

        @functools.wraps(tool)
        async def call(*args: Any, **kwargs: Any) -> Any:
            arguments, customer_id = _arguments(tool, args, kwargs)
            key = Key(tool.__name__, customer_id, _as_json(arguments))
            if key in self._answers:
                answer, stored = self._answers[key]
                if self._placement != "ttl" or monotonic() < stored + GOOD_FOR:
                    return answer
            running = self._running.get(key)
            if running is None:
                running = self._running[key] = asyncio.create_task(self._execute(key, tool, args, kwargs))
            # One caller's cancellation must not end the execution of the others.
            return await asyncio.shield(running)

        return call

    async def _execute(self, key: Key, tool: Tool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            answer = await tool(*args, **kwargs)
        finally:
            del self._running[key]
        self._answers[key] = answer, monotonic()
        return answer

    def writing(self, tool: Tool, makes_wrong: Callable[..., Iterable[Wrong]]) -> Tool:
        """The same tool, which forgets what it makes wrong."""

        @functools.wraps(tool)
        async def call(*args: Any, **kwargs: Any) -> Any:
            arguments, customer_id = _arguments(tool, args, kwargs)
            with self._invalidating(list(makes_wrong(customer_id, **arguments))):
                return await tool(*args, **kwargs)

        return call

    @contextmanager
    def _invalidating(self, wrong: list[Wrong]) -> Iterator[None]:
        if self._placement in {"before", "around"}:
            self._forget(wrong)
        try:
            yield
        finally:
            if self._placement in {"after", "around"}:
                self._forget(wrong)

    def _forget(self, wrong: list[Wrong]) -> None:
        for key in [key for key in self._answers if any(each.has(key) for each in wrong)]:
            del self._answers[key]


def cached(tools: Toolbox, placement: Placement = "before") -> Toolbox:
    """The same tools around a cache."""
    cache = ToolCache(placement)

    def change_cart(customer_id: int, **_: object) -> Iterable[Wrong]:
        yield Wrong("read_cart", customer_id)

    def check_out(customer_id: int, product_ids: list[int], **_: object) -> Iterable[Wrong]:
        yield Wrong("read_cart", customer_id)
        yield Wrong("read_orders", customer_id)
        yield from (Wrong("look_at", product_id=product_id) for product_id in product_ids)

    def reprice(_: None, product_id: int, **__: object) -> Iterable[Wrong]:
        yield Wrong("look_at", product_id=product_id)
        yield Wrong("search")
        yield Wrong("read_cart")

    def restock(_: None, product_id: int, **__: object) -> Iterable[Wrong]:
        yield Wrong("look_at", product_id=product_id)

    return Toolbox(
        search=cache.reading(tools.search),
        look_at=cache.reading(tools.look_at),
        read_cart=cache.reading(tools.read_cart),
        read_orders=cache.reading(tools.read_orders),
        add_to_cart=cache.writing(tools.add_to_cart, change_cart),
        change_quantity=cache.writing(tools.change_quantity, change_cart),
        check_out=cache.writing(tools.check_out, check_out),
        reprice=cache.writing(tools.reprice, reprice),
        restock=cache.writing(tools.restock, restock),
    )


def _arguments(tool: Tool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
    """The arguments by name without the framework's context, and the customer that it names."""
    arguments = dict(inspect.signature(tool).bind(*args, **kwargs).arguments)
    ctx = arguments.pop("ctx", None)
    return arguments, None if ctx is None else ctx.deps.customer_id


def _as_json(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True)

"""The tools that an agent is given, and those of the back office, whatever they are cached with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

Tool: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Visit:
    """What the framework hands to each tool: on whose behalf the agent acts."""

    customer_id: int


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools by name; those which concern one customer are given the context of the run as well."""

    search: Tool
    look_at: Tool
    read_cart: Tool
    read_orders: Tool
    add_to_cart: Tool
    change_quantity: Tool
    check_out: Tool
    reprice: Tool
    restock: Tool

    @property
    def of_agents(self) -> tuple[Tool, ...]:
        """Those that the agent is given; the others are the back office's."""
        return (
            self.search,
            self.look_at,
            self.read_cart,
            self.read_orders,
            self.add_to_cart,
            self.change_quantity,
            self.check_out,
        )

"""The meter: around the tools of an agent, outside any cache, where each answer is timed and judged."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from examples.agent_shop.toolbox import Tool, Toolbox
    from examples.catalogue.ledger import Ledger


@dataclass(slots=True)
class Meter:
    """What has come of the calls of one pass."""

    ledger: Ledger
    latencies: list[float] = field(default_factory=list)
    """Of each call, in seconds."""
    reads: int = 0
    """The calls that read."""

    def around(self, tools: Toolbox) -> Toolbox:
        """The same tools, measured; those of the back office are not."""
        return replace(
            tools,
            search=self._reading(tools.search),
            look_at=self._reading(tools.look_at),
            read_cart=self._reading(tools.read_cart),
            read_orders=self._reading(tools.read_orders),
            add_to_cart=self._timing(tools.add_to_cart),
            change_quantity=self._timing(tools.change_quantity),
            check_out=self._timing(tools.check_out),
        )

    def _reading(self, tool: Tool) -> Tool:
        timed = self._timing(tool)

        @functools.wraps(tool)
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.reads += 1
            began = self.ledger.latest
            answer = await timed(*args, **kwargs)
            self.ledger.judge(answer.versions, began)
            return answer

        return call

    def _timing(self, tool: Tool) -> Tool:
        @functools.wraps(tool)
        async def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            answer = await tool(*args, **kwargs)
            self.latencies.append(time.perf_counter() - started)
            return answer

        return call

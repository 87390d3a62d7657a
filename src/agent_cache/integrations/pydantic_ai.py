"""pydantic-ai: the tools of an agent, or of any toolset, called through `Rules`.

Approvals, prefixes and filters are wrappers around the toolsets that run the tools. The rules are put inside of all of
them, so that what stands around a tool goes before a hit as it goes before the tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent_cache.integrations._rules import Rules, checked_rules

try:
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.tools import AgentDepsT, RunContext
    from pydantic_ai.toolsets import AbstractToolset, DynamicToolset, ToolsetTool, WrapperToolset
except ImportError as _missing:
    raise ImportError(
        "agent_cache.integrations.pydantic_ai needs pydantic-ai 2: pip install 'async-cache[pydantic-ai]'"
    ) from _missing

__all__ = ["CachedTools", "cached_toolset"]

#: The name by which the model calls the tool in progress, which prefixes and renamings hide from the inner toolsets.
_called: ContextVar[str] = ContextVar("agent_cache.pydantic_ai")


@dataclass
class CachedTools(AbstractCapability[AgentDepsT]):
    """All tools of an agent through rules: ``Agent(..., capabilities=[CachedTools(rules)])``, or of one run.

    It covers the agent's own tools, its toolsets, those of its MCP servers and those that a run adds. Rules name tools
    as the model does, and ``vary`` is given the ``RunContext``. What the model sees of a tool does not change, nor does
    what asks for approval; a tool that the model calls twice in one answer is run once.

    Raises:
        TypeError: ``rules`` are no `Rules`.

    """

    rules: Rules

    def __post_init__(self) -> None:
        checked_rules(self.rules)

    def get_wrapper_toolset(self, toolset: AbstractToolset[AgentDepsT]) -> AbstractToolset[AgentDepsT]:
        """The tools of one run."""
        return cached_toolset(toolset, self.rules)


def cached_toolset(toolset: AbstractToolset[AgentDepsT], rules: Rules) -> AbstractToolset[AgentDepsT]:
    """The same tools, called through rules: for toolsets that are used without `CachedTools`.

    Rules name tools as they are called in ``toolset``; a prefix put around the result is no part of the names.

    Raises:
        TypeError: ``toolset`` is no toolset, or ``rules`` are no `Rules`.

    """
    if not isinstance(toolset, AbstractToolset):
        raise TypeError(
            f"toolset={toolset!r}, of type {type(toolset).__name__}: pass a toolset, such as FunctionToolset([...])"
        )
    return _Called(toolset.visit_and_replace(partial(_inside, rules=checked_rules(rules))))


@dataclass
class _Called(WrapperToolset[AgentDepsT]):
    """Where the model's own name of a tool is known."""

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[AgentDepsT], tool: ToolsetTool[AgentDepsT]
    ) -> Any:
        token = _called.set(name)
        try:
            return await super().call_tool(name, tool_args, ctx, tool)
        finally:
            _called.reset(token)


def _inside(toolset: AbstractToolset[AgentDepsT], rules: Rules) -> AbstractToolset[AgentDepsT]:
    kind = _CachedDynamic if isinstance(toolset, DynamicToolset) else _Cached
    return kind(toolset, rules)


@dataclass
class _Cached(WrapperToolset[AgentDepsT]):
    """A toolset that runs its tools itself, with the rules right around it."""

    rules: Rules

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[AgentDepsT], tool: ToolsetTool[AgentDepsT]
    ) -> Any:
        run = super().call_tool
        return await self.rules.call(
            _called.get(),
            ctx,
            tool_args,
            lambda ctx, tool_args: run(name, tool_args, ctx, tool),
            read_only=_read_only(tool.tool_def.metadata),
            source=self.wrapped.id or "",
        )


@dataclass
class _CachedDynamic(WrapperToolset[AgentDepsT]):
    """A toolset that is made during the run: the rules go inside of whatever has been made."""

    rules: Rules

    async def get_tools(self, ctx: RunContext[AgentDepsT]) -> dict[str, ToolsetTool[AgentDepsT]]:
        return await self._made().get_tools(ctx)

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[AgentDepsT], tool: ToolsetTool[AgentDepsT]
    ) -> Any:
        return await self._made().call_tool(name, tool_args, ctx, tool)

    def _made(self) -> AbstractToolset[AgentDepsT]:
        made = self.wrapped.visit_and_replace(partial(_inside, rules=self.rules))
        return made if isinstance(made, DynamicToolset) else self.wrapped  # nothing has been made


def _read_only(metadata: Mapping[str, Any] | None) -> bool | None:
    """What an MCP server says of a tool: it writes unless it says otherwise; None for a tool of no MCP server."""
    if metadata is None or "annotations" not in metadata:
        return None
    return (metadata["annotations"] or {}).get("readOnlyHint") is True

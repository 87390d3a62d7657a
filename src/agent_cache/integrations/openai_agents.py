"""openai-agents: the tools of an agent, and those of its MCP servers, called through `Rules`."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

from agent_cache.integrations._rules import Rules, checked_rules

try:
    from agents import Agent, FunctionTool, RunContextWrapper, Tool
    from agents.function_schema import function_schema
    from agents.mcp import MCPServer, MCPToolMetaContext, MCPToolMetaResolver
    from agents.tool import _FailureHandlingFunctionToolInvoker as Invoker
    from agents.tool_context import ToolContext
    from mcp.types import CallToolResult
    from mcp.types import Tool as MCPTool
except ImportError as _missing:
    raise ImportError(
        "agent_cache.integrations.openai_agents needs openai-agents, 0.24 or one like it: "
        "pip install 'async-cache[openai-agents]'"
    ) from _missing

__all__ = ["cached_agent", "cached_server", "cached_tools"]

T = TypeVar("T")
Server = TypeVar("Server", bound=MCPServer)

#: Runs a tool: its context, and its arguments as the model has written them.
Invoke: TypeAlias = Callable[[ToolContext[Any], str], Awaitable[Any]]

#: Whose run a tool of an MCP server is called in; None if the server is called by itself.
_run_context: ContextVar[RunContextWrapper[Any] | None] = ContextVar("agent_cache.openai_agents", default=None)


def cached_agent(agent: Agent[T], rules: Rules) -> Agent[T]:
    """The same agent with its tools, and those of its MCP servers, called through rules.

    What the model sees of a tool does not change, nor do approvals, guardrails, timeouts and the ways in which errors
    are told to the model: they stand outside of the rules. ``vary`` is given the ``ToolContext``, whose ``context`` is
    what the run was given. Agents that it hands off to are agents of their own.

    Raises:
        TypeError: ``rules`` are no `Rules`.

    """
    servers = [cached_server(server, rules) for server in agent.mcp_servers]
    return agent.clone(tools=cached_tools(agent.tools, rules), mcp_servers=servers)


def cached_tools(tools: Iterable[Tool], rules: Rules) -> list[Tool]:
    """Copies of function tools that are called through rules.

    Tools that others run, and agents that are used as tools, stay as they are: what such an agent calls is cached, if
    its own tools are.

    Raises:
        TypeError: ``rules`` are no `Rules`; or a tool is one of an MCP server, which is for `cached_server`.

    """
    checked_rules(rules)
    return [
        _cached_tool(tool, rules) if isinstance(tool, FunctionTool) and not tool._is_agent_tool else tool
        for tool in tools
    ]


def _cached_tool(tool: FunctionTool, rules: Rules) -> FunctionTool:
    if tool._mcp_tool_binding is not None:
        raise TypeError(
            f"{tool.name} is a tool of the MCP server {tool._mcp_tool_binding[0]!r}, and here its errors look like "
            f"results: give the agent the server as cached_server(server, rules)"
        )
    tool = copy.copy(tool)
    arguments_of = _arguments_of(tool)
    invoker = tool.on_invoke_tool
    run: Invoke = invoker._invoke_tool_impl if isinstance(invoker, Invoker) else invoker

    @functools.wraps(run)
    async def invoke(context: ToolContext[Any], text: str) -> Any:
        try:
            arguments = arguments_of(text)
        except (TypeError, ValueError):  # the tool itself says what is wrong with them, and does not run
            return await run(context, text)
        return await rules.call(tool.name, context, arguments, lambda context, _: run(context, text))

    if isinstance(invoker, Invoker):
        # Inside of what tells the model of errors, so that they are errors here too; it belongs to the copy alone.
        invoker._invoke_tool_impl = invoke
    else:
        tool.on_invoke_tool = invoke
    return tool


def _arguments_of(tool: FunctionTool) -> Callable[[str], dict[str, Any]]:
    """Reads arguments as the tool does: of a function the values that it is given, with its defaults."""
    function = getattr(tool, "__wrapped__", None)
    if function is None:
        return lambda text: dict(json.loads(text or "{}"))
    model = function_schema(
        function, use_docstring_info=False, strict_json_schema=tool.strict_json_schema
    ).params_pydantic_model
    return lambda text: dict(model(**json.loads(text or "{}")))


def cached_server(server: Server, rules: Rules) -> Server:
    """The same MCP server with its tools called through rules, which know them by the names that they have there.

    It is one server with the original: connecting or closing one does so to both. Where ``rules`` have ``hints``, a
    tool that no rule names reads if the server says that it only does, and writes if not.

    Raises:
        TypeError: ``server`` is no MCP server, or ``rules`` are no `Rules`.

    """
    if not isinstance(server, MCPServer):
        raise TypeError(f"server={server!r}, of type {type(server).__name__}: pass an agents.mcp.MCPServer")
    kind = type(server)
    cached: Any = type(kind.__name__, (_CachedServer, kind), {"rules": checked_rules(rules), "hints": {}})
    same: Server = object.__new__(cached)
    same.__dict__ = server.__dict__
    return same


class _CachedServer(MCPServer):
    """Stands above the class of a server, over the state of one."""

    rules: Rules
    #: What the server says of its tools.
    hints: dict[str, bool]

    async def list_tools(self, *args: Any, **kwargs: Any) -> list[MCPTool]:
        tools: list[MCPTool] = await super().list_tools(*args, **kwargs)  # type: ignore[safe-super]  # of the server
        self.hints.update((tool.name, _read_only(tool)) for tool in tools)
        return tools

    async def call_tool(
        self, tool_name: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None = None
    ) -> CallToolResult:
        call = super().call_tool  # type: ignore[safe-super]  # of the server, which comes next
        given = () if meta is None else (meta,)
        result: CallToolResult = await self.rules.call(
            tool_name,
            _run_context.get(),
            {**(arguments or {}), **({} if meta is None else {"_meta": meta})},
            lambda *_: call(tool_name, arguments, *given),
            read_only=self.hints.get(tool_name, False),
            source=self.name,
        )
        return result

    @property
    def tool_meta_resolver(self) -> MCPToolMetaResolver:
        """What is asked before each call, and the only one that is told in whose run it is made."""
        resolver = self.__dict__.get("tool_meta_resolver")

        def resolve(context: MCPToolMetaContext) -> Any:
            _run_context.set(context.run_context)
            return None if resolver is None else resolver(context)

        return resolve

    @tool_meta_resolver.setter
    def tool_meta_resolver(self, resolver: MCPToolMetaResolver | None) -> None:
        self.__dict__["tool_meta_resolver"] = resolver


def _read_only(tool: MCPTool) -> bool:
    """Whether a tool says that it only reads; in MCP it writes unless it does."""
    hints: Any = tool.annotations
    return getattr(hints, "read_only_hint", None) is True or getattr(hints, "readOnlyHint", None) is True

"""FastMCP: the tools of a server, or those that a client calls, through one set of rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from agent_cache.errors import AgentLoopDetectedError
from agent_cache.integrations._rules import Rules, checked_rules

try:
    import mcp_types
    from fastmcp import Client
    from fastmcp.client.progress import ProgressHandler
    from fastmcp.exceptions import ToolError
    from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
    from fastmcp.tools import ToolResult
except ImportError as _missing:
    raise ImportError(
        f"agent_cache.integrations.fastmcp needs FastMCP ({_missing}): pip install 'async-cache[fastmcp]'"
    ) from _missing

__all__ = ["AgentCacheClient", "AgentCacheMiddleware"]


class AgentCacheMiddleware(Middleware):
    """The calls that a server receives, answered from the cache where the rules say so.

    For ``FastMCP(..., middleware=[AgentCacheMiddleware(rules)])``, a proxy of a server that you did not write
    included. It belongs behind middleware that authorizes or rewrites calls: what is first in the list is outermost.

    Never kept: error results, requests for input and whatever is answered to them, tasks that have only begun. A tool
    that asks within one request, by ``ctx.elicit()``, looks like any other: leave it out of the rules.

    A server serves many clients, and nothing tells it whose a call is but what you say: ``ctx.session_id`` is another
    one in each request. Use ``scope="global"`` with ``vary``, such as ``lambda: get_access_token().claims["sub"]``.

    Args:
        rules: What the tools read and write. ``vary`` is given the `fastmcp.Context` of the call. ``hints`` goes by
            the annotations of the server's tools.

    Raises:
        TypeError: ``rules`` are none.

    A call raises what the tool raises, and a ToolError from `agent_cache.AgentLoopDetectedError`, with its message.

    """

    def __init__(self, rules: Rules) -> None:
        self._rules = checked_rules(rules)

    async def on_call_tool(
        self,
        context: MiddlewareContext[mcp_types.CallToolRequestParams],
        call_next: CallNext[mcp_types.CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """Answer a call."""
        name, arguments = context.message.name, _with_meta(context.message.arguments or {}, context.message.meta)

        async def run(*_: Any) -> Any:
            result = await call_next(context)
            return result if isinstance(result, ToolResult) else _Own(result)

        hint = await self._read_only(context) if self._rules.wants_hint(name) else None
        try:
            server = context.fastmcp_context
            source = "" if server is None else server.fastmcp.name
            result = await self._rules.call(name, server, arguments, run, read_only=hint, source=source)
        except AgentLoopDetectedError as error:
            # Of any other error the client is told nothing.
            raise ToolError(str(error)) from error
        if result is None:
            raise ToolError(_not_called(name))
        answer: ToolResult = result.result if isinstance(result, _Own) else result
        return answer

    @staticmethod
    async def _read_only(context: MiddlewareContext[mcp_types.CallToolRequestParams]) -> bool | None:
        """What the server says of a tool: it writes unless it says otherwise; None if there is none."""
        if context.fastmcp_context is None:
            return False
        tool = await context.fastmcp_context.fastmcp.get_tool(context.message.name)
        if tool is None:
            return None
        # Another version than the latest may do something else.
        return not context.message.meta and _is_read_only(tool.annotations)


class AgentCacheClient(Client[Any]):
    """A client whose calls of tools are answered from the cache where the rules say so.

    For the servers of others: ``AgentCacheClient("https://...", rules=Rules(...))``. It is a `fastmcp.Client` in all
    else, and takes what that takes. Never kept: error results, and results for which the user was asked for input.

    Args:
        transport: As of `fastmcp.Client`.
        *args: The same.
        rules: What the tools read and write. ``vary`` is given the client. ``hints`` goes by what the server lists.
        elicitation_handler: As of `fastmcp.Client`.
        **kwargs: The same.

    Raises:
        TypeError: ``rules`` are none.

    Calls raise what those of `fastmcp.Client` raise, and `agent_cache.AgentLoopDetectedError` as the open session says.

    """

    def __init__(
        self,
        transport: Any,
        *args: Any,
        rules: Rules,
        elicitation_handler: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._rules = checked_rules(rules)
        self._asked = _Questions()
        self._hints: dict[str, bool] = {}
        super().__init__(transport, *args, **kwargs)
        if elicitation_handler is not None:
            self.set_elicitation_callback(elicitation_handler)

    def set_elicitation_callback(self, elicitation_callback: Callable[..., Any]) -> None:
        """Set who is asked for input."""
        super().set_elicitation_callback(self._asked.counted(elicitation_callback))

    async def call_tool_mcp(
        self,
        name: str,
        arguments: dict[str, Any],
        progress_handler: ProgressHandler | None = None,
        timeout: dt.timedelta | float | None = None,  # noqa: ASYNC109 - as of `fastmcp.Client`
        meta: dict[str, Any] | None = None,
    ) -> mcp_types.CallToolResult:
        """Call a tool, or answer in its place: `call_tool` goes through here."""
        call = super().call_tool_mcp

        async def run(*_: Any) -> Any:
            asked = self._asked.count
            result = await call(name, arguments, progress_handler, timeout, meta)
            return result if self._asked.count == asked else _Own(result)

        hint = await self._read_only(name) if self._rules.wants_hint(name) else None
        result = await self._rules.call(
            name, self, _with_meta(arguments, meta), run, read_only=hint, source=repr(self.transport)
        )
        if result is None:
            text = mcp_types.TextContent(type="text", text=_not_called(name))
            return mcp_types.CallToolResult(content=[text], is_error=True)
        answer: mcp_types.CallToolResult = result.result if isinstance(result, _Own) else result
        return answer

    async def _read_only(self, name: str) -> bool:
        """What the server says of a tool: it writes unless it is listed and says otherwise."""
        if name not in self._hints:
            self._hints.update({tool.name: _is_read_only(tool.annotations) for tool in await self.list_tools()})
        return self._hints.get(name, False)


class _Questions:
    """How often the user was asked for input, by a client or one of its copies."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        async def ask(*args: Any) -> Any:
            self.count += 1
            return await handler(*args)

        return ask


class _Own:
    """A result for its own call alone, as there is no copy of it."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __deepcopy__(self, _: Any) -> Any:
        raise TypeError("it is for the call that has made it")


def _with_meta(arguments: Mapping[str, Any], meta: Any) -> Mapping[str, Any]:
    """What tells two calls apart: their arguments, and what else was said, such as the version of the tool."""
    return {**arguments, "_meta": (arguments.get("_meta"), dict(meta))} if meta else arguments


def _is_read_only(annotations: mcp_types.ToolAnnotations | None) -> bool:
    return annotations is not None and annotations.read_only_hint is True


def _not_called(name: str) -> str:
    return f"{name} was not called: the call is part of a loop"

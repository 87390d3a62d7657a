"""LangChain and LangGraph: the tools of an agent, or of a ToolNode, through one set of rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agent_cache._frameworks import is_resumed
from agent_cache._outcome import fingerprint
from agent_cache.integrations._rules import Rules, checked_rules

try:
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import BaseTool
    from langgraph.prebuilt.tool_node import ToolCallRequest
    from langgraph.types import Command
except ImportError as _missing:
    raise ImportError(
        f"agent_cache.integrations.langchain needs LangChain ({_missing}): pip install 'async-cache[langchain]'"
    ) from _missing

__all__ = ["AgentCacheMiddleware"]

#: What a hook of LangChain hands back.
Answer: TypeAlias = ToolMessage | Command[Any]


class AgentCacheMiddleware(AgentMiddleware[Any, Any, Any]):
    """The calls of an agent's tools, answered from the cache where the rules say so.

    For ``create_agent(model, tools, middleware=[..., AgentCacheMiddleware(rules)])``. It belongs behind the middleware
    that approves, edits or retries calls: what is first in the list is outermost. A graph of your own takes its two
    hooks: ``ToolNode(tools, wrap_tool_call=cache.wrap_tool_call, awrap_tool_call=cache.awrap_tool_call)``.

    A result that is given out again is a copy that carries the id of the new call, and none of its own. Never kept:
    error messages, commands, and what was answered after an ``interrupt()`` in the tool. What a tool takes from the
    state or the store of the graph is no argument: tell such calls apart with ``vary``, or leave the tool out.

    Args:
        rules: What the tools read and write. ``vary`` is given the `ToolRuntime` of the call, such as
            ``lambda runtime: runtime.context.user_id``. ``hints`` counts for tools of langchain-mcp-adapters.

    Raises:
        TypeError: ``rules`` are none.

    A call raises what the tool raises, and `agent_cache.AgentLoopDetectedError` as the open session says.

    """

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._rules = checked_rules(rules)

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]) -> Answer:
        """Answer a call of a blocking run, in whatever thread it is made."""
        call = request.tool_call

        def run(*_: Any) -> Any:
            return _said(handler(request), request)

        hint = _read_only(request.tool)
        return _addressed(
            self._rules.call_blocking(call["name"], request.runtime, call["args"], run, read_only=hint), request
        )

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        """Answer a call of an asynchronous run."""
        call = request.tool_call

        async def run(*_: Any) -> Any:
            return _said(await handler(request), request)

        hint = _read_only(request.tool)
        return _addressed(
            await self._rules.call(call["name"], request.runtime, call["args"], run, read_only=hint), request
        )


@dataclass(frozen=True)
class _Said:
    """What a tool has said, whichever call it has answered: equal for equal content.

    ``tool_call_id`` is that of the only call that may have it, if so.
    """

    content: Hashable
    message: ToolMessage = field(compare=False)
    tool_call_id: str | None = field(compare=False)

    @property
    def status(self) -> str:
        """Says ``"error"`` of a call that has failed."""
        return self.message.status


def _said(answer: Any, request: ToolCallRequest) -> Any:
    """An answer without the call that it was given to; anything but a message is left as it is, and kept nowhere."""
    if not isinstance(answer, ToolMessage):
        return answer
    content = answer.content
    if not isinstance(content, str):  # the ids of its blocks are new each time
        content = [{**block, "id": None} if isinstance(block, dict) else block for block in content]
    return _Said(
        fingerprint(content),
        answer,
        answer.tool_call_id if is_resumed(getattr(request.runtime, "config", None)) else None,
    )


def _addressed(answer: Any, request: ToolCallRequest) -> Answer:
    """An answer to this very call."""
    call = request.tool_call
    if answer is None:  # as LangChain writes None
        return ToolMessage("null", name=call["name"], tool_call_id=call["id"])
    if not isinstance(answer, _Said):
        steering: Answer = answer
        return steering
    message = answer.message
    if message.tool_call_id == call["id"]:
        return message
    # With the id of another message it would replace that one in the conversation.
    return message.model_copy(update={"tool_call_id": call["id"], "id": None})


def _read_only(tool: BaseTool | None) -> bool | None:
    """What an MCP server says of a tool; None if it is of none."""
    hints = getattr(tool, "metadata", None) or {}
    if "readOnlyHint" in hints:
        return hints["readOnlyHint"] is True
    maker = getattr(getattr(tool, "coroutine", None), "__module__", None) or ""
    return False if maker.partition(".")[0] == "langchain_mcp_adapters" else None

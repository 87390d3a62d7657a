"""Tools that you did not write: the hooks of agent frameworks, driven by one set of rules.

Each framework has a module of its own, which needs that framework: ``agent_cache.integrations.pydantic_ai``,
``.openai_agents``, ``.langchain`` and ``.fastmcp``.
"""

from __future__ import annotations

from agent_cache.integrations._rules import Rules

__all__ = ["Rules"]

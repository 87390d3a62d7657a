"""Spans: what is said of a call on the current OpenTelemetry span, if its API is installed.

Names of tools and resources as they were declared; never arguments, keys, results or identities.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def _api() -> ModuleType | None:
    try:
        return importlib.import_module("opentelemetry.trace")
    except ImportError:
        return None


_trace = _api()


def annotate(tool: str, templates: tuple[str, ...], outcome: str, loop: str | None = None) -> None:
    """Say on the current span what became of a call of ``tool``."""
    if _trace is None:
        return
    span = _trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attribute("agent_cache.tool", tool)
    span.set_attribute("agent_cache.resource", templates)
    span.set_attribute("agent_cache.outcome", outcome)
    if loop is not None:
        span.set_attribute("agent_cache.loop", loop)

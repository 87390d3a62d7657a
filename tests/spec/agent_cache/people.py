"""Users as frameworks hand them to tools, what tools raise to steer a run, and a shop in which everybody has a cart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from agent_cache import get_metrics


@dataclass
class Deps:
    """What an application puts into the context of a run."""

    user: Any


class RunContext:
    """The context of a run, as pydantic-ai hands it to a tool: known by its name and package."""

    __module__ = "pydantic_ai.tools"

    def __init__(self, user: Any, *, approved: bool = False) -> None:
        self.deps = Deps(user)
        self.tool_call_approved = approved


class ApprovalRequired(Exception):
    """What a tool raises to be approved."""

    __module__ = "pydantic_ai.exceptions"


class ModelRetry(Exception):
    """What a tool raises to be called again."""

    __module__ = "pydantic_ai.exceptions"


class InjectedToolCallId:
    """Marks the parameter that gets the id of the call."""

    __module__ = "langchain_core.tools.base"


class Shop:
    """The truth: versions of carts; ``reads`` counts how often a tool has looked, by whatever it was given."""

    def __init__(self) -> None:
        self.versions: Counter[Any] = Counter()
        self.reads: Counter[Any] = Counter()

    def read(self, key: Any) -> int:
        self.reads[key] += 1
        return self.versions[key]

    def write(self, key: Any) -> None:
        self.versions[key] += 1


def counted(tool: str, name: str) -> int | float:
    """A metric of a tool."""
    return get_metrics()["tools"][tool][name]

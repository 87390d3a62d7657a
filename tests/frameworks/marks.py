"""Marks: decorators of tools, as the makers of a shop's tools are given them."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

F = TypeVar("F", bound=Any)


class Mark(Protocol):
    """A decorator that leaves the type of a tool as it is."""

    def __call__(self, tool: F, /) -> F: ...


def unmarked(tool: F, /) -> F:
    """The tool itself."""
    return tool

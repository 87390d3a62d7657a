"""Caches that load in batches, and a batch loader."""

from __future__ import annotations

from typing import Any

from cache import AsyncCache

HOUR_MS = 3_600_000


def made(**options: Any) -> AsyncCache:
    return AsyncCache(**{"batch_window_ms": 0, **options})


class Many:
    """A batch loader with methods, as repositories have them."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []

    def load(self, keys: list[Any]) -> dict[Any, Any]:
        self.calls.append(keys)
        return {key: f"<{key}>" for key in keys}

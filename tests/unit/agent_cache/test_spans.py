"""What is said on a span, and to whom."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from agent_cache import _spans
from agent_cache._spans import annotate


class Span:
    def __init__(self, *, recording: bool) -> None:
        self._recording = recording
        self.said: dict[str, Any] = {}

    def is_recording(self) -> bool:
        return self._recording

    def set_attribute(self, name: str, value: Any) -> None:
        self.said[name] = value


class Trace:
    def __init__(self, span: Span) -> None:
        self._span = span

    def get_current_span(self) -> Span:
        return self._span


def said(monkeypatch: pytest.MonkeyPatch, *args: Any, recording: bool = True) -> dict[str, Any]:
    span = Span(recording=recording)
    monkeypatch.setattr(_spans, "_trace", Trace(span))
    annotate(*args)
    return span.said


def test_a_call_is_described_by_three_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, "get", ("cart:{id}",), "hit") == {
        "agent_cache.tool": "get",
        "agent_cache.resource": ("cart:{id}",),
        "agent_cache.outcome": "hit",
    }


def test_and_a_loop_by_a_fourth(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, "get", (), "refused", "repeat")["agent_cache.loop"] == "repeat"


def test_a_span_that_does_not_record_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, "get", ("cart",), "hit", recording=False) == {}


def test_without_the_package_nobody_hears_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    api = _spans._api()
    assert api is None
    monkeypatch.setattr(_spans, "_trace", api)
    annotate("get", ("cart",), "hit")


def test_the_package_is_found_where_it_is_installed() -> None:
    api: Any = _spans._api()
    assert api.get_current_span() is not None

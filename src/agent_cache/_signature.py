"""Signature: that of a tool, with annotations that are objects, whatever they were written as."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from inspect import Signature
from typing import Any


def resolved_signature(function: Callable[..., Any]) -> Signature:
    """The signature with annotations that are objects, as far as the names in them are known."""
    hints = resolved_annotations(function)
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in signature.parameters.values()]
    returned = hints.get("return", signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=returned)


def resolved_annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations, those that were written as strings evaluated where the function was defined."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001 - whatever evaluating a stranger's string raises: it stays a string
        annotations: dict[str, Any] = inspect.get_annotations(inspect.unwrap(function))
        return {name: _evaluated(annotation, function) for name, annotation in annotations.items()}


def _evaluated(annotation: object, function: Callable[..., Any]) -> object:
    if not isinstance(annotation, str):
        return annotation
    carrier = type("carrier", (), {"__annotations__": {"it": annotation}})
    globals_ = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(carrier, globalns=globals_, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - as above
        return annotation

"""What annotations mean that were written as text, or before what they name was there."""

from __future__ import annotations

import builtins
import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any


def resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """The annotation with every name in it looked up in ``names``; as it is, if one of them is not there."""
    holder = type("Holder", (), {"__annotations__": {"it": annotation}})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - it is an expression of the user's, which may be meant for type checkers alone
        return annotation


def hints(kind: type) -> dict[str, Any]:
    """The annotations of a class and its bases, each resolved where it was written."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        names = {**vars(base), **vars(builtins), **_module_of(base), base.__name__: base}
        for name, annotation in inspect.get_annotations(base).items():
            found[name] = resolved(annotation, names)
    return found


def aliased(alias: Any) -> Any:
    """What an alias stands for."""
    return resolved(alias.__value__, _module_of(alias))


def returned(function: Callable[..., Any]) -> Any:
    """What a function is annotated to return; Any if it does not say, or names what cannot be found at run time."""
    inner = inspect.unwrap(function)
    try:
        annotation = inspect.get_annotations(inner)["return"]
        enclosing = inspect.getclosurevars(inner).nonlocals
    except Exception:  # noqa: BLE001 - no function in Python, no annotation, or one that fails when it is evaluated
        return Any
    return resolved(annotation, {**inner.__globals__, **enclosing})


def _module_of(named: Any) -> dict[str, Any]:
    return {**vars(sys.modules.get(named.__module__, builtins))}

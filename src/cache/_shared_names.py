"""Shared names: by what every process knows a function or a class, and finds it again."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from cache._arguments import shown

#: A module by these names is the program, which has another name in every other process.
_PROGRAM = ("__main__", "__mp_main__")


def shared_name(function: Callable[..., Any]) -> str:
    """The name by which every process knows a function: that of its module and its own.

    The program itself goes by the name by which it is imported elsewhere: that of ``python -m package.module``, or
    of a script's file without its ending.

    Raises:
        TypeError: there is none, or many functions may have it.

    """
    module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    remedy = "Give it a name of its own that is the same in every process, with name=..."
    if not isinstance(module, str) or not isinstance(qualname, str):
        raise TypeError(f"{shown(function)} has no name of its own by which other processes could know it. {remedy}")
    for unnamed in ("<locals>", "<lambda>"):
        if unnamed in qualname:
            raise TypeError(
                f"{module}.{qualname} is not known by that name: a function made inside another, or a lambda, may "
                f"exist many times. {remedy}"
            )
    home = _shared_module(module)
    if home is None:
        raise TypeError(f"{module}.{qualname} was not defined in a file, so no other process knows it. {remedy}")
    return f"{home}.{qualname}"


def _shared_module(module: str) -> str | None:
    """The name by which a module is imported in other processes; None if it is in no file."""
    if module not in _PROGRAM:
        return module
    contents = _contents(module)
    spec, file = contents.get("__spec__"), contents.get("__file__")
    if spec is not None and spec.name not in _PROGRAM:
        return str(spec.name)
    if not isinstance(file, str):
        return None
    path = PurePath(file)
    return path.stem if path.stem not in _PROGRAM else path.parent.stem


def _contents(module: str) -> dict[str, Any]:
    found = sys.modules.get(module)
    return _attributes(types.ModuleType, found) if issubclass(type(found), types.ModuleType) else {}


def _attributes(kind: type, holder: object) -> Any:
    # Not by getattr: a module may load what it does not have, or itself, when it is asked for an attribute.
    return kind.__dict__["__dict__"].__get__(holder)


def _found(module: str, qualname: str) -> Any:
    """What is in a module by that name, also if the module is the program; None if there is no such thing."""
    if module not in sys.modules:
        module = next((name for name in _PROGRAM if name in sys.modules and _shared_module(name) == module), module)
    first, *rest = qualname.split(".")
    found = _contents(module).get(first)
    for name in rest:
        found = _attributes(type, found).get(name) if issubclass(type(found), type) else None
    return found


def address_of(kind: type) -> bytes | None:
    """Where every process finds a class; None if this one does not find it there."""
    if kind is types.NoneType:
        return b"types NoneType"  # it does not know where it is to be found
    module, qualname = kind.__module__, kind.__qualname__
    home = _shared_module(module) if isinstance(module, str) else None
    if home is None or _found(home, qualname) is not kind:
        return None
    return f"{home} {qualname}".encode("utf-8", "surrogatepass")


def class_at(home: bytes) -> type:
    module, _, qualname = home.decode("utf-8", "surrogatepass").partition(" ")
    found = _found(module, qualname)
    meta: Any = type(found)
    if not issubclass(meta, type) or meta.__hash__ is not type.__hash__:
        raise ValueError(f"there is no class {module}.{qualname} in this process")
    return found  # type: ignore[no-any-return]  # it is one

"""Rename: compiled code with other names for its variables, for compiling takes ten times as long."""

from __future__ import annotations

from collections.abc import Mapping
from types import CodeType
from typing import Any


def renamed(code: CodeType, names: Mapping[str, str], filename: str) -> CodeType:
    """``code``, and the functions defined in it, with ``names`` for local variables and in constants.

    Only for names that mean nothing else in the code, and for variables that no function shares with another.
    """

    def put_in(constant: Any) -> Any:
        if isinstance(constant, CodeType):
            return renamed(constant, names, filename)
        if isinstance(constant, tuple):  # the keywords of a call, or the keys of a dict
            return tuple([put_in(item) for item in constant])
        return names.get(constant, constant) if isinstance(constant, str) else constant

    return code.replace(
        co_filename=filename,
        co_varnames=tuple([names.get(name, name) for name in code.co_varnames]),
        co_consts=tuple([put_in(constant) for constant in code.co_consts]),
    )

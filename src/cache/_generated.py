"""Generated: the functions of one signature, made from their source.

To compile is most of what it costs to decorate a function. So signatures that differ in nothing but names are compiled
once, with placeholders, and the names are put into the code afterwards. `f.__code__.co_filename` is known to
`linecache`, so debuggers and `inspect.getsource` show the source.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import CodeType
from typing import Any, NamedTuple

from cache._codegen import Shape, parameter_list, source_of
from cache._rename import renamed

#: What stands for the name of a parameter in what is compiled, alone or after the name of its default.
_PLACEHOLDER = re.compile(r"(?<![A-Za-z0-9])p(\d+)\b")


@cache
def _compile(shape: Shape) -> CodeType:
    source, code = _compile_anonymous(shape.anonymous())
    names = [name for name, _, _ in shape.parameters]
    source = _PLACEHOLDER.sub(lambda found: names[int(found[1])], source)
    filename = f"<cached ({parameter_list(shape, switch=False)}) #{abs(hash(shape)):x}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    default = f"{shape.prefix}default_"
    named = {f"p{i}": name for i, name in enumerate(names)}
    return renamed(code, named | {default + old: default + new for old, new in named.items()}, filename)


@cache
def _compile_anonymous(shape: Shape) -> tuple[str, CodeType]:
    source = source_of(shape)
    return source, compile(source, "<cached>", "exec")


def code_of_cached(shape: Shape) -> CodeType:
    """The code of the wrapper alone, for one that was generated for another shape of the same signature."""
    (factory,) = [part for part in _compile(shape).co_consts if isinstance(part, CodeType)]
    (code,) = [part for part in factory.co_consts if isinstance(part, CodeType) and part.co_name == "cached"]
    return code


class Generated(NamedTuple):
    """What is generated for one signature; ``rebind`` tells it of another dict."""

    cached: Callable[..., Any]
    key: Callable[..., Any]
    peek: Callable[..., Any]
    bound: Callable[..., dict[str, Any]]
    rebind: Callable[[dict[Any, Any]], None]


def generate(
    shape: Shape, names: Mapping[str, Any], defaults: Mapping[str, Any], globals_: dict[str, Any]
) -> Generated:
    """The functions of this shape, in the globals of the function itself.

    The names that they use come from a closure: nothing of the user's module is shadowed, and nothing put into it.
    """
    local: dict[str, Any] = {}
    exec(_compile(shape), globals_, local)  # noqa: S102 - the source is made of names of parameters alone
    factory = local[f"{shape.prefix}factory"]
    closed_over = {shape.prefix + name: value for name, value in names.items()}
    closed_over |= {f"{shape.prefix}default_{name}": value for name, value in defaults.items()}
    return Generated(*factory(**closed_over))

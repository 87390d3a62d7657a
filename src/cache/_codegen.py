"""Codegen: the source of the function that a hit runs through, written for one signature.

CPython binds the arguments, so that ``f(1)`` and ``f(uid=1)`` reach one key for nothing, and what a function does not
use has no line in it. Everything that is not a hit is elsewhere, which keeps this function's frame small. The
technique is that of `dataclasses`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from inspect import Parameter

#: Names that the generated functions close over start with this and as many more underscores as it takes.
PREFIX = "_c_"

#: How parameters are passed on.
_CALLED: dict[int, str] = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}


@dataclass(frozen=True)
class Shape:
    """What the generated source depends on: the parameters, what the key is made of, and what a hit must look at.

    ``key`` are the names of the parameters in the key, in order; ``instance`` the one of them, if any, that stands
    by identity; ``custom`` says that a function of the user's makes the key; ``parts`` is the number of dicts in which
    the entries are; ``watched`` says that all of them may be invalidated by other processes. No parameter begins with
    ``prefix``.
    """

    parameters: tuple[tuple[str, int, bool], ...]
    key: tuple[str, ...]
    instance: str | None
    typed: bool
    custom: bool
    has_ttl: bool
    has_tags: bool
    track: bool
    counts_uses: bool
    parts: int = 1
    watched: bool = False
    prefix: str = ""

    def __post_init__(self) -> None:
        prefix = self.prefix or PREFIX
        while any(name.startswith(prefix) for name, _, _ in self.parameters):
            prefix += "_"
        object.__setattr__(self, "prefix", prefix)

    def anonymous(self) -> Shape:
        """The same with placeholders in place of the names."""
        at = {name: f"p{i}" for i, (name, _, _) in enumerate(self.parameters)}
        return replace(
            self,
            parameters=tuple([(at[name], kind, has_default) for name, kind, has_default in self.parameters]),
            key=tuple([at[name] for name in self.key]),
            instance=self.instance and at[self.instance],
        )


def parameters_of(signature: inspect.Signature) -> tuple[tuple[str, int, bool], ...]:
    """Name, kind, and whether there is a default."""
    return tuple(
        (name, int(parameter.kind), parameter.default is not Parameter.empty)
        for name, parameter in signature.parameters.items()
    )


def parameter_list(shape: Shape, *, switch: bool) -> str:
    """The parameter list; with ``switch``, with ``use_cache`` in it."""
    parts: list[str] = []
    kinds = [kind for _, kind, _ in shape.parameters]
    starred = False

    def star() -> None:
        nonlocal starred
        if not starred:
            parts.append("*")
            starred = True

    for at, (name, kind, has_default) in enumerate(shape.parameters):
        text = f"{name}={shape.prefix}default_{name}" if has_default else name
        if kind == Parameter.VAR_POSITIONAL:
            text, starred = f"*{name}", True
        elif kind == Parameter.VAR_KEYWORD:
            if switch:
                star()
                parts.append("use_cache=True")
            text = f"**{name}"
        elif kind == Parameter.KEYWORD_ONLY:
            star()
        parts.append(text)
        if kind == Parameter.POSITIONAL_ONLY and kinds[at + 1 : at + 2] != [Parameter.POSITIONAL_ONLY]:
            parts.append("/")
    if switch and Parameter.VAR_KEYWORD not in kinds:
        star()
        parts.append("use_cache=True")
    return ", ".join(parts)


def _arguments(shape: Shape) -> str:
    """The arguments as ``(args, kwargs)``, for a call of the function itself."""
    args: list[str] = []
    kwargs: list[str] = []
    for name, kind, _ in shape.parameters:
        if kind == Parameter.VAR_POSITIONAL:
            args.append(f"*{name}")
        elif kind == Parameter.VAR_KEYWORD:
            kwargs.append(f"**{name}")
        elif kind == Parameter.KEYWORD_ONLY:
            kwargs.append(f"{name!r}: {name}")
        else:
            args.append(name)
    return f"({', '.join(args)}{',' if args else ''}), {{{', '.join(kwargs)}}}"


def _call(shape: Shape) -> str:
    """The arguments as they are written in a call."""
    return ", ".join(
        f"{name}={name}" if kind == Parameter.KEYWORD_ONLY else f"{_CALLED.get(kind, '')}{name}"
        for name, kind, _ in shape.parameters
    )


def _components(shape: Shape, token: str) -> list[str]:
    kinds = {name: kind for name, kind, _ in shape.parameters}
    c = shape.prefix
    parts = []
    for name in shape.key:
        if name == shape.instance:
            parts.append(token)
        elif kinds[name] == Parameter.VAR_KEYWORD:
            parts.append(f"({c}tuple({c}sorted({name}.items())) if {name} else ())")
        else:
            parts.append(name)
    if shape.typed:
        starred = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        named = [name for name in shape.key if name != shape.instance and kinds[name] not in starred]
        rest = [name for name in shape.key if kinds[name] in starred]
        parts.append(f"{c}types(({''.join(f'{name}, ' for name in named)}), {', '.join(rest)})")
    return parts


def _key(shape: Shape, token: str) -> str:
    if shape.custom:
        return f"{shape.prefix}make_key({_call(shape)})"
    parts = _components(shape, token)
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def source_of(shape: Shape) -> str:
    """The module that defines what is `Generated` for one signature.

    The wrapper tests the common case first, in one line: an entry with no guard, and no load in progress whose frame
    would have to be asked for.
    """
    c = shape.prefix
    me = shape.instance
    free = [
        "data", "store", "epoch", "running", "frame", "clock", "slow", "leave", "look", "make_key", "types",
        "instances", "mint", "id", "hash", "tuple", "sorted", "misses",
    ]  # fmt: skip
    defaults = [f"default_{name}" for name, _, has_default in shape.parameters if has_default]
    bound = ", ".join(f"{name!r}: {name}" for name, _, _ in shape.parameters)
    signature = parameter_list(shape, switch=False)
    lines = [f"def {c}factory({', '.join(c + name for name in (*free, *defaults))}):"]
    lines += [
        f"    async def cached({parameter_list(shape, switch=True)}):",
        *_indented(2, _hit(shape)),
        f"        {c}flight, {c}result = {c}slow(use_cache, {_key(shape, f'{c}mint({me})')}, {_arguments(shape)})",
        "        try:",
        f"            return await {c}result",
        "        except BaseException:",
        f"            {c}leave({c}flight, {c}result)",
        f"            del {c}flight, {c}result",
        "            raise",
        f"    def key({signature}):",
        f"        return {_key(shape, f'{c}mint({me})')}",
        f"    def peek({signature}):",
        *_indented(2, _glance(shape)),
        f"        return {c}look({_call(shape)})",
        f"    def bound({signature}):",
        f"        return {{{bound}}}",
        f"    def rebind({c}new):",
        f"        nonlocal {c}data",
        f"        {c}data = {c}new",
        "    return cached, key, peek, bound, rebind",
    ]
    return "\n".join(lines) + "\n"


def _hit(shape: Shape) -> list[str]:
    c = shape.prefix
    mine, in_time, unread = _conditions(shape)
    unframed = f" and (not {c}running or {c}frame() is None)" if shape.track else ""
    seen = f"{c}guard is None or {c}guard.seen is {c}epoch.now"
    if shape.watched:
        seen = f"{c}guard.checked is {c}epoch.now and {c}guard.stamp == {c}guard.stamps[0]"
    alive = f"({seen} or {c}guard.renew())"
    touch = [f"{c}entry.tick = {c}store.tick = {c}store.tick + 1.0"]
    if shape.counts_uses:
        touch = [f"{c}store.tick += 1.0", f"{c}entry.tick += 1.0"]
    served = _indented(1, [*touch, f"return {c}entry.value"])
    common = [f"if {c}entry.guard is None and use_cache{unread}{mine}{in_time}:", *served]
    full = [f"{c}guard = {c}entry.guard", f"if use_cache and {alive}{unframed}{mine}{in_time}:", *served]
    return [*_find(shape), *_indented(1, full if shape.has_tags or shape.watched else common + full)]


def _glance(shape: Shape) -> list[str]:
    """What `_hit` does in the common case, for a read that counts nothing."""
    c = shape.prefix
    mine, in_time, unread = _conditions(shape)
    lines = [f"if {c}entry.guard is None{unread}{mine}{in_time}:", f"    return {c}entry.value"]
    return [*_find(shape), *_indented(1, lines)]


def _conditions(shape: Shape) -> tuple[str, str, str]:
    c = shape.prefix
    mine = f" and {c}seen[0]() is {shape.instance}" if shape.instance else ""
    in_time = f" and {c}entry.exp > {c}clock()" if shape.has_ttl else ""
    unread = f" and not {c}running" if shape.track else ""
    return mine, in_time, unread


def _find(shape: Shape) -> list[str]:
    """Look the entry up; what follows is the block of ``else``."""
    c = shape.prefix
    find = [f"{c}seen = {c}instances[{c}id({shape.instance})]"] if shape.instance else []
    key = _key(shape, f"{c}seen[1]")
    if shape.parts == 1:
        find += [f"{c}entry = {c}data[{key}]"]
    else:
        find += [f"{c}key = {key}", f"{c}entry = {c}data[{c}hash({c}key) % {shape.parts}][{c}key]"]
    return [
        "try:",
        *_indented(1, find),
        f"except {c}misses:",
        "    pass",
        "else:",
    ]


def _indented(levels: int, lines: list[str]) -> list[str]:
    return ["    " * levels + line for line in lines]

"""Resources: what tools read and write, as paths of which one may lie below another.

``"cart"`` is a resource, ``"cart:7"`` lies below it. Who writes a resource changes it, all that is below it, and what
was read as exactly one of those above it, such as a list in which it stands; not its siblings.
"""

from __future__ import annotations

import string
from collections.abc import Hashable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from enum import Enum
from fractions import Fraction
from numbers import Number
from typing import Any, TypeAlias

from cache import stable_key

Path: TypeAlias = tuple[str, ...]

#: What separates the segments of a path, and what else may not stand in one as it is.
SEPARATOR = ":"
_ESCAPED = str.maketrans({"%": "%25", ":": "%3A", "|": "%7C"})


def segment(value: Any, name: str) -> str:
    """The text by which a value stands in a path: equal values have one text, so that what is written is found.

    Raises:
        TypeError: it has no text but the address where it lies.

    """
    if isinstance(value, Enum):
        value = value.value
    kind: Any = type(value)
    if isinstance(value, Number):
        text = _number(value)
    elif isinstance(value, list | tuple):
        text = str([segment(each, name) for each in value])
    elif isinstance(value, Mapping):
        text = str(sorted((segment(key, name), segment(each, name)) for key, each in value.items()))
    elif isinstance(value, AbstractSet):
        text = str(sorted(segment(each, name) for each in value))
    elif isinstance(value, datetime) and value.tzinfo is not None:
        text = str(value.astimezone(UTC))
    elif kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        raise TypeError(
            f"{name}={value!r} stands in the name of a resource, and a {kind.__name__} has no text of its own: pass a "
            f"string, a number or a UUID"
        )
    else:
        text = str(value)
    return text.translate(_ESCAPED)


def _number(value: Any) -> str:
    try:
        return str(Fraction(value))
    except (TypeError, ValueError, OverflowError):  # complex numbers, infinities
        return str(value)


class Resource:
    """A resource as tools declare it: its name, in which ``{parameter}`` stands for the argument of a call."""

    __slots__ = ("_segments", "fields", "template")

    def __init__(self, template: object) -> None:
        if not isinstance(template, str):
            raise TypeError(
                f"resource={template!r}, of type {type(template).__name__}: pass a name such as 'cart:{{cart_id}}'"
            )
        self.template = template
        self._segments = tuple(tuple(_parsed(part, template)) for part in template.split(SEPARATOR))
        if any(field is not None for _, field in self._segments[0]):
            raise ValueError(
                f"resource={template!r} begins with an argument: begin with a name, such as 'cart:{{cart_id}}'"
            )
        self.fields = frozenset(field for part in self._segments for _, field in part if field is not None)

    def path(self, values: Mapping[str, Any]) -> Path:
        """The path for one call. What is formatted into a segment stays within it.

        Where an argument is missing the path ends: what lies above is read or written as a whole.
        """
        path: list[str] = []
        for part in self._segments:
            if any(field is not None and field not in values for _, field in part):
                break
            path.append(
                "".join(text + ("" if field is None else segment(values[field], field)) for text, field in part)
            )
        return tuple(path)

    def may_be(self, path: Path) -> bool:
        """Whether some call could have this path."""
        return len(path) == len(self._segments) and all(
            any(field is not None for _, field in part) or "".join(text for text, _ in part) == given
            for part, given in zip(self._segments, path, strict=True)
        )

    def check_fields(self, names: Iterable[str], tool: str) -> None:
        """Refuse a template that the arguments of ``tool`` cannot fill."""
        known = tuple(names)
        for field in sorted(self.fields):
            if field not in known:
                raise TypeError(
                    f"resource={self.template!r} names {field!r}, and {tool} has the parameters "
                    f"{', '.join(known) or '(none)'}: use one of these, or vary= for what comes with the context"
                )


def _parsed(part: str, template: str) -> Iterator[tuple[str, str | None]]:
    if not part:
        raise ValueError(f"resource={template!r} has an empty segment: write it as 'cart' or 'cart:{{cart_id}}'")
    try:
        pieces = list(string.Formatter().parse(part))
    except ValueError as error:
        raise ValueError(f"resource={template!r} is no template: {error}") from None
    for text, field, spec, conversion in pieces:
        if field is not None and (not field.isidentifier() or spec or conversion):
            raise ValueError(f"resource={template!r}: {{{field}}} is not the plain name of a parameter")
        yield text.translate(_ESCAPED), field


def resources_of(given: object) -> tuple[Resource, ...]:
    """The resources that a decorator was given: one, or a sequence."""
    if not isinstance(given, str | bytes) and isinstance(given, Iterable):
        found = tuple({each.template: each for each in map(Resource, given)}.values())
        if not found:
            raise ValueError("resource=() names nothing: pass a name, such as 'cart', or several")
        return found
    return (Resource(given),)


def above(path: Path) -> Iterator[Path]:
    """The paths that ``path`` lies below, from the top."""
    for length in range(1, len(path)):
        yield path[:length]


def names_read(path: Path, call: Hashable) -> tuple[str, ...]:
    """The names on which the result of a call rests that read ``path``."""
    whole = SEPARATOR.join(path)
    return (f"at|{whole}", call_name(path, call), *[f"below|{SEPARATOR.join(upper)}" for upper in above(path)])


def names_written(path: Path) -> tuple[str, ...]:
    """The names that change when ``path`` is written."""
    return (f"at|{SEPARATOR.join(path)}", *names_around(path))


def names_around(path: Path) -> tuple[str, ...]:
    """The same without ``path`` itself: what is below it, and what was read as exactly one of those above it."""
    return (f"below|{SEPARATOR.join(path)}", *[f"at|{SEPARATOR.join(upper)}" for upper in above(path)])


def call_name(path: Path, call: Hashable) -> str:
    """The name of one call that read ``path``. Calls may share one: then they are invalidated together."""
    return f"call|{SEPARATOR.join(path)}|{label(call)}"


def label(value: Any) -> str:
    """A text that equal values have in common in every process.

    What is equal to nothing but itself is found in this process alone; and all else that has no form that is the same
    in every process has one label in common.
    """
    try:
        return stable_key(value)
    except TypeError:
        kind: Any = type(value)
        if kind is tuple:
            return stable_key(tuple(map(label, value)))
        return f"{id(value):x}" if kind.__eq__ is object.__eq__ else "any"

"""Templates: tags with the names of parameters in them, such as ``"user:{user_id}"``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from inspect import Parameter
from string import Formatter
from typing import Any


class Templates:
    """The tags of one function, checked against its parameters when it is decorated."""

    __slots__ = ("_function", "_templates", "fields")

    def __init__(
        self,
        templates: tuple[str, ...],
        parameters: tuple[Parameter, ...],
        function: str,
        left_out: AbstractSet[str] = frozenset(),
    ) -> None:
        names = [parameter.name for parameter in parameters]
        for template in templates:
            try:
                fields = list(_fields(template))
            except ValueError as error:
                raise ValueError(f"the tag {template!r} of {function} is no valid template: {error}") from error
            for name in fields:
                if name not in names:
                    raise ValueError(
                        f"the tag {template!r} of {function} names {{{name}}}, which is no parameter of it: "
                        f"it has {', '.join(names) or 'none'}"
                    )
                if name in left_out:
                    raise ValueError(
                        f"the tag {template!r} of {function} names {{{name}}}, which is left out of the key: the entry "
                        f"would carry the tag of whoever loads it first"
                    )
        self._function = function
        self.fields = frozenset(name for template in templates for name in _fields(template))
        self._templates = templates

    @property
    def text(self) -> str:
        """All of them, as they are written."""
        return " ".join(map(repr, self._templates))

    def __bool__(self) -> bool:
        return bool(self._templates)

    def fill(self, bound: Mapping[str, Any]) -> tuple[str, ...]:
        """The tags of one call."""
        return tuple([self._fill(template, bound) for template in self._templates])

    def _fill(self, template: str, bound: Mapping[str, Any]) -> str:
        try:
            tag = template.format_map(bound)
        except Exception as error:  # the user's, passed on with a word on where it came from
            error.add_note(f"while filling in the tag {template!r} of {self._function}")
            raise
        if not tag:
            raise ValueError(f"the tag {template!r} of {self._function} came out empty: a tag names something")
        return tag


def _fields(template: str) -> Iterator[str]:
    for _, field, spec, conversion in Formatter().parse(template):
        if field is not None:
            if conversion not in (None, "a", "r", "s"):
                raise ValueError(f"there is no conversion !{conversion}")
            yield field.split(".")[0].split("[")[0]
            yield from _fields(spec or "")

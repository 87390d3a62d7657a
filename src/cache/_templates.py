"""Templates: tags with the names of parameters in them, such as ``"user:{user_id}"``."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from inspect import Parameter
from string import Formatter
from typing import Any


class Templates:
    """The tags of one function, checked against its parameters when it is decorated."""

    __slots__ = ("_templates",)

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
                fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
            except ValueError as error:
                raise ValueError(f"the tag {template!r} of {function} is no valid template: {error}") from error
            for field in fields:
                name = field.split(".")[0].split("[")[0]
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
        self._templates = templates

    def __bool__(self) -> bool:
        return bool(self._templates)

    def fill(self, bound: Mapping[str, Any]) -> tuple[str, ...]:
        """The tags of one call."""
        return tuple([template.format_map(bound) for template in self._templates])

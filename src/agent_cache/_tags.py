"""Tags: the user's own, beside the resources, shared with the functions that `cache.cached` caches."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

#: From the arguments of a call to its tags.
TagsOf: TypeAlias = Callable[[Mapping[str, Any]], Iterable[str]]


def tags_of(tags: object, names: Iterable[str], tool: str) -> TagsOf:
    """The tags of a tool, templates over its parameters, as a function of the arguments of a call.

    Raises:
        TypeError: they are no strings, or name what the tool does not have.
        ValueError: one is empty or no template.

    """
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise TypeError(f"tags={tags!r}: pass a tuple of strings, such as ('users', 'user:{{user_id}}')")
    templates = tuple(tags)
    known = tuple(names)
    for template in templates:
        if not isinstance(template, str):
            raise TypeError(f"tags contains {template!r}, of type {type(template).__name__}: each is a string")
        if not template:
            raise ValueError("tags contains an empty string: pass names, such as 'users'")
        try:
            fields = [_parameter(field) for _, field, _, _ in string.Formatter().parse(template) if field is not None]
        except ValueError as error:
            raise ValueError(f"the tag {template!r} of {tool} is no template: {error}") from None
        for field in fields:
            if field not in known:
                raise TypeError(
                    f"the tag {template!r} of {tool} names {field!r}, and {tool} has the parameters "
                    f"{', '.join(known) or '(none)'}"
                )
    return lambda values: [template.format(**values) for template in templates]


def _parameter(field: str) -> str:
    """The parameter that ``{user.id}`` or ``{row[0]}`` looks into."""
    return field.partition(".")[0].partition("[")[0]

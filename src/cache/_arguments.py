"""What callers pass, checked at once: the wrong thing fails loudly, with its value and what would be right."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias


class Default(enum.Enum):
    """The type of ``DEFAULT``."""

    DEFAULT = "the cache's default"

    def __repr__(self) -> str:
        return "DEFAULT"


#: For ``ttl``: whatever the cache was made with.
DEFAULT: Final = Default.DEFAULT

#: Seconds; None for ever, 0 not at all; or a function of the result that returns one of these.
TTL: TypeAlias = float | Callable[[Any], float | None] | None


def check_seconds(value: object, name: str, *, none: str | None = None) -> float | None:
    """A duration in seconds; ``none`` says what None means where it is allowed."""
    if value is None and none is not None:
        return None
    wanted = "a number of seconds, 0 or more" + (f", or None for {none}" if none is not None else "")
    if isinstance(value, timedelta):
        raise TypeError(f"{name}={value!r}: pass {wanted}; here {name}={value.total_seconds()!r}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}: pass {wanted}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name}={value!r}: pass {wanted}")
    return float(value)


def check_ttl(value: object, name: str = "ttl") -> Callable[[Any], float | None]:
    """The function from a result to its seconds, for a ttl of any allowed form."""
    if callable(value):
        of_result = value

        def ttl_of(result: Any) -> float | None:
            seconds = of_result(result)
            return check_seconds(seconds, f"the result of {name}={of_result!r}", none="ever")

        return ttl_of
    seconds = check_seconds(value, name, none="ever")
    return lambda _: seconds


def check_count(value: object, name: str, *, least: int, none: str | None = None) -> int | None:
    """A whole number; ``none`` says what None means where it is allowed."""
    if value is None and none is not None:
        return None
    wanted = f"a whole number, {least} or more" + (f", or None for {none}" if none is not None else "")
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}: pass {wanted}")
    if value < least:
        raise ValueError(f"{name}={value!r}: pass {wanted}")
    return value


def check_key(key: object) -> None:
    """A key of the core cache must be hashable; an error that its ``__hash__`` raises is the caller's."""
    if not isinstance(key, Hashable):
        raise TypeError(
            f"key={key!r} is a {type(key).__name__}, which is not hashable: pass a hashable key, such as a tuple "
            f"or a string made from it"
        )
    try:
        hash(key)
    except TypeError as error:
        raise TypeError(f"key={key!r} is not hashable ({error}): pass a key whose parts are all hashable") from error


def check_tags(tags: object, name: str = "tags") -> tuple[str, ...]:
    """The names of tags."""
    if isinstance(tags, str | bytes) or not isinstance(tags, Iterable):
        raise TypeError(f"{name}={tags!r}: pass a tuple of strings, such as ('users', 'user:7')")
    checked = tuple(tags)
    for tag in checked:
        if not isinstance(tag, str):
            raise TypeError(f"{name} contains {tag!r}, a {type(tag).__name__}: a tag is a string")
        if not tag:
            raise ValueError(f"{name} contains an empty string: a tag names something, such as 'user:7'")
    return checked


def check_some_tags(tags: object) -> tuple[str, ...]:
    """The names of tags, one at least."""
    checked = check_tags(tags)
    if not checked:
        raise TypeError("invalidate() needs at least one tag; to drop everything in a cache, call clear()")
    return checked


def check_callable(value: object, name: str, call: str) -> Callable[..., Any]:
    """A function; ``call`` shows how it will be called."""
    if not callable(value):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}: pass a function, called as {call}")
    return value


def check_name(value: object, name: str) -> str:
    """A non-empty string."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}: pass a string")
    if not value:
        raise ValueError(f"{name}={value!r}: pass a string that is not empty")
    return value


def check_cache_errors(value: object) -> Mapping[type[BaseException], float]:
    """Classes of exceptions and for how many seconds each is kept."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"cache_errors={value!r}: pass a mapping of exception classes to seconds, {{NotFound: 5.0}}")
    checked: dict[type[BaseException], float] = {}
    for kind, seconds in value.items():
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"cache_errors has the key {kind!r}: each key is a class of exceptions, such as KeyError")
        checked[kind] = check_seconds(seconds, f"cache_errors[{kind.__name__}]") or 0.0
    return checked


def check_choice(value: object, name: str, choices: tuple[str, ...]) -> None:
    """One of a few words."""
    if value not in choices:
        raise ValueError(f"{name}={value!r}: pass one of {', '.join(map(repr, choices))}")

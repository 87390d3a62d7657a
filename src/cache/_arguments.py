"""What callers pass, checked at once: the wrong thing fails loudly, with its value and what would be right."""

from __future__ import annotations

import enum
import inspect
import math
import reprlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias, overload


class Default(enum.Enum):
    """The type of ``DEFAULT``."""

    DEFAULT = "the cache's default"

    def __repr__(self) -> str:
        return "DEFAULT"


#: For ``ttl``: whatever the cache was made with.
DEFAULT: Final = Default.DEFAULT

#: Seconds; None for ever, 0 not at all; or a function of the result that returns one of these.
TTL: TypeAlias = float | Callable[[Any], float | None] | None


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120


_shown = _Shown()


def shown(value: object) -> str:
    """``repr(value)`` for a message: not megabytes of it, and not an error of its own."""
    return _shown.repr(value)


@overload
def check_seconds(value: object, name: str, *, unit: str = "seconds") -> float: ...
@overload
def check_seconds(value: object, name: str, *, none: str, unit: str = "seconds") -> float | None: ...
def check_seconds(value: object, name: str, *, none: str | None = None, unit: str = "seconds") -> float | None:
    """A duration; ``none`` says what None means where it is allowed."""
    if value is None and none is not None:
        return None
    wanted = f"a number of {unit}, 0 or more" + (f", or None for {none}" if none is not None else "")
    if isinstance(value, timedelta):
        raise TypeError(f"{name}={shown(value)}: pass {wanted}; here {name}={value.total_seconds()!r}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={shown(value)} is of type {type(value).__name__}: pass {wanted}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name}={shown(value)}: pass {wanted}")
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


@overload
def check_count(value: object, name: str, *, least: int) -> int: ...
@overload
def check_count(value: object, name: str, *, least: int, none: str) -> int | None: ...
def check_count(value: object, name: str, *, least: int, none: str | None = None) -> int | None:
    """A whole number; ``none`` says what None means where it is allowed."""
    if value is None and none is not None:
        return None
    wanted = f"a whole number, {least} or more" + (f", or None for {none}" if none is not None else "")
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={shown(value)} is of type {type(value).__name__}: pass {wanted}")
    if value < least:
        raise ValueError(f"{name}={shown(value)}: pass {wanted}")
    return value


def check_key(key: object) -> None:
    """A key of the core cache must be hashable; an error that its ``__hash__`` raises is the caller's."""
    if not isinstance(key, Hashable):
        raise TypeError(
            f"key={shown(key)} is of type {type(key).__name__}, which is not hashable: pass a hashable key, such as "
            f"a tuple or a string made from it"
        )
    try:
        hash(key)
    except TypeError as error:
        raise TypeError(
            f"key={shown(key)} is not hashable ({error}): pass a key whose parts are all hashable"
        ) from error


def check_tags(tags: object, name: str = "tags", example: str = "('users', 'user:7')") -> tuple[str, ...]:
    """Names: of tags, or of what ``name`` and ``example`` say."""
    if isinstance(tags, str | bytes) or not isinstance(tags, Iterable):
        raise TypeError(f"{name}={shown(tags)}: pass a tuple of strings, such as {example}")
    checked = tuple(tags)
    for tag in checked:
        if not isinstance(tag, str):
            raise TypeError(f"{name} contains {shown(tag)}, of type {type(tag).__name__}: each is a string")
        if not tag:
            raise ValueError(f"{name} contains an empty string: pass names, such as {example}")
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
        raise TypeError(f"{name}={shown(value)} is of type {type(value).__name__}: pass a function, called as {call}")
    return value


def check_name(value: object, name: str) -> str:
    """A non-empty string."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={shown(value)} is of type {type(value).__name__}: pass a string")
    if not value:
        raise ValueError(f"{name}={shown(value)}: pass a string that is not empty")
    return value


def check_cache_errors(value: object) -> Mapping[type[BaseException], float]:
    """Classes of exceptions and for how many seconds each is kept."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(
            f"cache_errors={shown(value)}: pass a mapping of exception classes to seconds, {{NotFound: 5.0}}"
        )
    checked: dict[type[BaseException], float] = {}
    for kind, seconds in value.items():
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(
                f"cache_errors has the key {shown(kind)}: each key is a class of exceptions, such as KeyError"
            )
        checked[kind] = check_seconds(seconds, f"cache_errors[{kind.__name__}]")
    return checked


def check_flag(value: object, name: str) -> bool:
    """True or False, and not something that merely counts as one."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}={shown(value)} is of type {type(value).__name__}: pass True or False")
    return value


def kind_of(function: object) -> str:
    """What a thing is that should have been an ``async def``, for a message."""
    if inspect.isasyncgenfunction(function):
        return "an async generator"
    if inspect.isgeneratorfunction(function):
        return "a generator"
    if isinstance(function, type):
        return "a class"
    if inspect.isroutine(function):
        return "a plain function"
    return "an object that can be called" if callable(function) else f"of type {type(function).__name__}"


def check_choice(value: object, name: str, choices: tuple[str, ...]) -> None:
    """One of a few words."""
    if value not in choices:
        raise ValueError(f"{name}={shown(value)}: pass one of {', '.join(map(repr, choices))}")

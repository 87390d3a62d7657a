"""Outcome: what came of one execution of a read tool, and whether another call may have it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from itertools import count
from typing import Any

from agent_cache._frameworks import reason_not_to_keep
from cache import cached

#: Counts beginnings of calls and ends of executions, which tells a hit from a joined execution.
moments = count()

#: Values that need no copy, because nobody can change them.
ATOMIC = frozenset({str, int, float, complex, bool, bytes, type(None)})


class Outcome:
    """A result, with the reason, if there is one, why only the call that has made it may have it.

    ``error`` stands in place of a result where the tool has paused or asked to be called again: what says that an
    execution shall not go on is no answer to other calls.
    """

    __slots__ = ("_fingerprint", "at", "error", "maker", "reason", "value")

    def __init__(
        self, maker: object, value: Any, *, reason: str | None = None, error: BaseException | None = None
    ) -> None:
        self.maker = maker if reason is not None else None
        self.value = value
        self.reason = reason
        self.error = error
        self.at = next(moments)
        self._fingerprint: Hashable = None

    @property
    def fingerprint(self) -> Hashable:
        """The same for equal results."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.value)
        return self._fingerprint


def copier(given: object) -> Callable[[Any], Any]:
    """The function that makes each caller's own copy."""
    if given is None:
        return deepcopy
    if not callable(given):
        raise TypeError(f"copy={given!r}: pass a function of the result, such as copy.copy, or leave it out")
    return given


def deepcopy(value: Any) -> Any:
    """A copy that shares nothing that could be changed."""
    return value if type(value) in ATOMIC else copy.deepcopy(value)


def kept(value: Any, make_copy: Callable[[Any], Any]) -> tuple[Any, str | None]:
    """What to keep of a result, and why it may not be kept, if so."""
    reason = reason_not_to_keep(value)
    if reason is not None:
        return value, reason
    try:
        return make_copy(value), None
    except Exception as error:  # noqa: BLE001 - whatever a stranger's type raises to say that it cannot be copied
        return value, f"a {type(value).__name__} cannot be copied ({type(error).__name__}: {error})"


@cached(maxsize=0)
async def _canonical(value: Any) -> None:
    """Never called: the key of its call is the form of a value that equal values have in common."""


def canonical(value: Any) -> Hashable:
    """A form that equal values have in common.

    Raises:
        TypeError: there is none.

    """
    return _canonical.cache_key(value)


def fingerprint(value: Any) -> Hashable:
    """What equal results have in common; a value that cannot be compared is like no other."""
    try:
        return hash(canonical(_shown(value)))
    except Exception:  # noqa: BLE001 - whatever a stranger's type raises to say that it cannot be compared
        return object()


def _shown(value: Any) -> Any:
    """``value`` with what equal hashes hide: -1 and -2 have one, and an address is used again for another object."""
    kind: Any = type(value)
    if kind in (int, float, complex):
        return (kind, repr(value))
    if kind in (list, tuple):
        return (kind, tuple(map(_shown, value)))
    if kind in (set, frozenset):
        return (kind, frozenset(map(_shown, value)))
    if kind is dict:
        return (kind, frozenset((_shown(key), _shown(each)) for key, each in value.items()))
    if kind.__hash__ is object.__hash__ and value is not None:
        if not vars(value) or callable(value):
            raise TypeError(f"a {kind.__name__} shows nothing that could be compared")
        return (kind, _shown(vars(value)))
    return value


def fingerprint_of_error(error: BaseException) -> Hashable:
    """What equal failures have in common."""
    try:
        return hash((type(error), str(error)))
    except Exception:  # noqa: BLE001 - as above
        return object()

"""Operations: what the thread of a file has to know of each thing that may be done to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
#: The operations that change a file, those that work outside a transaction, and those that no file may miss.
changing: set[Callable[..., Any]] = set()
unbound: set[Callable[..., Any]] = set()
owed: set[Callable[..., Any]] = set()


def changes(operation: F) -> F:
    """Declare an operation that needs a transaction which may write."""
    changing.add(operation)
    return operation


def outside(operation: F) -> F:
    """Declare an operation that SQLite does only where no transaction is open."""
    unbound.add(operation)
    return operation


def owes(operation: F) -> F:
    """Declare an operation that changes what others may serve: a file that was given up has to be told, too."""
    owed.add(operation)
    return changes(operation)

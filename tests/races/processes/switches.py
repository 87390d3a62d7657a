"""The protections, switched off one at a time in every process of a run: stale reads must appear."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final
from unittest.mock import patch

from cache import _entry, _window
from cache._lease import Lease
from cache._share import Share

Patch = Callable[[], AbstractContextManager[Any]]


def a_hit_does_not_look_at_the_stamps() -> AbstractContextManager[Any]:
    return patch.multiple(
        _entry.SharedGuard,
        is_alive=_entry.Guard.is_alive,
        renew=lambda self: self.is_alive(),
    )


def a_load_does_not_ask_for_foreign_mutations() -> AbstractContextManager[Any]:
    return patch.object(Share, "is_changing", lambda self, name: False)


def nothing_is_stamped() -> AbstractContextManager[Any]:
    return patch.object(Share, "announce", lambda self, name: None)


def a_mutation_holds_no_lock() -> AbstractContextManager[Any]:
    return patch.object(_window, "slots_by_bus", lambda targets: [])


def a_load_does_not_hear_of_foreign_mutations() -> AbstractContextManager[Any]:
    return patch.object(Lease, "hear", lambda self: None)


SWITCHES: Final[dict[str, Patch]] = {
    each.__name__: each
    for each in (
        a_hit_does_not_look_at_the_stamps,
        a_load_does_not_ask_for_foreign_mutations,
        nothing_is_stamped,
        a_mutation_holds_no_lock,
        a_load_does_not_hear_of_foreign_mutations,
    )
}
INTACT: Final = "intact"


def switched(name: str) -> AbstractContextManager[Any]:
    return nullcontext() if name == INTACT else SWITCHES[name]()

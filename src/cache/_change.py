"""Change: what is invalidated, or set, with no mutation around it.

Where there is a tier, it takes a while until that knows. So long the change covers what it has changed, as a mutation
does: what is loaded meanwhile, here or in another process, may come from before, and is not stored anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from cache._domain import Truth
from cache._share import check_told, have_tiers
from cache._step import step
from cache._telling import Told, tell_tiers
from cache._window import Window
from cache.errors import BusError, CacheError

logger = logging.getLogger("cache")


def change(truths: Sequence[Truth], act: Callable[..., object], *args: Any) -> tuple[bool, Told]:
    """A change that invalidates these: here and on the bus it has been made when this returns.

    What it returns, and what is done when the tiers know.

    Raises:
        BusError: the bus was closed, so that others do not hear of it; it was made here.
        CacheError: a tier could not be told, in a thread without an event loop; it was made here.

    """
    told: Told = ()
    if not have_tiers(truths):
        outcome = step.run(act, *args)
    elif step.is_mine():  # a finalizer asks in the middle of a step: the tiers hear when it is over, and nobody waits
        step.launches.append(Telling(truths))  # before it is made, which may be a step of its own
        outcome = step.run(act, *args)
    else:
        with step:
            outcome = bool(act(*args))
            lift = cover(truths)
        told = tell_tiers(truths, lift)
    check_told(truths)
    return outcome, told


def cover(truths: Sequence[Truth]) -> Callable[[], object] | None:
    """Inside a step: have nothing stored of these until what this returns is called; None if others are not told."""
    window = Window(tuple(truths), _never, has_body=False)
    try:
        window.begin()
    except BusError:  # that cannot be used: nothing of what it could invalidate is stored
        return None
    return partial(step.run, window.lift)


class Telling:
    """Tells the tiers of what a finalizer has changed."""

    def __init__(self, truths: Sequence[Truth]) -> None:
        self._truths = truths

    def launch(self) -> None:
        try:
            with step:  # in which nobody waits
                tell_tiers(self._truths, cover(self._truths))
        except CacheError:
            logger.exception("An invalidation asked for by a finalizer did not reach a tier")


def _never() -> float:
    """The time of what does not linger."""
    return 0.0

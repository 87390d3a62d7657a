"""Disabled: every cached function loads anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cache._cache import living
from cache._loads import switch
from cache._step import step


@contextmanager
def disabled() -> Iterator[None]:
    """Inside, nothing is stored or shared by any cache of the process: every call loads for itself.

    For tests of what is behind the cache. What was stored before is dropped, and nothing that was loaded inside stays.
    May be nested; holds for all threads and event loops.
    """
    _drop_everything()
    switch.off += 1
    try:
        yield
    finally:
        switch.off -= 1
        _drop_everything()


def _drop_everything() -> None:
    for cache in living():
        step.run(cache._store.invalidate_all)

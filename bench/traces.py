"""Traces: keys in the order in which they are asked for. The same in every process, for chance starts from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import accumulate

#: How many keys there are, and how steeply the popular ones stand out, as in traces of the web.
CATALOGUE, STEEPNESS = 100_000, 0.9


def _popular(requests: int, seed: int = 1) -> list[int]:
    weights = list(accumulate((rank + 1) ** -STEEPNESS for rank in range(CATALOGUE)))
    return random.Random(seed).choices(range(CATALOGUE), cum_weights=weights, k=requests)


def zipf(requests: int, room: int) -> Iterator[int]:
    """Few keys are asked for often, most seldom."""
    del room
    yield from _popular(requests)


def scan(requests: int, room: int) -> Iterator[int]:
    """The same, and now and then somebody reads through as many others as there is room, once."""
    unseen = CATALOGUE
    for at, key in enumerate(_popular(requests * 2 // 3)):
        yield key
        if at % (2 * room) == 0:
            yield from range(unseen, unseen + room)
            unseen += room


def loop(requests: int, room: int) -> Iterator[int]:
    """Some more keys than there is room, in turn: what is least recently used is always what comes next."""
    for at in range(requests):
        yield at % (room * 5 // 4)


def shift(requests: int, room: int) -> Iterator[int]:
    """Popularity moves on: every so often another part of the catalogue is the popular one."""
    del room
    for at, key in enumerate(_popular(requests)):
        yield (key + at // 20_000 * 7_919) % CATALOGUE


TRACES: dict[str, Callable[[int, int], Iterator[int]]] = {"Zipf": zipf, "scan": scan, "loop": loop, "shift": shift}

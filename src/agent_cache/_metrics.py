"""Metrics: what the tools of a process have done, by tool and by resource."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet

from cache import AsyncCache

#: What is counted of a read tool, in this order.
COUNTED = (
    "hits", "misses", "coalesced", "loads", "load_errors", "invalidations", "fenced", "evictions", "expirations",
    "bypassed", "size",
)  # fmt: skip


class Counted(Protocol):
    """A tool, as far as it is counted."""

    name: str

    @property
    def templates(self) -> tuple[str, ...]: ...
    def totals(self) -> Counter[str]: ...


_tools: WeakSet[Counted] = WeakSet()
_loops: Counter[str] = Counter()
# Reentrant, for a finalizer may run whatever a tool does in the end.
_lock = threading.RLock()


def enlist(tool: Counted) -> None:
    """From now on ``tool`` is part of `get_metrics`."""
    with _lock:
        _tools.add(tool)


def count_loop(tool: str) -> None:
    """A loop was found at a call of ``tool``."""
    with _lock:
        _loops[tool] += 1


def summed(cache: AsyncCache) -> Counter[str]:
    """The metrics of a cache that can be added up."""
    metrics = cache.get_metrics()
    return Counter({name: int(metrics[name]) for name in COUNTED if name in metrics})


def with_rate(total: Counter[str]) -> dict[str, int | float]:
    """The same as a dict, with zeros and the rate of hits."""
    shown: dict[str, int | float] = {name: total[name] for name in (*COUNTED, "writes", "loops")}
    calls = total["hits"] + total["misses"]
    shown["hit_rate"] = total["hits"] / calls if calls else 0.0
    return shown


def get_metrics() -> dict[str, dict[str, dict[str, int | float]]]:
    """What the tools of this process have done: ``{"tools": {name: ...}, "resources": {resource: ...}}``.

    For each: ``hits``, ``misses``, ``coalesced`` (misses that joined another call's execution), ``loads`` and
    ``load_errors`` (executions through the cache, and those that raised), ``invalidations`` (results dropped because
    something was written), ``fenced`` (results not kept because something was written meanwhile), ``evictions``,
    ``expirations``, ``bypassed`` (calls that did not go through the cache), ``size``, ``writes``, ``loops`` and
    ``hit_rate``. Tools of one name are added up, and sessions too. A resource is named as its tools declare it, never
    with anybody's arguments in it.
    """
    tools: dict[str, Counter[str]] = {}
    resources: dict[str, Counter[str]] = {}
    with _lock:
        listed, loops = tuple(_tools), Counter(_loops)
    for tool in listed:
        total = tool.totals()
        tools.setdefault(tool.name, Counter()).update(total)
        for template in set(tool.templates):
            resources.setdefault(template, Counter()).update(total)
    for name, found in loops.items():
        tools.setdefault(name, Counter())["loops"] += found
        for template in {template for tool in listed if tool.name == name for template in tool.templates}:
            resources[template]["loops"] += found
    return {"tools": _shown(tools), "resources": _shown(resources)}


def _shown(totals: dict[str, Counter[str]]) -> dict[str, dict[str, int | float]]:
    return {name: with_rate(totals[name]) for name in sorted(totals)}


def added(totals: Iterable[Counter[str]]) -> Counter[str]:
    """The sum of several, zeros and all."""
    result: Counter[str] = Counter()
    for total in totals:
        result.update(total)
    return result

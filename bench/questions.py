"""Questions: which contests are held, and what is promised of their outcome."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

from bench import redis_server
from bench.contenders import (
    AGENTS,
    FORMER,
    ON_BUS,
    ON_DISK,
    ON_REDIS,
    OURS,
    PEERS,
    PLAIN_REDIS_PY,
    REDIS_PY,
    S3FIFO,
    UNTRACKED,
)
from bench.rounds import Contest

#: What stands for the same work without a cache, and for the fastest of the other libraries.
BARE, BEST_PEER = "bare", "best peer"


@dataclass(frozen=True)
class Target:
    """A bound of one ratio, or of microseconds.

    Either our time is ``most`` times that of ``other``, or that of ``other`` is ``least`` times ours, or ours is
    ``microseconds``. Two bounds are those on Python 3.11 and on newer ones. Without any, the ratio to ``other`` is
    told, and nothing promised.
    """

    other: str = BARE
    most: float | tuple[float, float] | None = None
    least: float | None = None
    microseconds: float | None = None

    def bound(self, version: str) -> float | None:
        """The bound for one version of Python, if there is one."""
        bound = next((bound for bound in (self.most, self.least, self.microseconds) if bound is not None), None)
        return bound[version != "3.11"] if isinstance(bound, tuple) else bound


@dataclass(frozen=True)
class Question:
    """A contest, with what is promised of it; ``bare`` says what it is like without a cache."""

    what: str
    contest: Contest
    targets: tuple[Target, ...] = ()
    bare: str = "floor"

    def brief(self) -> Question:
        """The same with few entrants where many would take long: us, and those of whom something is promised."""
        contest = self.contest
        if contest.case in ("hit", "tool hit", "watching"):
            return self
        named = {target.other for target in self.targets}
        kept = (*contest.entrants[:1], *(name for name in contest.entrants[1:] if name in named))
        return replace(self, contest=replace(contest, entrants=kept))


def _floor(older: float, newer: float | None = None) -> Target:
    """So many times the floor at most, on Python 3.11 and on newer ones."""
    return Target(most=older if newer is None else (older, newer))


ALL = (OURS, *PEERS, FORMER)


def _hit(
    what: str, shape: str, *targets: Target, keep: str = "lru", entrants: tuple[str, ...] = (OURS, *PEERS)
) -> Question:
    return Question(what, Contest("hit", entrants, {"shape": shape, "keep": keep}), targets)


def _herd(size: int, entrants: tuple[str, ...], loop: str, *, heavy: bool = False) -> Question:
    contest = Contest("herd", entrants, {"size": size}, loop, heavy)
    what = f"herd of {size:,} callers" + on(loop)
    return Question(what, contest, (Target(most=1.5),), bare="gather")


def _miss(loop: str) -> Question:
    targets = (Target("async-lru", most=0.9),)
    return Question("miss whose load suspends once" + on(loop), Contest("miss", ALL, loop=loop), targets, bare="task")


def _batch(what: str, **options: Any) -> Question:
    contest = Contest("batch", (OURS, FORMER), {"size": 100, **options})
    return Question(what, contest, (Target(FORMER, least=3.0),), bare="")


def _decorate(what: str, *, new: bool) -> Question:
    contest = Contest("decorate", (OURS, "async-lru", "cachetools-async"), {"new": new})
    return Question(what, contest, (Target(microseconds=300),), bare="wraps")


def _tool(what: str, *, microseconds: float | None = None, **options: Any) -> Question:
    targets = (Target(),) if microseconds is None else (Target(microseconds=microseconds), Target())
    return Question(f"agent tool: {what}", Contest("tool hit", (AGENTS,), options), targets)


def _on_bus(what: str, case: str, *, most: float | None = None, **options: Any) -> Question:
    return Question(f"on a bus: {what}", Contest(case, (ON_BUS, OURS), options), (Target(OURS, most=most),))


def _on_disk(what: str, case: str, by_hand: str, **options: Any) -> Question:
    return Question(f"before a disk tier: {what}", Contest(case, (ON_DISK,), options), bare=by_hand)


def _in_front(what: str, case: str, *, most: float | None = None, **options: Any) -> Question:
    return Question(f"before Redis: {what}", Contest(case, (ON_REDIS, OURS), options), (Target(OURS, most=most),))


def _beside(what: str, case: str, *, least: float | None = None, **options: Any) -> Question:
    clients = (REDIS_PY,) if least is None else (REDIS_PY, PLAIN_REDIS_PY)  # a promise holds beside each of them
    targets = tuple(Target(client, least=least) for client in clients)
    return Question(f"before Redis: {what}", Contest(case, (ON_REDIS, *clients), options), targets, bare="")


def on(loop: str) -> str:
    """The loop, where it is not that of asyncio."""
    return "" if loop == "asyncio" else f", {loop}"


HITS = (
    _hit(
        "LRU hit, one argument",
        "one argument",
        _floor(1.7, 1.9),
        Target(BEST_PEER, least=2.7),
        Target(FORMER, least=25.0),
        entrants=ALL,
    ),
    _hit("the same, `track=False`", "one argument", _floor(1.5), entrants=(UNTRACKED,)),
    _hit('the same, `policy="s3fifo"`', "one argument", entrants=(S3FIFO,)),
    _hit(
        "TTL hit, one argument",
        "one argument",
        _floor(2.3, 2.6),
        Target(BEST_PEER, least=2.5),
        keep="ttl",
        entrants=ALL,
    ),
    _hit("LRU hit, two arguments", "two arguments", _floor(2.4, 2.7)),
    _hit("TTL hit, two arguments", "two arguments", _floor(2.9, 3.2), keep="ttl"),
    _hit("LRU hit, keyword call", "keyword"),
    _hit("LRU hit, method", "method"),
    _hit("`peek` of a wrapper", "peek", _floor(1.0), entrants=(OURS,)),
    _hit("`AsyncCache.peek`", "core peek", _floor(1.0), entrants=(OURS,)),
    _hit("`AsyncCache.get` hit", "core", _floor(2.0), entrants=(OURS, FORMER)),
)

TOOLS = (
    _tool("hit, with a session and loop detection on", microseconds=5, kind="async", watched=True),
    _tool('the same, `scope="session"`', kind="async", watched=True, scope="session"),
    _tool("hit, without a session", kind="async", watched=False),
    _tool("hit, a context parameter and `vary`", kind="personal", watched=False),
    _tool("hit of a plain `def`", kind="plain", watched=False),
    Question(
        "agent tool: the watch for loops alone",
        Contest("watching", (AGENTS,)),
        (Target(microseconds=2), Target()),
    ),
)

LOADS = (
    _miss("asyncio"),
    _miss("uvloop"),
    _herd(1_000, ALL, "asyncio"),
    _herd(1_000, ALL, "uvloop"),
    _herd(100_000, (OURS, "async-lru"), "asyncio", heavy=True),
    _herd(100_000, (OURS, "async-lru"), "uvloop", heavy=True),
    _batch("batch of 100 keys"),
    _batch("batch of 100 keys, `batch_window_ms=0`", batch_window_ms=0),
    _decorate("decorating, a known signature", new=False),
    _decorate("decorating, new names in a known form", new=True),
)

#: Of buses there is only the one in shared memory, which is of Linux.
ON_BUSES = (
    _on_bus("hit, one argument", "hit", most=1.6, shape="one argument", keep="lru"),
    _on_bus("hit, one argument, with a ttl", "hit", most=1.6, shape="one argument", keep="ttl"),
    _on_bus("miss whose load suspends once", "miss"),
    _on_bus("mutation of one key", "mutation"),
)

ON_DISKS = (
    _on_disk("hit of the disk", "disk hit", "read", at_once=1),
    _on_disk("100 hits of the disk at once", "disk hit", "reads", at_once=100),
    Question(
        "before a disk tier: load that is written behind",
        Contest("written behind", (ON_DISK, OURS)),
        (Target(OURS),),
        bare="task",
    ),
    _on_disk("mutation of one key", "disk mutation", "transaction"),
    _on_disk("100 records, stored and flushed", "disk save", "insert"),
    _on_disk("100 records, by `load_from_backup`", "disk preload", "select"),
)

SHARED = (*(ON_BUSES if sys.platform == "linux" else ()), *ON_DISKS)

#: Measured beside the client library, by the wall but where another clock is named.
BESIDE_CLIENTS = (
    _beside("100 reads of the tier at once", "remote read", least=5.0),
    _beside("these reads, by the processor", "remote read", clock="processor"),
    _beside("100 hits of the server at once", "remote hit", least=5.0),
    _beside("these hits, by the processor", "remote hit", clock="processor"),
    _beside("100 hits of 1 KB of bytes", "remote hit", least=5.0, value="kilobyte"),
    _beside("100 hits of a batch loader", "remote hit", least=5.0, batch=True),
    _beside("one hit of the server", "remote hit", at_once=1),
    _beside("100 misses of both at once", "written behind", at_once=100, clock="wall"),
    _beside("one miss of both", "written behind", clock="wall"),
    _beside("mutation of one key", "mutation", clock="wall"),
)

IN_FRONT = (
    _in_front("hit, one argument", "hit", most=1.6, shape="one argument", keep="lru"),
    _in_front("hit, one argument, with a ttl", "hit", most=1.6, shape="one argument", keep="ttl"),
)

#: Nothing where there is no server to be begun.
AT_A_SERVER = (*IN_FRONT, *BESIDE_CLIENTS) if redis_server.is_installed() else ()

"""The report: every promise with what was measured of it, and then every contender."""

from __future__ import annotations

import os
import platform
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contenders import FORMER, PEERS
from bench.environments import PINS, TOP
from bench.questions import Question
from bench.rounds import Outcome
from bench.table import table
from bench.verdicts import Line, short

#: What was measured of each question, by the version of Python.
Outcomes = Mapping[Question, Mapping[str, Outcome]]

HEAD = """\
# Benchmarks

Written by `make bench`. **Only ratios mean anything**, and only those within one row: every figure is the median of
ratios of two times that were taken next to each other, with its quartiles in brackets. Contenders are processes of
their own that share one core and take turns, round by round; where chance decides how things lie in memory, each is
started several times. Time is what the process spends on the processor, so that other work on the machine is in no
figure; beside a server it is the time that passes. Nothing is compared before it has given the same answers as
async-cache.

- **Floor**: an `async def` around one look into a dict. No Python coroutine that finds something can take less.
{peers}
- **{former}**: the former version of this library.

{machine}
"""

CONTENDERS = """\
Times as multiples of our own: 3 is three times as long. Empty: it has nothing of the kind, or does not give the same
answers. A miss suspends once and stores into a full cache; every caller of a herd asks for the same new key."""

SHARING = """\
**Without it** is the same cache without the bus or the tier, in a process that takes turns with this one. **By hand**
is what the standard library offers for one row of an SQLite file in the same journal mode, in `asyncio.to_thread`: it
knows of no loads, tags or other processes. A load that is written behind also asks the tier first, and counts until it
is written; a mutation tells the tier before its body and again after it, which makes two transactions. Records are
stored below all caches, and beside them rows by one `executemany` in one transaction; `load_from_backup` brings them
into memory, which also takes what they rest on, and one `SELECT` into a dict. Threads count, waiting for the disk does
not, and no other process changes anything meanwhile."""

REMOTE = """\
Redis runs on another core than all that is measured, so the time here is that which passes; but that of hits in memory,
and where the processor is named, which leaves the server out. **redis-py** is the client library that is under the
backend too, with a pool as it comes and with `hiredis`, and where something is promised also without. Reads of the tier
are compared with its bare `GET`, one for each value, and nothing is decoded; all else with what one writes by hand:
`GET`, MessagePack, and `SET` or `DEL`, which know of no loads in progress, tags or other processes. Of the values at
the server, a quarter has room in memory, and none of those is asked for; they are small dicts where nothing else is
said. A miss counts until its value is at the server. A mutation tells the server before its body and again after it; by
hand the value is deleted after it."""

#: Where the soak leaves its plot.
PLOT = TOP / "docs" / "soak.png"
OVER_TIME = """\
`make soak` does ten million operations on one cache: reads, writes, expiries, invalidations by key and by tag, nested
functions and cancelled callers.

![Memory and latency of ten million operations](soak.png)"""


def document(lines: Sequence[Line], outcomes: Outcomes, sections: Mapping[str, str], versions: Sequence[str]) -> str:
    """All of it, as Markdown."""
    parts = [_head()]
    if lines:
        parts += ["## Targets\n", targets(lines, versions), *_verdict(lines)]
    if outcomes:
        parts += ["\n## All contenders\n", CONTENDERS]
        for version in versions:
            parts += [f"\n### Python {version}\n", contenders(outcomes, version)]
        parts += ["", *(_item(reason) for reason in missing(outcomes))]
    for name, section in sections.items():
        parts += [f"\n## {name}\n", section]
    if PLOT.is_file():
        parts += ["\n## Over time\n", OVER_TIME]
    return "\n".join(parts).rstrip() + "\n"


def targets(lines: Sequence[Line], versions: Sequence[str]) -> str:
    """The table of everything that is promised."""
    head = ["what", "target", *(f"Python {version}" for version in versions)]
    return table(head, [[line.what, line.target, *(_cell(line, version) for version in versions)] for line in lines])


def sharing(lines: Sequence[Line], outcomes: Outcomes, versions: Sequence[str]) -> str:
    """The section about what is shared with other processes, and what outlives them."""
    return _beside(SHARING, "takes, and without it or by hand", lines, outcomes, versions)


def remote(lines: Sequence[Line], outcomes: Outcomes, versions: Sequence[str]) -> str:
    """The section about what is at a server that machines share."""
    return _beside(REMOTE, "takes, and without it or with redis-py", lines, outcomes, versions)


def _beside(text: str, what: str, lines: Sequence[Line], outcomes: Outcomes, versions: Sequence[str]) -> str:
    rows = [
        [question.what, *(_times(question, times, version) for version in versions)]
        for question, times in outcomes.items()
    ]
    head = [what, *(f"Python {version}" for version in versions)]
    parts = [text, "", targets(lines, versions), *_verdict(lines), "", table(head, rows)]
    return "\n".join([*parts, "", *(_item(reason) for reason in missing(outcomes))]).rstrip()


def contenders(outcomes: Outcomes, version: str) -> str:
    """The table of everybody who took part, as multiples of our own time."""
    others = (*PEERS, FORMER)
    rows = []
    for question, by_version in outcomes.items():
        if version not in by_version:
            continue
        times = by_version[version].times
        own = times[question.contest.entrants[0]]
        cells = [short(times[name].over(own).median) if name in times else "" for name in others]
        rows.append([question.what, _duration(own.median), *cells])
    return table(["what", "async-cache takes", *others], rows)


def missing(outcomes: Outcomes) -> list[str]:
    """Why contenders are missing from a contest that they were entered for."""
    reasons: dict[str, list[str]] = {}
    for question, by_version in outcomes.items():
        for version, outcome in by_version.items():
            for name, reason in outcome.missing.items():
                reasons.setdefault(f"{question.what}: {name} {reason}", []).append(version)
    return [f"{reason} (Python {', '.join(versions)})" for reason, versions in reasons.items()]


def _head() -> str:
    """What the figures mean, and where they were taken."""
    pins = [line for line in (PINS / "peers.txt").read_text(encoding="utf-8").splitlines() if "==" in line]
    named = [pin.split(";")[0].replace("==", " ") for pin in pins if not pin.startswith(("uvloop", "cachetools=="))]
    peers = _item(f"**Best peer**: the fastest of {', '.join(named)}.")
    return HEAD.format(peers=peers, former=FORMER, machine=_machine())


def _verdict(lines: Sequence[Line]) -> list[str]:
    """How many of the promises are kept, as a paragraph; nothing where there is none."""
    cells = [cell for line in lines for cell in line.cells.values() if cell.met is not None]
    met = sum(1 for cell in cells if cell.met)
    return ["", f"{met} of {len(cells)} targets are met."] if cells else []


def _item(text: str) -> str:
    return textwrap.fill(text, 118, initial_indent="- ", subsequent_indent="  ")


def _cell(line: Line, version: str) -> str:
    return str(line.cells[version]) if version in line.cells else ""


def _times(question: Question, outcomes: Mapping[str, Outcome], version: str) -> str:
    if version not in outcomes:
        return ""
    first, *others = question.contest.entrants
    times = outcomes[version].times
    beside = [times[name].median for name in others if name in times]
    if not others:
        beside = [statistics.median(times[first].bare)]
    return ", ".join(_duration(median) for median in (times[first].median, *beside))


def _duration(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{short(nanoseconds / size)} {unit}"
    return f"{short(nanoseconds)} ns"


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    model = platform.machine()
    if cpuinfo.is_file():
        named = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = named[0].split(":")[1].strip() if named else model
    return f"Taken on {platform.system()}, {model}, {os.cpu_count()} cores."

"""Worker: a process in which one contender is measured, asked for one thing after the other.

    python -m bench.worker CONTENDER LOOP CORE

Each line of standard input is a JSON object ``{"do": ..., **arguments}``; each line of standard output is its answer,
``{"answer": ...}`` or ``{"error": ...}``. It ends with its input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from bench.agents import ToolHit, Watching
from bench.cases import Case
from bench.contenders import CONTENDERS
from bench.decorating import Decorate
from bench.disk import DiskHit, DiskMutation, DiskPreload, DiskSave
from bench.growth import growth
from bench.hits import Hit
from bench.loads import Batch, Herd, Miss, WrittenBehind
from bench.memory import per_entry
from bench.mutations import Mutation
from bench.pauses import bare_pauses, given_back, pauses
from bench.ratios import ratios
from bench.remote import RemoteHit, RemoteRead

CASES: dict[str, Callable[..., Case]] = {
    "hit": Hit,
    "miss": Miss,
    "herd": Herd,
    "batch": Batch,
    "written behind": WrittenBehind,
    "mutation": Mutation,
    "disk hit": DiskHit,
    "disk mutation": DiskMutation,
    "disk save": DiskSave,
    "disk preload": DiskPreload,
    "remote read": RemoteRead,
    "remote hit": RemoteHit,
    "decorate": Decorate,
    "tool hit": ToolHit,
    "watching": Watching,
}

#: What is asked once, and answered with figures of its own.
STUDIES: dict[str, Callable[..., Awaitable[Any]]] = {
    "memory": per_entry,
    "growth": growth,
    "pauses": pauses,
    "bare pauses": bare_pauses,
    "given back": given_back,
    "ratios": ratios,
}


class Worker:
    """Answers the parent, one question at a time; the event loop lives from the first to the last."""

    def __init__(self, contender: str, runner: asyncio.Runner) -> None:
        self._contender = CONTENDERS[contender]()
        self._runner = runner
        self._case: Case | None = None

    def prepare(self, case: str, options: dict[str, Any]) -> Any:
        """Make a case, and return its answers."""
        self._case = None
        gc.unfreeze()
        gc.collect()
        self._case = CASES[case](self._contender, **options)
        answers = self._runner.run(self._case.answers())
        # What is there before the rounds is none of their garbage.
        gc.collect()
        gc.freeze()
        return answers

    def count(self, seconds: float) -> int:
        """How many operations take about so long."""
        count = 1
        while True:
            taken = self._runner.run(self._prepared().run(count)) / 1e9
            if taken >= seconds / 4:
                return max(1, round(count * seconds / taken))
            count *= 4

    def round(self, count: int) -> list[float | None]:
        """Nanoseconds of one operation, and of its counterpart without a cache."""
        case = self._prepared()
        gc.collect()
        own = self._runner.run(case.run(count))
        gc.collect()
        bare = self._runner.run(case.bare(count))
        return [own / count, None if bare is None else bare / count]

    def study(self, name: str, options: dict[str, Any]) -> Any:
        """The outcome of a study."""

        async def run() -> Any:
            return await STUDIES[name](self._contender, **options)

        return self._runner.run(run())

    def end(self) -> None:
        """Let go of what has to be let go of by itself."""
        self._case = None
        if self._contender.end is not None:
            self._runner.run(_awaited(self._contender.end()))

    def _prepared(self) -> Case:
        if self._case is None:
            raise RuntimeError("there is no case: prepare one first")
        return self._case


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes an event loop of this kind."""
    factory: Callable[[], asyncio.AbstractEventLoop] = (
        import_module("uvloop").new_event_loop if name == "uvloop" else asyncio.new_event_loop
    )
    return factory


def main() -> None:
    """Serve until the input ends."""
    contender, loop, core = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    # Whatever a library prints must not get into the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        worker = Worker(contender, runner)
        for line in sys.stdin:
            arguments = json.loads(line)
            try:
                answer = {"answer": getattr(worker, arguments.pop("do"))(**arguments)}
            except Exception:  # noqa: BLE001 - the parent decides what becomes of it
                answer = {"error": traceback.format_exc()}
            print(json.dumps(answer), file=answers, flush=True)
        worker.end()


async def _awaited(what: Awaitable[object]) -> None:
    await what


if __name__ == "__main__":
    main()

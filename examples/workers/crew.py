"""The crew: four workers that begin together, of whom one may be killed in the middle of its work."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from examples.workers.worker import READY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from examples.workers.worker import Task

COMMAND: Final = ("-m", "examples.workers.worker")
LATER: Final = 60.0
"""How many seconds longer than the others the one would work that is to be killed."""


class WorkerFailed(Exception):
    """A worker has ended that nobody has killed, and not as it should."""


class Crew:
    """The processes of one crew; when it is left, none of them is alive."""

    def __init__(self) -> None:
        self._starting: list[asyncio.Task[Process]] = []

    async def work(
        self,
        tasks: Sequence[Task],
        seconds: float,
        *,
        kill: bool = False,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[int, int]:
        """Let them work; ``kill`` the last of them, as ``kill -9`` does, when the others stop.

        What is to happen ``meanwhile`` begins with them. Returns when that was, and a moment at which it was over and
        none of them alive any more, by the clock of the logs.

        Raises:
            WorkerFailed: one of them did not start, or ended with an error.

        """
        processes = await asyncio.gather(*map(self._start, tasks))
        last = processes[-1] if kill else None
        began = time.monotonic_ns()
        until = began / 1e9 + seconds
        for process in processes:
            _tell(process, str(until + LATER if process is last else until))
        ends = [_end(process, until if process is last else None) for process in processes]
        happening = [asyncio.ensure_future(each) for each in (*ends, *([] if meanwhile is None else [meanwhile()]))]
        try:
            await asyncio.gather(*happening)
        finally:
            for each in happening:
                each.cancel()
        return began, time.monotonic_ns()

    async def _start(self, task: Task) -> Process:
        # In a session of its own: Ctrl-C is for the parent, who ends its workers then.
        start = asyncio.create_subprocess_exec(
            sys.executable, *COMMAND, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        starting = asyncio.create_task(start)
        self._starting.append(starting)
        process = await asyncio.shield(starting)  # nobody would know of a process whose start was cancelled
        assert process.stdout is not None  # noqa: S101  # it was asked for
        _tell(process, task.line())
        if (await process.stdout.readline()).decode().strip() != READY:
            raise WorkerFailed(f"a worker ended with status {await process.wait()} before it was ready")
        return process

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._starting:
            await asyncio.wait(self._starting)
        processes = [starting.result() for starting in self._starting if starting.exception() is None]
        for process in processes:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # it has just ended, and asyncio has not heard of it yet
                    process.kill()
        await asyncio.gather(*(process.wait() for process in processes))


def _tell(process: Process, line: str) -> None:
    assert process.stdin is not None  # noqa: S101  # it was asked for
    process.stdin.write(f"{line}\n".encode())


async def _end(process: Process, kill_at: float | None) -> None:
    if kill_at is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(kill_at - time.monotonic()):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
            return
    if status := await process.wait():
        raise WorkerFailed(f"a worker ended with status {status} in the middle of its work")

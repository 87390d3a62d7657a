"""Processes: the parent's side of the workers."""

from __future__ import annotations

import json
import os
import subprocess
from types import TracebackType
from typing import Any, Self

from bench.contenders import imports_of
from bench.environments import TOP, Environment

#: All workers share it, so none has a better one.
CORE = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


class WorkerFailed(Exception):
    """A worker could not answer; the message is its traceback."""


class Process:
    """A worker for one contender; use it with ``with``."""

    def __init__(self, environment: Environment, contender: str, loop: str = "asyncio") -> None:
        self.contender = contender
        self._process = subprocess.Popen(  # noqa: S603 - the command is written here
            (str(environment.python), "-m", "bench.worker", contender, loop, str(CORE)),
            cwd=TOP,
            env=environment.variables(imports_of(contender)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **arguments: Any) -> Any:
        """The answer to one question.

        Raises:
            WorkerFailed: the worker raised, or is gone.

        """
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise WorkerFailed(f"the worker of {self.contender} has no pipes")
        try:
            print(json.dumps({"do": do, **arguments}), file=process.stdin, flush=True)
        except BrokenPipeError:
            raise WorkerFailed(f"the worker of {self.contender} is gone") from None
        line = process.stdout.readline()
        if not line:
            raise WorkerFailed(f"the worker of {self.contender} ended with status {process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(f"the worker of {self.contender} said:\n{answer['error']}")
        return answer["answer"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

"""Redis: a server of the benchmark's own, for all that one worker measures. Lives in the worker.

It runs on another core than the worker, if there is one, as the server of an application does. It keeps nothing on the
disk, and ends with the worker.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import weakref
from contextlib import suppress
from functools import cache
from tempfile import mkdtemp

#: The program; what needs it is not measured where it is not installed.
PROGRAM = "redis-server"
#: How many seconds it may take to answer for the first time.
PATIENCE = 30.0


class RedisServer:
    """One server, on a port that was free."""

    def __init__(self) -> None:
        folder = mkdtemp(prefix="async-cache-bench-")
        self.port = _free_port()
        command = (PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder, "--save", "")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - the command is written here
        weakref.finalize(self, _end, process, folder)
        _place_elsewhere(process.pid)
        self._wait_for(process)

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(7) == b"+PONG\r\n":
                        return
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)


@cache
def server() -> RedisServer:
    """The server of this process, begun when it is first asked for."""
    return RedisServer()


def is_installed() -> bool:
    """Whether there is a server to be begun."""
    return shutil.which(PROGRAM) is not None


def _place_elsewhere(process: int) -> None:
    """Leave the cores alone that this process was told to use, if there are others."""
    if hasattr(os, "sched_setaffinity"):
        others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
        with suppress(OSError):  # the others are not ours: it stays where it is
            os.sched_setaffinity(process, others or os.sched_getaffinity(0))


def _end(process: subprocess.Popen[bytes], folder: str) -> None:
    process.kill()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port

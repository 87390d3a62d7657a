"""A Redis server of this act's own, which keeps nothing on the disk, so that it comes back empty."""

from __future__ import annotations

import asyncio
import shutil
import socket
from asyncio.subprocess import DEVNULL, Process
from contextlib import closing
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM: Final = "redis-server"
HOST: Final = "127.0.0.1"
PATIENCE: Final = 10.0
"""How many seconds it may take to answer for the first time."""


class ServerFailed(Exception):
    """It has not begun."""


def is_installed() -> bool:
    """Whether there is one to be started."""
    return shutil.which(PROGRAM) is not None


class RedisServer:
    """One server, on a port that was free; when it is left, it is not alive."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with closing(socket.socket()) as found:
            found.bind((HOST, 0))
            self._port: int = found.getsockname()[1]
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://{HOST}:{self._port}/0"

    async def start(self) -> None:
        """Begin, and return when it answers.

        Raises:
            ServerFailed: it does not.

        """
        options = ("--port", str(self._port), "--bind", HOST, "--dir", str(self._folder), "--save", "")
        # In a session of its own: Ctrl-C is for the parent, who ends it then.
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM, *options, stdin=DEVNULL, stdout=DEVNULL, start_new_session=True
        )
        try:
            await self._wait_for(self._process)
        except BaseException:  # cancellation included: nobody else would know of the process
            await self.kill()
            raise

    async def kill(self) -> None:
        """End it as ``kill -9`` does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _wait_for(self, process: Process) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self._answers():
                    if process.returncode is not None:
                        raise ServerFailed(f"{PROGRAM} has ended with status {process.returncode}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise ServerFailed(f"{PROGRAM} has not answered for {PATIENCE:g} seconds") from None

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, self._port)
            with closing(writer):
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
        except OSError:
            return False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

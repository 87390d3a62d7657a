"""Wires between processes and a server, on which one direction can be slow, or silent, while the other is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final

#: To the server; from it, where something was asked; and from it to those who have subscribed.
UP: Final = 0
DOWN: Final = 1
TOLD: Final = 2
DIRECTIONS: Final = (UP, DOWN, TOLD)


class Switchboard:
    """The thread in which all wires are."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="wires", daemon=True)
        self._thread.start()
        self._wires: list[Wire] = []

    def run(self, function: Callable[[], object]) -> None:
        """Have it done there, soon."""
        self.loop.call_soon_threadsafe(function)

    def wire(self, port: int) -> Wire:
        """A wire to the server at this port."""
        wire = Wire(self, port)
        asyncio.run_coroutine_threadsafe(wire.open(), self.loop).result(10)
        self._wires.append(wire)
        return wire

    def close(self) -> None:
        """Let go of everything."""
        asyncio.run_coroutine_threadsafe(self._end_all(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _end_all(self) -> None:
        for wire in self._wires:
            wire.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Wire:
    """A port that leads to another one; what was sent may be held on the way, but is never changed.

    What is held when the wire is cut is lost; otherwise it arrives later, if need be when its sender is dead.
    """

    def __init__(self, board: Switchboard, target: int) -> None:
        self._board = board
        self._target = target
        self._flows = [asyncio.Event() for _ in DIRECTIONS]
        self._delays = [0.0 for _ in DIRECTIONS]
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Wait for those who connect."""
        for flow in self._flows:
            flow.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Wait for nobody any more; in the thread of all wires."""
        if self._server is not None:
            self._server.close()
        self._cut()

    def hold(self, direction: int) -> None:
        """Nothing arrives in this direction, until it is let go."""
        self._board.run(self._flows[direction].clear)

    def delay(self, direction: int, seconds: float) -> None:
        """Everything arrives later by so much."""
        self._delays[direction] = seconds

    def let_go(self) -> None:
        """Everything arrives."""
        for direction in DIRECTIONS:
            self.delay(direction, 0.0)
            self._board.run(self._flows[direction].set)

    def cut(self) -> None:
        """End all connections; what was held is lost."""
        self._board.run(self._cut)

    def lead_to(self, port: int) -> None:
        """End all connections; those that come lead to another server."""
        self._target = port
        self.cut()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # there is no server
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        ways = [UP, DOWN]
        try:
            await asyncio.gather(self._pass(reader, far_writer, ways, UP), self._pass(far_reader, writer, ways, DOWN))
        except asyncio.CancelledError:  # the end of all wires, of which nobody else need be told
            return
        finally:
            self._writers -= ends

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ways: list[int], which: int
    ) -> None:
        try:
            while data := await reader.read(65536):
                if which == UP and b"SUBSCRIBE" in data:
                    ways[DOWN] = TOLD
                direction = ways[which]
                if self._delays[direction]:
                    await asyncio.sleep(self._delays[direction])
                await self._flows[direction].wait()
                writer.write(data)
                await writer.drain()
        except OSError:  # one of its ends is gone
            pass
        finally:
            writer.transport.abort()

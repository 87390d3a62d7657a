"""Line: two connections to one server, one for what is asked and one for what is told.

Both are made by the client library, with whatever its options say of TLS, users and sentinels; and none of them is
ever made anew in silence, for what was told meanwhile would be missed. A line is up once, and then it is lost.
Requests travel together, as many as there are when the connection is free, and are answered in their order.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from cache.tiers._redis import _scripts
from cache.tiers._redis._scripts import ANOTHER, Script
from cache.tiers._redis._tally import Tally

#: For how many seconds a server may keep an answer, or be silent where it is asked to speak, before it counts as away.
PATIENCE: Final = 5.0

#: What a request may be made of.
Part = bytes | str | int


#: Kinds of what is told in a channel, in a whole cluster or in a part of it; after that come the channel and the rest.
MESSAGES: Final = ((b"message", 3), (b"smessage", 3))


class LineLost(Exception):
    """There is no such connection any more; nobody knows what became of the last requests."""


class Refused(Exception):
    """The server has answered with an error, and nothing was done."""


class Unknown(Refused):
    """The server does not know the script."""


class Elsewhere(Refused):
    """It is not the server any more that it was when this was asked for."""


class Line:
    """Two connections to one run of one server.

    ``hear`` is given what is told, in order, and ``lost`` is called once, when it is over, with the reason.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        hear: Callable[[bytes, bytes], None],
        lost: Callable[[Line, Exception], None],
        tally: Tally,
    ) -> None:
        self._connect = connect
        self._hear = hear
        self._lost = lost
        self._tally = tally
        self._data: Any = None
        self._ear: Any = None
        #: Who waits for answers, in the order of their requests.
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._packed: list[bytes] = []
        self._has_asked = asyncio.Event()
        self._has_packed = asyncio.Event()
        #: Those that work on it.
        self._tasks: list[asyncio.Task[None]] = []
        #: Whether the server is one of a cluster; known when it is open.
        self.is_of_cluster = False
        self._is_over = False
        self._waits_since = self._last_heard = monotonic()

    async def open(self) -> None:
        """Connect both, to the same run of the same server.

        Raises:
            Exception: that cannot be done.

        """
        try:
            self._data, self._ear = self._connect(), self._connect()
            for connection in (self._data, self._ear):
                await connection.connect()
                if hasattr(connection._parser, "set_pubsub_push_handler"):  # which by default writes it into the log
                    connection._parser.set_pubsub_push_handler(_pass)
            self._check_there()  # another line may have been lost meanwhile, and this one given up
            self._start(self._send(), self._receive())
            info = await self.ask("INFO", "server")
            self.is_of_cluster = b"_mode:cluster" in bytes(info)  # Redis and Valkey call it by two names
            run = _run_of(info)
            await self._ear.send_command("INFO", b"server", check_health=False)
            _check_same(run, _run_of(await self._ear.read_response(disable_decoding=True)))
            await asyncio.gather(*(self.ask("SCRIPT", "LOAD", script.text) for script in _scripts.ALL))
        except BaseException as error:  # an end in the middle of it, too: it is raised again
            self._end(error if isinstance(error, Exception) else LineLost("it was given up"), tell=False)
            self._close()  # it may have been over already, and has connected since
            raise

    async def subscribe(self, channels: Sequence[bytes], command: str = "SUBSCRIBE") -> None:
        """Hear what is told in these channels from now on: each of them has been confirmed when this returns."""
        ear = self._ear
        self._check_there()  # else the library would connect again, and nobody would end that
        # Each by itself: of those of a cluster no two need be in one hash slot.
        await ear.send_packed_command(
            [part for channel in channels for part in ear.pack_command(command, channel)], check_health=False
        )
        for channel in channels:
            answer = await ear.read_response(disable_decoding=True, push_request=True)
            if answer[:2] != [command.lower().encode(), channel]:
                raise LineLost(f"a subscription was answered with {answer[:1]!r}")
        self._check_there()
        self._last_heard = monotonic()
        self._start(self._listen())

    def _check_there(self) -> None:
        if self._is_over:
            raise LineLost("it is over")

    def ask(self, *parts: Part) -> asyncio.Future[Any]:
        """Send a request, behind all others; its answer is to be awaited.

        It raises `Refused` if the server answers with an error, and `LineLost` if the connection ends before.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._is_over:
            future.set_exception(LineLost("it is over"))
            future.exception()
            return future
        # Texts as bytes, whatever encoding the client has been given for its own.
        self._packed += self._data.pack_command(*[each.encode() if isinstance(each, str) else each for each in parts])
        if not self._asked:
            self._waits_since = monotonic()
        self._asked.append(future)
        self._has_packed.set()
        return future

    def run(self, script: Script, keys: Sequence[bytes], arguments: Iterable[Part]) -> asyncio.Future[Any]:
        """Send a script by its digest; where the server does not know it, that is the answer."""
        return self.ask("EVALSHA", script.digest, len(keys), *keys, *arguments)

    def call(self, script: Script, keys: Sequence[bytes], arguments: Sequence[Part]) -> Coroutine[Any, Any, Any]:
        """Send a script for which it does not matter what is sent after it; what is returned is to be awaited.

        It is sent now, and once more in full if the server does not know it.
        """
        return self._call(self.run(script, keys, arguments), script, keys, arguments)

    async def _call(
        self, answer: asyncio.Future[Any], script: Script, keys: Sequence[bytes], arguments: Sequence[Part]
    ) -> Any:
        try:
            return await answer
        except Unknown:
            return await self.ask("EVAL", script.text, len(keys), *keys, *arguments)

    def give_up(self, error: Exception) -> None:
        """End it, for this reason."""
        self._end(error, tell=True)

    def separate(self) -> None:
        """In a forked process: the connections are those of the parent. Keep the server from seeing two ends of one."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for connection in (self._data, self._ear):
            writer = None if connection is None else connection._writer
            socket = None if writer is None else writer.get_extra_info("socket")
            if socket is not None and socket.fileno() >= 0:
                os.dup2(nowhere, socket.fileno())
        os.close(nowhere)

    def is_stuck(self, patience: float) -> bool:
        """Whether an answer has been due, or nothing was told, for so long that it cannot be well."""
        now = monotonic()
        return now - self._last_heard > patience or (bool(self._asked) and now - self._waits_since > patience)

    # -- those that work on it ---------------------------------------------------------------------------------

    def _start(self, *works: Any) -> None:
        self._tasks += [asyncio.get_running_loop().create_task(self._work(work)) for work in works]

    async def _work(self, work: Any) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, of whatever in the library: the line is of no use
            self._end(error, tell=True)

    async def _send(self) -> None:
        data, packed, asked = self._data, self._has_packed, self._has_asked
        while True:
            await packed.wait()
            packed.clear()
            parts, self._packed = self._packed, []
            self._tally.add(trips=1)
            asked.set()
            if not data.is_connected:  # else it would connect again, and say nothing of it
                raise LineLost("the connection was closed")
            await data.send_packed_command(parts, check_health=False)

    async def _receive(self) -> None:
        from redis.exceptions import AskError, ClusterError, ReadOnlyError, ResponseError  # noqa: PLC0415 - it is an extra

        data, asked = self._data, self._asked
        while True:
            if not asked:
                self._has_asked.clear()
                await self._has_asked.wait()
                continue
            future = asked[0]
            answer: Any = None
            try:
                answer = await data.read_response(disable_decoding=True)
            except (ReadOnlyError, AskError, ClusterError):
                raise  # it was the primary once, or that of these slots, or the cluster does not know
            except ResponseError as error:
                self._answered()
                if not future.done():
                    future.set_exception(_kind_of(error)(f"{error}"))
                    future.exception()  # who asked for it may have given up by the answer before
                continue
            self._answered()
            if not future.done():
                future.set_result(answer)

    def _answered(self) -> None:
        self._asked.popleft()
        self._waits_since = monotonic()

    async def _listen(self) -> None:
        ear = self._ear
        while True:
            told = await ear.read_response(disable_decoding=True, push_request=True)
            self._last_heard = monotonic()
            if not isinstance(told, list) or (told[0], len(told)) not in MESSAGES:
                # A subscription that is confirmed once more was made once more: the connection was another meanwhile.
                raise LineLost(f"the subscription was told {told!r:.80}")
            self._hear(told[1], told[2])

    def _end(self, error: Exception, *, tell: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._close()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        asked, self._asked = self._asked, deque()
        for future in asked:
            if not future.done():
                future.set_exception(LineLost(f"{error}"))
                future.exception()  # who asked for it may be gone
        if tell:
            self._lost(self, error)

    def _close(self) -> None:
        for connection in (self._data, self._ear):
            if connection is not None:
                with suppress(Exception):  # it is over, whatever the library says of it
                    if connection._writer is not None:  # with TLS it would say goodbye first, and wait for an answer
                        connection._writer.transport.abort()
                    connection._close()


def _check_same(one: str, other: str) -> None:
    """Refuse two connections that lead to two servers: what is changed at the one is not told by the other."""
    if one != other:
        raise LineLost(f"two connections led to two servers, {one} and {other}")


def _kind_of(error: Exception) -> type[Refused]:
    from redis.exceptions import NoScriptError  # noqa: PLC0415 - it is an extra

    if isinstance(error, NoScriptError):
        return Unknown
    return Elsewhere if str(error).startswith(ANOTHER) else Refused


async def _pass(told: Any) -> Any:
    return told


def _run_of(info: Any) -> str:
    """The id of a server's run, of which each has another."""
    for line in bytes(info).splitlines():
        name, _, value = line.partition(b":")
        if name == b"run_id" and value.isalnum():
            return value.decode("ascii")
    raise LineLost("the server does not say which it is: its INFO has no run_id")

"""RedisBackend: a tier, with its bus, on a Redis or Valkey server that many machines share."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from cache._arguments import check_seconds
from cache._bus import when_closed
from cache._step import step
from cache._tier import Address, Covering, Moment, Record, Slice
from cache.codec import Codec
from cache.tiers._redis import _options as check
from cache.tiers._redis._asking import answer, answer_blocking, change
from cache.tiers._redis._bus import RedisBus
from cache.tiers._redis._engine import Engine
from cache.tiers._redis._fills import Write
from cache.tiers._redis._ledger import BEGUN, CHANGED, ENDED
from cache.tiers._redis._options import Options
from cache.tiers._redis._read import Read
from cache.tiers._redis._servers import servers_of
from cache.tiers._redis._tally import RedisMetrics, Tally
from cache.tiers._redis._work import Call, Release


class RedisBackend:
    """Keeps entries in a Redis or Valkey server, for the caches of any number of machines, and tells them of changes.

    ``server`` is a url, or a client of ``redis.asyncio``, those of sentinels and clusters included, which may also be
    passed as ``client=``; or pass ``host=`` and ``port=``. All other ``options`` are those of the client library, for
    TLS, users and timeouts. The connections are made and used by a thread of the backend's own, begun when first
    needed; it may be used from any thread and any event loop, and begins anew in forked processes.

    Caches need both it and its ``bus``. Then, in the process that mutates, all is as with one process. In every other,
    no read that starts more than ``max_staleness`` seconds after a mutation has returned gets an older value, whatever
    is lost, paused or partitioned; normally one message behind. While the server is away, nothing is served from memory
    that others could change, loads go to their source, and nothing is stored; readers get no error. A mutation then
    fails with `BusError` before it runs; with ``on_bus_error="proceed"`` it runs, and others are told when the server
    is back, if this process is still there. What was there before a restart or a failover of the server is not used.

    A mutation covers what it changes for ``lease`` seconds after its process was last heard of. Of many who miss the
    same, one loads, and the others wait, for ``fill_lease`` seconds at most. Nothing is kept for longer than
    ``max_ttl`` seconds, and no value that takes more than ``max_value_bytes``. All keys begin with ``prefix``: letters,
    digits, ``.``, ``_``, ``:`` and ``-``. ``codec``, ``compress_above`` and ``clock`` are as for `DiskBackend`.

    Raises:
        TypeError, ValueError: an argument that makes no sense.
        ImportError: redis is not installed; or there is no codec, and msgspec is not.

    """

    def __init__(
        self,
        server: Any = None,
        *,
        client: Any = None,
        host: str | None = None,
        port: int | None = None,
        prefix: str = "cache",
        max_staleness: float = 1.0,
        lease: float = 10.0,
        fill_lease: float = 10.0,
        max_ttl: float = 86_400.0,
        on_bus_error: str = "raise",
        codec: Codec | None = None,
        compress_above: int = 1024,
        max_value_bytes: int = 1024 * 1024,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        if server is not None and client is not None:
            raise TypeError("client=: the server was given already; pass one or the other")
        servers = servers_of(client if server is None else server, host, port, options, check.NAMES)
        prefix = check.check_prefix(prefix)
        self._options = Options(
            servers=servers,
            prefix=f"{prefix}:{servers.database}",
            max_staleness=check.check_duration(max_staleness, "max_staleness", 0.02),
            lease=check.check_duration(lease, "lease", 0.1),
            fill_lease=check.check_duration(fill_lease, "fill_lease", 0.01),
            max_ttl=check.check_duration(max_ttl, "max_ttl", 1.0),
            on_bus_error=check.check_on_bus_error(on_bus_error),
            codec=check.check_codec(codec),
            compress_above=check.check_bytes(compress_above, "compress_above", 0),
            max_value_bytes=check.check_bytes(max_value_bytes, "max_value_bytes", 1),
            clock=check.check_clock(clock),
        )
        self.codec = codec
        self.compress_above = compress_above
        self.clock = clock
        self._closed = False
        self._tally = Tally()
        self._begin_anew()
        #: What tells caches of what others have changed.
        self.bus: RedisBus = RedisBus(self, self._current, servers.name, prefix)
        _backends.add(self)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """The backend at a url, such as ``"rediss://user:secret@host:6379/0"``."""
        if not isinstance(url, str):
            raise TypeError(f"url is of type {type(url).__name__}: pass a string, such as 'redis://localhost:6379/0'")
        return cls(url, **options)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.bus.name!r} on {self._options.servers.name}>"

    @property
    def closed(self) -> bool:
        """Whether its user has closed it."""
        return self._closed

    async def read(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        """For each address its record, or the moment from which a load may begin, or None; see `Tier.read`.

        Whoever is given a moment has to write to the address or to `release` it; others wait for that.
        """
        if not addresses:
            return []
        unheard = partial(self._give_back, addresses)
        told = answer(self._current(), lambda waiter: Read(addresses, waiter), [None] * len(addresses), unheard)
        try:
            found: list[Record | Moment | None] = await told
        except asyncio.CancelledError:
            if told.done() and not told.cancelled():  # the answer came in the turn in which the caller was cancelled
                unheard(told.result())
            raise
        return found

    def read_blocking(self, addresses: Sequence[Address]) -> list[Record | Moment | None]:
        """As `read`, for a thread that has no event loop."""
        if not addresses:
            return []
        nothing = [None] * len(addresses)
        found: list[Record | Moment | None] = answer_blocking(
            self._current(), lambda waiter: Read(addresses, waiter), nothing, partial(self._give_back, addresses)
        )
        return found

    def release(self, given: Mapping[Address, Moment]) -> None:
        """To these loads, to which `read` has given such moments, nothing will be written: let others load."""
        self._current().ask(Release(dict(given)))

    async def moment(self) -> Moment | None:
        """The moment from which a load may begin; None where that cannot be said."""
        engine = self._current()
        number = engine.ledger.number
        if engine.ledger.stamps.are_proven:
            return Moment(engine.file, number)
        moment: Moment | None = await answer(self._current(), lambda waiter: Call(engine.moment, waiter, None), None)
        return moment

    def moment_blocking(self) -> Moment | None:
        """As `moment`, for a thread that has no event loop."""
        engine = self._current()
        moment: Moment | None = answer_blocking(engine, lambda waiter: Call(engine.moment, waiter, None), None)
        return moment

    def write(self, record: Record, moment: Moment, *, replaces: bool = False) -> None:
        """Store a value that was loaded since ``moment``, at the end of this turn of the loop; see `Tier.write`."""
        engine = self._current()
        number = engine.ledger.replace(engine.layout.changed([record.address])) if replaces else 0
        if not engine.ask(Write(record, moment, number), None if replaces else asyncio._get_running_loop()):
            engine.ledger.replacing.pop(number, None)
            self._tally.add(dropped=1)

    def assign(self, record: Record, then: Callable[[], object] | None = None) -> asyncio.Future[None] | None:
        """Invalidate an address, and give it a value; when it is done, and how it fails, is as with `invalidate`."""
        left = self._options.max_ttl if record.expires is None else record.expires - self.clock()
        lives = int(min(left, self._options.max_ttl) * 1000)
        fits = len(record.value) <= self._options.max_value_bytes
        return change(
            self._current(),
            CHANGED,
            (record.address,),
            then=then,
            record=record if fits and lives > 0 else None,
            lives=max(1, lives),
        )

    def invalidate(
        self, addresses: Sequence[Address], spaces: Sequence[str] = (), then: Callable[[], object] | None = None
    ) -> asyncio.Future[None] | None:
        """These truths, and all in these spaces, have changed, for every process.

        In an event loop it returns a future, which is done when the server has told, and ``then`` has been called, in
        whatever thread; a failure of which nobody asks is logged. Without an event loop it waits, and returns None.

        Raises:
            BusError: the server is away, or the backend was closed. Others may go on to serve what is old, until the
                server is back; then they are told, if this process is still there and has not closed it.

        """
        return change(self._current(), CHANGED, tuple(addresses), tuple(spaces), then=then)

    def begin(self, covering: Covering) -> asyncio.Future[None] | None:
        """A mutation begins: as `invalidate`, and nobody stores what rests on what it covers until its `end`.

        It is renewed as long as that takes; if this process dies, it lapses after ``lease`` seconds.

        Raises:
            BusError: the server is away, so the mutation must not run.

        """
        return change(self._current(), BEGUN, covering.addresses, covering.spaces, covering=covering)

    def end(self, covering: Covering, linger: float = 0.0) -> asyncio.Future[None] | None:
        """It has ended: as `invalidate`, and what rests on it may be stored again, after ``linger`` seconds.

        May be repeated. If it fails, nobody stores that for ``lease`` seconds.
        """
        return change(self._current(), ENDED, covering.addresses, covering.spaces, covering=covering, linger=linger)

    async def flush(self) -> int:
        """Wait until the server has what was written; how many records it was sent since the last flush."""
        engine = self._current()
        count: int | None = await answer(self._current(), lambda waiter: Call(engine.flush, waiter, None), None)
        return self._tally.since_last_flush() if count is None else count

    def flush_blocking(self) -> int:
        """As `flush`, for a thread that has no event loop."""
        engine = self._current()
        count = answer_blocking(engine, lambda waiter: Call(engine.flush, waiter, None), None)
        return self._tally.since_last_flush() if count is None else int(count)

    async def scan(self, space: str, after: int | None = None) -> tuple[Moment | None, Slice]:
        """The next valid records of a space, in no order, and a moment at which they all were valid.

        A record may be in two slices if the server is making room for many meanwhile.
        """
        engine, nothing = self._current(), (None, Slice([], None))
        found: tuple[Moment | None, Slice] = await answer(
            self._current(), lambda waiter: Call(lambda: engine.scan(space, after), waiter, nothing), nothing
        )
        return found

    async def hear_all(self) -> None:
        """Wait until this process has heard all that was told up to now by others; at once if the server is away."""
        engine = self._current()
        await answer(self._current(), lambda waiter: Call(engine.hear_all, waiter, None), None)

    def metrics(self) -> RedisMetrics:
        """What it has done so far, in this process."""
        return self._tally.metrics()

    async def aclose(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - an end must be bounded by itself
        """Send what waits, end the connections and the thread, within ``timeout`` seconds; False if that took longer.

        Afterwards changes fail, for others would not hear of them. May be repeated, from anywhere.
        """
        return await asyncio.get_running_loop().run_in_executor(None, self.close, timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """As `aclose`, for a thread that has no event loop.

        Raises:
            TypeError, ValueError: a ``timeout`` that makes no sense; it is not closed then.

        """
        patience = check_seconds(timeout, "timeout")
        engine, was_closed = self._current(), self._closed
        self._closed = True
        ended = engine.stop(min(patience, check.LONGEST))
        if not was_closed:
            with step:
                for tell in when_closed:
                    tell(self.bus)
        return ended

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _current(self) -> Engine:
        return self._engine

    def _begin_anew(self) -> None:
        self._engine = engine = Engine(self._options, self._tally)
        if self._closed:
            engine.is_closed = True
        weakref.finalize(self, engine.leave).atexit = False

    def _separate(self) -> None:
        """In a forked process: what the parent has is left alone, and what is done here is done anew."""
        self._tally = Tally()
        self._engine.separate()
        _of_parents.append(self._engine)
        self._begin_anew()

    def _give_back(self, addresses: Sequence[Address], found: Any) -> None:
        self.release({each: what for each, what in zip(addresses, found, strict=True) if isinstance(what, Moment)})


#: All of this process, for when it is forked.
_backends: weakref.WeakSet[RedisBackend] = weakref.WeakSet()
#: What a forked process has inherited, kept for ever: to let go of a connection is to use it.
_of_parents: list[Engine] = []


def _in_child() -> None:
    for backend in tuple(_backends):
        backend._separate()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
